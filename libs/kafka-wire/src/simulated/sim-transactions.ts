/** Who has which transactional id, and how transactions end, as of KIP-890: each end gives the producer another epoch. */
import type { TopicPartitionOffset } from '../client.js'
import { CODES, type Code } from './codes.js'
import type { SimulatedWorld } from './places.js'
import type { Ending, SimPartition } from './sim-partition.js'

interface Open {
  readonly partitions: Set<SimPartition>
  readonly offsets: { readonly group: string; readonly offsets: readonly TopicPartitionOffset[] }[]
}

interface Producer {
  readonly producerId: bigint
  epoch: number
  timeoutMs: number
  open: Open | undefined
  /** Partitions that have not been told yet how the last transaction ended. */
  untold: number
  /** How the transaction of an epoch ended. */
  last: { readonly epoch: number; readonly how: Ending } | undefined
}

export interface ProducerAnswer {
  readonly errorCode: Code
  readonly producerId: bigint
  readonly epoch: number
}

export interface TransactionsParts {
  readonly world: SimulatedWorld
  /** How many milliseconds a partition is told late of an end. */
  readonly markerDelayMs: () => number
  readonly commitOffsets: (group: string, offsets: readonly TopicPartitionOffset[]) => void
}

export class SimTransactions {
  readonly #parts: TransactionsParts
  readonly #producers = new Map<string, Producer>()
  #lastId = 0n

  constructor(parts: TransactionsParts) {
    this.#parts = parts
  }

  /** Without a transactional id each producer is a new one. */
  init(transactionalId: string | null, timeoutMs: number): ProducerAnswer {
    const known = transactionalId === null ? undefined : this.#producers.get(transactionalId)
    const producer = known ?? this.#newProducer(transactionalId)
    producer.timeoutMs = timeoutMs
    if (producer.open !== undefined) {
      producer.epoch++
      this.#end(producer, 'abort')
    }
    if (producer.untold > 0) return answer(CODES.concurrentTransactions, producer)
    producer.epoch++
    producer.last = undefined
    return answer(CODES.none, producer)
  }

  /** Something is written in the producer's transaction, which begins by that. */
  join(transactionalId: string, producerId: bigint, epoch: number, partition: SimPartition | undefined): Code {
    const producer = this.#producers.get(transactionalId)
    const code = this.#check(producer, producerId, epoch)
    if (code !== CODES.none || producer === undefined) return code
    const open = (producer.open ??= this.#begun(producer))
    if (partition !== undefined) open.partitions.add(partition)
    return CODES.none
  }

  addOffsets(transactionalId: string, group: string, offsets: readonly TopicPartitionOffset[]): void {
    this.#producers.get(transactionalId)?.open?.offsets.push({ group, offsets })
  }

  end(transactionalId: string, producerId: bigint, epoch: number, how: Ending): ProducerAnswer {
    const producer = this.#producers.get(transactionalId)
    if (producer === undefined) return { errorCode: CODES.invalidProducerMapping, producerId, epoch }
    const { last } = producer
    // It asks again, as it has heard of nothing.
    if (last?.epoch === epoch && producer.epoch === epoch + 1 && last.how === how) return answer(CODES.none, producer)
    const code = this.#check(producer, producerId, epoch)
    if (code !== CODES.none) return answer(code, producer)
    if (producer.open === undefined) return answer(CODES.invalidTransactionState, producer)
    producer.last = { epoch, how }
    this.#end(producer, how)
    return answer(CODES.none, producer)
  }

  #check(producer: Producer | undefined, producerId: bigint, epoch: number): Code {
    if (producer?.producerId !== producerId) return CODES.invalidProducerMapping
    if (epoch !== producer.epoch) return CODES.invalidEpoch
    return producer.untold > 0 ? CODES.concurrentTransactions : CODES.none
  }

  #begun(producer: Producer): Open {
    const open: Open = { partitions: new Set(), offsets: [] }
    this.#parts.world.after(producer.timeoutMs, 'transaction times out', () => {
      if (producer.open !== open) return
      producer.epoch++
      this.#end(producer, 'abort')
    })
    return open
  }

  /** It is decided at once; partitions hear of it later, each by itself. */
  #end(producer: Producer, how: Ending): void {
    const { world, markerDelayMs, commitOffsets } = this.#parts
    const { open, producerId } = producer
    producer.open = undefined
    const epoch = ++producer.epoch
    if (how === 'commit') for (const { group, offsets } of open?.offsets ?? []) commitOffsets(group, offsets)
    for (const partition of open?.partitions ?? []) {
      producer.untold++
      world.after(markerDelayMs(), `${how} marker`, () => {
        partition.mark(producerId, epoch, how)
        producer.untold--
      })
    }
  }

  #newProducer(transactionalId: string | null): Producer {
    const producerId = ++this.#lastId
    const producer: Producer = { producerId, epoch: -1, timeoutMs: 0, open: undefined, untold: 0, last: undefined }
    if (transactionalId !== null) this.#producers.set(transactionalId, producer)
    return producer
  }
}

function answer(errorCode: Code, { producerId, epoch }: Producer): ProducerAnswer {
  return { errorCode, producerId, epoch }
}
