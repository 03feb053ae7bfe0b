/** What can be known before the first batch: what the user may do, and what kind of collection it is. */
import type { SinkContext } from '@sluice/core'
import type { Document } from 'mongodb'
import { mongoError, requireThat } from './errors.js'
import type { Mode } from './modes.js'
import type { Store } from './store.js'

/** A document of no batch: looking for it changes nothing, and asks for the permission to. */
const NOWHERE = { _id: 'sluice: whether this user may update' }

/**
 * Rejects with `CONNECTION_FAILED` naming what the user may not do, with `ARGUMENT_INVALID` for a collection that cannot be written to in this
 * way. `name`: the one collection; undefined where it differs from record to record, and nothing is asked.
 */
export async function requireAccess(
  store: Store,
  mode: Mode,
  name: string | undefined,
  { signal }: SinkContext,
): Promise<void> {
  if (name === undefined) return
  const { authInfo } = await store.call('asking what the user may do', signal, () =>
    store.db.command({ connectionStatus: 1, showPrivileges: true }),
  )
  const missing = missingActions(authInfo, store.db.databaseName, name, actionsOf(mode))
  if (missing.length > 0)
    throw mongoError(
      'CONNECTION_FAILED',
      `this user may not ${missing.join(', ')} in ${store.db.databaseName}.${name}; grant it readWrite on the database`,
    )
  if (mode.name !== 'insert' && mode.name !== 'custom')
    await store.call('asking whether the user may update', signal, () =>
      store.collection(name).updateOne(NOWHERE, { $set: { never: true } }),
    )
  const [found] = await store.call('looking at the collection', signal, () =>
    store.db.listCollections({ name }).toArray(),
  )
  requireKind(found, name)
}

function actionsOf({ name }: Mode): readonly string[] {
  return name === 'insert' ? ['find', 'insert'] : name === 'custom' ? [] : ['find', 'insert', 'update']
}

interface AuthInfo {
  readonly authenticatedUsers?: readonly unknown[]
  readonly authenticatedUserPrivileges?: readonly { readonly resource: Document; readonly actions: readonly string[] }[]
}

/** What of `needed` no privilege allows there; nothing where nobody logs in, or the server does not say. */
export function missingActions(
  { authenticatedUsers = [], authenticatedUserPrivileges }: AuthInfo,
  database: string,
  collection: string,
  needed: readonly string[],
): readonly string[] {
  if (authenticatedUsers.length === 0 || authenticatedUserPrivileges === undefined) return []
  const matches = (field: unknown, name: string): boolean => field === '' || field === name
  const own = authenticatedUserPrivileges.filter(
    ({ resource }) =>
      resource['anyResource'] === true ||
      (matches(resource['db'], database) && matches(resource['collection'], collection)),
  )
  const allowed = new Set(own.flatMap(({ actions }) => actions))
  return needed.filter((action) => !allowed.has(action))
}

/** Guards and `_id`s are of no use where equal ones are not equal, or nothing has an `_id` of its own. */
export function requireKind(found: Document | undefined, name: string): void {
  const { type = 'collection', options = {} } = (found ?? {}) as { type?: string; options?: Document }
  requireThat(type === 'collection', `${name} is a ${type}, which takes no single documents by _id; use a collection`)
  const { locale = 'simple' } = (options['collation'] ?? {}) as { locale?: string }
  requireThat(
    locale === 'simple',
    `${name} has the collation ${locale}, by which different _ids may be one; use a collection without`,
  )
}
