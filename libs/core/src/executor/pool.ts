/** Work over many items, some at a time. */

/**
 * Calls `work` for each item in order, at most `slots` at a time. After a failure no further item is begun; rejects with the
 * first failure when nothing runs any more.
 */
export async function inSlots<I>(
  items: readonly I[],
  slots: number,
  work: (item: I, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  let failure: { readonly error: unknown } | undefined
  const slot = async (): Promise<void> => {
    while (next < items.length && failure === undefined) {
      const index = next++
      try {
        await work(items[index] as I, index)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(slots, items.length) }, slot))
  if (failure !== undefined) throw (failure as { readonly error: unknown }).error
}
