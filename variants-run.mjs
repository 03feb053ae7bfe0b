import { fork } from 'node:child_process'
import { once } from 'node:events'
const ROOT = process.env.ROOT
const { withKafka } = await import(`${ROOT}/bench/dist/benchmarks/kafka-topics.js`)
const names = process.env.NAMES.split(','), rounds = Number(process.env.ROUNDS ?? 15), warm = 5
await withKafka('x', async (broker) => {
  const per = 250000
  const topic = await broker.fill(per * 4 * (rounds + warm))
  const kids = []
  for (const name of names) { const [n, root = ROOT] = name.split('@'); const c = fork('/tmp/variants.mjs', [n, broker.bootstrap, topic, String(per)], { env: { ...process.env, ROOT: root }, execArgv: (process.env.ARGV ?? '').split(' ').filter(Boolean) }); await once(c, 'message'); kids.push({ name, c, out: [], wall: [] }) }
  for (let i = 0; i < rounds + warm; i++) for (const k of kids) { k.c.send('run'); const [m] = await once(k.c, 'message'); if (i >= warm) { k.out.push(m.cpuMs); k.wall.push(m.wallMs) } }
  const q = (a, p) => a.toSorted((x, y) => x - y)[Math.floor(a.length * p)] | 0
  const base = kids[0]
  for (const k of kids) { const ratio = base.out.map((b, i) => b / k.out[i]); console.log(k.name.padEnd(28), 'cpu', q(k.out, .25), q(k.out, .5), q(k.out, .75), 'wall', q(k.wall, .5), 'base/this', [.25, .5, .75].map(p => ratio.toSorted((a, b) => a - b)[Math.floor(ratio.length * p)].toFixed(2)).join(' ')); k.c.send('stop'); await once(k.c, 'exit') }
})
