/** `kafka-sasl`: a broker to which clients log in over TLS, by PLAIN or SCRAM. */
import { readFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { ServiceModule, StartContext } from '../service.js'
import { planBrokers } from './broker.js'
import { askBroker, warmUp, type KafkaSaslValues } from './client.js'
import { jdkCommand, run } from './java.js'
import { fetchKafka } from './install.js'
import { KAFKA_VERSION, kafkaMissing } from './jars.js'
import { requireAddresses, startBrokers, type KafkaOptions } from './kafka.js'

const USERNAME = 'sluice'
const LISTENER = 'SASL_SSL'
const SCRAM = ['SCRAM-SHA-256', 'SCRAM-SHA-512']

export const kafkaSaslService: ServiceModule<KafkaSaslValues, Pick<KafkaOptions, 'properties'>> = {
  name: 'kafka-sasl',
  summary: `Kafka ${KAFKA_VERSION}, one broker with SASL_SSL (PLAIN, SCRAM)`,
  environmentVariable: 'SLUICE_KAFKA_SASL',
  fromEnvironment: (bootstrap) => {
    const caFile = variable('SLUICE_KAFKA_SASL_CA')
    return {
      bootstrap: requireAddresses(bootstrap),
      ca: readFileSync(caFile, 'utf8'),
      caFile,
      username: variable('SLUICE_KAFKA_SASL_USERNAME'),
      password: variable('SLUICE_KAFKA_SASL_PASSWORD'),
    }
  },
  missing: kafkaMissing,
  fetch: fetchKafka,
  start,
}

function variable(name: string): string {
  const value = process.env[name] ?? ''
  if (value === '') throw new Error(`${name} is not set, and it is needed beside SLUICE_KAFKA_SASL`)
  return value
}

async function start(context: StartContext, { properties = {} }: Partial<KafkaOptions>): Promise<KafkaSaslValues> {
  const { folder } = context
  const password = randomBytes(12).toString('hex')
  const keys = await makeKeys(folder, password)
  const [plan] = await planBrokers({
    folder,
    brokers: 1,
    listener: { name: LISTENER, protocol: 'SASL_SSL' },
    properties: { ...loginSettings(keys.store, password), ...properties },
  })
  if (plan?.clientAddress === undefined) throw new Error('a broker without a listener for clients')
  const users = SCRAM.flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${USERNAME},password=${password}]`])
  await startBrokers([plan], context, users)
  const ca = await readFile(keys.certificate, 'utf8')
  const values = { bootstrap: plan.clientAddress, ca, caFile: keys.certificate, username: USERNAME, password }
  // Logs in once, so that the certificate and the users are known to be right.
  await askBroker(values, plan.nodeId)
  await warmUp(values)
  return values
}

/** A key with a certificate that it has signed itself, for 127.0.0.1 and localhost, and the certificate alone. */
async function makeKeys(folder: string, password: string): Promise<{ store: string; certificate: string }> {
  const store = join(folder, 'broker.p12')
  const certificate = join(folder, 'ca.pem')
  const common = ['-alias', 'broker', '-keystore', store, '-storetype', 'PKCS12', '-storepass', password]
  const subject = ['-dname', 'CN=127.0.0.1', '-ext', 'san=ip:127.0.0.1,dns:localhost', '-ext', 'bc:c']
  const key = ['-keyalg', 'RSA', '-keysize', '2048', '-validity', '30']
  await run(jdkCommand('keytool'), ['-genkeypair', ...common, ...key, ...subject])
  await run(jdkCommand('keytool'), ['-exportcert', '-rfc', '-file', certificate, ...common])
  return { store, certificate }
}

function loginSettings(store: string, password: string): Record<string, string> {
  const prefix = `listener.name.${LISTENER.toLowerCase()}`
  const security = 'org.apache.kafka.common.security'
  const login = `username="${USERNAME}" password="${password}" user_${USERNAME}="${password}"`
  const scram = SCRAM.map((mechanism) => [
    `${prefix}.${mechanism.toLowerCase()}.sasl.jaas.config`,
    `${security}.scram.ScramLoginModule required;`,
  ])
  return {
    [`${prefix}.ssl.keystore.type`]: 'PKCS12',
    [`${prefix}.ssl.keystore.location`]: store,
    [`${prefix}.ssl.keystore.password`]: password,
    [`${prefix}.sasl.enabled.mechanisms`]: ['PLAIN', ...SCRAM].join(','),
    [`${prefix}.plain.sasl.jaas.config`]: `${security}.plain.PlainLoginModule required ${login};`,
    ...Object.fromEntries(scram),
  }
}
