import fc from 'fast-check'
import type { Test } from 'tap'
import type { Limit } from '../../src/lockout/policy.ts'
import { type Counter, type Ending, LEASE_MS, type LockoutStore } from '../../src/lockout/store.ts'

export interface StoreUnderTest {
  readonly store: LockoutStore
  /** The store's time moves on. */
  advance(durationMs: number): void | Promise<void>
}

const LIMIT: Limit = { maxAttempts: 3, windowMs: 20_000, durationMs: 5_000 }
const NOTHING: Ending = { failed: [], cleared: [] }

function counter(key: string, limit = LIMIT): Counter {
  return { key, limit }
}

const a = counter('a')
const b = counter('b')

async function reserve(store: LockoutStore, ...counters: [Counter, ...Counter[]]): Promise<string> {
  const answer = await store.reserve(counters)
  if (answer.outcome !== 'reserved') throw new Error(answer.outcome)
  return answer.lease
}

async function guess(store: LockoutStore, ...counters: [Counter, ...Counter[]]): Promise<boolean> {
  const lease = await reserve(store, ...counters)
  return (await store.end(lease, { failed: counters, cleared: [] })).locked
}

/**
 * What every store of the lockout must show.
 *
 * @param open makes an empty store with room for 100 keys and more
 */
export function storeConformance(t: Test, open: (t: Test) => Promise<StoreUnderTest>): void {
  t.test('the limit-th failure locks, and says so once', async t => {
    const { store, advance } = await open(t)
    t.strictSame([await guess(store, a), await guess(store, a), await guess(store, a)], [false, false, true])
    await advance(1_000)
    t.strictSame(await store.reserve([a]), { outcome: 'locked', retryAfterMs: 4_000 })
    t.equal((await store.reserve([b])).outcome, 'reserved', 'other keys are free')
    await advance(4_000)
    t.equal(await guess(store, a), false, 'afterwards the count starts afresh')
  })

  t.test('inspecting tells failures, places and locks, and changes nothing', async t => {
    const { store, advance } = await open(t)
    const fresh = { failures: 0, limit: 3, inFlight: 0 }
    t.strictSame(await store.inspect([a, b]), [fresh, fresh])
    await guess(store, a)
    await reserve(store, a)
    for (let i = 0; i < 10; i++) {
      t.strictSame(await store.inspect([b, a]), [fresh, { failures: 1, limit: 3, inFlight: 1 }])
    }
    await guess(store, a)
    t.equal((await store.reserve([a])).outcome, 'no_place', 'two failures and one place')
    const one = counter('one', { ...LIMIT, maxAttempts: 1 })
    t.equal(await guess(store, one), true)
    await advance(1_000)
    t.strictSame(await store.inspect([one]), [{ failures: 0, limit: 1, inFlight: 0, lockedForMs: 4_000 }])
    await advance(4_000)
    t.strictSame(await store.inspect([one]), [{ failures: 0, limit: 1, inFlight: 0 }])
  })

  t.test('a place is taken on every key or on none', async t => {
    const { store } = await open(t)
    for (let i = 0; i < 3; i++) await reserve(store, a)
    t.strictSame(await store.reserve([b, a]), { outcome: 'no_place', key: 'a' })
    for (let i = 0; i < 3; i++) t.equal((await store.reserve([b])).outcome, 'reserved', `b has place ${i}`)
    t.strictSame(await store.reserve([b, a]), { outcome: 'no_place', key: 'b' }, 'the first crowded key')
  })

  t.test('a lock goes before a crowd, and the longest lock is told', async t => {
    const { store } = await open(t)
    const long = counter('long', { ...LIMIT, maxAttempts: 1, durationMs: 9_000 })
    const short = counter('short', { ...LIMIT, maxAttempts: 1 })
    for (let i = 0; i < 3; i++) await reserve(store, a)
    t.equal(await guess(store, long), true)
    t.equal(await guess(store, short), true)
    t.strictSame(await store.reserve([a, short, long, b]), { outcome: 'locked', retryAfterMs: 9_000 })
  })

  t.test('a thousand at once get as many places as the limit allows', async t => {
    const { store } = await open(t)
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => store.reserve([a])))
    t.equal(answers.filter(answer => answer.outcome === 'reserved').length, 3)
    t.equal(answers.filter(answer => answer.outcome === 'no_place').length, 997)
  })

  t.test('a lease ends once', async t => {
    const { store } = await open(t)
    const lease = await reserve(store, a)
    await reserve(store, a)
    await store.end(lease, NOTHING)
    for (let i = 0; i < 5; i++) {
      t.strictSame(await store.end(lease, { failed: [a, a, a], cleared: ['a'] }), { locked: false })
    }
    await store.end('no such lease', { failed: [a, a, a], cleared: [] })
    const second = await reserve(store, a)
    await reserve(store, a)
    t.equal((await store.reserve([a])).outcome, 'no_place', 'one place came back, not six')
    await store.end(second, NOTHING)
    t.equal((await store.reserve([a])).outcome, 'reserved', 'and nothing was counted')
  })

  t.test('clearing frees just the keys it names, and beats counting', async t => {
    const { store } = await open(t)
    await guess(store, a, b)
    await guess(store, a, b)
    const lease = await reserve(store, a, b)
    t.equal((await store.end(lease, { failed: [a], cleared: ['a'] })).locked, false)
    t.equal(await guess(store, a), false)
    t.equal(await guess(store, a), false)
    t.equal(await guess(store, b), true, 'b still remembers two')
  })

  t.test('an end without failures counts nothing', async t => {
    const { store } = await open(t)
    for (let i = 0; i < 20; i++) await store.end(await reserve(store, a, b), NOTHING)
    t.equal((await store.reserve([a, b])).outcome, 'reserved')
  })

  t.test('failures on a key that the lease does not hold are counted', async t => {
    const { store } = await open(t)
    for (let i = 0; i < 2; i++) await store.end(await reserve(store, a), { failed: [b], cleared: [] })
    t.equal((await store.end(await reserve(store, a), { failed: [b], cleared: [] })).locked, true)
    t.equal((await store.reserve([b])).outcome, 'locked')
    t.equal((await store.reserve([a])).outcome, 'reserved')
  })

  t.test('a lease takes further places, each key once', async t => {
    const { store } = await open(t)
    const lease = await reserve(store, a)
    t.equal((await store.extend(lease, b)).outcome, 'extended')
    t.equal((await store.extend(lease, b)).outcome, 'extended')
    t.equal((await store.extend(lease, a)).outcome, 'extended', 'held from the start')
    await reserve(store, b)
    await reserve(store, b)
    const other = await reserve(store, a)
    t.strictSame(await store.extend(other, b), { outcome: 'no_place', key: 'b' })
    await store.end(lease, NOTHING)
    t.equal((await store.extend(other, b)).outcome, 'extended', 'the place came back with the lease')
    t.strictSame(await store.extend(lease, b), { outcome: 'lease_over' })
  })

  t.test('a lease that nobody ends counts as a failure on each of its keys', async t => {
    const { store, advance } = await open(t)
    const slow = { ...LIMIT, windowMs: 10 * LEASE_MS, durationMs: 10 * LEASE_MS }
    const [name, subject] = [counter('name', slow), counter('subject', slow)]
    const lost = await reserve(store, name)
    await store.extend(lost, subject)
    await reserve(store, name)
    await reserve(store, name)
    t.equal((await store.reserve([name])).outcome, 'no_place')
    await advance(LEASE_MS - 1)
    t.equal((await store.reserve([name])).outcome, 'no_place')
    await advance(1)
    t.equal((await store.reserve([name])).outcome, 'locked')
    t.strictSame(await store.extend(lost, subject), { outcome: 'lease_over' })
    t.strictSame(await store.end(lost, { failed: [], cleared: ['name', 'subject'] }), { locked: false })
    t.equal((await store.reserve([name])).outcome, 'locked', 'ending it late frees nothing')
    t.equal(await guess(store, subject), false)
    t.equal(await guess(store, subject), true, 'the third with the lost one')
  })

  t.test(
    'any interleaving: what the model admits is admitted, and guesses stay within the limit',
    async t => {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { maxLength: 80 }), async commands => {
          await compareWithModel(await open(t), commands)
        }),
        { numRuns: 200 },
      )
      t.pass()
    },
  )
}

