/**
 * Loaded into the daemon before its own code (`--import`): on `snapshot` from its parent it writes down everything that is alive, of
 * the main thread and of each worker, and says where. V8 collects all garbage before it takes one.
 */
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setFlagsFromString, writeHeapSnapshot } from 'node:v8'
import type { Worker } from 'node:worker_threads'

// Longer strings are cut off in a snapshot, and what is looked for may stand behind.
setFlagsFromString('--heap-snapshot-string-limit=1000000')
const folder = process.env.HEAP_PROBE_FOLDER ?? '.'
const workers = new Set<Worker>()
process.on('worker', (worker: Worker) => {
  workers.add(worker)
  worker.once('exit', () => workers.delete(worker))
})
let count = 0

process.on('message', async message => {
  if (message !== 'snapshot') return
  count++
  const files = [writeHeapSnapshot(join(folder, `main-${count}.heapsnapshot`))]
  let number = 0
  for (const worker of workers) {
    const file = join(folder, `worker-${count}-${++number}.heapsnapshot`)
    await pipeline(await worker.getHeapSnapshot(), createWriteStream(file))
    files.push(file)
  }
  process.send?.({ files })
})
// The daemon ends when it wants to.
process.channel?.unref()
