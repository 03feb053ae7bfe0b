/** The program in which a mistake is hunted: its name; a line of JSON tells after how many runs it was found, and as what. */
import { register } from 'node:module'
import { mutants } from './mutants.js'

const [, , name] = process.argv
const mutant = mutants.find((each) => each.name === name)
if (mutant === undefined) throw new RangeError(`there is no mistake ${String(name)}`)
register('./hooks.js', import.meta.url, { data: mutant.replacements })
const { hunt } = await import('./hunt.js')
process.stdout.write(`${JSON.stringify(await hunt(mutant))}\n`)
