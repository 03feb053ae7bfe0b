import { describe, expect, test } from 'vitest'
import { blockNamed, blocksOf, hasName, sourceOf } from './blocks.js'
import { callsIn } from './calls.js'
import { exportsOf, problemsOfTypes } from './compile.js'
import { importBlock, isQuoted, runBlock } from './run.js'
import { commandsOfLine } from './shell.js'

const block = (source: string, language = 'ts') => ({ page: 'docs/a.md', line: 1, language, source })

describe('blocks of a page', () => {
  test('are found by their fences, also in lists and around other fences', () => {
    const page = [
      '```ts',
      'a',
      '',
      'b',
      '```',
      '- item',
      '',
      '  ```sh',
      '  c',
      '  ```',
      '````text',
      '```ts',
      '````',
    ].join('\n')
    expect(blocksOf('a.md', page)).toEqual([
      { page: 'a.md', line: 1, language: 'ts', source: 'a\n\nb\n' },
      { page: 'a.md', line: 8, language: 'sh', source: 'c\n' },
      { page: 'a.md', line: 11, language: 'text', source: '```ts\n' },
    ])
  })

  test('have a language of any case and with anything behind it: what is not known is not taken for text', () => {
    expect(blocksOf('a.md', '```TS title\nx\n```\n~~~ts\ny\n~~~').map(({ language }) => language)).toEqual([
      'TS title',
      'ts',
    ])
  })

  test('must end', () => {
    expect(() => blocksOf('a.md', 'a\n```ts\nb')).toThrow('a.md:2: the fence is not closed')
  })

  test('are known by a name that no other one has', () => {
    expect(blockNamed('docs/mongo.md', 'countOrders').source).toContain('function countOrders(')
    expect(() => blockNamed('docs/mongo.md', 'mongoSink')).toThrow(/has 4 blocks of code with mongoSink; exactly one/)
    expect(() => blockNamed('docs/mongo.md', 'nobody')).toThrow(/has 0 blocks/)
  })

  test.each([
    ['count', 'recount(1)', false],
    ['count', 'x.count()', true],
    ['$sum', 'a$sum', false],
    ['a (b', 'a (b)', true],
  ])('%s in %s: %s', (name, text, isThere) => {
    expect(hasName(text, name)).toBe(isThere)
  })

  test('are changed only where there is what is changed', () => {
    expect(sourceOf(block(`f('a', 'a')`), { [`'a'`]: '$&' })).toBe('f($&, $&)')
    expect(() => sourceOf(block('b'), { a: 'c' })).toThrow('docs/a.md:1 has no a to put c in its place')
  })
})

describe('runs of blocks in a test', () => {
  const problems = (text: string) => callsIn('docs/examples/a.test.ts', text).problems

  test('are calls with literals', () => {
    const { calls, used } = callsIn(
      'libs/a/src/a.test.ts',
      `interface I { typed(): void }\nconst { f } = await importBlock<I>('README.md', 'x')\nf()\nawait runBlock('a.md', 'y', { last: 'main()' })`,
    )
    expect(calls).toMatchObject([
      { function: 'importBlock', page: 'README.md', name: 'x', line: 2 },
      { function: 'runBlock', page: 'a.md', name: 'y', line: 4 },
    ])
    expect(['f', 'main', 'typed'].map((name) => used.has(name))).toEqual([true, true, false])
  })

  test.each([
    [`runBlock(page, 'x')`, 'docs/examples/a.test.ts:1: page and name must be literals'],
    [`test.skip('t', () => runBlock('a.md', 'x'))`, 'docs/examples/a.test.ts:1 is in a test that is skipped'],
    [
      `describe.skipIf(true)('d', () => { runBlock('a.md', 'x') })`,
      'docs/examples/a.test.ts:1 is in a test that is skipped',
    ],
    [`quotedBlock('a.md', 'x', file)`, 'docs/examples/a.test.ts:1: the module must be a literal'],
    [`quotedBlock('a.md', 'x', 'docs/examples/b.ts')`, 'docs/examples/a.test.ts:1 does not run docs/examples/b.ts'],
  ])('%s is none', (text, problem) => {
    expect(problems(text)).toEqual([problem])
  })

  test('count where the module is run: imported, itself, or built and started', () => {
    expect(problems(`import { b } from './b.js'\nquotedBlock('a.md', 'x', 'docs/examples/b.ts')`)).toEqual([])
    expect(problems(`quotedBlock('a.md', 'x', 'docs/examples/a.test.ts')`)).toEqual([])
    const started = `new URL('../dist/main.js', import.meta.url)\nquotedBlock('a.md', 'x', 'libs/a/src/main.ts')`
    expect(callsIn('libs/a/src/a.test.ts', started).problems).toEqual([])
  })

  test('in comments are none', () => {
    expect(callsIn('a.test.ts', `// runBlock('a.md', 'x')\nconst text = "runBlock('a.md', 'x')"`).calls).toEqual([])
  })
})

