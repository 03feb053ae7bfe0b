/** From options to connections. */
import type { RedisOptions } from 'ioredis'
import type { Connector } from './connection.js'
import { redisError } from './errors.js'
import { clusterConnector, givenIoredis, sentinelConnector, urlConnector, type GivenIoredis } from './ioredis.js'
import { givenNodeRedis, type GivenNodeRedis } from './node-redis.js'
import type { RedisClient, RedisPlace } from './redis-sink.config.js'

/** Throws `ARGUMENT_INVALID` for a client that nothing is known of. Connects to nothing yet. */
export function connectorOf(place: RedisPlace): Connector {
  if ('client' in place && place.client !== undefined) return clientConnector(place.client)
  if ('cluster' in place && place.cluster !== undefined) return clusterConnector(place.cluster, place.options)
  if ('sentinels' in place && place.sentinels !== undefined) return sentinelConnector(place)
  const { url, options } = place as { url: string; options?: RedisOptions }
  return urlConnector(url, options)
}

function clientConnector(client: RedisClient | null): Connector {
  const label = 'the server of the given client'
  if (typeof client?.call === 'function') return givenIoredis(client as GivenIoredis, label)
  if (typeof client?.sendCommand === 'function') return givenNodeRedis(client as GivenNodeRedis, label)
  throw redisError(
    'ARGUMENT_INVALID',
    'the client has neither `call` nor `sendCommand`; give one of ioredis or node-redis',
  )
}
