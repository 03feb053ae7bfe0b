/** Word count with Sluice. Run: `node sluice.js FILE LINES`. */
import { argv } from 'node:process'
import { SluiceContext } from '@sluice/core'
import { linesOf, serve } from './serve.js'

const context = new SluiceContext({ appName: 'word-count', log: 'error' })
const counts = context
  .parallelize(linesOf(argv[2] ?? '', Number(argv[3])))
  .flatMap((line) => line.split(' '))
  .map((word) => [word, 1])
  .reduceByKey((a, b) => a + b)
await serve(() => counts.collect())
await context.stop()
