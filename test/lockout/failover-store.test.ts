import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createFailoverStore } from '../../src/lockout/failover-store.ts'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import type { SharedStore } from '../../src/lockout/shared-store.ts'
import { LEASE_MS, type LockoutStore } from '../../src/lockout/store.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { createLogRecorder, type LogRecorder } from '../support/log-recorder.ts'
import { startRedis } from '../support/redis.ts'
import { openRedisStore, untilReachable } from './redis/open-store.ts'
import { storeConformance } from './store-conformance.ts'
import {
  account,
  counter,
  endingOf,
  guess,
  key,
  LIMIT,
  login,
  NOBODY,
  NOTHING,
  place,
  reserve,
  retryAfter,
} from './store-parts.ts'

const redis = await startRedis(t)
const a = counter('a')
const six = counter('six', { ...LIMIT, maxAttempts: 6 })
const away = { name: 'UnavailableError', phase: 'lookup' }

interface Replica {
  readonly store: LockoutStore
  readonly shared: SharedStore
  readonly log: LogRecorder
}

interface Setting {
  readonly replicas?: number
  readonly onFailure?: 'local' | 'closed'
  readonly timeoutMs?: number
}

function openReplica(t: Test, clock: FakeClock, setting: Setting = {}): Replica {
  const { replicas = 2, onFailure = 'local', timeoutMs = 5_000 } = setting
  const log = createLogRecorder()
  const shared = openRedisStore(t, redis, { timeoutMs })
  const local = createMemoryStore({ clock, log, bytes: 8 * 1024 * 1024 })
  const store = createFailoverStore({ shared, local, replicas, onFailure, clock, log })
  t.teardown(() => store.close())
  return { store, shared, log }
}

/** An empty Redis, and time that moves for everybody at once. */
async function begin(): Promise<FakeClock> {
  await redis.start()
  await redis.command('FLUSHALL')
  const clock = createFakeClock()
  return {
    ...clock,
    advance(durationMs) {
      clock.advance(durationMs)
      redis.advance(durationMs)
    },
  }
}

/** Redis is gone, and the replica knows. */
async function lose({ store }: Replica): Promise<void> {
  await redis.stop()
  await reserve(store, counter('whatever')).catch(() => {})
}

/** Redis is there again, empty, and will be asked next. */
async function restore(clock: FakeClock, ...replicas: Replica[]): Promise<void> {
  await redis.start()
  for (const { shared } of replicas) await untilReachable(shared)
  clock.advance(1_000)
}

async function failTimes(store: LockoutStore, times: number, ...places: Parameters<typeof guess>[1][]) {
  for (let i = 0; i < times; i++) await guess(store, ...places)
}

t.test('with the shared store', async t => {
  const open = async (t: Test) => {
    const clock = await begin()
    return { store: openReplica(t, clock).store, advance: clock.advance }
  }
  storeConformance(t, open, { runs: 10 })
})

t.test('without the shared store, alone', async t => {
  const open = async (t: Test) => {
    const clock = await begin()
    const replica = openReplica(t, clock, { replicas: 1 })
    await lose(replica)
    const { store } = replica
    // The one thing in which it is no store like any other.
    const report = () => ({ ...store.report(), reachable: !store.report().reachable })
    return { store: { ...store, report }, advance: clock.advance }
  }
  storeConformance(t, open, { runs: 10 })
})

t.test('without the shared store each replica has its part of the limits', async t => {
  const clock = await begin()
  const replicas = [1, 2, 3].map(() => openReplica(t, clock, { replicas: 3 }))
  await redis.stop()
  const nine = counter('nine', { ...LIMIT, maxAttempts: 9 })
  for (const { store } of replicas) {
    t.strictSame(
      [await guess(store, nine), await guess(store, nine), await guess(store, nine)],
      [false, false, true],
    )
    t.equal((await reserve(store, nine)).outcome, 'locked')
    t.equal(await guess(store, counter('two', { ...LIMIT, maxAttempts: 2 })), true, 'at least one')
    const source = (name: string) =>
      counter('source', { ...LIMIT, maxAttempts: 90, accounts: 6 }, { kind: 'source', account: key(name) })
    t.strictSame(
      [await guess(store, source('x')), await guess(store, source('y'))],
      [false, true],
      'accounts, too',
    )
  }
})

