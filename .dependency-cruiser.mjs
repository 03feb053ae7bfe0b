/** Which file may import which. The layers of core stand in tools/layers.mjs. */
import { CORE_LAYERS } from './tools/layers.mjs'

const CORE_SRC = '^libs/core/src/'
const TEST_FILE = '[.]test(-d)?[.]ts$'
/** What tests share. Of connectors and apps it is not published. */
const TESTING_FOLDER = '^(libs/(?!core/|testkit/)|apps/)[^/]+/src/testing/'

/** The path pattern of some layers of core. */
const pathOf = (layers) => `${CORE_SRC}(${layers.map(({ path }) => path).join('|')})`

const layerRules = CORE_LAYERS.slice(0, -1).map((layer, index) => ({
  name: `core-layer-${layer.name}`,
  comment: `libs/core/src: "${layer.name}" imports only from itself and from lower layers (tools/layers.mjs).`,
  severity: 'error',
  from: { path: pathOf([layer]), pathNot: TEST_FILE },
  to: { path: pathOf(CORE_LAYERS.slice(index + 1)) },
}))

const UNKNOWN_LAYER = 'A file of core outside every layer: add its folder to tools/layers.mjs.'

export default {
  forbidden: [
    ...layerRules,
    {
      name: 'core-layer-unknown',
      comment: UNKNOWN_LAYER,
      severity: 'error',
      from: { path: CORE_SRC, pathNot: [pathOf(CORE_LAYERS), TEST_FILE] },
      to: {},
    },
    {
      name: 'core-layer-unknown-imported',
      comment: UNKNOWN_LAYER,
      severity: 'error',
      from: {},
      to: { path: CORE_SRC, pathNot: [pathOf(CORE_LAYERS), TEST_FILE] },
    },
    {
      name: 'no-circular',
      comment: 'Imports never run in a circle, type-only imports included.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-import-of-tests',
      comment: 'Only tests import tests.',
      severity: 'error',
      from: { pathNot: TEST_FILE },
      to: { path: TEST_FILE },
    },
    {
      name: 'services-for-tests',
      comment: 'tools/services starts servers for tests (and benchmarks): what is published never imports it.',
      severity: 'error',
      from: { pathNot: [TEST_FILE, TESTING_FOLDER, '^tools/services/', '^bench/', '^vitest[.]config[.]ts$'] },
      to: { path: '^tools/services/' },
    },
    {
      name: 'doc-blocks-for-tests',
      comment: 'tools/doc-blocks runs what the documentation shows: only tests import it.',
      severity: 'error',
      from: { pathNot: [TEST_FILE, '^tools/doc-blocks/'] },
      to: { path: '^tools/doc-blocks/' },
    },
    {
      name: 'no-deep-import',
      comment: 'A package is imported by name, and only by what its "exports" names.',
      severity: 'error',
      from: { path: '^(libs|apps|tools)/([^/]+)/' },
      to: {
        path: '^(libs|apps|tools)/[^/]+/',
        pathNot: ['^$1/$2/', '^libs/[^/]+/src/[^/]+[.]ts$', '^tools/(doc-blocks|services)/src/index[.]ts$'],
      },
    },
    {
      name: 'no-relative-import-of-package',
      comment: 'A package is imported by name, never by a relative path.',
      severity: 'error',
      from: { path: '^(libs|apps|tools)/([^/]+)/' },
      to: { path: '^(libs|apps|tools)/[^/]+/', pathNot: '^$1/$2/', dependencyTypes: ['local'] },
    },
    {
      name: 'no-unresolvable',
      comment: 'The import leads nowhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|out|coverage)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@sluice/source', 'import', 'node', 'types', 'default'],
    },
  },
}
