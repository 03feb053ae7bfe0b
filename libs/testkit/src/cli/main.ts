/** The program behind `npm run simulate`. */
import { main } from './simulate.js'

process.exitCode = await main(process.argv.slice(2), (line) => {
  process.stdout.write(`${line}\n`)
})
