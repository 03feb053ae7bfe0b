/** Where blocks live. `memory-and-disk` spills when the memory budget is used up, `memory` drops what can be computed again. */
export type StorageLevel = 'memory' | 'memory-and-disk' | 'disk'
