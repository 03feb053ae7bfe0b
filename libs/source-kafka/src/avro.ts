/** @sluice/source-kafka/avro: values in Avro whose schemas stand in a schema registry. Needs the package `avsc`. */
export { avro, type AvroOptions } from './decode/avro.js'
export { schemaRegistry, type SchemaRegistryOptions } from './decode/schema-registry.js'
