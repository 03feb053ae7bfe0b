/** The examples of checkpoints.md. */
import { seconds, StreamingContext, type DStream, type Receiver, type StreamingContextOptions } from '@sluice/core'

export function wordCounts(options: Partial<StreamingContextOptions> = {}): StreamingContext {
  const ssc = new StreamingContext({ appName: 'words', batchInterval: seconds(10), checkpoint: './ckpt', ...options })
  ssc
    .textFileStream('in', { name: 'lines' })
    .flatMap((line) => line.split(' '))
    .map((word) => [word, 1])
    .updateStateByKey<number>((ones, sum) => ones.length + (sum ?? 0), { name: 'counts' })
    .saveAsTextFiles('out/counts')
  return ssc
}

export function changedState(ones: DStream<readonly [string, number]>): DStream<readonly [string, object]> {
  return ones.updateStateByKey<{ count: number; batches: number }>(
    (values, state) => ({ count: values.length + (state?.count ?? 0), batches: 1 + (state?.batches ?? 0) }),
    {
      name: 'totals',
      was: 'counts', // the id under which the checkpoint holds it
      version: 1, // it was 0
      migrate: (value) => ({ count: value as number, batches: 0 }),
    },
  )
}

export function exactMessages(ssc: StreamingContext, receiver: Receiver<string>): DStream<string> {
  return ssc.receiverStream(receiver, { name: 'messages', reliable: true })
}

export function pricedOnce(
  orders: DStream<string>,
  priceOf: (order: string) => Promise<number>,
): DStream<readonly [string, number]> {
  return orders.mapAsync(async (order) => [order, await priceOf(order)] as const).checkpoint()
}

export function tellResumption(ssc: StreamingContext, tell: (text: string) => void): void {
  ssc.addListener({
    onStreamingResumed: ({ lastCommitted, batches, keys }) => {
      tell(`after ${String(lastCommitted)}: ${String(keys)} keys, ${String(batches)} batches to run again`)
    },
    onInputLost: ({ name, records }) => {
      tell(`${name}: ${String(records)} records are lost`)
    },
  })
}
