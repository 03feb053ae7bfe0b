/** Just enough WebHDFS to see whether files can be written. */
import { request, type IncomingMessage } from 'node:http'

/** Rejects unless a file can be written: then NameNode and DataNode know each other, and nothing is read-only any more. */
export async function writeAndRemove(url: string): Promise<void> {
  const file = `${url}/webhdfs/v1/.sluice-probe-${String(process.pid)}?user.name=${SUPERUSER}`
  const redirect = await send('PUT', `${file}&op=CREATE&overwrite=true&noredirect=true`)
  const { Location } = JSON.parse(redirect.body) as { Location?: string }
  if (Location === undefined) throw new Error(redirect.body)
  const written = await send('PUT', Location, 'probe')
  if (written.status !== 201) throw new Error(`${String(written.status)} ${written.body.slice(0, 200)}`)
  await send('DELETE', `${file}&op=DELETE`)
}

/** Who started the NameNode may do all. */
const SUPERUSER = process.env['USER'] ?? 'root'
const ANSWER_MS = 10_000

function send(method: string, url: string, body = ''): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, timeout: ANSWER_MS }, (response: IncomingMessage) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode, body: text })
      })
    })
    sent.on('timeout', () => sent.destroy(new Error('no answer')))
    sent.on('error', reject)
    sent.end(body)
  })
}
