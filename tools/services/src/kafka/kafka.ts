/** Kafka of one broker or of several: `kafka` and `kafka3`. */
import type { ServiceModule, StartContext } from '../service.js'
import { brokerLaunch, formatStorage, planBrokers, type BrokerPlan, type ClientListener } from './broker.js'
import { warmUp, type KafkaValues } from './client.js'
import { fetchKafka } from './install.js'
import { KAFKA_VERSION, kafkaMissing } from './jars.js'

export interface KafkaOptions {
  /** Further lines of every broker's `server.properties`; they win. */
  readonly properties: Readonly<Record<string, string>>
  /**
   * What each broker tells its clients to connect to, such as the addresses of proxies in front of them. Then `bootstrap` holds
   * these, and `targets` where the brokers listen for them: give it to `Proxy.setTarget`.
   */
  readonly advertised: readonly string[]
}

export interface KafkaServiceValues extends KafkaValues {
  /** Where each broker listens for those who come by `advertised`, separated by commas; empty without it. */
  readonly targets: string
}

export function kafkaService(kind: {
  readonly name: string
  readonly brokers: number
}): ServiceModule<KafkaServiceValues, KafkaOptions> {
  return {
    name: kind.name,
    summary: `Kafka ${KAFKA_VERSION}, ${kind.brokers === 1 ? 'one broker' : `${String(kind.brokers)} brokers`}`,
    environmentVariable: `SLUICE_${kind.name.toUpperCase()}`,
    fromEnvironment: (bootstrap) => ({ bootstrap: requireAddresses(bootstrap), targets: '' }),
    missing: kafkaMissing,
    fetch: fetchKafka,
    start: (context, options) => startCluster(kind.brokers, context, options),
  }
}

/** `host:port`, separated by commas, or an error that shows the form. */
export function requireAddresses(text: string): string {
  const isRight = text.split(',').every((address) => /^[^\s:/]+:\d+$/.test(address))
  if (!isRight) throw new Error(`'${text}' is not of the form host:port or host:port,host:port`)
  return text
}

async function startCluster(brokers: number, context: StartContext, options: Partial<KafkaOptions>) {
  const { advertised, properties = {} } = options
  const listener: ClientListener | undefined =
    advertised === undefined ? undefined : { name: 'PROXIED', protocol: 'PLAINTEXT', advertised }
  const { folder } = context
  const plans = await planBrokers({ folder, brokers, properties, ...(listener === undefined ? {} : { listener }) })
  await startBrokers(plans, context)
  const direct = plans.map(({ address }) => address).join(',')
  await warmUp({ bootstrap: direct })
  if (advertised === undefined) return { bootstrap: direct, targets: '' }
  return { bootstrap: advertised.join(','), targets: plans.map(({ clientAddress }) => clientAddress ?? '').join(',') }
}

/** Formats and starts all, and waits until each is in the cluster. */
export async function startBrokers(
  plans: readonly BrokerPlan[],
  context: StartContext,
  formatArgs: readonly string[] = [],
): Promise<void> {
  await Promise.all(plans.map((plan) => formatStorage(plan, formatArgs)))
  const launched = []
  for (const plan of plans) launched.push(await context.launch(await brokerLaunch(plan, context.logs)))
  await Promise.all(launched.map((broker) => broker.ready()))
}
