/** An app that waits while it loads, with nothing of Sluice to wait for. Its driver is a test. */
await new Promise(() => undefined)
