/** A number for a result, so that ours and the reference can be held against each other without keeping both. */

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)

/** The same for equal results in the same order. Numbers, strings, booleans, null, undefined, arrays and plain objects. */
export function checksum(value: unknown, seed = 0): number {
  switch (typeof value) {
    case 'number':
      double[0] = value
      return mix(mix(seed, words[0] as number), words[1] as number)
    case 'string':
      return ofText(value, seed)
    case 'object':
      return value === null ? mix(seed, 1) : ofObject(value, seed)
    case 'boolean':
      return mix(seed, value ? 2 : 3)
    case 'undefined':
      return mix(seed, 4)
    default:
      throw new TypeError(`no checksum of a ${typeof value}`)
  }
}

function ofText(text: string, seed: number): number {
  let sum = mix(seed, text.length)
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193)
  return sum
}

function ofObject(value: object, seed: number): number {
  const isArray = Array.isArray(value)
  const parts: readonly unknown[] = isArray ? value : Object.values(value)
  let sum = mix(isArray ? seed : mix(seed, 5), parts.length)
  for (const part of parts) sum = checksum(part, sum)
  return sum
}

function mix(seed: number, word: number): number {
  const h = Math.imul(seed ^ word, 0x9e3779b1)
  return h ^ (h >>> 15)
}
