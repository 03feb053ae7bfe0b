/** What is known of the topics that are written to, so that records which a broker would refuse are told apart before. */
import { isSluiceError, type Clock, type Logger } from '@sluice/core'
import { isUnknownTopic, type KafkaClient } from '@sluice/kafka-wire'

export interface TopicInfo {
  readonly partitions: number
  /** Of a batch of records. */
  readonly maxBytes: number
  /** Whether a record must have a key. */
  readonly isCompacted: boolean
  /** How far a record's time may lie from now, in milliseconds. */
  readonly maxBeforeMs: number
  readonly maxAfterMs: number
}

const DEFAULT_MAX_BYTES = 1_048_588
const MAX_AGE_MS = 60_000
/** Finding out that there is none takes seconds: not for each record. */
const MISSING_AGE_MS = 10_000

interface Known {
  readonly info: Promise<TopicInfo | undefined>
  untilMs: number
}

export class Topics {
  readonly #client: KafkaClient
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #known = new Map<string, Known>()

  constructor(client: KafkaClient, clock: Clock, logger: Logger) {
    this.#client = client
    this.#clock = clock
    this.#logger = logger
  }

  /** `undefined` where there is no such topic. */
  async get(topic: string): Promise<TopicInfo | undefined> {
    const nowMs = this.#clock.monotonic()
    const found = this.#known.get(topic)
    if (found !== undefined && nowMs < found.untilMs) return found.info
    const info = this.require(topic).catch((error: unknown) => {
      if (!isUnknownTopic(error)) {
        this.#known.delete(topic)
        throw error
      }
      known.untilMs = this.#clock.monotonic() + MISSING_AGE_MS
      return undefined
    })
    const known: Known = { info, untilMs: nowMs + MAX_AGE_MS }
    this.#known.set(topic, known)
    return info
  }

  /** Throws `BROKER_REFUSED` where there is no such topic. */
  async require(topic: string): Promise<TopicInfo> {
    const [metadata] = await this.#client.metadata([topic])
    const settings = await this.settings(topic)
    const numberOf = (name: string, otherwise: number): number => Number(settings.get(name) ?? otherwise)
    return {
      partitions: metadata?.partitions.length ?? 0,
      maxBytes: numberOf('max.message.bytes', DEFAULT_MAX_BYTES),
      isCompacted: settings.get('cleanup.policy')?.includes('compact') ?? false,
      maxBeforeMs: numberOf('message.timestamp.before.max.ms', Number.MAX_VALUE),
      maxAfterMs: numberOf('message.timestamp.after.max.ms', Number.MAX_VALUE),
    }
  }

  /** None where the user may not see them. */
  async settings(topic: string): Promise<ReadonlyMap<string, string>> {
    try {
      return await this.#client.topicSettings(topic)
    } catch (error) {
      if (!isSluiceError(error, 'BROKER_REFUSED') || error.retryable) throw error
      this.#logger.warn(
        `[sink-kafka] the settings of topic ${topic} are not known (${error.message}); records that it refuses fail the batch`,
      )
      return new Map()
    }
  }
}
