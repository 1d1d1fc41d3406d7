import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import type { Charge, Lease, Lockout, Reservation } from '../../src/authentication/lockout.ts'
import { createLockout, type LockoutSettings } from '../../src/lockout/lockout.ts'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import type { LockoutStore } from '../../src/lockout/store.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

const SETTINGS: LockoutSettings = {
  maxAttempts: 5,
  windowMs: 900_000,
  durationMs: 300_000,
  source: { maxAttempts: 50, windowMs: 600_000, durationMs: 600_000 },
  maxEntries: 2_000,
}
const SECRET = new Uint8Array(32).fill(1)
const HERE = '192.0.2.1'
const ELSEWHERE = '198.51.100.7'

function setUp(parts: { settings?: Partial<LockoutSettings>; store?: LockoutStore } = {}) {
  const clock = createFakeClock()
  const { settings, ...rest } = parts
  const lockout = createLockout({
    settings: { ...SETTINGS, ...settings },
    secret: SECRET,
    clock,
    log: createLogRecorder(),
    ...rest,
  })
  return { lockout, clock }
}

function charge(what: Partial<Charge>): Charge {
  return { name: false, subjects: [], source: false, ...what }
}
const UNKNOWN = charge({ name: true, source: true })
const wrong = (subject: string) => charge({ subjects: [subject], source: true })
const right = (subject: string) => charge({ accepted: subject })

function admitted(reservation: Reservation): Lease {
  if (!reservation.admitted) throw new Error(`refused: ${reservation.reason}`)
  return reservation.lease
}

type Result = 'verified' | 'locked' | 'busy'

/** One whole attempt of somebody the directory knows as `subject`. */
async function attempt(
  lockout: Lockout,
  name: string,
  subject: string,
  how: (subject: string) => Charge,
  address = HERE,
): Promise<Result> {
  const reservation = await lockout.reserve({ name, address })
  if (!reservation.admitted) return reservation.reason
  const claim = await reservation.lease.claim(subject)
  if (!claim.admitted) {
    await reservation.lease.release()
    return claim.reason
  }
  await setImmediate()
  await reservation.lease.commit(how(subject))
  return 'verified'
}

/** How many of five places an account has. */
async function placesFor(lockout: Lockout, name: string, address = HERE): Promise<number> {
  const leases: Lease[] = []
  for (let i = 0; i < 5; i++) {
    const reservation = await lockout.reserve({ name, address })
    if (!reservation.admitted) break
    leases.push(reservation.lease)
  }
  for (const lease of leases) await lease.release()
  return leases.length
}

function count<T>(all: readonly T[], one: T): number {
  return all.filter(each => each === one).length
}

t.test('the fifth failure is told to lock, the sixth attempt is refused, right password or not', async t => {
  const { lockout, clock } = setUp()
  const told: boolean[] = []
  for (let i = 0; i < 5; i++) {
    const lease = admitted(await lockout.reserve({ name: 'alice', address: HERE }))
    told.push((await lease.commit(UNKNOWN)).locked)
  }
  t.strictSame(told, [false, false, false, false, true])
  clock.advance(1_000)
  const refused = { admitted: false, reason: 'locked', retryAfterMs: 299_000 }
  t.strictSame(await lockout.reserve({ name: 'alice', address: HERE }), refused)
  t.strictSame(await lockout.reserve({ name: 'alice', address: HERE }), refused, 'asking extends nothing')
  clock.jumpWall(3_600_000)
  clock.jumpWall(-7_200_000)
  t.strictSame(
    await lockout.reserve({ name: 'alice', address: HERE }),
    refused,
    'nor does a clock that is set',
  )
  t.equal(await placesFor(lockout, 'bob'), 5, 'another name')
  t.equal(await placesFor(lockout, 'alice', ELSEWHERE), 5, 'another source')
  clock.advance(299_000)
  t.equal(await placesFor(lockout, 'alice'), 5)
})

t.test('of a thousand parallel wrong guesses at most five are verified (CVE-2024-4629)', async t => {
  const { lockout } = setUp()
  const guesses = Array.from({ length: 1_000 }, () => attempt(lockout, 'alice', 'ad:1', wrong))
  const results = await Promise.all(guesses)
  t.equal(count(results, 'verified'), 5)
  t.equal(count(results, 'locked'), 995)
})

