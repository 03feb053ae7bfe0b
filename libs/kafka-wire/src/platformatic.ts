/** @sluice/kafka-wire/platformatic: the adapter to `@platformatic/kafka`, which must be installed beside it. */
export {
  platformaticClient,
  type PlatformaticClientOptions,
  type PlatformaticLogin,
} from './platformatic/platformatic-client.js'
