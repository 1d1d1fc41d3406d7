import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import type { Asker, Charge, Lease, Lockout, Reservation } from '../../src/authentication/lockout.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import { createLockout } from '../../src/lockout/lockout.ts'
import type { LockoutStore } from '../../src/lockout/store.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { LOCKOUT_SETTINGS, setUpLockout } from '../support/lockout.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

const MINUTE = 60_000
const HERE = '192.0.2.1'
const ELSEWHERE = '198.51.100.7'
const WIDE = { maxAttempts: 10_000, accounts: 10_000, windowMs: 600_000, durationMs: 600_000 }
/** Nothing but the pair of account and source is in the way. */
const PAIRS_ONLY = {
  unfamiliar: { maxAttempts: 10_000, windowMs: 900_000, durationsMs: [300_000] as const },
  source: WIDE,
  subnet: WIDE,
}
const ELSEWHERE_TOO = { address: ELSEWHERE }

/** The n-th of many addresses, no two in one subnet. */
function place(n: number): string {
  return `10.${n >> 8}.${n & 255}.1`
}

function charge(what: Partial<Charge>): Charge {
  return { name: false, subjects: [], source: false, ...what }
}
const UNKNOWN = charge({ name: true, source: true })
const wrong = (subject: string) => charge({ name: true, subjects: [subject], source: true })
const right = (subject: string) => charge({ accepted: subject })

function admitted(reservation: Reservation): Lease {
  if (!reservation.admitted) throw new Error(`refused: ${reservation.reason}`)
  return reservation.lease
}

function reserve(lockout: Lockout, name: string, more: Partial<Asker> = {}): Promise<Reservation> {
  return lockout.reserve({ name, address: HERE, caller: 'wiki', ...more })
}

type Result = 'verified' | 'locked' | 'busy' | 'unavailable'

