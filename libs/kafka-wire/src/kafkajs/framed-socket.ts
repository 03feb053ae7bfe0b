/**
 * Connections for kafkajs that give it each answer as one piece, read from the system into the memory where it stays: kafkajs would
 * keep pieces of 64 KiB, new ones for each read, and copy them together.
 */
import { connect, type Socket } from 'node:net'
import type { ISocketFactory } from 'kafkajs'
import defaultSocketFactory from 'kafkajs/src/network/socketFactory.js'
import type { AnswerBuffers } from './answer-buffers.js'

const KEEP_ALIVE_MS = 60_000
/** An answer begins with how many bytes follow. */
const SIZE_BYTES = 4
/** Smaller answers are copied out of what is read at once. */
const READ_BYTES = 64 * 1024
/** What claims to be larger is no answer of Kafka's, or is left to kafkajs. */
const LARGEST = 256 * 1024 * 1024

/** Connections without TLS are framed, others are kafkajs's own. */
export function framedSockets(buffers: AnswerBuffers): ISocketFactory {
  const others = defaultSocketFactory()
  return (options) => {
    const { host, port, onConnect } = options
    const { ssl }: { readonly ssl?: unknown } = options
    // Of TLS, Node.js hands out new buffers only.
    if (Boolean(ssl)) return others(options)
    const frames = new Frames(buffers, (frame) => socket.emit('data', frame))
    const onread = {
      buffer: () => frames.room,
      callback: (bytes: number) => frames.came(bytes),
    }
    const socket: Socket = connect({ host, port, onread }, onConnect)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    return socket
  }
}

/** Cuts what comes into answers. */
export class Frames {
  readonly #buffers: AnswerBuffers
  readonly #emit: (frame: Buffer) => void
  readonly #read = Buffer.allocUnsafeSlow(READ_BYTES)
  /** How much of `#read` there is: the first part of an answer. */
  #held = 0
  /** A large answer that is coming in. */
  #large: Buffer | undefined
  #filled = 0
  #isForeign = false

  constructor(buffers: AnswerBuffers, emit: (frame: Buffer) => void) {
    this.#buffers = buffers
    this.#emit = emit
  }

  /** Where the next bytes belong. */
  get room(): Buffer {
    return this.#large?.subarray(this.#filled) ?? this.#read.subarray(this.#held)
  }

  /** So many bytes have come into `room`. True: more may come. */
  came(bytes: number): boolean {
    if (this.#large === undefined) this.#cut(this.#held + bytes)
    else this.#fill(this.#large, bytes)
    return true
  }

  #fill(large: Buffer, bytes: number): void {
    this.#filled += bytes
    if (this.#filled < large.length) return
    this.#large = undefined
    this.#emit(large)
  }

  #cut(end: number): void {
    const read = this.#read
    let at = 0
    while (!this.#isForeign && end - at >= SIZE_BYTES) {
      const length = SIZE_BYTES + read.readInt32BE(at)
      if (length < SIZE_BYTES || length > LARGEST) this.#isForeign = true
      else if (at + length <= end) {
        this.#emit(Buffer.from(read.subarray(at, at + length)))
        at += length
      } else if (length > READ_BYTES) return this.#begin(length, at, end)
      else break
    }
    if (this.#isForeign) {
      this.#emit(Buffer.from(read.subarray(at, end)))
      at = end
    }
    read.copyWithin(0, at, end)
    this.#held = end - at
  }

  #begin(length: number, at: number, end: number): void {
    this.#large = this.#buffers.take(length)
    this.#filled = this.#read.copy(this.#large, 0, at, end)
    this.#held = 0
  }
}
