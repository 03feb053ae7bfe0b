import { newIdentity } from '@sluice/core'
import { describeWithServices } from '@sluice/services'
import { fileSystemConformance, logConformance } from '@sluice/testkit'
import { describe, test } from 'vitest'
import { hdfs } from './hdfs-file-system.js'

await describeWithServices({ describe, test }, ['hdfs'], 'HDFS', (values) => {
  const open = async () => {
    const { fileSystem } = hdfs({ nameNodes: values.hdfs.url, user: 'root' })
    const root = `hdfs://cluster/tests/${newIdentity()}`
    await fileSystem.makeDirectory(root)
    return { fileSystem, root, close: () => fileSystem.removeTree(root) }
  }
  fileSystemConformance({ describe, test, name: 'HDFS', open })
  logConformance({ describe, test, name: 'HDFS', open, damages: 4 })
})
