/** Where an S3 is and how it is spoken to. */
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { systemClock, type Clock } from '@sluice/core'
import { requireThat } from '../errors.js'

export const COMPONENT = 's3'

export interface S3Options {
  /**
   * A client of yours, which is never closed. Its time-outs and tries are yours, too: it needs `requestTimeout`, with
   * `throwOnRequestTimeout`, or a server that hangs is waited for without end.
   */
  readonly client?: Pick<S3Client, 'send'> | undefined
  /** In place of `client`: what the AWS SDK is given, e.g. `region`, `endpoint`, `credentials`, `forcePathStyle`. */
  readonly config?: S3ClientConfig | undefined
  /** Of the URLs that it is for. Default: `s3`. */
  readonly scheme?: string | undefined
  /** Of a client made from `config`: milliseconds for one request. Default: 30,000. */
  readonly timeoutMs?: number | undefined
  /** Larger files are uploaded in parts of so many bytes; at least 5 MiB. Default: 8 MiB. */
  readonly partBytes?: number | undefined
  /** Default: the system clock. */
  readonly clock?: Clock | undefined
}

export interface S3Settings {
  readonly partBytes: number
  readonly clock: Clock
}

export const DEFAULT_TIMEOUT_MS = 30_000
const MIB = 2 ** 20
const LEAST_PART_BYTES = 5 * MIB

/** Throws `ARGUMENT_INVALID`. */
export function settingsOf({ client, config, timeoutMs = 1, partBytes = 8 * MIB, clock }: S3Options): S3Settings {
  requireThat(client === undefined || config === undefined, COMPONENT, 'client and config are both given; give one')
  requireThat(timeoutMs > 0, COMPONENT, `timeoutMs must be above 0, not ${String(timeoutMs)}; leave it out for 30,000`)
  requireThat(
    Number.isSafeInteger(partBytes) && partBytes >= LEAST_PART_BYTES,
    COMPONENT,
    `partBytes must be a whole number of at least ${String(LEAST_PART_BYTES)}, not ${String(partBytes)}; S3 takes no smaller parts`,
  )
  return { partBytes, clock: clock ?? systemClock }
}
