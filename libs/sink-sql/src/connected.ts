/** What a database's own module gives to what is written once for all. */
import type { SinkContext } from '@sluice/core'
import type { Dialect } from './dialect.js'
import type { Session } from './steps.js'

export type ConnectContext = Pick<SinkContext, 'clock' | 'logger' | 'signal'> & Partial<SinkContext>

export interface Connected {
  readonly session: Session
  readonly dialect: Dialect
}