/** One whole attempt of somebody the directory knows as `subject`. */
async function attempt(
  lockout: Lockout,
  name: string,
  subject: string,
  how: (subject: string) => Charge,
  more: Partial<Asker> = {},
): Promise<Result> {
  const reservation = await reserve(lockout, name, more)
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

/** How many places an account has, of six. */
async function placesFor(lockout: Lockout, name: string, address = HERE): Promise<number> {
  const leases: Lease[] = []
  for (let i = 0; i < 6; i++) {
    const reservation = await reserve(lockout, name, { address })
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
  const { lockout, clock } = setUpLockout()
  const told: boolean[] = []
  for (let i = 0; i < 5; i++) {
    told.push((await admitted(await reserve(lockout, 'alice')).commit(UNKNOWN)).locked)
  }
  t.strictSame(told, [false, false, false, false, true])
  clock.advance(1_000)
  const refused = { admitted: false, reason: 'locked', retryAfterMs: 299_000 }
  t.strictSame(await reserve(lockout, 'alice'), refused)
  t.strictSame(await reserve(lockout, 'alice'), refused, 'asking extends nothing')
  clock.jumpWall(3_600_000)
  clock.jumpWall(-7_200_000)
  t.strictSame(await reserve(lockout, 'alice'), refused, 'nor does a clock that is set')
  t.equal(await placesFor(lockout, 'bob'), 5, 'another name')
  t.equal(await placesFor(lockout, 'alice', ELSEWHERE), 5, 'another source')
})

t.test('after a lock there is one try: its failure locks again, its success frees the account', async t => {
  const { lockout, clock } = setUpLockout({ settings: PAIRS_ONLY })
  for (let i = 0; i < 5; i++) await attempt(lockout, 'alice', 'ad:1', wrong)
  clock.advance(5 * MINUTE)
  t.equal(await placesFor(lockout, 'alice'), 1)
  t.equal(await attempt(lockout, 'alice', 'ad:1', wrong), 'verified')
  t.equal(await attempt(lockout, 'alice', 'ad:1', wrong), 'locked')
  clock.advance(5 * MINUTE)
  t.equal(await attempt(lockout, 'alice', 'ad:1', right), 'verified')
  t.equal(await placesFor(lockout, 'alice'), 5)
})

t.test(
  'many sources together make ten guesses at one account, then one after 5, 15 and 60 minutes',
  async t => {
    const { lockout, clock } = setUpLockout()
    let n = 0
    const guesses = async () => {
      const results = await Promise.all(
        Array.from({ length: 60 }, () => attempt(lockout, 'alice', 'ad:1', wrong, { address: place(n++) })),
      )
      return count(results, 'verified')
    }
    t.equal(await guesses(), 10)
    for (const minutes of [5, 15, 60, 60]) {
      clock.advance(minutes * MINUTE - 1)
      t.equal(await guesses(), 0, `not before ${minutes} minutes`)
      clock.advance(1)
      t.equal(await guesses(), 1, `one after ${minutes} minutes`)
    }
    clock.advance(13 * 60 * MINUTE)
    t.equal(await guesses(), 10, 'forgotten after half a day')
  },
)

t.test('the owner goes on from where he has logged in before, while the whole world guesses', async t => {
  const { lockout } = setUpLockout()
  t.equal(await attempt(lockout, 'alice', 'ad:1', right), 'verified')
  for (let i = 0; i < 40; i++) await attempt(lockout, 'alice', 'ad:1', wrong, { address: place(i) })
  t.equal(await attempt(lockout, 'alice', 'ad:1', right, ELSEWHERE_TOO), 'locked', 'a new place')
  t.equal(await attempt(lockout, 'alice', 'ad:1', right), 'verified', 'his own')
  for (let i = 0; i < 3; i++) t.equal(await attempt(lockout, 'alice', 'ad:1', wrong), 'verified')
  t.equal(await attempt(lockout, 'alice', 'ad:1', right), 'verified', 'typing mistakes included')
})

t.test('from a familiar place any name of the owner gets through', async t => {
  const { lockout } = setUpLockout()
  t.equal(await attempt(lockout, 'alice', 'ad:1', right), 'verified')
  t.equal(await attempt(lockout, 'alice@corp.example', 'ad:1', wrong, { address: place(99) }), 'verified')
  for (let i = 0; i < 40; i++)
    await attempt(lockout, 'alice@corp.example', 'ad:1', wrong, { address: place(i) })
  t.equal(await attempt(lockout, 'alice@corp.example', 'ad:1', right, ELSEWHERE_TOO), 'locked')
  t.equal(await attempt(lockout, 'alice@corp.example', 'ad:1', right), 'verified')
})

t.test('a success elsewhere gives the guessers of an account nothing back', async t => {
  const { lockout } = setUpLockout()
  t.equal(await attempt(lockout, 'alice', 'ad:1', right), 'verified')
  let verified = 0
  for (let i = 0; i < 40; i++) {
    if ((await attempt(lockout, 'alice', 'ad:1', wrong, { address: place(i) })) === 'verified') verified++
    await attempt(lockout, 'alice', 'ad:1', right)
  }
  t.equal(verified, 10)
})

t.test('of a thousand parallel wrong guesses at most five are verified (CVE-2024-4629)', async t => {
  const { lockout } = setUpLockout()
  const guesses = Array.from({ length: 1_000 }, () => attempt(lockout, 'alice', 'ad:1', wrong))
  const results = await Promise.all(guesses)
  t.equal(count(results, 'verified'), 5)
  t.equal(count(results, 'locked'), 995)
})

t.test('of a thousand parallel wrong guesses in many spellings at most five are verified', async t => {
  const { lockout } = setUpLockout({ settings: PAIRS_ONLY })
  const results = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => attempt(lockout, `alias ${i}`, 'ad:1', wrong)),
  )
  t.equal(count(results, 'verified'), 5)
  t.equal(await attempt(lockout, 'a new alias', 'ad:1', right), 'locked')
  t.equal(await attempt(lockout, 'a new alias', 'ad:2', right), 'verified')
})

t.test('two hundred parallel right passwords are all verified', async t => {
  const { lockout } = setUpLockout()
  const results = await Promise.all(
    Array.from({ length: 200 }, (_, i) => attempt(lockout, `alias ${i % 3}`, 'ad:1', right)),
  )
  t.equal(count(results, 'verified'), 200)
  t.equal(await placesFor(lockout, 'alias 0'), 5, 'and every place came back')
})

t.test('a burst over many names and one source loses nobody who waits', async t => {
  const { lockout } = setUpLockout({
    settings: { source: { ...LOCKOUT_SETTINGS.source, maxAttempts: 7, accounts: 7 } },
  })
  const results = await Promise.all(
    Array.from({ length: 120 }, (_, i) => attempt(lockout, `user ${i % 20}`, `ad:${i % 20}`, right)),
  )
  t.equal(count(results, 'verified'), 120)
})

