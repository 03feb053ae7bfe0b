/** Finds the fenced blocks of a page, by a name in them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

export interface Block {
  /** The path of its page from the root of the repository. */
  readonly page: string
  /** Of its fence, from 1. */
  readonly line: number
  readonly language: string
  readonly source: string
}

/** What a test has in place of what stands in a block, e.g. the address of its server. */
export type Changes = Readonly<Record<string, string>>

const FENCE = /^(\s*)(```+|~~~+)\s*(.*?)\s*$/

/** All fenced blocks, in their order. Throws where a fence is not closed. */
export function blocksOf(page: string, text = readFileSync(join(ROOT, page), 'utf8')): Block[] {
  const blocks: Block[] = []
  let open: { readonly line: number; readonly fence: string; readonly language: string } | undefined
  let lines: string[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const [, indent = '', fence = '', language = ''] = FENCE.exec(line) ?? []
    if (open === undefined) {
      if (fence !== '') [open, lines] = [{ line: index + 1, fence: indent + fence, language }, []]
    } else if (indent + fence === open.fence && language === '') {
      blocks.push({ page, line: open.line, language: open.language, source: lines.map((each) => `${each}\n`).join('') })
      open = undefined
    } else lines.push(line.startsWith(indent) ? line.slice(/^\s*/.exec(open.fence)?.[0].length) : line)
  }
  if (open !== undefined) throw new Error(`${page}:${String(open.line)}: the fence is not closed`)
  return blocks
}

/** Whether it is code that runs in Node.js. */
export const isCode = ({ language }: Block): boolean => language === 'ts' || language === 'js'

/** Whether `text` has `name`, and not as a part of a longer one. */
export function hasName(text: string, name: string): boolean {
  const literally = name.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`)
  return new RegExp(String.raw`(?<![\w$])${literally}(?![\w$])`).test(text)
}

/** The block of code of a page that has `name`, which no other one of the page may have. */
export function blockNamed(page: string, name: string): Block {
  const found = blocksOf(page).filter((block) => isCode(block) && hasName(block.source, name))
  const [block] = found
  if (block !== undefined && found.length === 1) return block
  throw new Error(`${page} has ${String(found.length)} blocks of code with ${name}; exactly one is needed`)
}

/** The source with its changes. Each must apply: else the page was changed, and the test was not. */
export function sourceOf({ page, line, source }: Block, changes: Changes = {}): string {
  let changed = source
  for (const [old, text] of Object.entries(changes)) {
    if (!changed.includes(old)) throw new Error(`${page}:${String(line)} has no ${old} to put ${text} in its place`)
    changed = changed.replaceAll(old, () => text)
  }
  return changed
}
