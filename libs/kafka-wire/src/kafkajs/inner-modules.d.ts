/** Modules of kafkajs 2.2.4 that it does not publish. Its version is pinned, and `inner.test.ts` looks whether they are there. */
declare module 'kafkajs/src/protocol/encoder.js' {
  export default class Encoder {
    writeBuffer(bytes: Buffer): Encoder
  }
}
declare module 'kafkajs/src/protocol/error.js' {
  const module: { createErrorFromCode(code: number): Error }
  export default module
}
declare module 'kafkajs/src/network/requestQueue/index.js' {
  const RequestQueue: {
    readonly prototype: {
      readonly pending: readonly unknown[]
      readonly inflight: ReadonlyMap<number, unknown>
      readonly requestTimeoutIntervalId?: NodeJS.Timeout
      scheduleCheckPendingRequests(): void
      scheduleRequestTimeoutCheck(): void
      destroy(): void
    }
  }
  export default RequestQueue
}
declare module 'kafkajs/src/network/socketFactory.js' {
  import type { ISocketFactory } from 'kafkajs'
  const socketFactory: () => ISocketFactory
  export default socketFactory
}
declare module 'kafkajs/src/network/connection.js' {
  const Connection: { readonly prototype: object }
  export default Connection
}
