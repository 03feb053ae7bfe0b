/** Makes keys and values of bytes. */

/**
 * What makes a key or value of its bytes; null stays null and is never asked for. Whatever `decode` throws means that this
 * record does not decode, and goes by the stream's `onDecodeError`. It must be synchronous and give the same each time.
 */
export type Deserializer<T> = TextDeserializer<T> | BytesDeserializer<T>

export interface TextDeserializer<out T> {
  readonly from: 'text'
  /** Of UTF-8 text, in which bytes that are none are U+FFFD. */
  decode(text: string): T
}

export interface BytesDeserializer<out T> {
  readonly from: 'bytes'
  /** The bytes are a view into a whole fetch: copy what is kept. */
  decode(bytes: Buffer): T
  /**
   * Called before `decode`, where it is there: a promise when something has to be looked up first, undefined when nothing has.
   * When it rejects, the batch fails.
   */
  prepare?(bytes: Buffer): Promise<void> | undefined
}

/** UTF-8 text. */
export const string: Deserializer<string> = { from: 'text', decode: (text) => text }

/** The bytes as they are, in a buffer of their own. What a stream has without deserializers. */
export const bytes: Deserializer<Buffer> = { from: 'bytes', decode: (view) => Buffer.from(view) }

/**
 * JSON text. What it holds is not checked: `T` is what you say, unless `check` makes it of the parsed value, or throws.
 */
export function json<T = unknown>(check?: (parsed: unknown) => T): Deserializer<T> {
  const decode =
    check === undefined ? (text: string) => JSON.parse(text) as T : (text: string) => check(JSON.parse(text))
  return { from: 'text', decode }
}
