/** Comma-separated values, one record a line (RFC 4180). */

/**
 * The fields of one line, without its line end; undefined when its quotes do not match, so that no fields can be told.
 *
 * A field in quotes may hold commas, and quotes written twice. A quote inside a field that does not begin with one stands
 * for itself. Spaces belong to the field. A record that goes on over several lines is not supported: each of them is a
 * line with quotes that do not match.
 */
export function parseCsvLine(line: string): string[] | undefined {
  const fields: string[] = []
  for (let at = 0; ; at++) {
    if (line[at] === '"') {
      const field = readQuoted(line, at + 1)
      if (field === undefined) return undefined
      fields.push(field.text)
      at = field.end
    } else {
      const comma = line.indexOf(',', at)
      const end = comma === -1 ? line.length : comma
      fields.push(line.slice(at, end))
      at = end
    }
    if (at === line.length) return fields
    if (line[at] !== ',') return undefined
  }
}

/** Reads a quoted field from behind its first quote; `end` is the index behind its last one. */
function readQuoted(line: string, start: number): { readonly text: string; readonly end: number } | undefined {
  let text = ''
  for (let from = start; ;) {
    const quote = line.indexOf('"', from)
    if (quote === -1) return undefined
    text += line.slice(from, quote)
    if (line[quote + 1] !== '"') return { text, end: quote + 1 }
    text += '"'
    from = quote + 2
  }
}
