/** One HTTP request by `node:http`. `fetch` would report an error for data that a DataNode has written (E23). */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export interface Call {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** `http://host:port` or `https://host:port`. */
  readonly origin: string
  /** Escaped, from its first slash on. It goes out as it is: `URL` would resolve dots. */
  readonly path: string
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined
  /** Without any byte for so long it has failed. */
  readonly timeoutMs: number
  readonly tls: TlsOptions | undefined
  readonly signal?: AbortSignal | undefined
}

/** What `node:tls` takes of this. */
export interface TlsOptions {
  readonly ca?: string | Buffer | undefined
  readonly cert?: string | Buffer | undefined
  readonly key?: string | Buffer | undefined
}

export interface Answer {
  readonly status: number
  readonly location: string | undefined
  readonly body: Buffer
}

/** Connections to NameNodes are kept; a DataNode closes each of its own. */
export class Connections {
  readonly #http = new HttpAgent({ keepAlive: true })
  readonly #https: HttpsAgent

  constructor(tls: TlsOptions | undefined) {
    this.#https = new HttpsAgent({ keepAlive: true, ...tls })
  }

  for(origin: string): HttpAgent {
    return origin.startsWith('https:') ? this.#https : this.#http
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }
}

/** Resolves with any answer, whatever its status. Rejects where there is none, or half of one. */
export async function call(options: Call, agent?: HttpAgent): Promise<Answer> {
  const { method, origin, path, body, timeoutMs, tls, signal } = options
  const { hostname, port, protocol } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, '')
  const base: RequestOptions = { method, host, port, path, timeout: timeoutMs, agent: agent ?? false }
  if (signal !== undefined) base.signal = signal
  if (body instanceof Uint8Array) base.headers = { 'Content-Length': body.byteLength }
  else if (body !== undefined) base.headers = { 'Content-Type': 'application/octet-stream' }
  const request = protocol === 'https:' ? httpsRequest({ ...base, ...tls }) : httpRequest(base)
  request.on('timeout', () => {
    const message = `no answer from ${origin} within ${String(timeoutMs)} ms`
    request.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }))
  })
  const answer = new Promise<Answer>((resolve, reject) => {
    request.once('error', reject)
    const closed = (): void => {
      reject(Object.assign(new Error(`${origin} has closed the connection`), { code: 'ECONNRESET' }))
    }
    request.once('close', closed)
    request.once('response', (response) => {
      request.off('close', closed)
      readAnswer(response).then(resolve, reject)
    })
  })
  // While the body is sent nobody waits for it.
  answer.catch(() => undefined)
  if (body === undefined || body instanceof Uint8Array) request.end(body)
  else await sendPieces(body, request, answer)
  return answer
}

async function sendPieces(
  pieces: AsyncIterable<Uint8Array>,
  request: NodeJS.WritableStream & { destroy(): unknown },
  answer: Promise<Answer>,
): Promise<void> {
  const sent = pipeline(Readable.from(pieces, { objectMode: true, highWaterMark: 1 }), request)
  try {
    await sent
  } catch (error) {
    // A server that refuses answers before it has read all, and closes; what it says tells more.
    const refusal = await answer.catch(() => undefined)
    if (refusal === undefined) throw error
  }
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part as Buffer)
  // In a buffer of its own, as the reader may keep a slice of it.
  const body = Buffer.concat(parts)
  return { status: response.statusCode ?? 0, location: response.headers.location, body }
}
