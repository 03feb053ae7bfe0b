const ROOT = process.env.ROOT
const { kafkajsClient } = await import(`${ROOT}/libs/kafka-wire/dist/index.js`)
const { serveContestant } = await import(`${ROOT}/bench/dist/contestant.js`)
const K = await import(`${ROOT}/bench/dist/benchmarks/kafka-rows.js`)
const lastByte = K.lastByte
function looped(client, topic, per, { parallel, maxBytes, arrays }) {
  let from = 0
  const one = async (range) => {
    let count = 0
    for await (const chunk of client.readRange({ topic, ...range, ...(maxBytes ? { maxBytes } : {}) })) {
      const cursor = chunk.records()
      if (!arrays) { while (cursor.next()) { lastByte(cursor.valueText); count++ } ; continue }
      let more = true
      while (more) {
        const out = new Array(1024); let n = 0
        while (n < 1024) { if (!(more = cursor.next())) break; out[n++] = cursor.valueText }
        for (let i = 0; i < n; i++) { lastByte(out[i]); count++ }
      }
    }
    return count
  }
  return async () => {
    const r = { from: BigInt(from), to: BigInt((from += per)) }
    const ranges = [0, 1, 2, 3].map(partition => ({ partition, ...r }))
    if (parallel) return (await Promise.all(ranges.map(one))).reduce((a, b) => a + b)
    let n = 0; for (const x of ranges) n += await one(x); return n
  }
}
const M = 512 * 1024
const V = { l0: {}, l512: { maxBytes: M }, par: { parallel: true, maxBytes: M }, arr: { maxBytes: M, arrays: true }, pararr: { parallel: true, maxBytes: M, arrays: true } }
await serveContestant(async ([name, bootstrap, topic, per]) => {
  const client = kafkajsClient({ brokers: [bootstrap] })
  if (name === 'counts') {
    const { next, stop } = await K.openStream({ client, topic, maxRatePerPartition: Number(per) }, K.counts)
    return { run: next, stop: async () => { await stop(); await client.close() } }
  }
  return { run: looped(client, topic, Number(per), V[name]), stop: () => client.close() }
})
