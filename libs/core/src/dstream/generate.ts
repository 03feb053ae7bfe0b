/** Runs what must run before the RDDs of a batch can be made. Only streams with functions of their own (`transform`) have any. */
import type { BatchTime } from '../time/duration.js'
import type { BatchScopes, StreamAtTimes } from './output.js'

/** Calls `prepare` of every stream that the RDD of `root` at `time` needs, parents first. */
export async function prepareStreams(root: StreamAtTimes, time: BatchTime, scopes: BatchScopes): Promise<void> {
  await prepareStream(root, time, scopes, new Map())
}

async function prepareStream(
  stream: StreamAtTimes,
  time: BatchTime,
  scopes: BatchScopes,
  done: Map<StreamAtTimes, Set<BatchTime>>,
): Promise<void> {
  if (stream.has(time) || !stream.isValidTime(time)) return
  let times = done.get(stream)
  if (times === undefined) done.set(stream, (times = new Set()))
  if (times.has(time)) return
  times.add(time)
  for (const [parent, at] of stream.needs(time)) await prepareStream(parent, at, scopes, done)
  await stream.prepare(time, scopes)
}