t.test('of a thousand parallel wrong guesses in many spellings at most five are verified', async t => {
  const { lockout } = setUp({
    settings: { maxEntries: 10_000, source: { ...SETTINGS.source, maxAttempts: 2_000 } },
  })
  const results = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => attempt(lockout, `alias ${i}`, 'ad:1', wrong)),
  )
  t.equal(count(results, 'verified'), 5)
  t.equal(await attempt(lockout, 'a new alias', 'ad:1', right), 'locked')
  t.equal(await attempt(lockout, 'a new alias', 'ad:2', right), 'verified')
})

t.test('two hundred parallel right passwords are all verified', async t => {
  const { lockout } = setUp()
  const results = await Promise.all(
    Array.from({ length: 200 }, (_, i) => attempt(lockout, `alias ${i % 3}`, 'ad:1', right)),
  )
  t.equal(count(results, 'verified'), 200)
  t.equal(await placesFor(lockout, 'alias 0'), 5, 'and every place came back')
})

t.test('a burst over many names and one source loses nobody who waits', async t => {
  const { lockout } = setUp({ settings: { source: { ...SETTINGS.source, maxAttempts: 7 } } })
  const results = await Promise.all(
    Array.from({ length: 300 }, (_, i) => attempt(lockout, `user ${i % 20}`, `ad:${i % 20}`, right)),
  )
  t.equal(count(results, 'verified'), 300)
})

t.test('a success clears the name and its subject, never the source', async t => {
  const { lockout } = setUp({ settings: { source: { ...SETTINGS.source, maxAttempts: 9 } } })
  const outcomes: Result[] = []
  for (let i = 0; i < 4; i++) outcomes.push(await attempt(lockout, 'alice', 'ad:1', wrong))
  outcomes.push(await attempt(lockout, 'alice', 'ad:1', right))
  for (let i = 0; i < 4; i++) outcomes.push(await attempt(lockout, 'alice', 'ad:1', wrong))
  outcomes.push(await attempt(lockout, 'alice', 'ad:1', right))
  t.equal(count(outcomes, 'verified'), 10)
  await attempt(lockout, 'mallory', 'ad:2', wrong)
  t.equal(await attempt(lockout, 'mallory', 'ad:2', right), 'locked', 'nine failures from this source')
  t.equal(await attempt(lockout, 'mallory', 'ad:2', right, ELSEWHERE), 'verified')
})

t.test('what one backend found wrong does not count when another accepts the same account', async t => {
  const { lockout } = setUp()
  for (let i = 0; i < 8; i++) {
    const lease = admitted(await lockout.reserve({ name: 'alice', address: HERE }))
    t.strictSame(await lease.commit(charge({ name: true, subjects: ['a:1', 'b:1'], accepted: 'b:1' })), {
      locked: i === 4,
    })
  }
  t.equal(await attempt(lockout, 'alice', 'a:1', right), 'locked', 'but the other account counts on')
  t.equal(await attempt(lockout, 'alice', 'b:1', right), 'verified')
})

t.test('an attempt that charges nobody moves no counter', async t => {
  const { lockout } = setUp()
  for (let i = 0; i < 60; i++) {
    const lease = admitted(await lockout.reserve({ name: 'alice', address: HERE }))
    t.same(await lease.claim('ad:1'), { admitted: true })
    if (i % 2 === 0) await lease.release()
    else t.same(await lease.commit(charge({})), { locked: false })
  }
  t.equal(await placesFor(lockout, 'alice'), 5)
})

t.test('a name and a subject of the same text are two accounts', async t => {
  const { lockout } = setUp()
  for (let i = 0; i < 5; i++) {
    const lease = admitted(await lockout.reserve({ name: 'local:1', address: HERE }))
    await lease.commit(charge({ name: true }))
  }
  t.equal(await attempt(lockout, 'alice', 'local:1', right), 'verified')
})

t.test('an IPv6 /64 is one source', async t => {
  const { lockout } = setUp()
  for (let i = 1; i <= 5; i++) await attempt(lockout, 'alice', 'ad:1', wrong, `2001:db8:0:1:0:0:0:${i}`)
  t.equal(await attempt(lockout, 'alice', 'ad:1', right, '2001:db8:0:1:a:b:c:d'), 'locked')
  t.equal(await attempt(lockout, 'alice', 'ad:1', right, '2001:db8:0:2:0:0:0:1'), 'verified')
  await t.rejects(lockout.reserve({ name: 'alice', address: 'unknown' }), TypeError)
})

