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
  /** Whether chunks are only borrowed; else they are the intake's. */
  readonly borrows: boolean
  /** `release` is called when a chunk that was borrowed may be written to again; never, where that is not sure. */
  write(chunk: Buffer, release?: () => void): Portion
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
  if (packing !== undefined) {
    const portion: PortionOf<readonly Packed[]> = (packed, borrowed) => packedPortion(packed, context, borrowed)
    return new StepIntake(packing.packer(decoderContext), portion, packing.borrows)
  }
  return new StepIntake(decode(decoderContext), (records) => decodedPortion(records, context))
}

function resumingIntake<T>(resuming: Resuming<T>, context: ReceiverContext<T>, decoderContext: DecoderContext): Intake {
  const { position } = context
  const decoder = resuming.decoder(decoderContext, position)
  const portion = (records: readonly T[]): Portion => {
    const reached = { position: decoder.position }
    return { records: records.length, store: () => context.storeAll(records, reached) }
  }
  const steps = new StepIntake(decoder, portion)
  return {
    greeting: resuming.greeting(position),
    borrows: false,
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

/** A chunk that is somebody's who wants it back. */
interface Borrowed {
  readonly chunk: Buffer
  release(): void
}

type PortionOf<R> = (result: R, borrowed?: Borrowed) => Portion

class StepIntake<R> implements Intake {
  readonly greeting = undefined
  readonly isComplete = true
  readonly borrows: boolean
  readonly #step: Pick<Decoder<unknown>, 'drop' | 'failure'> & { write(chunk: Buffer): R; end(): R }
  readonly #portion: PortionOf<R>

  constructor(
    step: Pick<Packer, 'drop' | 'failure'> & { write(chunk: Buffer): R; end(): R },
    portion: PortionOf<R>,
    borrows = false,
  ) {
    this.#step = step
    this.#portion = portion
    this.borrows = borrows
  }

  get failure(): Error | undefined {
    return this.#step.failure
  }

  write(chunk: Buffer, release?: () => void): Portion {
    return this.#portion(this.#step.write(chunk), release === undefined ? undefined : { chunk, release })
  }

  end(): Portion {
    return this.#portion(this.#step.end())
  }

  drop(): number {
    return this.#step.drop?.() ?? 0
  }
}

function packedPortion(pieces: readonly Packed[], context: ReceiverContext<never>, borrowed?: Borrowed): Portion {
  const isBorrowed = ({ bytes }: Packed): boolean => bytes.buffer === borrowed?.chunk.buffer
  let left = pieces.filter(isBorrowed).length
  if (left === 0) borrowed?.release()
  const release = (): void => {
    left--
    if (left === 0) borrowed?.release()
  }
  const store = async (): Promise<void> => {
    for (const piece of pieces) {
      const { bytes, records } = piece
      await context.storePacked(bytes, { records, release: isBorrowed(piece) ? release : undefined })
    }
  }
  return { records: pieces.reduce((sum, { records }) => sum + records, 0), store }
}

function decodedPortion<T>(records: readonly T[], context: ReceiverContext<T>): Portion {
  return { records: records.length, store: () => context.storeAll(records) }
}
