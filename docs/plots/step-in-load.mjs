/**
 * Draws `step-in-load.svg`: what back-pressure does when records become four times as costly, and then cheap again.
 * A simulation in manual time, so it takes a few seconds. Run: `npm run build && node docs/plots/step-in-load.mjs`.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { seconds, StreamingContext } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'

const LENGTH_S = 130
const STEP_UP_S = 20
const STEP_DOWN_S = 90

/** Milliseconds that the job takes for each record. */
const costMs = (second) => (second >= STEP_UP_S && second < STEP_DOWN_S ? 4 : 1)

async function* sender({ signal }) {
  for (let i = 0; !signal.aborted; i++) yield i
}

/** One point for each second: records received in it, batches that wait or run, delay of the last batch in seconds. */
async function simulate(backpressure) {
  const clock = new ManualClock()
  const ssc = new StreamingContext({ batchInterval: seconds(1), clock, log: 'error', signals: false, backpressure })
  const now = () => clock.now() / 1_000
  let [received, submitted, completed, delay] = [0, 0, 0, 0]
  const count = async function* (context) {
    for await (const record of sender(context)) {
      received++
      yield record
    }
  }
  ssc.addListener({
    onBatchSubmitted: () => submitted++,
    onBatchCompleted: ({ totalDelayMs }) => {
      completed++
      delay = totalDelayMs / 1_000
    },
  })
  ssc.receiverStream(count, { maxRate: 1_000 }).foreachRDD(async (rdd) => {
    await clock.sleep((await rdd.count()) * costMs(now()))
  })
  await ssc.start()
  const points = []
  for (let second = 1; second <= LENGTH_S; second++) {
    const before = received
    await clock.advance(1_000)
    points.push({ second, rate: received - before, pending: submitted - completed, delay })
  }
  const stopping = ssc.stop({ graceful: false })
  await clock.advance(2_000)
  await stopping
  return points
}

const WIDTH = 760
const LEFT = 64
const PANEL = 130
const GAP = 46

const x = (second) => LEFT + (second / LENGTH_S) * (WIDTH - LEFT - 16)

function line(points, y, style) {
  const path = points.map(
    ({ second, value }, i) => `${i === 0 ? 'M' : 'L'}${x(second).toFixed(1)} ${y(value).toFixed(1)}`,
  )
  return `<path d="${path.join('')}" class="${style}"/>`
}

/** One curve with, one without control, and the axis on which they stand. */
function panel(index, title, most, curves) {
  const top = 40 + index * (PANEL + GAP)
  const y = (value) => top + PANEL - (Math.min(value, most) / most) * PANEL
  const ticks = [0, most / 2, most].map(
    (value) => `<text x="${LEFT - 8}" y="${y(value) + 4}" text-anchor="end">${value}</text>`,
  )
  const seconds = [0, STEP_UP_S, STEP_DOWN_S, LENGTH_S].map(
    (second) => `<text x="${x(second)}" y="${top + PANEL + 16}" text-anchor="middle">${second} s</text>`,
  )
  const frame = `<rect x="${LEFT}" y="${top}" width="${WIDTH - LEFT - 16}" height="${PANEL}" class="frame"/>`
  const band = `<rect x="${x(STEP_UP_S)}" y="${top}" width="${x(STEP_DOWN_S) - x(STEP_UP_S)}" height="${PANEL}" class="band"/>`
  const lines = curves.map(([style, points]) => line(points, y, style))
  return [band, frame, ...ticks, ...seconds, `<text x="${LEFT}" y="${top - 8}" class="title">${title}</text>`, ...lines]
}

const STYLE =
  'text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.frame{fill:none;stroke:#999}.band{fill:#f3ead9}' +
  '.with,.without{fill:none;stroke-width:2}.with{stroke:#1f6fb2}.without{stroke:#b2461f;stroke-dasharray:5 3}'

function draw(controlled, uncontrolled) {
  const pick = (points, key) => points.map((point) => ({ second: point.second, value: point[key] }))
  const curves = (key) => [
    ['without', pick(uncontrolled, key)],
    ['with', pick(controlled, key)],
  ]
  const height = 40 + 3 * (PANEL + GAP) + 20
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
    `<style>${STYLE}</style><rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...panel(0, 'Records received per second', 1_200, curves('rate')),
    ...panel(1, 'Batches planned and not done', 12, curves('pending')),
    ...panel(2, 'Total delay of the last batch (s)', 80, curves('delay')),
    `<text x="${LEFT}" y="${height - 10}">blue: with back-pressure; red, dashed: without; shaded: each record costs 4 ms instead of 1 ms</text>`,
    '</svg>',
    '',
  ].join('\n')
}

const controlled = await simulate({ initialRate: 500, minRate: 50 })
const uncontrolled = await simulate(false)
const file = join(import.meta.dirname, 'step-in-load.svg')
writeFileSync(file, draw(controlled, uncontrolled))
console.log(`wrote ${file}`)
