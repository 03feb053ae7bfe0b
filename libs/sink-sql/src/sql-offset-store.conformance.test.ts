/** Each database keeps what every store of offsets keeps. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeWithServices } from '@sluice/services'
import { offsetStoreConformance } from '@sluice/testkit'
import { describe, test } from 'vitest'
import { mysqlOffsetStore } from './mysql.js'
import { postgresOffsetStore } from './postgres.js'
import { sqliteOffsetStore } from './sqlite.js'

const functions = { describe, test }
const common = { ...functions, deadlineMs: 60_000 }

await describeWithServices(functions, ['postgres'], 'postgres', ({ postgres }) => {
  const make = (url = postgres.url) => postgresOffsetStore({ url })
  offsetStoreConformance({
    ...{ ...common, name: 'postgresOffsetStore' },
    open: () => ({ store: make(), reopen: make }),
    broken: () => make('postgres://a:b@127.0.0.1:1/none'),
  })
})

for (const name of ['mariadb', 'mysql'] as const) {
  await describeWithServices(functions, [name], name, ({ [name]: values }) => {
    const make = (url = values.url) => mysqlOffsetStore({ url })
    offsetStoreConformance({
      ...{ ...common, name: `mysqlOffsetStore, ${name}` },
      open: () => ({ store: make(), reopen: make }),
      broken: () => make('mysql://a:b@127.0.0.1:1/none'),
    })
  })
}

offsetStoreConformance({
  ...{ ...common, name: 'sqliteOffsetStore' },
  open: () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-offsets-'))
    const make = () => sqliteOffsetStore({ file: join(folder, 'offsets.db') })
    return {
      ...{ store: make(), reopen: make },
      close: () => {
        rmSync(folder, { recursive: true })
      },
    }
  },
  broken: () => sqliteOffsetStore({ file: '/no such folder/offsets.db' }),
})
