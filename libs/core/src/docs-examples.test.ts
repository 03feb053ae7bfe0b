/** Every TypeScript example of README and docs compiles; those that need nothing but core run and print what they say. */
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ts from 'typescript'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

interface Example {
  /** Page and number. */
  readonly name: string
  /** Where it would stand as a file. */
  readonly path: string
  readonly source: string
}

// A page whose examples are fragments has them whole in `docs/examples`, where a test compiles, runs and compares them.
const hasOwnModule = (name: string): boolean => existsSync(join(ROOT, 'docs/examples', name.replace('.md', '.ts')))
const docs = readdirSync(join(ROOT, 'docs')).filter((name) => !hasOwnModule(name))
const pages = ['README.md', ...docs.map((name) => join('docs', name))]
const examples: readonly Example[] = pages
  .filter((page) => page.endsWith('.md'))
  .flatMap((page) =>
    [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^```ts\n(.*?)^```$/gms)].map(([, source = ''], index) => ({
      name: `${page}, example ${String(index)}`,
      path: join(ROOT, `${page}.${String(index)}.ts`),
      source,
    })),
  )

/** What the examples do not compile with. */
function problems(): string[] {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.base.json'), (path) => ts.sys.readFile(path)).config as {
    compilerOptions: object
  }
  const { options } = ts.convertCompilerOptionsFromJson(
    { ...config.compilerOptions, composite: false, noEmit: true, customConditions: ['@sluice/source'] },
    ROOT,
  )
  const host = ts.createCompilerHost(options)
  const sources = new Map(examples.map(({ path, source }) => [path, source]))
  const { readFile, fileExists } = host
  host.readFile = (path) => sources.get(path) ?? readFile(path)
  host.fileExists = (path) => sources.has(path) || fileExists(path)
  const program = ts.createProgram([...sources.keys()], options, host)
  return examples.flatMap(({ name, path }) => {
    const file = program.getSourceFile(path)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText }) => `${name}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    )
  })
}

test('the examples of README and docs compile', () => {
  expect(examples.length).toBeGreaterThan(4)
  expect(problems()).toEqual([])
}, 120_000)

const run = promisify(execFile)
const packagesOf = (source: string): string[] => [...source.matchAll(/from '([^']+)'/g)].map(([, name = '']) => name)
const runnable = examples.filter(
  ({ source }) =>
    source.includes('console.log(') && packagesOf(source).every((name) => name.startsWith('@sluice/core')),
)

test.each(runnable)('$name prints what it says', async ({ path, source }) => {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  })
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', outputText], { cwd: dirname(path) })
  const said = [...source.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, text = '']) => text)
  const plain = (text: string): string => text.replaceAll(/\s|Symbol|[()]/g, '')
  expect(plain(stdout)).toBe(plain(said.join('')))
})
