/** A receiver of a Node stream: the JSON lines that a program prints. */
import { spawn } from 'node:child_process'
import { fromReadable, type Decoder, type Receiver } from '@sluice/core'

export function jsonLinesOf(command: string, args: readonly string[]): Receiver<unknown> {
  const open = () => spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] }).stdout
  return fromReadable(open, { name: command, decode: () => new JsonLines() })
}

class JsonLines implements Decoder<unknown> {
  #rest = Buffer.alloc(0)

  write(bytes: Buffer): unknown[] {
    const all = Buffer.concat([this.#rest, bytes])
    const end = all.lastIndexOf('\n') + 1
    this.#rest = all.subarray(end)
    return parsed(all.toString('utf8', 0, end))
  }

  end(): unknown[] {
    return parsed(this.#rest.toString())
  }

  drop(): number {
    return this.#rest.length
  }
}

function parsed(text: string): unknown[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown)
}
