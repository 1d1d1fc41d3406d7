/**
 * Where the answers to failures wait for their time (chain.md, Timing). They go out in ticks, those of one tick in shuffled order.
 * What waits here is a promise and nothing else: the places of its attempt in the lockout and at the backends are free, and it is
 * written down.
 */
import { randomInt } from 'node:crypto'
import type { Clock } from './clock.ts'

export interface Release {
  /** Resolves at the first tick from `dueAt` on, by the clock handed in. */
  hold(dueAt: number): Promise<void>
  /** Failures that wait. */
  held(): number
  /** Answers all that wait, and lets nobody wait from then on. Idempotent. */
  flush(): void
}

export interface ReleaseParts {
  readonly clock: Clock
  /** Calls back once, not much later than after so many milliseconds. */
  readonly after?: (ms: number, call: () => void) => void
  /** A whole number from 0 to below `most`, that nobody can foretell. */
  readonly random?: (most: number) => number
}

const TICK_MS = 10
/** More than there can be connections. One more lets the oldest go before their time. */
const MOST_HELD = 10_000

export function createRelease({
  clock,
  after = (ms, call) => void setTimeout(call, ms),
  random = most => randomInt(most),
}: ReleaseParts): Release {
  /** What is due then, by the number of the tick. */
  const ticks = new Map<number, (() => void)[]>()
  let held = 0
  let ticking = false
  let flushed = false

  function tick(): void {
    ticking = false
    const now = Math.floor(clock.now() / TICK_MS)
    const due = [...ticks.keys()].filter(number => number <= now)
    for (const number of due.sort((one, other) => one - other)) letGo(number)
    tickAgain()
  }

  function tickAgain(): void {
    if (ticking || held === 0) return
    ticking = true
    after(TICK_MS - (clock.now() % TICK_MS), tick)
  }

  function letGo(number: number): void {
    const due = ticks.get(number) ?? []
    ticks.delete(number)
    held -= due.length
    for (let left = due.length; left > 0; left--) {
      const chosen = random(left)
      due[chosen]?.()
      due[chosen] = due[left - 1] as () => void
    }
  }

  return {
    hold(dueAt) {
      if (flushed) return Promise.resolve()
      if (held >= MOST_HELD) letGo(Math.min(...ticks.keys()))
      const number = Math.ceil(dueAt / TICK_MS)
      const { promise, resolve } = Promise.withResolvers<void>()
      const due = ticks.get(number)
      if (due === undefined) ticks.set(number, [resolve])
      else due.push(resolve)
      held++
      tickAgain()
      return promise
    },
    held: () => held,
    flush() {
      flushed = true
      for (const number of [...ticks.keys()]) letGo(number)
    },
  }
}
