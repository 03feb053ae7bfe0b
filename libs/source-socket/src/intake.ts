/** What a connection makes of the bytes it gets: records, or packed bytes. */
import type { ReceiverContext } from '@sluice/core'
import type { Decoder, DecoderContext, DecoderFactory, Packed, Packer } from './decoder.js'

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
}

export function intakeOf<T>(
  decode: DecoderFactory<T>,
  context: ReceiverContext<T>,
  decoderContext: DecoderContext,
): Intake {
  const { packing } = decode
  if (packing !== undefined)
    return new StepIntake(packing.packer(decoderContext), (packed) => packedPortion(packed, context))
  const decoder = decode(decoderContext)
  return new StepIntake(owningItsChunks(decoder), (records) => decodedPortion(records, context))
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