test('a block is quoted where its code stands, whatever its imports, comments and white space', () => {
  const quoted = `import { a } from 'a'\n\n// what it does\nconst b = a()\nb.c()\n`
  expect(isQuoted(quoted, `import { a } from './a.js'\nfunction f() {\n  const b = a()\n  b.c()\n}`)).toBe(true)
  expect(isQuoted(quoted, `function f() {\n  const b = a()\n  d()\n  b.c()\n}`)).toBe(false)
})

test('types alone need no run, and what is exported is told', () => {
  const types = `import type { A } from 'a'\nexport interface B extends A {}\ntype C = B`
  expect(exportsOf(block(types))).toEqual({ isTypesOnly: true, values: [] })
  const code = `export interface B {}\nexport const b = 1, c = 2\nexport async function d() {}\nexport class E {}`
  expect(exportsOf(block(code))).toEqual({ isTypesOnly: false, values: ['b', 'c', 'd', 'E'] })
  expect(exportsOf(block('f()')).isTypesOnly).toBe(false)
})

test('types are checked strictly, and the line of the page is told', () => {
  const [problem = '', ...others] = problemsOfTypes([
    block(`import { seconds } from '@sluice/core'\n\nconst text: string = seconds(1)\nconsole.log(text)`),
    block('console.log(nothing)', 'js'),
  ])
  expect(problem).toMatch(/^docs\/a\.md:4: Type .* is not assignable to type 'string'/)
  expect(others).toEqual([expect.stringMatching(/^docs\/a\.md:2: Cannot find name 'nothing'/)])
}, 60_000)

describe('a block that runs', () => {
  test('as a module has its exports', async () => {
    const exported = await importBlock('docs/errors.md', 'untilTheEnd', { changes: { RECORD_REJECTED: 'TIMEOUT' } })
    expect(exported).toMatchObject({ untilTheEnd: expect.any(Function) as () => void })
    expect(String((exported as { untilTheEnd: unknown }).untilTheEnd)).toContain('TIMEOUT')
  })

  test('fails where it ends badly, or before what is waited for', async () => {
    const run = (last: string, until?: () => boolean) =>
      runBlock('docs/concepts.md', 'parallelize', { last, ...(until && { until }) })
    await expect(run('throw new Error("broken")')).rejects.toThrow(/it ended with 1:[^]*broken/)
    await expect(run('', () => false)).rejects.toThrow(/it ended with 0/)
  }, 60_000)
})

test('a line of commands', () => {
  const line = `A=1 B='two words' npm ci && npx vitest run a -t 'b c' | tee # and so on`
  expect(commandsOfLine(line, { page: 'a.md', line: 3 })).toMatchObject([
    { env: { A: '1', B: 'two words' }, program: 'npm', args: ['ci'], line: 3 },
    { env: {}, program: 'npx', args: ['vitest', 'run', 'a', '-t', 'b c'] },
    { program: 'tee', args: [] },
  ])
  expect(commandsOfLine('# nothing', { page: 'a.md', line: 1 })).toEqual([])
})
