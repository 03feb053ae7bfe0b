/**
 * The layers of `@sluice/core`, from low to high. A layer imports only from itself and from lower ones.
 *
 * Each entry is a pattern for paths below `libs/core/src/`. The rules of dependency-cruiser are derived from this list.
 */
export const CORE_LAYERS = [
  { name: 'errors', path: 'errors[.]ts$' },
  { name: 'time', path: 'time/' },
  { name: 'observe', path: 'observe/' },
  { name: 'storage', path: 'storage/' },
  { name: 'sink', path: 'sink/' },
  { name: 'rdd', path: 'rdd/' },
  { name: 'executor', path: 'executor/' },
  { name: 'state', path: 'state/' },
  { name: 'dstream', path: 'dstream/' },
  { name: 'input', path: 'input/' },
  { name: 'checkpoint', path: 'checkpoint/' },
  { name: 'scheduler', path: 'scheduler/' },
  { name: 'context', path: 'context/' },
  { name: 'entry', path: '(index|contracts|testing)[.]ts$|testing/' },
  { name: 'cli', path: 'cli/' },
]
