/**
 * Lint rules that keep time, chance and the disk out of the libraries: a run must be replayable from its seed, so they
 * are parameters (Clock, SeededRandom, FileSystem). Only core's `time/` and `storage/` touch the real ones.
 */
const CLOCK = 'Take a Clock (core: time/) as a parameter.'
const RANDOM = 'Take a SeededRandom (core: time/) as a parameter.'
const FILE_SYSTEM = 'Take a FileSystem (core: storage/) as a parameter.'
const ZLIB = 'Use the synchronous function: the thread pool of the asynchronous ones ends in another order each run.'

const globals = [
  { name: 'performance', message: CLOCK },
  { name: 'setTimeout', message: CLOCK },
  { name: 'setInterval', message: CLOCK },
  { name: 'setImmediate', message: CLOCK },
]

const properties = [
  { object: 'Date', property: 'now', message: CLOCK },
  { object: 'process', property: 'hrtime', message: CLOCK },
  { object: 'process', property: 'uptime', message: CLOCK },
  { object: 'AbortSignal', property: 'timeout', message: CLOCK },
  { object: 'Math', property: 'random', message: RANDOM },
  ...['getRandomValues', 'randomBytes', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID'].map((property) => ({
    object: 'crypto',
    property,
    message: RANDOM,
  })),
  ...['Date', 'Math', 'crypto', 'process'].map((property) => ({
    object: 'globalThis',
    property,
    message: `Write ${property} alone, so that lint sees what is read from it.`,
  })),
  { object: 'process', property: 'getBuiltinModule', message: 'Import the module, so that lint sees it.' },
]

/** A module that may not be imported at all, types aside. */
const wholeModules = [
  { names: ['fs', 'fs/promises'], message: FILE_SYSTEM },
  { names: ['timers', 'timers/promises', 'perf_hooks'], message: CLOCK },
]

/** A module of which only the named exports may be imported. A name not listed here may be added if it is pure. */
const partOfModules = [
  { name: 'crypto', allow: ['createHash', 'createHmac', 'hash', 'timingSafeEqual'], message: RANDOM },
  {
    name: 'zlib',
    allow: [
      ...['brotliCompressSync', 'brotliDecompressSync', 'deflateRawSync', 'deflateSync', 'gunzipSync', 'gzipSync'],
      ...['inflateRawSync', 'inflateSync', 'unzipSync', 'constants', 'crc32'],
    ],
    message: ZLIB,
  },
]

const withPrefix = (name) => [name, `node:${name}`]

const imports = [
  ...wholeModules.flatMap(({ names, message }) =>
    names.flatMap(withPrefix).map((name) => ({ name, message, allowTypeImports: true })),
  ),
  ...partOfModules.flatMap(({ name, allow, message }) =>
    withPrefix(name).map((name) => ({ name, allowImportNames: allow, message, allowTypeImports: true })),
  ),
  ...withPrefix('process').map((name) => ({ name, importNames: ['hrtime', 'uptime'], message: CLOCK })),
]

const dynamicModules = [
  ...wholeModules.map(({ names, message }) => ({ pattern: names.join('|').replaceAll('/', '\\u002F'), message })),
  ...partOfModules.map(({ name, message }) => ({ pattern: name, message })),
]

const syntax = [
  { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: CLOCK },
  { selector: 'CallExpression[callee.name="Date"]', message: CLOCK },
  ...dynamicModules.map(({ pattern, message }) => ({
    selector: `ImportExpression[source.value=/^(node:)?(${pattern})$/]`,
    message,
  })),
]

export const determinismRules = {
  'no-restricted-globals': ['error', { globals, checkGlobalObject: true }],
  'no-restricted-properties': ['error', ...properties],
  '@typescript-eslint/no-restricted-imports': ['error', { paths: imports }],
  'no-restricted-syntax': ['error', ...syntax],
}
