import type { Receiver } from '@sluice/core'
import { SluiceError } from '@sluice/core'
import { kafkajsClient, type GroupMember, type KafkaClient } from '@sluice/kafka-wire'
import { receiverConformance, type ReceiverTarget } from '@sluice/testkit'
import { describe, test } from 'vitest'
import { string } from './decode/deserializer.js'
import { receiversOf } from './testing/group-streams.js'
import { describeOnKafka } from './testing/on-kafka.js'
import { withMethods } from './testing/with-methods.js'

/** A client that can be cut off from its brokers. */
class Cable {
  isCut = false

  through(client: KafkaClient): KafkaClient {
    const cut = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
      return (...args: A): Promise<R> => (this.isCut ? Promise.reject(lost()) : call(...args))
    }
    return withMethods(client, {
      metadata: cut(client.metadata.bind(client)),
      listOffsets: cut(client.listOffsets.bind(client)),
      fetchCommitted: cut(client.fetchCommitted.bind(client)),
      groupMember: (options): GroupMember => {
        const member = (client.groupMember as NonNullable<KafkaClient['groupMember']>)(options)
        return { join: cut(member.join.bind(member)), leave: member.leave.bind(member) }
      },
    })
  }
}

function lost(): SluiceError {
  const message = 'no connection; is the cable in?'
  return new SluiceError({ code: 'CONNECTION_FAILED', component: 'test', message, retryable: true })
}

await describeOnKafka('source-kafka: a consumer of a group', ({ kafka }) => {
  const open = async (): Promise<ReceiverTarget<string>> => {
    const [topic, group, cable] = [await kafka.topic(), kafka.name('group'), new Cable()]
    const client = kafkajsClient({ brokers: kafka.brokers })
    const [receiver] = receiversOf<Buffer, string, string>({
      client: cable.through(client),
      group,
      topics: { [topic]: 1 },
      otherwise: 'earliest',
      reliable: true,
      value: string,
      handler: ({ value }) => value ?? '',
    }).receivers as readonly [Receiver<string>]
    return {
      receiver,
      send: (records) => kafka.add(topic, records),
      held: async () => (await kafka.admin.describeGroups([group])).groups[0]?.members.length ?? 0,
      break: () => void (cable.isCut = true),
      repair: () => void (cable.isCut = false),
      close: () => client.close(),
    }
  }

  receiverConformance<string>({
    describe,
    test,
    name: 'source-kafka',
    open,
    record: (index) => `record ${String(index)}`,
    deadlineMs: 30_000,
    quietMs: 100,
  })
})
