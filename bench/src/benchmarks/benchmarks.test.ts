import { expect, test } from 'vitest'
import { Sizes } from '../benchmark.js'
import { cogroup } from './cogroup.js'
import { compile } from './compile.js'
import { join } from './join.js'
import { mix } from './mix.js'
import { reduceByKey } from './reduce-by-key.js'
import { sortBy } from './sort-by.js'
import { mapWithState, updateStateByKey } from './state.js'
import { wal } from './wal.js'
import { window } from './window.js'
import { wordCount } from './word-count.js'

const SMALL = 0.0005

const each = [mix, wordCount, reduceByKey, join, cogroup, sortBy, compile, mapWithState, updateStateByKey, wal, window]

test.each(each)('$name: ours and the reference compute the same at a small size', async (benchmark) => {
  const rows = await benchmark.run(new Sizes(SMALL, 1))
  expect(rows.length).toBeGreaterThan(0)
  for (const row of rows) expect(row.ratio).toBeGreaterThan(0)
})
