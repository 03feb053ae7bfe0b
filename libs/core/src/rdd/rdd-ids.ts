/** Ids of RDDs: they name blocks and shuffles, and never repeat in a process. */

let next = 0

export const RDD_IDS = { next: (): string => `rdd-${String(next++)}` }
