/** What a connection makes of the bytes it gets: records, or packed bytes. */
import type { ReceiverContext } from '@sluice/core'
import type { Decoder, DecoderContext, DecoderFactory, Packed, Packer, Resuming } from './decoder.js'

/** Records that came together. */
export interface Portion {
  readonly records: number
  store(): Promise<void>
}

/** A decoder or packer, and where its records go. */
export interface Intake {
  write(chunk: Buffer): Portion
  end(): Portion
  /** Bytes that are in no record. */
  drop(): number
  readonly failure: Error | undefined
  /** What the server is to be told first. */
  readonly greeting: string | undefined
  /** Whether the end of the stream, once `end` was called, is one. */
  readonly isComplete: boolean
}

export function intakeOf<T>(
  decode: DecoderFactory<T>,
  context: ReceiverContext<T>,
  decoderContext: DecoderContext,
): Intake {
  const { packing, resuming } = decode
  if (resuming !== undefined) return resumingIntake(resuming, context, decoderContext)
  if (packing !== undefined)
    return new StepIntake(packing.packer(decoderContext), (packed) => packedPortion(packed, context))
  const decoder = decode(decoderContext)
  return new StepIntake(owningItsChunks(decoder), (records) => decodedPortion(records, context))
}

function resumingIntake<T>(resuming: Resuming<T>, context: ReceiverContext<T>, decoderContext: DecoderContext): Intake {
  const { position } = context
  const decoder = resuming.decoder(decoderContext, position)
  const portion = (records: readonly T[]): Portion => {
    const reached = { position: decoder.position }
    return { records: records.length, store: () => context.storeAll(records, reached) }
  }
  const steps = new StepIntake(owningItsChunks(decoder), portion)
  return {
    greeting: resuming.greeting(position),
    get isComplete() {
      return decoder.isComplete
    },
    get failure() {
      return steps.failure
    },
    write: (chunk) => steps.write(chunk),
    end: () => steps.end(),
    drop: () => steps.drop(),
  }
}

/** The chunk is the connection's, which reads the next one into it; a decoder may keep it. */
function owningItsChunks<T>(decoder: Decoder<T>): Decoder<T> {
  return {
    get failure() {
      return decoder.failure
    },
    write: (chunk) => decoder.write(Buffer.from(chunk)),
    end: () => decoder.end(),
    drop: () => decoder.drop?.() ?? 0,
  }
}

class StepIntake<R> implements Intake {
  readonly greeting = undefined
  readonly isComplete = true
  readonly #step: Pick<Decoder<unknown>, 'drop' | 'failure'> & { write(chunk: Buffer): R; end(): R }
  readonly #portion: (result: R) => Portion

  constructor(
    step: Pick<Packer, 'drop' | 'failure'> & { write(chunk: Buffer): R; end(): R },
    portion: (result: R) => Portion,
  ) {
    this.#step = step
    this.#portion = portion
  }

  get failure(): Error | undefined {
    return this.#step.failure
  }

  write(chunk: Buffer): Portion {
    return this.#portion(this.#step.write(chunk))
  }

  end(): Portion {
    return this.#portion(this.#step.end())
  }

  drop(): number {
    return this.#step.drop?.() ?? 0
  }
}

function packedPortion({ bytes, records }: Packed, context: ReceiverContext<never>): Portion {
  return { records, store: () => context.storePacked(bytes, { records }) }
}

function decodedPortion<T>(records: readonly T[], context: ReceiverContext<T>): Portion {
  return { records: records.length, store: () => context.storeAll(records) }
}
