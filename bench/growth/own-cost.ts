/** What work in this process costs: its own CPU, and what it leaves in memory. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Microseconds of this process's CPU, collectors and compilers beside it included, for each of so many times. */
export async function cpuMicros(times: number, work: (index: number) => unknown): Promise<number> {
  const before = process.cpuUsage()
  for (let index = 0; index < times; index++) await work(index)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / times
}

/** MiB that live now: heap and buffers. */
export function heldMiB(): number {
  // Buffers of what the first one takes away go with the second.
  collectGarbage()
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 2 ** 20
}
