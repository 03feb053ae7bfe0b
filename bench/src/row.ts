/** One line of the table of results. */

export interface Row {
  readonly name: string
  /** How many times the reference's speed ours is (its cost by ours): the median over the pairs. At least `aim` is wanted. */
  readonly ratio: number
  /** First quartile of the ratios. */
  readonly low: number
  /** Third quartile of the ratios. */
  readonly high: number
  /** What `ours` and `reference` are given in. */
  readonly unit: string
  readonly ours: number
  readonly reference: number
  readonly aim: number
  readonly met: boolean
  /** The same ratio of wall-clock times, where both were timed. */
  readonly wallRatio: number | undefined
  /** Pairs of runs that counted. */
  readonly rounds: number
}
