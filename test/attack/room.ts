/** What this process really takes, beside what a store accounts for. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

export interface Room {
  readonly heapBytes: number
  readonly rssBytes: number
}

/** After everything that nobody holds any more has been collected. */
export function measureRoom(): Room {
  // The first pass runs finalizers, whose garbage the second one takes.
  collect()
  collect()
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage()
  return { heapBytes: heapUsed + Math.max(external, arrayBuffers), rssBytes: rss }
}
