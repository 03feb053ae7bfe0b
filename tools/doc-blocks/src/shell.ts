/** Reads the commands of `sh` and `console` blocks. */
import type { Block } from './blocks.js'

/** One program with its arguments. */
export interface Command {
  readonly page: string
  readonly line: number
  readonly env: Readonly<Record<string, string>>
  readonly program: string
  readonly args: readonly string[]
  readonly text: string
}

/** All of a block of either language; of others, none. */
export function commandsIn({ page, line, language, source }: Block): Command[] {
  if (language !== 'sh' && language !== 'console') return []
  return source.split('\n').flatMap((text, index) => {
    const prompt = /^(?:\^C)?\$ (.*)$/.exec(text)?.[1]
    return commandsOfLine(language === 'sh' ? text : (prompt ?? ''), { page, line: line + 1 + index })
  })
}

/** Those of a line, with `&&` or a pipe between them. */
export function commandsOfLine(text: string, place: Pick<Command, 'page' | 'line'>): Command[] {
  const commands: string[][] = [[]]
  for (const word of wordsOf(text)) {
    if (word === '&&' || word === '|' || word === ';') commands.push([])
    else commands.at(-1)?.push(word)
  }
  return commands
    .filter((words) => words.length > 0)
    .map((words) => {
      const settings = words.findIndex((word) => !/^[A-Z_]\w*=/.test(word))
      const env = Object.fromEntries(words.slice(0, settings).map((word) => word.split(/=(.*)/s)))
      const [program = '', ...args] = words.slice(settings)
      return { ...place, env, program, args, text: text.trim() }
    })
}

/** Without quotes and comments. */
function wordsOf(text: string): string[] {
  const words: string[] = []
  for (const [, word = ''] of text.matchAll(/\s*((?:'[^']*'|"[^"]*"|[^\s'"])+)/g)) {
    if (word.startsWith('#')) break
    words.push(word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'))
  }
  return words
}
