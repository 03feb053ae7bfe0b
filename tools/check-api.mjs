/**
 * The report of what each public package exports, `api/PACKAGE.api.md`, one for each entry: a change of an API is read in review, and
 * made on purpose. Run after a build: `node tools/check-api.mjs` fails where a report is not what the package exports, and
 * `node tools/check-api.mjs --write` writes it.
 */
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const reports = join(root, 'api')
const isWriting = process.argv.includes('--write')
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'))

/** Every entry of every public package, with the declarations that it begins at. */
function entries() {
  return readdirSync(join(root, 'libs'))
    .map((name) => join(root, 'libs', name))
    .map((folder) => ({ folder, manifest: readJson(join(folder, 'package.json')) }))
    .filter(({ manifest }) => manifest.private !== true)
    .flatMap(({ folder, manifest }) =>
      Object.entries(manifest.exports)
        .filter(([, target]) => target.types !== undefined)
        .map(([entry, { types }]) => ({
          folder,
          entry: join(basename(folder), entry),
          declarations: join(folder, types),
        })),
    )
}

/** Comments are not of its format. A type that users meet and cannot name stands in the report. */
const messages = {
  compilerMessageReporting: { default: { logLevel: 'error' } },
  extractorMessageReporting: {
    default: { logLevel: 'none' },
    'ae-forgotten-export': { logLevel: 'none', addToApiReportFile: true },
  },
  tsdocMessageReporting: { default: { logLevel: 'none' } },
}

function isAsReported({ folder, entry, declarations }, temporary) {
  const reportFileName = `${entry.replaceAll('/', '.')}.api.md`
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: folder,
      mainEntryPointFilePath: declarations,
      compiler: { tsconfigFilePath: join(folder, 'tsconfig.lib.json') },
      apiReport: { enabled: true, reportFolder: reports, reportTempFolder: temporary, reportFileName },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages,
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(folder, 'package.json'),
  })
  const errors = []
  const { apiReportChanged } = Extractor.invoke(config, {
    localBuild: isWriting,
    messageCallback(message) {
      if (message.logLevel === 'error') errors.push(message.text)
      message.handled = true
    },
  })
  if (errors.length > 0) throw new Error(`${entry}: ${errors.join('\n')}`)
  return !apiReportChanged
}

mkdirSync(reports, { recursive: true })
const temporary = mkdtempSync(join(tmpdir(), 'sluice-api-'))
try {
  const changed = entries().filter((each) => !isAsReported(each, temporary))
  for (const { entry } of changed) console.log(`${isWriting ? 'written' : 'changed'}: ${entry}`)
  if (changed.length > 0 && !isWriting) {
    console.log('Look at it: npm run api, and git diff api')
    process.exitCode = 1
  }
} finally {
  rmSync(temporary, { recursive: true, force: true })
}
