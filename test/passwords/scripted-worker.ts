/** A worker that does what it is told: echo, say how many jobs it has seen, wait for a signal, or die. */
import { parentPort } from 'node:worker_threads'

let seen = 0

parentPort?.on(
  'message',
  (job: { do: 'echo' | 'throw' | 'exit' | 'wait'; until?: Int32Array; say?: string }) => {
    seen++
    if (job.do === 'throw') throw new Error('on purpose')
    if (job.do === 'exit') process.exit(3)
    if (job.do === 'wait' && job.until !== undefined) Atomics.wait(job.until, 0, 0, 10_000)
    parentPort?.postMessage({ say: job.say, seen })
  },
)
