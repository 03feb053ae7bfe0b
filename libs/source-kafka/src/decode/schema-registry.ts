/** Schemas by their ids, from a registry that speaks Confluent's HTTP interface. */
import { SluiceError, systemClock, type Clock } from '@sluice/core'
import { COMPONENT } from '../component.js'
import { messageOf } from './message.js'

export interface SchemaRegistryOptions {
  /** E.g. `http://localhost:8081`. */
  readonly url: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** For one request. Default: 10 000. */
  readonly timeoutMs?: number | undefined
  readonly clock?: Clock | undefined
}

/** Asked once for each id and process. */
export interface SchemaSource {
  /** The schema as JSON text; undefined when there is none of that id. Rejects with a retryable error when it cannot be told. */
  schema(id: number): Promise<string | undefined>
}

const TIMEOUT_MS = 10_000

export function schemaRegistry(options: SchemaRegistryOptions): SchemaSource {
  const { username, password = '', timeoutMs = TIMEOUT_MS, clock = systemClock } = options
  const login = username === undefined ? undefined : Buffer.from(`${username}:${password}`).toString('base64')
  const headers: Record<string, string> = { accept: 'application/vnd.schemaregistry.v1+json' }
  if (login !== undefined) headers['authorization'] = `Basic ${login}`
  const base = options.url.replace(/\/+$/, '')
  return {
    schema: (id) =>
      within(clock, timeoutMs, (signal) => ask(`${base}/schemas/ids/${String(id)}`, id, { headers, signal })),
  }
}

async function within<T>(clock: Clock, timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const timer = new AbortController()
  const request = new AbortController()
  clock.sleep(timeoutMs, timer.signal).then(
    () => {
      request.abort(new Error(`no answer within ${String(timeoutMs)} ms`))
    },
    () => undefined,
  )
  try {
    return await work(request.signal)
  } finally {
    timer.abort()
  }
}

async function ask(url: string, id: number, init: RequestInit): Promise<string | undefined> {
  let answer: { readonly status: number; readonly text: string }
  try {
    const response = await fetch(url, init)
    answer = { status: response.status, text: await response.text() }
  } catch (error) {
    throw failed(id, messageOf(error), true, error)
  }
  if (answer.status === 404) return undefined
  if (answer.status !== 200) throw failed(id, `HTTP ${String(answer.status)}`, answer.status >= 500)
  const { schema, schemaType = 'AVRO', references = [] } = JSON.parse(answer.text) as Partial<Record<string, unknown>>
  if (schemaType !== 'AVRO') throw failed(id, `it is ${String(schemaType)} and not Avro`, false)
  if ((references as unknown[]).length > 0)
    throw failed(id, 'it refers to other schemas, which is not supported', false)
  return schema as string
}

function failed(id: number, why: string, retryable: boolean, cause?: unknown): SluiceError {
  return new SluiceError({
    code: 'CONNECTION_FAILED',
    component: COMPONENT,
    message: `cannot get schema ${String(id)} from the registry: ${why}; is its url right, and is it up?`,
    retryable,
    cause,
  })
}
