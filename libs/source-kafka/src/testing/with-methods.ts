/** A client of Kafka that does some things in another way. */
import type { KafkaClient } from '@sluice/kafka-wire'

/** The client with some of its methods in another form. */
export function withMethods(client: KafkaClient, methods: Partial<KafkaClient>): KafkaClient {
  return new Proxy(client, {
    get(target, name) {
      const own = methods[name as keyof KafkaClient]
      if (own !== undefined) return own
      const value: unknown = target[name as keyof KafkaClient]
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