t.test('ending a lease twice gives nothing back twice and charges nobody', async t => {
  const { lockout } = setUp()
  const leases: Lease[] = []
  for (let i = 0; i < 5; i++) leases.push(admitted(await lockout.reserve({ name: 'alice', address: HERE })))
  const [first] = leases
  await first?.release()
  await first?.release()
  t.strictSame(await first?.commit(UNKNOWN), { locked: false })
  t.same(await first?.claim('ad:1'), { admitted: false, reason: 'busy' }, 'and it verifies no more')
  t.equal(await placesFor(lockout, 'alice'), 1)
  for (const lease of leases) await lease.commit(charge({ accepted: 'ad:1' }))
  t.equal(await placesFor(lockout, 'alice'), 5)
})

t.test('a lease that is never ended gives its places back as failures', async t => {
  const { lockout, clock } = setUp()
  for (let i = 0; i < 5; i++) await lockout.reserve({ name: 'alice', address: HERE })
  clock.advance(59_999)
  t.same(await lockout.reserve({ name: 'alice', address: HERE }), { admitted: false, reason: 'busy' })
  clock.advance(1)
  t.match(await lockout.reserve({ name: 'alice', address: HERE }), { admitted: false, reason: 'locked' })
})

t.test('who waits is admitted in order as places come free, and refused at once by a lock', async t => {
  const { lockout } = setUp()
  const holders: Lease[] = []
  for (let i = 0; i < 5; i++) holders.push(admitted(await lockout.reserve({ name: 'alice', address: HERE })))
  const order: number[] = []
  const admittedNow: Lease[] = []
  const waiting = Array.from({ length: 4 }, async (_, i) => {
    const reservation = await lockout.reserve({ name: 'alice', address: HERE })
    order.push(i)
    if (reservation.admitted) admittedNow.push(reservation.lease)
    return reservation
  })
  await setImmediate()
  t.strictSame(order, [])
  await holders[0]?.release()
  await setImmediate()
  t.strictSame(order, [0], 'one place, one admitted')
  await holders[1]?.commit(UNKNOWN)
  await setImmediate()
  t.strictSame(order, [0], 'a failure frees no place')
  await holders[2]?.commit(right('ad:1'))
  await setImmediate()
  t.strictSame(order, [0, 1, 2], 'a success frees its own place and that of the failure')
  for (const lease of [...admittedNow, ...holders.slice(3)]) await lease.commit(UNKNOWN)
  t.match(await waiting[3], { admitted: false, reason: 'locked', retryAfterMs: 300_000 })
})

t.test('who waits in vain is told busy after a quarter of a second, and is charged to nobody', async t => {
  const { lockout } = setUp()
  const holders: Lease[] = []
  for (let i = 0; i < 5; i++) holders.push(admitted(await lockout.reserve({ name: 'alice', address: HERE })))
  const startedAt = performance.now()
  t.same(await lockout.reserve({ name: 'alice', address: HERE }), { admitted: false, reason: 'busy' })
  const tookMs = performance.now() - startedAt
  t.ok(tookMs > 240, `${tookMs} ms`)
  for (const lease of holders) await lease.release()
  t.equal(await placesFor(lockout, 'alice'), 5)
})

t.test('the line of those who wait is bounded: who finds it full is told busy at once', async t => {
  const { lockout } = setUp()
  const holders: Lease[] = []
  for (let i = 0; i < 5; i++) holders.push(admitted(await lockout.reserve({ name: 'alice', address: HERE })))
  let settled = 0
  const waiting = Array.from({ length: 1_000 }, async () => {
    const reservation = await lockout.reserve({ name: 'alice', address: HERE })
    settled++
    if (reservation.admitted) await reservation.lease.release()
    return reservation.admitted
  })
  t.same(await lockout.reserve({ name: 'alice', address: HERE }), { admitted: false, reason: 'busy' })
  t.equal(settled, 0, 'nobody had to time out for it')
  t.equal(await placesFor(lockout, 'bob'), 5, 'who need not wait is served')
  for (const lease of holders) await lease.release()
  t.strictSame(new Set(await Promise.all(waiting)), new Set([true]))
})