t.test('what it saw before counts when the shared store has gone', async t => {
  const clock = await begin()
  const replica = openReplica(t, clock)
  const { store } = replica
  await failTimes(store, 2, six)
  await failTimes(store, 3, a)
  await lose(replica)
  retryAfter(t, await reserve(store, a), 5_500)
  t.match(await store.inspect([six]), [{ failures: 2, limit: 3 }])
  t.equal(await guess(store, six), true, 'the third of three')
  t.match(new Set((await store.list(9)).map(lock => lock.key)), new Set([key('a'), key('six')]))
})

t.test('its going and its coming back are logged once, and it has a second of peace', async t => {
  const clock = await begin()
  const replica = openReplica(t, clock)
  const { store, shared, log } = replica
  await guess(store, six)
  t.equal(store.report().reachable, true)
  await lose(replica)
  for (let i = 0; i < 5; i++) await reserve(store, counter(`other ${i}`))
  clock.advance(1_000)
  await reserve(store, counter('in vain'))
  t.equal(store.report().reachable, false)
  t.equal(log.at('error').length, 1)
  t.strictSame(log.at('warn'), [])
  await redis.start()
  await untilReachable(shared)
  await guess(store, six)
  t.match(await shared.inspect([six]), [{ failures: 0 }], 'not yet')
  clock.advance(1_000)
  await guess(store, six)
  t.match(await shared.inspect([six]), [{ failures: 1 }])
  t.equal(store.report().reachable, true)
  t.equal(log.at('warn').length, 1)
  t.equal(log.at('error').length, 1)
})

t.test('closed: nobody is let in without the shared store', async t => {
  const clock = await begin()
  const replica = openReplica(t, clock, { onFailure: 'closed' })
  const { store } = replica
  const lease = await place(store, a)
  await redis.stop()
  await t.rejects(reserve(store, six), away)
  await t.rejects(store.extend(lease, [six], NOBODY), away)
  await t.rejects(store.inspect([a]), away)
  await t.rejects(store.list(9), away)
  await t.rejects(store.pardon({ of: 'pair', keys: [a.key] }), away)
  t.strictSame(await store.end(lease, endingOf({ failed: [a] }), NOBODY), { locked: false }, 'told later')
  await restore(clock, replica)
  t.equal((await reserve(store, six)).outcome, 'reserved')
})

t.test('an end that the shared store could not take is told as soon as it can', async t => {
  const clock = await begin()
  const { store, shared } = openReplica(t, clock, { timeoutMs: 200 })
  await untilReachable(shared)
  const slow = counter('slow', { ...LIMIT, maxAttempts: 6, windowMs: 10 * LEASE_MS })
  const lease = await place(store, slow)
  redis.freeze()
  t.strictSame(await store.end(lease, endingOf({ failed: [slow] }), NOBODY), { locked: false })
  redis.thaw()
  await untilReachable(shared)
  clock.advance(1_000)
  await reserve(store, a)
  while ((await shared.inspect([slow]))[0]?.failures !== 1) await pause(5)
  clock.advance(LEASE_MS)
  t.match(await shared.inspect([slow]), [{ failures: 1, inFlight: 0 }])
})

t.test('a lease opened without the shared store ends without it', async t => {
  const clock = await begin()
  const replica = openReplica(t, clock)
  const { store, shared } = replica
  await lose(replica)
  const lease = await place(store, six)
  await restore(clock, replica)
  await reserve(store, a)
  t.match(await store.extend(lease, [counter('more', six.limit)], NOBODY), { outcome: 'extended' })
  await store.end(lease, endingOf({ failed: [six, six, six] }), NOBODY)
  t.match(await shared.inspect([six]), [{ failures: 0, inFlight: 0 }])
  retryAfter(t, await reserve(store, six), 5_500)
})

