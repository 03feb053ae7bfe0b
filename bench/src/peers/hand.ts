/** Word count by hand. Run: `node hand.js FILE LINES`. */
import { argv } from 'node:process'
import { countWords } from '../benchmarks/word-count.js'
import { linesOf, serve } from './serve.js'

const lines = linesOf(argv[2] ?? '', Number(argv[3]))
await serve(() => countWords(lines))