t.test('a place that comes free while a slow store answers is not missed', async t => {
  // A store whose answers travel: what ended meanwhile must not leave a waiter asleep.
  let places = 0
  const replies: (() => void)[] = []
  const travel = <T>(answer: T) => new Promise<T>(resolve => replies.push(() => resolve(answer)))
  const store: LockoutStore = {
    reserve: ([first]) =>
      travel(places > 0 ? { outcome: 'reserved', lease: 'l' } : { outcome: 'no_place', key: first.key }),
    extend: () => travel({ outcome: 'extended' }),
    inspect: () => Promise.reject(new Error('nobody asked')),
    end: () => {
      places++
      return travel({ locked: false })
    },
  }
  const { lockout } = setUp({ store })
  places = 1
  const first = lockout.reserve({ name: 'alice', address: HERE })
  replies.shift()?.()
  const holder = admitted(await first)
  places = 0
  const second = lockout.reserve({ name: 'alice', address: HERE })
  const released = holder.release()
  replies.pop()?.()
  await released
  replies.shift()?.()
  await setImmediate()
  t.equal(replies.length, 1, 'it asks again instead of lying down')
  replies.shift()?.()
  t.equal((await second).admitted, true)
})

t.test('a full table is busy, never open', async t => {
  const { lockout } = setUp({ settings: { maxEntries: 10, maxAttempts: 1 } })
  t.equal(await attempt(lockout, 'a', 'ad:a', wrong), 'verified')
  for (const name of ['b', 'c'])
    t.equal(await attempt(lockout, name, `ad:${name}`, () => UNKNOWN), 'verified')
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, i) => attempt(lockout, `other ${i}`, `ad:other ${i}`, wrong)),
  )
  t.strictSame(new Set(results), new Set(['busy']))
  t.equal(await attempt(lockout, 'b', 'ad:b', right), 'locked')
})

t.test('a lock survives a flood of four times as many names as the table holds', async t => {
  const { lockout } = setUp()
  for (let i = 0; i < 5; i++) await attempt(lockout, 'victim', 'ad:1', wrong)
  for (let i = 0; i < 4 * SETTINGS.maxEntries; i++) {
    const reservation = await lockout.reserve({ name: `random ${i}`, address: `10.0.${i >> 8}.${i & 255}` })
    await admitted(reservation).commit(UNKNOWN)
  }
  t.equal(await attempt(lockout, 'victim', 'ad:1', right), 'locked')
})

t.test('counts are carried over with the store', async t => {
  const store = createMemoryStore({ clock: createFakeClock(), log: createLogRecorder(), maxEntries: 100 })
  const before = setUp({ store }).lockout
  for (let i = 0; i < 5; i++) await attempt(before, 'alice', 'ad:1', wrong)
  t.equal(await attempt(setUp({ store }).lockout, 'alice', 'ad:1', right), 'locked')
})

t.test('a short secret is refused', async t => {
  const parts = { settings: SETTINGS, clock: createFakeClock(), log: createLogRecorder() }
  t.throws(() => createLockout({ ...parts, secret: new Uint8Array(31) }), RangeError)
})

t.test('what is inspected is the name, the source and the subject, from this source only', async t => {
  const { lockout, clock } = setUp({ settings: { maxAttempts: 2 } })
  const here = { name: 'alice', address: HERE }
  t.equal(await attempt(lockout, 'alice', 'corp:1', wrong), 'verified')
  t.match(await lockout.inspect(here, 'corp:1'), {
    name: { failures: 0, limit: 2 },
    source: { failures: 1, limit: 50 },
    subject: { failures: 1, limit: 2 },
  })
  t.equal(await attempt(lockout, 'alice', 'corp:1', wrong), 'verified')
  clock.advance(1_000)
  t.match((await lockout.inspect(here, 'corp:1')).subject, { lockedForMs: 299_000 })
  t.notOk((await lockout.inspect(here)).subject)
  const elsewhere = await lockout.inspect({ name: 'alice', address: ELSEWHERE }, 'corp:1')
  t.match(elsewhere, { source: { failures: 0 }, subject: { failures: 0 } })
})
