/** Numbered lines of a server that can go on from any of them: nothing is lost or doubled when a connection or a process ends. */
import { SluiceError, type SourcePosition } from '@sluice/core'
import type { DecoderContext, DecoderFactory, Decoder, ResumingDecoder } from './decoder.js'
import { lineDecoder } from './line-decoder.js'
import { COMPONENT, type LineDecoderOptions } from './socket-stream.config.js'

/** There is one sequence, wherever the server runs. */
const PARTITION = 'line'
const END = 'END'

/**
 * A decoder of lines `NUMBER<TAB>TEXT`, whose records are the texts. The protocol, in full:
 *
 * - When the connection stands, the receiver sends `RESUME n` and a line feed: n is the number of the last line that is safe, 0
 *   at first. The server sends what comes after it; numbers begin at 1 and rise by one.
 * - A line whose number is not above the last one's is left out. One that is missing breaks the connection: better to
 *   ask again than to lose it unseen.
 * - A server without more lines, ever, sends the line `END` and closes. A connection that ends without it is made anew.
 *
 * With `reliable: true` and a `checkpoint` it is exact across crashes of either side, as long as the server can send again what it is asked for
 * (E14). Throws `ARGUMENT_INVALID`.
 */
export function sequencedLineDecoder(options: LineDecoderOptions = {}): DecoderFactory<string> {
  const lines = lineDecoder(options)
  const decoder = (context: DecoderContext, position: SourcePosition): SequencedLines => {
    return new SequencedLines(lines(context), position[PARTITION] ?? 0n)
  }
  return Object.assign((context: DecoderContext) => decoder(context, {}), {
    resuming: { greeting: (position: SourcePosition) => `RESUME ${String(position[PARTITION] ?? 0n)}\n`, decoder },
  })
}

class SequencedLines implements ResumingDecoder<string> {
  readonly #lines: Decoder<string>
  #last: bigint
  #isComplete = false
  #failure: SluiceError | undefined

  constructor(lines: Decoder<string>, last: bigint) {
    this.#lines = lines
    this.#last = last
  }

  get position(): SourcePosition {
    return { [PARTITION]: this.#last }
  }

  get isComplete(): boolean {
    return this.#isComplete
  }

  get failure(): Error | undefined {
    return this.#failure ?? this.#lines.failure
  }

  write(chunk: Buffer): readonly string[] {
    const texts: string[] = []
    for (const line of this.#lines.write(chunk)) {
      if (this.#failure !== undefined) break
      this.#take(line, texts)
    }
    return texts
  }

  /** What lacks its line end may be half a line; it comes again. */
  end(): readonly string[] {
    this.drop()
    return []
  }

  drop(): number {
    return this.#lines.drop?.() ?? 0
  }

  #take(line: string, texts: string[]): void {
    if (line === END) {
      this.#isComplete = true
      return
    }
    const tab = line.indexOf('\t')
    const digits = line.slice(0, Math.max(tab, 0))
    if (!/^[0-9]{1,18}$/.test(digits)) {
      this.#failure = corrupt(`'${line.slice(0, 40)}' does not begin with a number and a tab`)
      return
    }
    const number = BigInt(digits)
    if (number <= this.#last) return
    if (number > this.#last + 1n) {
      this.#failure = corrupt(`line ${digits} came after line ${String(this.#last)}`)
      return
    }
    this.#last = number
    texts.push(line.slice(tab + 1))
  }
}

function corrupt(problem: string): SluiceError {
  const message = `${problem}; is the server one that numbers its lines, and does it still have all that was not taken?`
  return new SluiceError({ code: 'DATA_CORRUPT', component: COMPONENT, message })
}
