/**
 * Why what is under way is in `createInFlight` and not in a plain map (docs/adr/0012-what-is-under-way.md): entries that come and go, a
 * fixed number at a time, through a map that has grown old, and through one of ours. Each in a process of its own, by turns.
 *
 *   node bench/under-way.ts [--rounds 5] [--at 64]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createInFlight } from '../src/authentication/in-flight.ts'

interface Cost {
  readonly ms: number
  /** Of garbage collections, major ones too. */
  readonly collecting: number
}

const ENTRIES = 2_000_000
/** About what hangs on an attempt. */
const SIZE = 60
/** Allocated meanwhile: whatever is left in a map has grown old by then. */
const GARBAGE = 1_000_000

const makers = {
  'a plain map': () => new Map<number, object>(),
  'in flight': () => createInFlight<number, object>(),
} as const

async function measure(make: () => Pick<Map<number, object>, 'set' | 'delete'>, at: number): Promise<Cost> {
  const underWay = make()
  let collecting = 0
  const observer = new PerformanceObserver(list => {
    for (const { duration } of list.getEntries()) collecting += duration
  })
  observer.observe({ entryTypes: ['gc'] })
  underWay.set(-1, {})
  for (let left = GARBAGE; left > 0; left--) new Array(20).fill(left)
  const began = performance.now()
  for (let id = 0; id < ENTRIES; id++) {
    underWay.set(id, { held: new Array(SIZE).fill(id) })
    underWay.delete(id - at)
  }
  const ms = performance.now() - began
  await new Promise(resolve => setTimeout(resolve, 100))
  observer.disconnect()
  return { ms, collecting }
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    at: { type: 'string', default: '64' },
    only: { type: 'string' },
  },
})
const names = Object.keys(makers) as (keyof typeof makers)[]
const only = names.find(name => name === values.only)
if (only !== undefined) {
  process.stdout.write(JSON.stringify(await measure(makers[only] as never, Number(values.at))))
} else {
  const costs = new Map(names.map(name => [name, [] as Cost[]]))
  for (let round = Number(values.rounds); round > 0; round--) {
    for (const name of names) {
      const args = [fileURLToPath(import.meta.url), '--only', name, '--at', values.at]
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      const [[text]] = await Promise.all([once(child.stdout, 'data'), once(child, 'exit')])
      costs.get(name)?.push(JSON.parse(String(text)))
    }
  }
  for (const [name, all] of costs) {
    const [ms, collecting] = [median(all.map(each => each.ms)), median(all.map(each => each.collecting))]
    const perEntry = ((ms * 1_000) / ENTRIES).toFixed(3)
    process.stdout.write(
      `${name}: ${perEntry} µs an entry; ${collecting.toFixed(0)} ms of collecting in all\n`,
    )
  }
}
