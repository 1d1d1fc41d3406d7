import fc from 'fast-check'
import type { Test } from 'tap'
import { FORGET_MS, type Limit } from '../../src/lockout/policy.ts'
import { type Counter, LEASE_MS } from '../../src/lockout/store.ts'
import { runs } from '../support/runs.ts'
import {
  counter,
  endingOf,
  key,
  LIMIT,
  NOBODY,
  NOTHING,
  type Open,
  type StoreUnderTest,
} from './store-parts.ts'

/** Half seconds, while time moves by whole ones: see `LIMIT`. */
const LIMITS: Readonly<Record<string, Limit>> = {
  x: { maxAttempts: 1, windowMs: 9_500, lockMs: [4_500], afterLock: 'afresh' },
  y: { maxAttempts: 2, windowMs: 3_500, lockMs: [7_500], sinceLast: true, afterLock: 'afresh' },
  z: { maxAttempts: 4, windowMs: 40_500, lockMs: [20_500, 30_500], afterLock: 'half_open' },
  watched: { maxAttempts: 2, windowMs: 20_500, lockMs: [10_500], afterLock: 'half_open' },
}
const NAMES = Object.keys(LIMITS)

const someName = fc.constantFrom(...NAMES)
const someNames = fc.uniqueArray(someName, { minLength: 1 })
const command = fc.oneof(
  fc.record({ do: fc.constant('reserve' as const), names: someNames }),
  fc.record({ do: fc.constant('reserve' as const), names: someNames }),
  fc.record({ do: fc.constant('extend' as const), which: fc.nat(), name: someName }),
  fc.record({ do: fc.constant('fail' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('fail' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('release' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('clear' as const), which: fc.nat(), name: someName }),
  fc.record({ do: fc.constant('pass' as const), which: fc.nat(), name: someName }),
  fc.record({
    do: fc.constant('advance' as const),
    ms: fc.integer({ min: 1, max: 25 }).map(seconds => seconds * 1_000),
  }),
)
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never

/** Random histories of four keys end as the model says. */
export async function storeMatchesModel(t: Test, open: Open, byDefault: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 80 }), async commands => {
      await compare(await open(t), commands)
    }),
    { numRuns: runs(byDefault) },
  )
}

interface Event {
  readonly name: string
  readonly at: number
  readonly what: 'failure' | 'lock' | 'clear' | 'pass'
  /** Of a lock. */
  readonly until?: number
  readonly tier?: number
}