t.test('a success clears the account from this source, never the source', async t => {
  const { lockout } = setUpLockout({
    settings: { source: { ...LOCKOUT_SETTINGS.source, maxAttempts: 9 } },
  })
  const outcomes: Result[] = []
  for (let i = 0; i < 4; i++) outcomes.push(await attempt(lockout, 'alice', 'ad:1', wrong))
  outcomes.push(await attempt(lockout, 'alice', 'ad:1', right))
  for (let i = 0; i < 4; i++) outcomes.push(await attempt(lockout, 'alice', 'ad:1', wrong))
  outcomes.push(await attempt(lockout, 'alice', 'ad:1', right))
  t.equal(count(outcomes, 'verified'), 10)
  await attempt(lockout, 'mallory', 'ad:2', wrong)
  t.equal(await attempt(lockout, 'mallory', 'ad:2', right), 'locked', 'nine failures from this source')
  t.equal(await attempt(lockout, 'mallory', 'ad:2', right, ELSEWHERE_TOO), 'verified')
})

t.test('one password on many accounts stops at the twentieth, also all at once', async t => {
  const spray = (lockout: Lockout, i: number) => attempt(lockout, `user ${i}`, `ad:${i}`, wrong)
  const { lockout, clock } = setUpLockout()
  const results: Result[] = []
  for (let i = 0; i < 30; i++) results.push(await spray(lockout, i))
  t.equal(count(results, 'verified'), 20)
  t.strictSame(await reserve(lockout, 'somebody'), {
    admitted: false,
    reason: 'locked',
    retryAfterMs: 600_000,
  })
  clock.advance(10 * MINUTE)
  t.equal(await attempt(lockout, 'somebody', 'ad:s', right), 'verified')
  t.equal(await spray(lockout, 50), 'verified', 'and a success makes the place a normal one again')
  t.equal(await spray(lockout, 51), 'verified')

  const parallel = setUpLockout().lockout
  const together = await Promise.all(Array.from({ length: 200 }, (_, i) => spray(parallel, i)))
  t.equal(count(together, 'verified'), 20)
})

t.test('hopping within a subnet stops at two hundred', async t => {
  const { lockout } = setUpLockout()
  const results: Result[] = []
  for (let i = 0; i < 250; i++) {
    const address = `2001:db8:7:${i.toString(16)}:0:0:0:1`
    results.push(await attempt(lockout, `user ${i}`, `ad:${i}`, wrong, { address }))
  }
  t.equal(count(results, 'verified'), 200)
  const neighbour = { address: '2001:db8:8:0:0:0:0:1' }
  t.equal(await attempt(lockout, 'somebody', 'ad:s', right, neighbour), 'verified')
})

t.test(
  'the same wrong password again is charged to the account once, and to the source each time',
  async t => {
    const { lockout } = setUpLockout()
    const phone = { passwordTag: () => 7 }
    for (let i = 0; i < 30; i++) t.equal(await attempt(lockout, 'alice', 'ad:1', wrong, phone), 'verified')
    const { name, source, subject } = await lockout.inspect({ name: 'alice', address: HERE }, 'ad:1')
    t.match(
      [...name, ...subject].map(({ failures }) => failures),
      [1, 1, 1, 1],
    )
    t.match(source, [
      { kind: 'source', failures: 30 },
      { kind: 'subnet', failures: 30 },
    ])
    for (const tag of [8, 9, 10]) {
      await attempt(lockout, 'alice', 'ad:1', wrong, { passwordTag: () => tag })
    }
    t.equal(
      await attempt(lockout, 'alice', 'ad:1', wrong, phone),
      'verified',
      'three others later it is a new one',
    )
    t.equal(await attempt(lockout, 'alice', 'ad:1', right), 'locked')
    const unknown = setUpLockout().lockout
    for (let i = 0; i < 30; i++) await admitted(await reserve(unknown, 'nobody', phone)).commit(UNKNOWN)
    t.equal(await placesFor(unknown, 'nobody'), 4, 'a name that is nobody’s is treated alike')
  },
)

