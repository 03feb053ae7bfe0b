/** A consumer of a group as a receiver: connections and a membership for each of its runs. */
import type { Receiver, ReceiverContext } from '@sluice/core'
import { unpackChunks, type CodecOptions, type GroupMember, type KafkaClient } from '@sluice/kafka-wire'
import type { Decoding } from '../decode/chunk-decoder.js'
import { messageOf } from '../decode/message.js'
import { invalid, type ReceiverSettings } from '../kafka-receiver.config.js'
import type { Undecodable } from '../record.js'
import type { Claims } from './claims.js'
import { Consumer } from './consumer.js'
import type { Progress } from './progress.js'

export interface KafkaReceiverParts<T> {
  readonly topic: string
  /** Which of the stream's consumers it is, from 0. */
  readonly index: number
  readonly settings: ReceiverSettings
  /** Called for each run. */
  readonly openClient: () => KafkaClient
  readonly closesClient: boolean
  readonly codecs: CodecOptions | undefined
  readonly decoding: Decoding<T>
  readonly claims: Claims
  readonly progress: Progress
}

interface Run {
  readonly client: KafkaClient
  member?: GroupMember
  done?: Promise<void>
}

export class KafkaReceiver<T> implements Receiver<T | Undecodable> {
  readonly '~sluice' = 'receiver/1'
  readonly name: string
  readonly unpack: (bytes: Uint8Array) => readonly (T | Undecodable)[]
  readonly #parts: KafkaReceiverParts<T>
  #run: Run | undefined

  constructor(parts: KafkaReceiverParts<T>) {
    this.#parts = parts
    this.name = `kafka ${parts.topic}, consumer ${String(parts.index)} of group ${parts.settings.group}`
    const { decoding, codecs } = parts
    this.unpack = (bytes) => recordsOf(bytes, decoding, codecs)
  }

  async onStart(context: ReceiverContext<T | Undecodable>): Promise<void> {
    const { openClient, settings, topic, claims, progress } = this.#parts
    const { group, sessionTimeoutMs, rebalanceTimeoutMs } = settings
    const client = openClient()
    const run: Run = { client }
    this.#run = run
    const { groupMember } = client
    if (groupMember === undefined) throw noMember(client.name)
    // Whoever joins for a topic that is not there would wait for it for ever.
    await client.metadata([topic], { signal: context.signal })
    const member = groupMember({ group, topics: [topic], sessionTimeoutMs, rebalanceTimeoutMs })
    run.member = member
    const consumer = new Consumer({ context, client, member, settings, claims, progress })
    const first = await consumer.begin()
    run.done = consumer.run(first).catch((error: unknown) => {
      context.restart(`cannot go on: ${messageOf(error)}`, error)
    })
  }

  async onStop(): Promise<void> {
    const run = this.#run
    this.#run = undefined
    await run?.done
    await run?.member?.leave()
    if (this.#parts.closesClient) await run?.client.close()
  }
}

/** At a time; the array of a chunk grows by them. */
const MOST_RECORDS = 65_536

function recordsOf<T>(
  bytes: Uint8Array,
  decoding: Decoding<T>,
  codecs: CodecOptions | undefined,
): readonly (T | Undecodable)[] {
  const records: (T | Undecodable)[] = []
  for (const chunk of unpackChunks(bytes, codecs)) {
    const decoder = decoding.decoder(chunk)
    while (!decoder.isDone) for (const record of decoder.take(MOST_RECORDS)) records.push(record)
  }
  return records
}

function noMember(client: string): Error {
  return invalid(`the client ${client} cannot be a member of a group; give brokers, or a kafkajsClient`)
}
