/** Counts the words that arrive at a socket, ten seconds at a time. Try it with `nc -lk 9999`. */
import { StreamingContext, seconds } from '@sluice/core'
import { socketTextStream } from '@sluice/source-socket'

const [host = 'localhost', port = '9999'] = process.argv.slice(2)

const ssc = new StreamingContext({ appName: 'word-count', batchInterval: seconds(10) })
const counts = socketTextStream(ssc, { host, port: Number(port) })
  .flatMap((line) => line.split(' '))
  .map((word) => [word, 1])
  .filter(([word]) => word !== '')
  .reduceByKey((a, b) => a + b)
counts.print()
counts.saveAsTextFiles('out/wc', 'batch')
await ssc.start()
await ssc.awaitTermination() // rejects with the error that ended the application