/** The rules, told as a history: who holds what, and what happened when. */
async function compare({ store, advance }: StoreUnderTest, commands: readonly Command[]): Promise<void> {
  let now = 0
  const open: { id: string; names: Set<string>; since: number }[] = []
  const history: Event[] = []
  const guesses: { name: string; at: number }[] = []
  const limitOf = (name: string): Limit => LIMITS[name] ?? LIMIT
  const asCounter = (name: string): Counter =>
    counter(name, limitOf(name), {
      watched: name === 'watched',
      kind: name === 'watched' ? 'source' : 'pair',
    })

  const since = (name: string, ...what: Event['what'][]) => {
    const own = history.filter(event => event.name === name)
    return own.slice(own.findLastIndex(event => what.includes(event.what)) + 1)
  }
  const lockOf = (name: string) => {
    const lock = since(name, 'clear').findLast(({ what }) => what === 'lock')
    return lock !== undefined && (lock.until ?? 0) + FORGET_MS > now ? lock : undefined
  }
  const lockEnd = (name: string) => lockOf(name)?.until ?? Number.NEGATIVE_INFINITY
  const isLocked = (name: string) => lockEnd(name) > now
  const isHalfOpen = (name: string) =>
    limitOf(name).afterLock === 'half_open' &&
    lockOf(name) !== undefined &&
    !isLocked(name) &&
    !since(name, 'lock').some(({ what }) => what === 'pass')
  const counted = (name: string) => {
    const { windowMs, sinceLast } = limitOf(name)
    const failures = since(name, 'lock', 'clear').filter(({ what }) => what === 'failure')
    const counts = (at = Number.NEGATIVE_INFINITY) => at + windowMs > now
    if (!sinceLast) return failures.filter(({ at }) => counts(at)).length
    // Those before a quiet window were forgotten then.
    let run = 0
    for (const [index, { at }] of failures.entries()) {
      const before = failures[index - 1]?.at
      run = before !== undefined && before + windowMs > at ? run + 1 : 1
    }
    return counts(failures.at(-1)?.at) ? run : 0
  }
  const inFlight = (name: string) => open.filter(({ names }) => names.has(name)).length
  const isFree = (name: string) =>
    !isLocked(name) && inFlight(name) < (isHalfOpen(name) ? 1 : limitOf(name).maxAttempts - counted(name))
  const isAdmitted = (name: string) => name === 'watched' || isFree(name)
  const failAll = (names: Iterable<string>) => {
    for (const name of names) {
      guesses.push({ name, at: now })
      if (isLocked(name)) continue
      const { maxAttempts, lockMs } = limitOf(name)
      const relocks = isHalfOpen(name)
      history.push({ name, at: now, what: 'failure' })
      if (!relocks && counted(name) < maxAttempts) continue
      const tier = (lockOf(name)?.tier ?? 0) + 1
      const until = now + (lockMs[Math.min(tier, lockMs.length) - 1] ?? 0)
      history.push({ name, at: now, what: 'lock', until, tier })
    }
  }
  const expect = (what: string, actual: unknown, expected: unknown) => {
    if (actual !== expected) throw new Error(`${what}: ${actual} instead of ${expected}`)
  }

  for (const step of commands) {
    if (step.do === 'advance') {
      await advance(step.ms)
      now += step.ms
      // The store looks when it is next asked, so ask it: the model charges at once.
      await store.end('nobody', NOTHING, NOBODY)
      while (open[0] !== undefined && open[0].since + LEASE_MS <= now) failAll(open.shift()?.names ?? [])
      continue
    }
    if (step.do === 'reserve') {
      const answer = await store.reserve(step.names.map(asCounter), NOBODY)
      const others = step.names.filter(name => name !== 'watched')
      if (step.names.every(isAdmitted)) {
        expect('reserve', answer.outcome, 'reserved')
        if (answer.outcome !== 'reserved') continue
        expect('ignored', answer.ignored, !step.names.every(isFree))
        open.push({ id: answer.lease, names: new Set(step.names), since: now })
      } else expect('refused', answer.outcome, others.some(isLocked) ? 'locked' : 'no_place')
      continue
    }
    if (open.length === 0) continue
    const index = step.which % open.length
    const lease = open[index]
    if (lease === undefined) continue
    if (step.do === 'extend') {
      const admitted = lease.names.has(step.name) || isAdmitted(step.name)
      const answer = await store.extend(lease.id, [asCounter(step.name)], NOBODY)
      expect('extend', answer.outcome === 'extended', admitted)
      if (admitted) lease.names.add(step.name)
      continue
    }
    open.splice(index, 1)
    const failed = step.do === 'fail' ? Array.from(lease.names, asCounter) : []
    const cleared = step.do === 'clear' ? [key(step.name)] : []
    const passed = step.do === 'pass' ? [asCounter(step.name)] : []
    const locks = history.length
    if (step.do === 'fail') failAll(lease.names)
    if (step.do === 'clear' && !isLocked(step.name)) history.push({ name: step.name, at: now, what: 'clear' })
    if (step.do === 'pass' && isHalfOpen(step.name)) history.push({ name: step.name, at: now, what: 'pass' })
    const { locked } = await store.end(lease.id, endingOf({ failed, cleared, passed }), NOBODY)
    const set = history.slice(locks).filter(({ what, name }) => what === 'lock' && name !== 'watched')
    expect('locked', locked, set.length > 0)
  }

  for (const name of NAMES) {
    const [state] = await store.inspect([asCounter(name)])
    expect(`failures on ${name}`, state?.failures, isLocked(name) ? 0 : counted(name))
    expect(`places on ${name}`, state?.inFlight, inFlight(name))
    expect(`lock of ${name}`, state?.lockedForMs !== undefined, isLocked(name))
    if (name !== 'watched') checkGuesses(name)
  }

  function checkGuesses(name: string): void {
    const { maxAttempts, windowMs, lockMs } = limitOf(name)
    const spanMs = Math.min(windowMs, ...lockMs)
    const own = guesses.filter(guess => guess.name === name)
    for (const [index, first] of own.entries()) {
      const right = history.find(
        event =>
          event.name === name && (event.what === 'clear' || event.what === 'pass') && event.at >= first.at,
      )
      const untilMs = Math.min(first.at + spanMs, right?.at ?? Number.POSITIVE_INFINITY)
      const together = own.slice(index).filter(({ at }) => at < untilMs)
      if (together.length > maxAttempts) {
        throw new Error(`${together.length} guesses on ${name} within ${spanMs} ms`)
      }
    }
  }
}
