/** Where an HDFS is and how it is spoken to. */
import { systemClock, type Clock } from '@sluice/core'
import { requireThat } from '../errors.js'
import type { TlsOptions } from './http-call.js'

export const COMPONENT = 'hdfs'

export interface HdfsOptions {
  /** The web server of the NameNode, e.g. `http://namenode:9870`; of a cluster with several, all. */
  readonly nameNodes: string | readonly string[]
  /** Default: that of the cluster for those without a name (`dr.who`), who may write nearly nothing. */
  readonly user?: string | undefined
  /** In place of `user`, where the cluster is secured by Kerberos: a token got from it by other means. */
  readonly delegationToken?: string | undefined
  /** Of the URLs that it is for. Default: `hdfs`. */
  readonly scheme?: string | undefined
  /** Milliseconds without any byte after which a request has failed. Default: 30,000. */
  readonly timeoutMs?: number | undefined
  /**
   * For so many milliseconds a request is tried again while no NameNode takes it: none answers, all are in standby, or it is starting
   * or in safe mode. Default: 30,000.
   */
  readonly retryForMs?: number | undefined
  /** Copies of new files. Default: the cluster's. */
  readonly replication?: number | undefined
  /** Where a DataNode is reached, when that is not the address that the NameNode knows it by. */
  readonly dataNodeUrl?: ((url: string) => string) | undefined
  /** For `https:`: certificates, as `node:tls` takes them. */
  readonly tls?: TlsOptions | undefined
  /** Default: the system clock. */
  readonly clock?: Clock | undefined
}

export interface HdfsSettings {
  readonly origins: readonly string[]
  /** Query parameters of every request. */
  readonly login: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly retryForMs: number
  readonly replication: number | undefined
  readonly dataNodeUrl: (url: string) => string
  readonly tls: TlsOptions | undefined
  readonly clock: Clock
}

const DEFAULT_MS = 30_000

/** Throws `ARGUMENT_INVALID`. */
export function settingsOf(options: HdfsOptions): HdfsSettings {
  const { nameNodes, user, delegationToken, timeoutMs = DEFAULT_MS, retryForMs = DEFAULT_MS } = options
  const origins = (typeof nameNodes === 'string' ? [nameNodes] : nameNodes).map(originOf)
  requireThat(
    origins.length > 0,
    COMPONENT,
    'nameNodes is empty; give the URL of at least one, e.g. http://namenode:9870',
  )
  requireThat(timeoutMs > 0, COMPONENT, `timeoutMs must be above 0, not ${String(timeoutMs)}; leave it out for 30,000`)
  requireThat(
    retryForMs >= 0,
    COMPONENT,
    `retryForMs must be at least 0, not ${String(retryForMs)}; leave it out for 30,000`,
  )
  requireThat(
    user === undefined || delegationToken === undefined,
    COMPONENT,
    'user and delegationToken are both given; give the token alone, it says who the user is',
  )
  return {
    origins,
    login: {
      ...(user === undefined ? {} : { 'user.name': user }),
      ...(delegationToken === undefined ? {} : { delegation: delegationToken }),
    },
    timeoutMs,
    retryForMs,
    replication: options.replication,
    dataNodeUrl: options.dataNodeUrl ?? ((url) => url),
    tls: options.tls,
    clock: options.clock ?? systemClock,
  }
}

function originOf(url: string): string {
  const found = /^(https?:\/\/[^/?#@]+)\/*$/.exec(url)?.[1]
  // Not the text itself: somebody may have put a password into it.
  requireThat(
    found !== undefined,
    COMPONENT,
    'a NameNode is given by the URL of its web server; write http://namenode:9870',
  )
  return found
}
