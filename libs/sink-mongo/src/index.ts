/** @sluice/sink-mongo: a sink that writes each batch into MongoDB once. */
export {}
