/** What the generators write, and refuse. That it is built, linted and tested as it is: tools/check-generators.mjs. */
import { readJson, type Tree } from '@nx/devkit'
import { createTree } from '@nx/devkit/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { connectorSink, connectorSource } from './connector.mjs'

let tree: Tree

beforeEach(() => {
  tree = createTree()
  tree.write('LICENSE', 'all rights given')
  tree.write('libs/core/package.json', '{ "name": "@sluice/core", "version": "1.2.3" }')
  const references = ['./libs/core', './apps/word-count'].map((path) => ({ path }))
  tree.write('tsconfig.json', JSON.stringify({ files: [], references }))
})

describe.each([
  { kind: 'sink', generator: connectorSink, source: 'rabbit-mq-sink', words: 'rabbitMqSink' },
  { kind: 'source', generator: connectorSource, source: 'rabbit-mq-stream', words: 'rabbitMqStream' },
])('connector-$kind', ({ kind, generator, source, words }) => {
  const folder = `libs/${kind}-rabbit-mq`

  test('writes a package with sources, a conformance test and a README', async () => {
    await generator(tree, { name: 'rabbit-mq' })
    const files = tree.children(folder)
    const settings = ['tsconfig.json', 'tsconfig.lib.json', 'tsconfig.test.json']
    expect(files.sort()).toEqual(['LICENSE', 'README.md', 'package.json', 'src', ...settings])
    const sources = [`${source}.ts`, `${source}.config.ts`, `${source}.test.ts`, `${source}.conformance.test.ts`]
    expect(tree.children(`${folder}/src`)).toEqual(expect.arrayContaining([...sources, 'client.ts', 'index.ts']))
    expect(tree.read(`${folder}/LICENSE`, 'utf8')).toBe('all rights given')
    expect(tree.read(`${folder}/README.md`, 'utf8')).toContain(`import { ${words} } from `)
  })

  test('names core as peer, in the version that is here', async () => {
    await generator(tree, { name: 'rabbit-mq' })
    expect(readJson(tree, `${folder}/package.json`)).toMatchObject({
      name: `@sluice/${kind}-rabbit-mq`,
      version: '1.2.3',
      peerDependencies: { '@sluice/core': '^1.2.3' },
      nx: { tags: ['type:connector'] },
    })
  })

  test('adds the package to the build, behind the other libraries', async () => {
    await generator(tree, { name: 'rabbit-mq' })
    const paths = ['./libs/core', `./${folder}`, './apps/word-count']
    expect(readJson(tree, 'tsconfig.json')).toEqual({ files: [], references: paths.map((path) => ({ path })) })
  })

  test.each([
    ['RabbitMq', /use small letters/],
    ['rabbit--mq', /use small letters/],
    ['9p', /a letter first/],
    ['../rabbit', /use small letters/],
    ['', /use small letters/],
    [`${kind}-rabbit`, /leave out '(sink|source)-'/],
  ])('refuses the name %j', async (name, message) => {
    const before = tree.listChanges().length
    await expect(generator(tree, { name })).rejects.toThrow(message)
    expect(tree.listChanges()).toHaveLength(before)
  })

  test('refuses a name that is taken', async () => {
    tree.write(`${folder}/README.md`, 'mine')
    await expect(generator(tree, { name: 'rabbit-mq' })).rejects.toThrow(`${folder} is there already`)
    expect(tree.read(`${folder}/README.md`, 'utf8')).toBe('mine')
  })
})
