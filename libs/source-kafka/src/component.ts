export const COMPONENT = 'source-kafka'
