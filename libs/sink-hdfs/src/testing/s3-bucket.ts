/** A bucket for tests. */
import { CreateBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import type { S3Values } from '@sluice/services'

export function configOf({ endpoint, accessKeyId, secretAccessKey }: S3Values): S3ClientConfig {
  return { endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } }
}

/** Makes the bucket that all tests share, unless it is there. */
export async function makeBucket(values: S3Values, bucket = 'sluice-tests'): Promise<string> {
  const client = new S3Client(configOf(values))
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
  } catch (error) {
    if (!(error instanceof Error && /^Bucket(AlreadyOwnedByYou|AlreadyExists)$/.test(error.name))) throw error
  } finally {
    client.destroy()
  }
  return bucket
}
