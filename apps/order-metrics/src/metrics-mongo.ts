/** The figures in MongoDB, for whoever wants to show them elsewhere: counters, and how each subject stands. */
import { basename, resolve } from 'node:path'
import type { DStream, Pair } from '@sluice/core'
import { mongoSink } from '@sluice/sink-mongo'
import type { Standing, Subject, SubjectKind } from './figures.js'
import { storable } from './metrics-store.js'

const COUNTED: readonly SubjectKind[] = ['all', 'country', 'group', 'rejected']
/** A server that is started again is back before the tries end: some 25 s. */
const RETRY = { retries: 8 }

export const MONGO_DATABASE = 'order_metrics'

/** What a run writes to. */
export function mongoCollections(directory: string): { readonly counters: string; readonly standings: string } {
  const name = basename(resolve(directory)).replace(/[$.]/g, '_')
  return { counters: `${name}.counters`, standings: `${name}.standings` }
}

interface Counted {
  readonly subject: { readonly kind: SubjectKind; readonly name: string }
  readonly by: Readonly<Record<string, number>>
  /** Of all batches so far. */
  readonly revenueThousandths: number
}

/** Adds what each batch brings to a document for each subject, and sets in another one what all batches have brought. */
export function countInMongo(standings: DStream<Pair<Subject, Standing>>, url: string, directory: string): void {
  const { counters, standings: latest } = mongoCollections(directory)
  const place = { url, database: MONGO_DATABASE }
  const counted = standings.filter(([[kind]]) => COUNTED.includes(kind)).map(countedOf)
  const id = ({ subject: { kind, name } }: Counted): string => `${kind} ${name}`
  counted.to(
    mongoSink<Counted>({
      ...place,
      ...{ collection: counters, mode: 'increment', id, by: ({ by }) => by, set: ({ subject }) => subject },
    }),
    { name: 'mongo-counters', retry: RETRY },
  )
  counted.to(
    mongoSink<Counted>({
      ...place,
      ...{ collection: latest, mode: 'upsert', id },
      fields: ({ subject, revenueThousandths }) => ({ ...subject, revenueThousandths }),
    }),
    { name: 'mongo-standings', retry: RETRY },
  )
}

function countedOf([[kind, name], { batch, total }]: Pair<Subject, Standing>): Counted {
  const { lines, orders, cancellations, revenue } = batch
  return {
    subject: { kind, name: storable(name) },
    by: { lines, orders, cancellations, revenueThousandths: revenue },
    revenueThousandths: total.revenue,
  }
}