t.test('what one backend found wrong does not count when another accepts the same account', async t => {
  const { lockout } = setUpLockout({ settings: PAIRS_ONLY })
  for (let i = 0; i < 8; i++) {
    const lease = admitted(await reserve(lockout, 'alice'))
    t.strictSame(await lease.commit(charge({ name: true, subjects: ['a:1', 'b:1'], accepted: 'b:1' })), {
      locked: i === 4,
    })
  }
  t.equal(await attempt(lockout, 'alice', 'a:1', right), 'locked', 'but the other account counts on')
  t.equal(await attempt(lockout, 'alice', 'b:1', right), 'verified')
})

t.test('an attempt that charges nobody moves no counter', async t => {
  const { lockout } = setUpLockout()
  for (let i = 0; i < 60; i++) {
    const lease = admitted(await reserve(lockout, 'alice'))
    t.same(await lease.claim('ad:1', { threshold: 3, windowMs: MINUTE }), { admitted: true })
    if (i % 2 === 0) await lease.release()
    else t.same(await lease.commit(charge({})), { locked: false })
  }
  t.equal(await placesFor(lockout, 'alice'), 5)
})

t.test('a name and a subject of the same text are two accounts', async t => {
  const { lockout } = setUpLockout()
  for (let i = 0; i < 5; i++) {
    await admitted(await reserve(lockout, 'local:1')).commit(charge({ name: true }))
  }
  t.equal(await attempt(lockout, 'alice', 'local:1', right), 'verified')
})

t.test('an IPv6 /64 is one source', async t => {
  const { lockout } = setUpLockout()
  const from = (address: string) => ({ address })
  for (let i = 1; i <= 5; i++) {
    await attempt(lockout, 'alice', 'ad:1', wrong, from(`2001:db8:0:1:0:0:0:${i}`))
  }
  t.equal(await attempt(lockout, 'alice', 'ad:1', right, from('2001:db8:0:1:a:b:c:d')), 'locked')
  t.equal(await attempt(lockout, 'alice', 'ad:1', right, from('2001:db8:0:2:0:0:0:1')), 'verified')
  await t.rejects(reserve(lockout, 'alice', from('unknown')), TypeError)
})

t.test('below the threshold of a directory: half of it from new places, one less than it in all', async t => {
  const guesses = async (threshold: number) => {
    const { lockout } = setUpLockout()
    const ceiling = { threshold, windowMs: 30 * MINUTE }
    const guess = async (address: string) => {
      const reservation = await reserve(lockout, 'alice', { address })
      if (!reservation.admitted) return reservation.reason
      const claim = await reservation.lease.claim('ad:1', ceiling)
      if (claim.admitted) await reservation.lease.commit(wrong('ad:1'))
      else await reservation.lease.release()
      return claim.admitted ? 'verified' : claim.reason
    }
    const lease = admitted(await reserve(lockout, 'alice'))
    await lease.claim('ad:1', ceiling)
    await lease.commit(right('ad:1'))
    const strangers = await Promise.all(Array.from({ length: 50 }, (_, i) => guess(place(i))))
    const own = await Promise.all(Array.from({ length: 50 }, () => guess(HERE)))
    return [count(strangers, 'verified'), count(own, 'verified')]
  }
  t.strictSame(await guesses(2), [1, 0])
  t.strictSame(await guesses(3), [1, 1])
  t.strictSame(await guesses(5), [2, 2])
  t.strictSame(await guesses(10), [5, 4])
  t.strictSame(await guesses(1_000), [10, 5], 'ours are lower')
})

t.test(
  'a directory’s ceiling holds whatever the mode, and its own window decides when it is over',
  async t => {
    for (const mode of ['off', 'log_only', 'enforce'] as const) {
      const { lockout, clock } = setUpLockout({ settings: { mode } })
      const guess = async (how: Charge) => {
        const lease = admitted(await reserve(lockout, 'alice', { address: place(clock.now() & 255) }))
        const claim = await lease.claim('ad:1', { threshold: 3, windowMs: 30 * MINUTE })
        if (claim.admitted) await lease.commit(how)
        else await lease.release()
        return claim.admitted ? 'verified' : claim.reason
      }
      t.equal(await guess(wrong('ad:1')), 'verified')
      t.equal(await guess(wrong('ad:1')), 'locked', mode)
      clock.advance(30 * MINUTE)
      t.equal(await guess(right('ad:1')), 'locked')
      clock.advance(2 * MINUTE)
      t.equal(await guess(right('ad:1')), 'verified')
    }
  },
)

