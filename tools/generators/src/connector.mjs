/** Nx generators for connectors: `connector-source` and `connector-sink`. What they make passes all checks as it is. */
import { join } from 'node:path'
import { formatFiles, generateFiles, installPackagesTask, names, readJson } from '@nx/devkit'

/**
 * @typedef {import('@nx/devkit').Tree} Tree
 * @typedef {{ readonly name: string, readonly skipInstall?: boolean }} Options
 * @typedef {'source' | 'sink'} Kind
 */

const TEMPLATES = join(import.meta.dirname, '..', 'templates')

/**
 * Makes `libs/source-NAME`. Throws for a name that makes no package, or that is taken.
 *
 * @param {Tree} tree
 * @param {Options} options
 */
export function connectorSource(tree, options) {
  return connector(tree, 'source', options)
}

/**
 * Makes `libs/sink-NAME`. Throws for a name that makes no package, or that is taken.
 *
 * @param {Tree} tree
 * @param {Options} options
 */
export function connectorSink(tree, options) {
  return connector(tree, 'sink', options)
}

/**
 * @param {Tree} tree
 * @param {Kind} kind
 * @param {Options} options
 */
async function connector(tree, kind, { name, skipInstall = false }) {
  checkName(tree, kind, name)
  const packageName = `${kind}-${name}`
  const folder = `libs/${packageName}`
  /** @type {string} */
  const version = readJson(tree, 'libs/core/package.json').version
  const words = { ...names(name), name, kind, packageName, version, template: '' }
  for (const templates of ['common', kind]) generateFiles(tree, join(TEMPLATES, templates), folder, words)
  tree.write(`${folder}/LICENSE`, tree.read('LICENSE') ?? '')
  addReference(tree, `./${folder}`)
  await formatFiles(tree)
  return () => {
    if (!skipInstall) installPackagesTask(tree, true)
  }
}

/**
 * @param {Tree} tree
 * @param {Kind} kind
 * @param {string} name
 */
function checkName(tree, kind, name) {
  const says = `[generators] '${name}' cannot be the name of a ${kind}`
  if (/^(source|sink)-/.test(name))
    throw new Error(`${says}: the package is called ${kind}-NAME; leave out '${name.split('-')[0]}-'`)
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
    throw new Error(`${says}; use small letters, digits and single hyphens, a letter first, e.g. rabbit-mq`)
  if (tree.exists(`libs/${kind}-${name}`))
    throw new Error(`${says}: libs/${kind}-${name} is there already; use another name, or remove it`)
}

/**
 * Behind the other libraries. As text: what is written as JSON gets another format, line by line.
 *
 * @param {Tree} tree
 * @param {string} path
 */
function addReference(tree, path) {
  const config = tree.read('tsconfig.json', 'utf8') ?? ''
  const last = [...config.matchAll(/\{\s*"path":\s*"\.\/libs\/[^"]*"\s*\}/g)].at(-1)
  if (last === undefined)
    throw new Error('[generators] tsconfig.json refers to no library; add one, as { "path": "./libs/core" }')
  const end = last.index + last[0].length
  tree.write('tsconfig.json', `${config.slice(0, end)},\n    { "path": "${path}" }${config.slice(end)}`)
}
