/** What work in this process costs: its own CPU, and what it leaves in memory. */
import { setImmediate as nextTurn } from 'node:timers/promises'
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
export async function heldMiB(): Promise<number> {
  // What the caller has let go of may be held until its turn is over; buffers go with the collection after that of their owner.
  for (let times = 0; times < 3; times++) {
    await nextTurn()
    collectGarbage()
  }
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 2 ** 20
}
