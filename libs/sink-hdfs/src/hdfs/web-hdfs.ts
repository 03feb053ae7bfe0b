/**
 * WebHDFS: requests to NameNodes, of which one is active, and to the DataNodes that they name.
 *
 * Every request made here may come twice without harm: what creates writes to a name that only it has, and what renames says how the
 * caller sees whether it was done. So all are repeated while no NameNode takes them.
 */
import { isSluiceError, type SluiceError } from '@sluice/core'
import { failureOf, messageOf } from '../errors.js'
import { parsePath } from '../files/paths.js'
import { COMPONENT, type HdfsSettings } from './hdfs.config.js'
import { call, Connections, type Answer, type Call } from './http-call.js'

const fail = failureOf(COMPONENT)

/** What HDFS itself says went wrong. */
export class RemoteFailure extends Error {
  /** Simple name of the Java class, e.g. `FileNotFoundException`: the HTTP status tells little. */
  readonly exception: string

  constructor(exception: string, message: string) {
    super(message)
    this.exception = exception
  }
}

export interface Operation {
  readonly method: Call['method']
  readonly op: string
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
}

// Another NameNode, or this one later, will do it.
const NOT_NOW = new Set([
  'StandbyException',
  'RetriableException',
  'SafeModeException',
  'ObserverRetryOnActiveException',
  'ServerTooBusyException',
  // What a DataNode says that does not reach its NameNode.
  'ConnectException',
  'EOFException',
  'SocketException',
  'SocketTimeoutException',
])
// Plain IOExceptions that pass: a NameNode that has just started, or has lost all DataNodes, or has not heard of a block yet.
const PASSING_MESSAGE =
  /^(Failed to find datanode|Unable to close file because the last block|No active nodes contain this block)/
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2_000

export class WebHdfs {
  readonly #settings: HdfsSettings
  readonly #connections: Connections
  /** The one that answered last. */
  #current = 0

  constructor(settings: HdfsSettings) {
    this.#settings = settings
    this.#connections = new Connections(settings.tls)
  }

  /** Closes idle connections; new ones are made when they are needed. */
  close(): void {
    this.#connections.close()
  }

  /** The JSON of a NameNode's answer; undefined where it has none. Rejects with `RemoteFailure`, or an error of Sluice where none takes it. */
  async ask(operation: Operation, signal?: AbortSignal): Promise<unknown> {
    const { body } = await this.#persist(operation, signal)
    return body.byteLength === 0 ? undefined : (JSON.parse(body.toString()) as unknown)
  }

  /** The URL of a DataNode for this: to write to, or to read from. */
  async redirect(operation: Operation, signal?: AbortSignal): Promise<string> {
    const answer = (await this.ask({ ...operation, query: { ...operation.query, noredirect: 'true' } }, signal)) as
      { readonly Location?: string } | undefined
    if (answer?.Location === undefined) throw new Error('the NameNode names no DataNode')
    // It is escaped only in part: letters of other scripts are not.
    return this.#settings.dataNodeUrl(answer.Location.replace(/[^\x21-\x7e]/gu, encodeURIComponent))
  }

  /** One request to a DataNode. */
  async atDataNode(
    url: string,
    method: Call['method'],
    body?: Call['body'],
    signal?: AbortSignal,
  ): Promise<Buffer<ArrayBufferLike>> {
    const { origin } = new URL(url)
    const { timeoutMs, tls } = this.#settings
    // Each connection is used once: the DataNode closes it.
    const answer = await call({ method, origin, path: url.slice(origin.length), body, timeoutMs, tls, signal })
    return checked(answer).body
  }

  /** Runs `work` again, with pauses, while it fails for reasons that pass by themselves. */
  async persist<T>(what: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { clock, retryForMs } = this.#settings
    const end = clock.monotonic() + retryForMs
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        return await work()
      } catch (error) {
        if (signal?.aborted === true || !isPassing(error)) throw error
        if (clock.monotonic() + pauseMs > end) throw unavailable(what, error)
      }
      await clock.sleep(pauseMs, signal)
    }
  }

  #persist(operation: Operation, signal: AbortSignal | undefined): Promise<Answer> {
    return this.persist(`${operation.op} ${operation.path}`, () => this.#askAll(operation, signal), signal)
  }

  /** Asks the NameNode that answered last, then the others. */
  async #askAll(operation: Operation, signal: AbortSignal | undefined): Promise<Answer> {
    const { origins } = this.#settings
    let failure: unknown
    for (let tries = 0; tries < origins.length; tries++) {
      const index = (this.#current + tries) % origins.length
      try {
        const answer = await this.#askOne(origins[index] ?? '', operation, signal)
        this.#current = index
        return answer
      } catch (error) {
        if (!isPassing(error)) throw error
        // What a NameNode says tells more than that another one does not answer.
        if (!(failure instanceof RemoteFailure)) failure = error
      }
    }
    throw failure
  }

  async #askOne(origin: string, { method, op, path, query }: Operation, signal?: AbortSignal): Promise<Answer> {
    const { login, timeoutMs, tls } = this.#settings
    const names = parsePath(path).names.map(encodeURIComponent)
    const parameters = Object.entries({ op, ...query, ...login })
    const text = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')
    const full = `/webhdfs/v1/${names.join('/')}?${text}`
    return checked(await call({ method, origin, path: full, timeoutMs, tls, signal }, this.#connections.for(origin)))
  }
}

/** Whether it may be gone when it is tried again: no answer, or one that says so. */
export function isPassing(error: unknown): boolean {
  if (error instanceof RemoteFailure) return NOT_NOW.has(error.exception) || PASSING_MESSAGE.test(error.message)
  return !isSluiceError(error) && error instanceof Error && 'code' in error
}

function unavailable(what: string, cause: unknown): SluiceError {
  const remedy =
    cause instanceof RemoteFailure
      ? `wait until it is ready (hdfs dfsadmin -safemode get), or raise retryForMs`
      : 'are NameNodes and DataNodes up, and can they be reached from here?'
  return fail('FILE_SYSTEM_FAILED', `cannot ${what} (${messageOf(cause)}); ${remedy}`, { cause, retryable: true })
}

function checked(answer: Answer): Answer {
  if (answer.status >= 200 && answer.status < 300) return answer
  throw failureIn(answer)
}

function failureIn({ status, body }: Answer): Error {
  const text = body.toString()
  try {
    const { exception, message } = (JSON.parse(text) as { RemoteException: { exception: string; message: string } })
      .RemoteException
    // From a DataNode a whole Java stack trace follows.
    return new RemoteFailure(exception, message.split('\n')[0] ?? '')
  } catch {
    const said = /<title>(.*?)<\/title>/is.exec(text)?.[1] ?? text.slice(0, 200)
    return new RemoteFailure(`HTTP ${String(status)}`, said)
  }
}
