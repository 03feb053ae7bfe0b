/** The program in which a broken engine is hunted: its name, or `whole` and a hunt; a line of JSON tells what was found. */
import { register } from 'node:module'
import { brokenEngines, tuning } from './broken-engines.js'
import { hunts, type Hunt, type HuntName } from './hunts.js'

const [, , name, huntName] = process.argv
const engine = brokenEngines.find((each) => each.name === name)
if (engine === undefined && name !== 'whole') throw new RangeError(`there is no broken engine ${String(name)}`)
const hunted = engine?.hunt ?? (huntName as HuntName)
const { isTuned = false }: Hunt = hunts[hunted]
const data = [...(engine?.replacements ?? []), ...(isTuned ? tuning : [])]
register('./replace-hooks.js', import.meta.url, { data })
const { hunt } = await import('./hunt.js')
const result = await hunt(hunted)
const { user, system } = process.cpuUsage()
process.stdout.write(`${JSON.stringify({ ...result, cpuMs: Math.round((user + system) / 1_000) })}\n`)
