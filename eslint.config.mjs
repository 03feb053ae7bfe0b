import nx from '@nx/eslint-plugin'
import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'
import { determinismRules } from './tools/determinism-rules.mjs'

const TESTS = ['**/*.test.ts', '**/*.test-d.ts']

/** Which kind of package may depend on which, by the Nx tag in its package.json. */
const packageLayers = {
  'type:core': [],
  'type:testkit': ['type:core'],
  'type:wire': ['type:core'],
  'type:connector': ['type:wire', 'type:core'],
  'type:app': ['type:connector', 'type:wire', 'type:core', 'type:testkit'],
  'type:services': [],
  'type:doc-blocks': [],
  'type:generators': [],
  'type:bench': ['*'],
}

/** Tests may start real servers, and run what the documentation shows, too. */
const packageLayersInTests = Object.fromEntries(
  Object.entries({ ...packageLayers, 'type:connector': ['type:wire', 'type:core', 'type:testkit'] }).map(
    ([tag, layers]) => [tag, [...layers, 'type:services', 'type:doc-blocks']],
  ),
)

const moduleBoundaries = (layers) => [
  'error',
  {
    depConstraints: Object.entries(layers).map(([sourceTag, onlyDependOnLibsWithTags]) => ({
      sourceTag,
      onlyDependOnLibsWithTags,
    })),
  },
]

export default defineConfig(
  { ignores: ['**/dist/', '**/out/', '**/coverage/', '**/.nx/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strict],
    plugins: { '@nx': nx },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      eqeqeq: 'error',
    },
  },
  {
    files: [
      'libs/*/src/**/*.ts',
      'apps/*/src/**/*.ts',
      'bench/**/*.ts',
      'tools/{doc-blocks,generators,services}/**/*.ts',
    ],
    rules: { '@nx/enforce-module-boundaries': moduleBoundaries(packageLayers) },
  },
  {
    files: ['libs/*/src/**/*.ts', 'apps/*/src/**/*.ts', 'bench/**/*.ts', 'tools/**/*.{ts,mjs}'],
    ignores: TESTS,
    rules: {
      'max-lines': ['error', { max: 500 }],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ['libs/*/src/**/*.ts'],
    ignores: [...TESTS, 'libs/core/src/time/**', 'libs/core/src/storage/**'],
    rules: determinismRules,
  },
  {
    // And what tests of one package share, which is not published.
    files: [
      ...TESTS,
      '{libs/kafka-wire,libs/sink-hdfs,libs/sink-kafka,libs/source-kafka,apps/order-metrics}/src/testing/**/*.ts',
    ],
    rules: {
      '@nx/enforce-module-boundaries': moduleBoundaries(packageLayersInTests),
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
)