t.test('a lease goes on when the shared store goes under it', async t => {
  const clock = await begin()
  const replica = openReplica(t, clock)
  const { store } = replica
  const lease = await place(store, six)
  await redis.stop()
  t.match(await store.extend(lease, [counter('more', six.limit)], NOBODY), { outcome: 'extended' })
  t.match(await store.inspect([six, counter('more', six.limit)]), [
    { inFlight: 1 },
    { inFlight: 1, limit: 3 },
  ])
  t.strictSame(await store.end(lease, endingOf({ failed: [six, six, six] }), NOBODY), { locked: true })
  t.strictSame(await store.end(lease, endingOf({ failed: [a, a, a] }), NOBODY), { locked: false }, 'once')
  t.match(await store.inspect([six, a]), [{ inFlight: 0 }, { failures: 0 }])
})

t.test('a lease that only the shared store gave goes on here when that goes', async t => {
  const clock = await begin()
  const [here, elsewhere] = [openReplica(t, clock), openReplica(t, clock)]
  await guess(here.store, counter('first'))
  clock.advance(6_000)
  await failTimes(here.store, 2, a)
  await elsewhere.store.end(await place(elsewhere.store, a), endingOf({ cleared: [a.key] }), NOBODY)
  await guess(here.store, a)
  const lease = await place(here.store, a)
  await redis.stop()
  const one = counter('one', { ...LIMIT, maxAttempts: 2 })
  t.match(await here.store.extend(lease, [one], NOBODY), { outcome: 'extended', ignored: false })
  t.strictSame(await here.store.extend(lease, [a], NOBODY), { outcome: 'locked', retryAfterMs: 5_500 })
  t.match(await here.store.inspect([one]), [{ inFlight: 1, limit: 1 }])
  t.strictSame(await here.store.end(lease, endingOf({ failed: [one] }), NOBODY), { locked: true })
  t.match(await here.store.inspect([one]), [{ inFlight: 0 }])
})

t.test('a lock holds here though the shared store came back empty', async t => {
  const clock = await begin()
  const replica = openReplica(t, clock)
  const { store, shared } = replica
  await failTimes(store, 3, a)
  await lose(replica)
  await restore(clock, replica)
  retryAfter(t, await reserve(store, a), 4_500)
  const lease = await place(store, counter('b'))
  t.equal((await store.extend(lease, [a], NOBODY)).outcome, 'locked')
  t.match(await store.inspect([a]), [{ lockedForMs: 4_500 }])
  t.match(await store.list(9), [{ key: a.key }])
  t.match(await shared.inspect([a]), [{ failures: 0 }])
  await store.end(lease, NOTHING, NOBODY)
  t.match(await shared.inspect([a]), [{ inFlight: 0 }], 'no place was left behind')
  clock.advance(4_500)
  t.equal((await reserve(store, a)).outcome, 'reserved')
})

t.test('what was counted here holds as well, also for many who come at once', async t => {
  const clock = await begin()
  const replica = openReplica(t, clock)
  const { store, shared } = replica
  await failTimes(store, 2, a)
  await lose(replica)
  await restore(clock, replica)
  t.match(await reserve(store, counter('who finds it back')), { outcome: 'reserved' })
  const answers = await Promise.all(Array.from({ length: 5 }, () => reserve(store, a)))
  const refused = { outcome: 'no_place', key: a.key }
  t.match(answers, [{ outcome: 'reserved' }, ...Array(4).fill(refused)])
  const lease = await place(store, counter('b'))
  t.strictSame(await store.extend(lease, [a], NOBODY), refused)
  await store.end(lease, NOTHING, NOBODY)
  t.match(await shared.inspect([a]), [{ failures: 0, inFlight: 1 }], 'no place was left behind')
})

t.test('a lock holds here though the shared store was emptied unnoticed', async t => {
  const clock = await begin()
  const { store } = openReplica(t, clock)
  clock.advance(60_000)
  await failTimes(store, 3, a)
  await redis.command('FLUSHALL')
  retryAfter(t, await reserve(store, a), 5_500)
})