t.test('what is only logged refuses nobody and says what it would have done', async t => {
  const { lockout } = setUpLockout({ settings: { mode: 'log_only' } })
  const ignored: boolean[] = []
  for (let i = 0; i < 8; i++) {
    const reservation = await reserve(lockout, 'alice')
    ignored.push(reservation.admitted && reservation.ignored)
    await admitted(reservation).commit(UNKNOWN)
  }
  t.strictSame(ignored, [false, false, false, false, false, true, true, true])
})

t.test('switched off it counts nothing', async t => {
  const { lockout } = setUpLockout({ settings: { mode: 'off' } })
  for (let i = 0; i < 100; i++) t.equal(await attempt(lockout, 'alice', 'ad:1', wrong), 'verified')
  t.strictSame(await lockout.inspect({ name: 'alice', address: HERE }, 'ad:1'), {
    name: [],
    source: [],
    subject: [],
  })
})

t.test('the simple profile is five failures on a name, then five minutes, from everywhere', async t => {
  const { lockout, clock } = setUpLockout({ settings: { profile: 'simple' } })
  for (let i = 0; i < 5; i++) {
    t.equal(await attempt(lockout, 'alice', 'ad:1', wrong, { address: place(i) }), 'verified')
  }
  t.match(await reserve(lockout, 'alice', ELSEWHERE_TOO), { reason: 'locked', retryAfterMs: 300_000 })
  clock.advance(300_000)
  t.equal(await placesFor(lockout, 'alice'), 5, 'afresh')
  for (let i = 0; i < 4; i++) await attempt(lockout, 'alice', 'ad:1', wrong)
  await attempt(lockout, 'alice', 'ad:1', right)
  t.equal(await placesFor(lockout, 'alice'), 5, 'a success clears it')
  for (let i = 0; i < 300; i++) {
    t.equal(await attempt(lockout, `user ${i}`, `ad:u${i}`, wrong), 'verified', 'no source is counted')
  }
})

t.test('from an allowed network no source is refused, and an account still is', async t => {
  const { lockout } = setUpLockout({ settings: { allow: ['192.0.2.0/24', '2001:db8::/32'] } })
  for (let i = 0; i < 300; i++) {
    t.equal(await attempt(lockout, `user ${i}`, `ad:${i}`, wrong), 'verified')
  }
  const reservation = await reserve(lockout, 'somebody')
  t.match(reservation, { admitted: true, ignored: true }, 'counted all the same')
  for (let i = 0; i < 5; i++) await attempt(lockout, 'alice', 'ad:a', wrong)
  t.equal(await attempt(lockout, 'alice', 'ad:a', right), 'locked')
})

t.test('from a blocked network nobody is let in, allowed or not', async t => {
  const settings = { allow: ['192.0.2.0/24'], block: ['192.0.2.0/28', '2001:db8:bad::/48'] }
  const { lockout } = setUpLockout({ settings })
  const refused = { admitted: false, reason: 'locked', retryAfterMs: 86_400_000, blocked: true }
  t.strictSame(await reserve(lockout, 'alice'), refused)
  t.strictSame(await reserve(lockout, 'alice', { address: '2001:db8:bad:1:0:0:0:1' }), refused)
  t.equal((await reserve(lockout, 'alice', { address: '192.0.2.17' })).admitted, true)
  const { source } = await lockout.inspect({ name: 'alice', address: HERE })
  t.match(source, [{ kind: 'source', limit: 0, lockedForMs: 86_400_000 }, { limit: 50 }, { limit: 200 }])
  const watching = setUpLockout({ settings: { ...settings, mode: 'log_only' } }).lockout
  t.match(await reserve(watching, 'alice'), { admitted: true, ignored: true })
})

t.test('ending a lease twice gives nothing back twice and charges nobody', async t => {
  const { lockout } = setUpLockout()
  const leases: Lease[] = []
  for (let i = 0; i < 5; i++) leases.push(admitted(await reserve(lockout, 'alice')))
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
  const { lockout, clock } = setUpLockout()
  for (let i = 0; i < 5; i++) await reserve(lockout, 'alice')
  clock.advance(59_999)
  t.same(await reserve(lockout, 'alice'), { admitted: false, reason: 'busy' })
  clock.advance(1)
  t.match(await reserve(lockout, 'alice'), { admitted: false, reason: 'locked' })
})

