/**
 * Runs the benchmarks: prints a table, and writes JSON if asked to. Speed never fails it, a wrong result does.
 *
 * `npm run bench -- [--only NAME]… [--json FILE] [--quick] [--list]`
 */
import { writeFileSync } from 'node:fs'
import { argv } from 'node:process'
import { parseArgs } from 'node:util'
import { Sizes, type Benchmark } from './benchmark.js'
import { benchmarks } from './benchmarks/all.js'
import { LEGEND, tableOf } from './report.js'
import type { Row } from './row.js'

const QUICK_SHARE = 0.05
const QUICK_ROUNDS = 3

const { values: options } = parseArgs({
  args: argv.slice(2),
  options: {
    only: { type: 'string', multiple: true },
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
})

function chosen(only: readonly string[] | undefined): readonly Benchmark[] {
  if (only === undefined) return benchmarks
  return only.map((name) => {
    const benchmark = benchmarks.find((each) => each.name === name)
    if (benchmark !== undefined) return benchmark
    const known = benchmarks.map((each) => each.name).join(', ')
    throw new Error(`no benchmark is named '${name}'; there are ${known}`)
  })
}

async function runAll(): Promise<void> {
  const sizes = options.quick ? new Sizes(QUICK_SHARE, QUICK_ROUNDS) : new Sizes()
  const rows: Row[] = []
  for (const benchmark of chosen(options.only)) {
    console.error(`${benchmark.name}: ${benchmark.about} …`)
    rows.push(...(await benchmark.run(sizes)))
  }
  console.log(tableOf(rows))
  console.log(`\n${LEGEND}`)
  if (options.quick) console.log('These are small sizes: they show that all works, not how fast it is.')
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, undefined, 2)}\n`)
}

if (options.list) for (const { name, about } of benchmarks) console.log(`${name.padEnd(16)}${about}`)
else await runAll()