t.test(
  'else the shared store knows better: a right password elsewhere cleared what was counted here',
  async t => {
    const clock = await begin()
    const [here, elsewhere] = [openReplica(t, clock), openReplica(t, clock)]
    await guess(here.store, counter('first'))
    clock.advance(6_000)
    await failTimes(here.store, 2, a)
    await elsewhere.store.end(await place(elsewhere.store, a), endingOf({ cleared: [a.key] }), NOBODY)
    t.equal(await guess(here.store, a), false)
    t.match(await reserve(here.store, a), { outcome: 'reserved' })
    t.match(await here.store.inspect([a]), [{ failures: 1 }])
    t.strictSame(await here.store.list(9), [])
  },
)

t.test('a pardon at one replica reaches the others', async t => {
  const clock = await begin()
  const [here, elsewhere] = [openReplica(t, clock), openReplica(t, clock)]
  const long = counter('long', { ...LIMIT, lockMs: [600_000] }, { owner: key('alice') })
  await failTimes(here.store, 3, long)
  t.match(await elsewhere.store.pardon({ of: 'account', profiles: [key('alice')] }), [{ key: long.key }])
  t.equal((await reserve(here.store, long)).outcome, 'reserved')
  // Also in its own counts, as they are when the shared store has gone.
  await lose(here)
  t.match(await here.store.inspect([long]), [{ failures: 0, inFlight: 1 }])
  t.strictSame(await here.store.list(9), [])
})

t.test('a pardon without the shared store holds here at once, and there as soon as it is told', async t => {
  const clock = await begin()
  const { store, shared } = openReplica(t, clock, { timeoutMs: 200 })
  await untilReachable(shared)
  await failTimes(store, 3, a)
  redis.freeze()
  t.match(await store.pardon({ of: 'pair', keys: [a.key] }), [{ key: a.key }])
  t.equal((await reserve(store, a)).outcome, 'reserved')
  redis.thaw()
  await untilReachable(shared)
  clock.advance(1_000)
  await reserve(store, six)
  while ((await shared.list(9)).length > 0) await pause(5)
  t.match(await reserve(store, a), { outcome: 'reserved' })
})

t.test('an owner who logged in elsewhere is not refused by a lock for strangers here', async t => {
  const clock = await begin()
  const [here, elsewhere] = [openReplica(t, clock), openReplica(t, clock)]
  const [home, stranger] = [account('alice', 'home'), account('alice', 'away')]
  await login(elsewhere.store, home)
  await failTimes(here.store, 3, stranger)
  t.equal((await reserve(here.store, stranger)).outcome, 'locked')
  t.match(await here.store.inspect([home, stranger]), [{ kind: 'familiar' }, { kind: 'unfamiliar' }])
  const lease = await place(here.store, home)
  t.match(await here.store.extend(lease, [home], NOBODY), { outcome: 'extended' })
  t.match(await here.store.inspect([home]), [{ kind: 'familiar', inFlight: 1 }])
})

t.test('a thousand guesses at once stay within the limit while the shared store goes', async t => {
  const clock = await begin()
  const replicas = [openReplica(t, clock), openReplica(t, clock)]
  const ten = counter('ten', { ...LIMIT, maxAttempts: 10 })
  let verified = 0
  const attempt = async ({ store }: Replica) => {
    const answer = await reserve(store, ten)
    if (answer.outcome !== 'reserved') return
    verified++
    await store.end(answer.lease, endingOf({ failed: [ten] }), NOBODY)
  }
  const all = Array.from({ length: 1_000 }, (_, i) => replicas[i % 2]).flatMap(one => one ?? [])
  await Promise.all(all.slice(0, 500).map(attempt))
  const before = verified
  await Promise.all([redis.stop(), ...all.slice(500).map(attempt)])
  t.equal(before, 10)
  // The five of one that had none of the ten, at the worst.
  t.ok(verified <= 15, `${verified}`)
})

t.test('there is at least one replica', async t => {
  const clock = await begin()
  for (const replicas of [0, -1, 1.5, Number.NaN]) {
    t.throws(() => openReplica(t, clock, { replicas }), { name: 'RangeError' })
  }
})