t.test('who waits is admitted in order as places come free, and refused at once by a lock', async t => {
  const { lockout } = setUpLockout()
  const holders: Lease[] = []
  for (let i = 0; i < 5; i++) holders.push(admitted(await reserve(lockout, 'alice')))
  const order: number[] = []
  const admittedNow: Lease[] = []
  const waiting = Array.from({ length: 4 }, async (_, i) => {
    const reservation = await reserve(lockout, 'alice')
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
  const { lockout } = setUpLockout()
  const holders: Lease[] = []
  for (let i = 0; i < 5; i++) holders.push(admitted(await reserve(lockout, 'alice')))
  const startedAt = performance.now()
  t.same(await reserve(lockout, 'alice'), { admitted: false, reason: 'busy' })
  const tookMs = performance.now() - startedAt
  t.ok(tookMs > 240, `${tookMs} ms`)
  for (const lease of holders) await lease.release()
  t.equal(await placesFor(lockout, 'alice'), 5)
})

t.test('the line of those who wait is bounded: who finds it full is told busy at once', async t => {
  const { lockout } = setUpLockout()
  const holders: Lease[] = []
  for (let i = 0; i < 5; i++) holders.push(admitted(await reserve(lockout, 'alice')))
  let settled = 0
  const waiting = Array.from({ length: 1_000 }, async () => {
    const reservation = await reserve(lockout, 'alice')
    settled++
    if (reservation.admitted) await reservation.lease.release()
    return reservation.admitted
  })
  t.same(await reserve(lockout, 'alice'), { admitted: false, reason: 'busy' })
  t.equal(settled, 0, 'nobody had to time out for it')
  t.equal(await placesFor(lockout, 'bob'), 5, 'who need not wait is served')
  for (const lease of holders) await lease.release()
  t.strictSame(new Set(await Promise.all(waiting)), new Set([true]))
})

/** A store of which a test says what it answers. */
function scriptedStore(answers: Partial<LockoutStore>): LockoutStore {
  const nobodyAsked = () => Promise.reject(new Error('nobody asked'))
  const report = {
    records: {},
    locked: {},
    underAttack: false,
    reachable: true,
  }
  return {
    reserve: nobodyAsked,
    extend: nobodyAsked,
    end: nobodyAsked,
    inspect: nobodyAsked,
    list: nobodyAsked,
    pardon: nobodyAsked,
    report: () => report,
    close: async () => {},
    ...answers,
  }
}

t.test('a place that comes free while a slow store answers is not missed', async t => {
  // A store whose answers travel: what ended meanwhile must not leave a waiter asleep.
  let places = 0
  const replies: (() => void)[] = []
  const travel = <T>(answer: T) => new Promise<T>(resolve => replies.push(() => resolve(answer)))
  const store = scriptedStore({
    reserve: ([first]) => {
      const key = first !== undefined && 'key' in first ? first.key : ''
      return travel(
        places > 0 ? { outcome: 'reserved', lease: 'l', ignored: false } : { outcome: 'no_place', key },
      )
    },
    end: () => {
      places++
      return travel({ locked: false })
    },
  })
  const { lockout } = setUpLockout({ store })
  places = 1
  const first = reserve(lockout, 'alice')
  replies.shift()?.()
  const holder = admitted(await first)
  places = 0
  const second = reserve(lockout, 'alice')
  const released = holder.release()
  replies.pop()?.()
  await released
  replies.shift()?.()
  await setImmediate()
  t.equal(replies.length, 1, 'it asks again instead of lying down')
  replies.shift()?.()
  t.equal((await second).admitted, true)
})

t.test(
  'counts out of reach refuse and never open; an end that cannot be told is told to the log',
  async t => {
    const gone = () => Promise.reject(new UnavailableError('gone', 'lookup'))
    const dark = setUpLockout({ store: scriptedStore({ reserve: gone }) }).lockout
    t.same(await reserve(dark, 'alice'), { admitted: false, reason: 'unavailable' })
    const { lockout, log } = setUpLockout({
      store: scriptedStore({
        reserve: async () => ({ outcome: 'reserved', lease: 'l', ignored: false }),
        extend: gone,
        end: gone,
      }),
    })
    const lease = admitted(await reserve(lockout, 'alice'))
    t.same(await lease.claim('ad:1'), { admitted: false, reason: 'unavailable' })
    t.same(await lease.commit(UNKNOWN), { locked: false })
    t.equal(log.at('error').length, 1)
  },
)

t.test('counts are carried over with the store', async t => {
  const { lockout, store, clock } = setUpLockout()
  for (let i = 0; i < 5; i++) await attempt(lockout, 'alice', 'ad:1', wrong)
  t.equal(await attempt(setUpLockout({ store, clock }).lockout, 'alice', 'ad:1', right), 'locked')
})

t.test('a short secret is refused', async t => {
  const { store } = setUpLockout()
  const parts = { settings: LOCKOUT_SETTINGS, clock: createFakeClock(), log: createLogRecorder(), store }
  t.throws(() => createLockout({ ...parts, secret: new Uint8Array(31) }), RangeError)
})

t.test(
  'what is inspected is the name, the source and the subject, from here and from everywhere',
  async t => {
    const { lockout, clock } = setUpLockout({ settings: { maxAttempts: 2 } })
    const here = { name: 'alice', address: HERE }
    t.equal(await attempt(lockout, 'alice', 'corp:1', wrong), 'verified')
    t.match(await lockout.inspect(here, 'corp:1'), {
      name: [
        { kind: 'pair', failures: 1, limit: 2 },
        { kind: 'unfamiliar', failures: 1, limit: 10 },
      ],
      source: [
        { kind: 'source', failures: 1, limit: 50 },
        { kind: 'subnet', failures: 1, limit: 200 },
      ],
      subject: [
        { kind: 'pair', failures: 1, limit: 2 },
        { kind: 'unfamiliar', failures: 1, limit: 10 },
      ],
    })
    t.equal(await attempt(lockout, 'alice', 'corp:1', wrong), 'verified')
    clock.advance(1_000)
    t.match((await lockout.inspect(here, 'corp:1')).subject[0], { lockedForMs: 299_000 })
    t.strictSame((await lockout.inspect(here)).subject, [])
    const elsewhere = await lockout.inspect({ name: 'alice', address: ELSEWHERE }, 'corp:1')
    t.match(elsewhere, { source: [{ failures: 0 }], subject: [{ failures: 0 }, { failures: 2 }] })
  },
)

t.test('an operator sees who is locked, from where and through which app, and takes it back', async t => {
  const { lockout } = setUpLockout()
  const lockIt = async () => {
    for (let i = 0; i < 5; i++) await attempt(lockout, 'alice@corp.example', 'ad:1', wrong)
  }
  await lockIt()
  const note = { name: 'alice@corp.example', subject: 'ad:1', address: HERE, caller: 'wiki' }
  const pair = { kind: 'pair', lockedForMs: 300_000, tier: 1, note }
  t.match(await lockout.desk.list(10), [pair, pair], 'the name and the subject')
  t.equal((await lockout.desk.list(1)).length, 1)
  t.same(await lockout.desk.unlock({ names: ['bob'], subjects: [] }), [], 'nobody that is locked')
  t.match(await lockout.desk.unlock({ names: [], subjects: ['ad:1'] }), [pair, pair])
  t.equal(await attempt(lockout, 'alice@corp.example', 'ad:1', right), 'verified', 'by its subject')
  await lockIt()
  await lockout.desk.unlock({ names: ['alice@corp.example'], subjects: [] })
  t.equal(await attempt(lockout, 'alice@corp.example', 'ad:1', right), 'verified', 'by an alias')
  await lockIt()
  await lockout.desk.unlock({ names: ['alice@corp.example'], subjects: ['ad:1'], address: ELSEWHERE })
  t.equal(await attempt(lockout, 'alice@corp.example', 'ad:1', right), 'locked', 'another pair')
  await lockout.desk.unlock({ names: ['alice@corp.example'], subjects: ['ad:1'], address: HERE })
  t.equal(await attempt(lockout, 'alice@corp.example', 'ad:1', right), 'verified', 'this pair')
})

t.test('an operator unlocks a source and leaves its accounts as they are', async t => {
  const { lockout } = setUpLockout()
  for (let i = 0; i < 5; i++) await attempt(lockout, 'alice', 'ad:1', wrong)
  for (let i = 0; i < 20; i++) await attempt(lockout, `user ${i}`, `ad:u${i}`, wrong)
  t.equal(await attempt(lockout, 'bob', 'ad:2', right), 'locked')
  t.match(await lockout.desk.unlock({ address: HERE }), [{ kind: 'source' }])
  t.equal(await attempt(lockout, 'bob', 'ad:2', right), 'verified')
  t.equal(await attempt(lockout, 'alice', 'ad:1', right), 'locked')
})
