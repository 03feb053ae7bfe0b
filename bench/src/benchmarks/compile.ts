/** What it costs to compile a stage: a tiny job with functions never seen before, against one whose stage is cached. */
import type { Rdd } from '@sluice/core'
import { withContext, type Benchmark } from '../benchmark.js'
import { measure } from '../measure.js'

/** A stage that is not compiled again must be worth its cache. */
const AIM = 1
const JOBS = 200

export const compile: Benchmark = {
  name: 'compile',
  about:
    'jobs of ten records and four operators: with stages cached (ours) against stages compiled anew (the reference)',
  run: (sizes) =>
    withContext((context) => {
      const source = context.parallelize(Array.from({ length: 10 }, (_, i) => i))
      const cached = pipeline(source)
      return measure(
        [
          {
            name: 'compile',
            aim: AIM,
            noun: 'jobs',
            count: JOBS,
            ours: () => runJobs(() => cached),
            reference: () => runJobs(() => pipeline(source)),
          },
        ],
        sizes.repeats({ warmUp: 2, rounds: 9 }),
      )
    }),
}

/** Each call makes new functions, as a program does that builds its pipeline anew for every batch. */
function pipeline(source: Rdd<number>): Rdd<number> {
  return source
    .map((x) => x + 1)
    .filter((x) => x > 2)
    .flatMap((x) => [x, -x])
    .map((x) => x * 2)
}

async function runJobs(make: () => Rdd<number>): Promise<number> {
  let sum = 0
  for (let job = 0; job < JOBS; job++) sum += (await make().collect()).length
  return sum
}