const KEYS = ['x', 'y', 'z'] as const
const LIMITS: Record<string, Limit> = {
  x: { maxAttempts: 1, windowMs: 9_000, durationMs: 4_000 },
  y: { maxAttempts: 2, windowMs: 3_000, durationMs: 7_000 },
  z: { maxAttempts: 4, windowMs: 40_000, durationMs: 20_000 },
}
const someKeys = fc.uniqueArray(fc.constantFrom(...KEYS), { minLength: 1 })

const command = fc.oneof(
  fc.record({ do: fc.constant('reserve' as const), keys: someKeys }),
  fc.record({ do: fc.constant('extend' as const), which: fc.nat(), key: fc.constantFrom(...KEYS) }),
  fc.record({ do: fc.constant('fail' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('release' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('clear' as const), which: fc.nat(), key: fc.constantFrom(...KEYS) }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 25_000 }) }),
)
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never

/** The same rules, told as a history: who holds what, and what happened when. */
async function compareWithModel({ store, advance }: StoreUnderTest, commands: readonly Command[]) {
  let now = 0
  const open: { id: string; keys: Set<string>; since: number }[] = []
  const history: { key: string; at: number; what: 'failure' | 'lock' | 'clear' }[] = []
  const guesses: { key: string; at: number }[] = []
  const limitOf = (key: string): Limit => LIMITS[key] ?? LIMIT
  const asCounter = (key: string): Counter => ({ key, limit: limitOf(key) })

  const lockEnd = (key: string) => {
    const lock = history.findLast(event => event.key === key && event.what === 'lock')
    return lock === undefined ? Number.NEGATIVE_INFINITY : lock.at + limitOf(key).durationMs
  }
  const counted = (key: string) => {
    const own = history.filter(event => event.key === key)
    const since = own.findLastIndex(event => event.what !== 'failure')
    return own.slice(since + 1).filter(({ at }) => at + limitOf(key).windowMs > now).length
  }
  const inFlight = (key: string) => open.filter(lease => lease.keys.has(key)).length
  const free = (key: string) => lockEnd(key) <= now && counted(key) + inFlight(key) < limitOf(key).maxAttempts
  const failAll = (keys: Iterable<string>) => {
    for (const key of keys) {
      guesses.push({ key, at: now })
      if (lockEnd(key) > now) continue
      history.push({ key, at: now, what: 'failure' })
      if (counted(key) >= limitOf(key).maxAttempts) history.push({ key, at: now, what: 'lock' })
    }
  }
  const pick = (which: number) => open.splice(which % open.length, 1)[0]

  for (const step of commands) {
    if (step.do === 'advance') {
      await advance(step.ms)
      now += step.ms
      // The store looks when it is next asked, so ask it: the model charges at once.
      await store.end('nobody', NOTHING)
      while (open[0] !== undefined && open[0].since + LEASE_MS <= now) failAll(open.shift()?.keys ?? [])
      continue
    }
    if (step.do === 'reserve') {
      const [first, ...rest] = step.keys.map(asCounter)
      if (first === undefined) continue
      const answer = await store.reserve([first, ...rest])
      const expected = step.keys.every(free)
      if ((answer.outcome === 'reserved') !== expected) throw new Error(`reserve: ${answer.outcome}`)
      if (answer.outcome === 'reserved') {
        open.push({ id: answer.lease, keys: new Set(step.keys), since: now })
      } else if ((answer.outcome === 'locked') !== step.keys.some(key => lockEnd(key) > now)) {
        throw new Error(`refused as ${answer.outcome}`)
      }
      continue
    }
    if (open.length === 0) continue
    if (step.do === 'extend') {
      const lease = open[step.which % open.length]
      if (lease === undefined) continue
      const expected = lease.keys.has(step.key) || free(step.key)
      const answer = await store.extend(lease.id, asCounter(step.key))
      if ((answer.outcome === 'extended') !== expected) throw new Error(`extend: ${answer.outcome}`)
      if (expected) lease.keys.add(step.key)
      continue
    }
    const lease = pick(step.which)
    if (lease === undefined) continue
    const failed = step.do === 'fail' ? Array.from(lease.keys, asCounter) : []
    await store.end(lease.id, { failed, cleared: step.do === 'clear' ? [step.key] : [] })
    if (step.do === 'fail') failAll(lease.keys)
    if (step.do === 'clear' && lockEnd(step.key) <= now)
      history.push({ key: step.key, at: now, what: 'clear' })
  }

  for (const key of KEYS) {
    const { maxAttempts, windowMs, durationMs } = limitOf(key)
    const spanMs = Math.min(windowMs, durationMs)
    for (const [index, first] of guesses.entries()) {
      const nextClear = history.find(
        ({ key: k, what, at }) => k === key && what === 'clear' && at >= first.at,
      )
      const untilMs = Math.min(first.at + spanMs, nextClear?.at ?? Number.POSITIVE_INFINITY)
      const together = guesses.slice(index).filter(guess => guess.key === key && guess.at < untilMs)
      if (together.length > maxAttempts) {
        throw new Error(`${together.length} guesses on ${key} within ${spanMs} ms`)
      }
    }
  }
}
