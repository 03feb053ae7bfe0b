import { newIdentity } from '@sluice/core'
import { describeWithServices } from '@sluice/services'
import { fileSystemConformance, logConformance } from '@sluice/testkit'
import { describe, test } from 'vitest'
import { configOf, makeBucket } from '../testing/s3-bucket.js'
import { s3 } from './s3-file-system.js'

await describeWithServices({ describe, test }, ['s3'], 'S3', (values) => {
  const open = async () => {
    const { fileSystem } = s3({ config: configOf(values.s3) })
    const root = `s3://${await makeBucket(values.s3)}/files/${newIdentity()}`
    await fileSystem.makeDirectory(root)
    return { fileSystem, root, close: () => fileSystem.removeTree(root) }
  }
  fileSystemConformance({ describe, test, name: 'S3', open })
  logConformance({ describe, test, name: 'S3', open, damages: 8 })
})
