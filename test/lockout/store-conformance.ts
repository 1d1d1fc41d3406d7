import type { Test } from 'tap'
import { type Ending, FAMILIAR_MS, LEASE_MS, MOST_FAMILIAR, MOST_NAMES } from '../../src/lockout/store.ts'
import { storeMatchesModel } from './store-model.ts'
import {
  account,
  counter,
  endingOf,
  familiarFrom,
  guess,
  key,
  LIMIT,
  login,
  NOBODY,
  NOTHING,
  type Open,
  place,
  reserve,
  retryAfter,
} from './store-parts.ts'

const HALF_OPEN = { ...LIMIT, lockMs: [5_500, 10_500, 30_500], afterLock: 'half_open' } as const
const ONCE = { ...LIMIT, maxAttempts: 1 }

/**
 * What every store of the lockout must show. Times are such that a store whose clock also runs by itself passes, as
 * long as one test takes less than 400 ms of it.
 *
 * @param open makes an empty store with room for a thousand keys and more, whose time only `advance` moves far
 * @param options.runs how many random histories are compared with the model
 */
export function storeConformance(t: Test, open: Open, { runs = 200 }: { readonly runs?: number } = {}): void {
  const a = counter('a')
  const b = counter('b')

  t.test('the limit-th failure locks, and says so once', async t => {
    const { store, advance } = await open(t)
    t.strictSame([await guess(store, a), await guess(store, a), await guess(store, a)], [false, false, true])
    await advance(1_000)
    retryAfter(t, await reserve(store, a), 4_500)
    t.equal((await reserve(store, b)).outcome, 'reserved', 'other keys are free')
    await advance(4_500)
    t.equal(await guess(store, a), false, 'afterwards the count starts afresh')
  })

  t.test('an attempt without any key is let in', async t => {
    const { store } = await open(t)
    const answer = await store.reserve([], NOBODY)
    t.match(answer, { outcome: 'reserved', ignored: false })
    if (answer.outcome !== 'reserved') return
    t.match(await store.extend(answer.lease, [], NOBODY), { outcome: 'extended', ignored: false })
    t.strictSame(await store.end(answer.lease, NOTHING, NOBODY), { locked: false })
  })

  t.test('a lock is neither extended nor fed while it holds', async t => {
    const { store, advance } = await open(t)
    const held = [await place(store, a), await place(store, a), await place(store, a)]
    const fail = endingOf({ failed: [a] })
    for (const lease of held.slice(0, 2)) await store.end(lease, { ...fail, failed: [a, a, a] }, NOBODY)
    await advance(2_000)
    t.strictSame(await store.end(held[2] ?? '', fail, NOBODY), { locked: false })
    retryAfter(t, await reserve(store, a), 3_500)
    await advance(4_000)
    t.strictSame([await guess(store, a), await guess(store, a)], [false, false], 'no failure was kept')
  })

  t.test('failures leave the window one by one', async t => {
    const { store, advance } = await open(t)
    await guess(store, a)
    await advance(15_000)
    await guess(store, a)
    await advance(6_000)
    t.equal(await guess(store, a), false, 'the first is over')
    t.equal(await guess(store, a), true, 'the second is not')
  })

  t.test('failures that count since the last one stay until it has been quiet for the window', async t => {
    const { store, advance } = await open(t)
    const directory = counter('d', { ...LIMIT, sinceLast: true }, { kind: 'directory' })
    await guess(store, directory)
    await advance(15_000)
    await guess(store, directory)
    await advance(15_000)
    t.match(await store.inspect([directory]), [{ failures: 2 }])
    await advance(6_000)
    t.match(await store.inspect([directory]), [{ failures: 0 }])
    await guess(store, directory)
    await advance(15_000)
    await guess(store, directory)
    await advance(15_000)
    t.equal(await guess(store, directory), true)
  })

  t.test(
    'a right password at a directory forgets what was counted before it began, and nothing beside it',
    async t => {
      const { store, advance } = await open(t)
      const directory = counter('d', { ...LIMIT, sinceLast: true }, { kind: 'directory' })
      const cleared = endingOf({ cleared: [directory.key] })
      await guess(store, directory)
      await advance(1_000)
      const right = await place(store, directory)
      await advance(1_000)
      // Who of the two came first there is not known.
      await guess(store, directory)
      await advance(1_000)
      await store.end(right, cleared, NOBODY)
      t.match(await store.inspect([directory]), [{ failures: 1, inFlight: 0 }])
      await advance(1_000)
      await store.end(await place(store, directory), cleared, NOBODY)
      t.match(await store.inspect([directory]), [{ failures: 0, inFlight: 0 }])
    },
  )

  t.test('inspecting tells kinds, failures, places and locks, and changes nothing', async t => {
    const { store, advance } = await open(t)
    const fresh = { kind: 'pair', failures: 0, limit: 3, inFlight: 0 }
    t.strictSame(await store.inspect([a, b]), [fresh, fresh])
    await guess(store, a)
    await place(store, a)
    for (let i = 0; i < 10; i++) {
      t.strictSame(await store.inspect([b, a]), [fresh, { ...fresh, failures: 1, inFlight: 1 }])
    }
    await guess(store, a)
    t.equal((await reserve(store, a)).outcome, 'no_place', 'two failures and one place')
    const one = counter('one', ONCE, { kind: 'source' })
    t.equal(await guess(store, one), true)
    await advance(1_000)
    const [locked] = await store.inspect([one])
    t.match(locked, { kind: 'source', failures: 0, limit: 1, inFlight: 0 })
    t.ok((locked?.lockedForMs ?? 0) > 4_000 && (locked?.lockedForMs ?? 0) <= 4_500)
    await advance(5_000)
    t.strictSame(await store.inspect([one]), [{ kind: 'source', failures: 0, limit: 1, inFlight: 0 }])
    t.strictSame(await store.inspect([]), [])
  })

  t.test('a place is taken on every key or on none', async t => {
    const { store } = await open(t)
    for (let i = 0; i < 3; i++) await place(store, a)
    t.strictSame(await reserve(store, b, a), { outcome: 'no_place', key: key('a') })
    for (let i = 0; i < 3; i++) t.equal((await reserve(store, b)).outcome, 'reserved', `b has place ${i}`)
    t.strictSame(await reserve(store, b, a), { outcome: 'no_place', key: key('b') }, 'the first crowded key')
  })

  t.test('one key named twice takes one place', async t => {
    const { store } = await open(t)
    const lease = await place(store, a, a, a)
    t.match(await store.inspect([a]), [{ inFlight: 1 }])
    await store.end(lease, NOTHING, NOBODY)
    t.match(await store.inspect([a]), [{ inFlight: 0 }])
  })

  t.test('a lock goes before a crowd, and the longest lock is told', async t => {
    const { store } = await open(t)
    const long = counter('long', { ...ONCE, lockMs: [9_500] })
    const short = counter('short', ONCE)
    for (let i = 0; i < 3; i++) await place(store, a)
    t.equal(await guess(store, long), true)
    t.equal(await guess(store, short), true)
    retryAfter(t, await reserve(store, a, short, long, b), 9_500)
    t.match(await store.inspect([b]), [{ inFlight: 0 }], 'a refusal takes no place')
  })

  t.test('a thousand at once get as many places as the limit allows', async t => {
    const { store } = await open(t)
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => reserve(store, a, b)))
    t.equal(answers.filter(answer => answer.outcome === 'reserved').length, 3)
    t.equal(answers.filter(answer => answer.outcome === 'no_place').length, 997)
    const leases = answers.map(answer => (answer.outcome === 'reserved' ? answer.lease : ''))
    const ends = await Promise.all(
      leases.map(lease => store.end(lease, endingOf({ failed: [a, b] }), NOBODY)),
    )
    t.equal(ends.filter(({ locked }) => locked).length, 1, 'and one of them set the lock')
  })

  t.test('a lease ends once', async t => {
    const { store } = await open(t)
    const lease = await place(store, a)
    await place(store, a)
    await store.end(lease, NOTHING, NOBODY)
    const wild: Ending = {
      failed: [a, a, a],
      cleared: [key('a')],
      passed: [a],
      familiar: { source: key('here'), profiles: [key('p')] },
      resolved: { name: key('p'), subjects: [key('s')] },
    }
    for (let i = 0; i < 5; i++) t.strictSame(await store.end(lease, wild, NOBODY), { locked: false })
    await store.end('no such lease', wild, NOBODY)
    t.match(await store.inspect([account('p', 'here')]), [{ kind: 'unfamiliar' }])
    const second = await place(store, a)
    await place(store, a)
    t.equal((await reserve(store, a)).outcome, 'no_place', 'one place came back, not six')
    await store.end(second, NOTHING, NOBODY)
    t.equal((await reserve(store, a)).outcome, 'reserved', 'and nothing was counted')
  })

  t.test('clearing frees just the keys it names, and beats counting', async t => {
    const { store } = await open(t)
    await guess(store, a, b)
    await guess(store, a, b)
    const lease = await place(store, a, b)
    t.strictSame(await store.end(lease, endingOf({ failed: [a], cleared: [key('a')] }), NOBODY), {
      locked: false,
    })
    t.equal(await guess(store, a), false)
    t.equal(await guess(store, a), false)
    t.equal(await guess(store, b), true, 'b still remembers two')
  })

  t.test('clearing does not end a lock that was set meanwhile', async t => {
    const { store } = await open(t)
    const lease = await place(store, a)
    await store.end(await place(store, b), endingOf({ failed: [a, a, a] }), NOBODY)
    await store.end(lease, endingOf({ cleared: [key('a')], passed: [a] }), NOBODY)
    retryAfter(t, await reserve(store, a), 5_500)
  })

  t.test('an end without failures counts nothing', async t => {
    const { store } = await open(t)
    for (let i = 0; i < 20; i++) await store.end(await place(store, a, b), NOTHING, NOBODY)
    t.equal((await reserve(store, a, b)).outcome, 'reserved')
  })

  t.test('failures on a key that the lease does not hold are counted', async t => {
    const { store } = await open(t)
    const fail = endingOf({ failed: [b] })
    for (let i = 0; i < 2; i++) await store.end(await place(store, a), fail, NOBODY)
    t.strictSame(await store.end(await place(store, a), fail, NOBODY), { locked: true })
    t.equal((await reserve(store, b)).outcome, 'locked')
    t.equal((await reserve(store, a)).outcome, 'reserved')
  })

  t.test('a lease takes further places, each key once', async t => {
    const { store } = await open(t)
    const lease = await place(store, a)
    const more = (id: string, ...counters: (typeof a)[]) => store.extend(id, counters, NOBODY)
    t.strictSame(await more(lease, b), { outcome: 'extended', ignored: false })
    t.equal((await more(lease, b)).outcome, 'extended')
    t.equal((await more(lease, a, b)).outcome, 'extended', 'held already')
    t.match(await store.inspect([a, b]), [{ inFlight: 1 }, { inFlight: 1 }])
    await place(store, b)
    await place(store, b)
    const other = await place(store, a)
    const c = counter('c')
    t.strictSame(await more(other, c, b), { outcome: 'no_place', key: key('b') })
    t.match(await store.inspect([c]), [{ inFlight: 0 }], 'all or none')
    await store.end(lease, NOTHING, NOBODY)
    t.equal((await more(other, c, b)).outcome, 'extended', 'the place came back with the lease')
    t.strictSame(await more(lease, b), { outcome: 'lease_over' })
    t.strictSame(await more('no such lease', b), { outcome: 'lease_over' })
    t.equal(await guess(store, counter('one', ONCE)), true)
    retryAfter(t, await more(other, counter('one', ONCE)), 5_500)
  })

  t.test('a lease that nobody ends counts as a failure on each of its keys', async t => {
    const { store, advance } = await open(t)
    const slow = { ...LIMIT, windowMs: 10 * LEASE_MS, lockMs: [10 * LEASE_MS] } as const
    const [name, subject] = [counter('name', slow), counter('subject', slow)]
    const lost = await place(store, name)
    await store.extend(lost, [subject], NOBODY)
    await place(store, name)
    await place(store, name)
    t.equal((await reserve(store, name)).outcome, 'no_place')
    await advance(LEASE_MS - 1_000)
    t.equal((await reserve(store, name)).outcome, 'no_place')
    await advance(1_000)
    t.equal((await reserve(store, name)).outcome, 'locked')
    t.strictSame(await store.extend(lost, [subject], NOBODY), { outcome: 'lease_over' })
    const late = endingOf({ cleared: [key('name'), key('subject')] })
    t.strictSame(await store.end(lost, late, NOBODY), { locked: false })
    t.equal((await reserve(store, name)).outcome, 'locked', 'ending it late frees nothing')
    t.match(await store.inspect([name, subject]), [{ inFlight: 0 }, { inFlight: 0, failures: 1 }])
    t.equal(await guess(store, subject), false)
    t.equal(await guess(store, subject), true, 'the third with the lost one')
  })

  t.test('after a lock one try at a time, whose failure locks for longer', async t => {
    const { store, advance } = await open(t)
    const tiered = counter('tiered', HALF_OPEN)
    await guess(store, tiered)
    await guess(store, tiered)
    for (const lockMs of [5_500, 10_500, 30_500, 30_500]) {
      t.equal(await guess(store, tiered), true)
      retryAfter(t, await reserve(store, tiered), lockMs)
      await advance(lockMs + 500)
      t.match(await store.inspect([tiered]), [{ limit: 1 }])
    }
    const lease = await place(store, tiered)
    t.equal((await reserve(store, tiered)).outcome, 'no_place')
    await store.end(lease, NOTHING, NOBODY)
    t.equal((await reserve(store, tiered)).outcome, 'reserved', 'an outage uses up no try')
  })

  t.test('a right try counts again and keeps the tier, a cleared key forgets it', async t => {
    const { store, advance } = await open(t)
    const tiered = counter('tiered', HALF_OPEN)
    for (let i = 0; i < 3; i++) await guess(store, tiered)
    await advance(6_000)
    await store.end(await place(store, tiered), endingOf({ passed: [tiered] }), NOBODY)
    t.match(await store.inspect([tiered]), [{ limit: 3, failures: 0 }])
    t.strictSame([await guess(store, tiered), await guess(store, tiered)], [false, false])
    t.equal(await guess(store, tiered), true)
    retryAfter(t, await reserve(store, tiered), 10_500)
    await advance(11_000)
    await store.end(await place(store, tiered), endingOf({ cleared: [key('tiered')] }), NOBODY)
    for (let i = 0; i < 3; i++) await guess(store, tiered)
    retryAfter(t, await reserve(store, tiered), 5_500)
  })

  t.test('a tier is forgotten twelve hours after its lock', async t => {
    const { store, advance } = await open(t)
    const tiered = counter('tiered', HALF_OPEN)
    for (let i = 0; i < 3; i++) await guess(store, tiered)
    await advance(6_000 + 12 * 3_600_000)
    t.match(await store.inspect([tiered]), [{ limit: 3 }])
    for (let i = 0; i < 3; i++) await guess(store, tiered)
    retryAfter(t, await reserve(store, tiered), 5_500)
  })

  t.test('jitter moves the end of a lock by no more than its part', async t => {
    const { store } = await open(t)
    for (let i = 0; i < 20; i++) {
      const one = counter(`jitter ${i}`, { ...ONCE, lockMs: [100_000], jitter: 0.1 })
      await guess(store, one)
      const answer = await reserve(store, one)
      const waitMs = answer.outcome === 'locked' ? answer.retryAfterMs : 0
      t.ok(waitMs >= 89_500 && waitMs <= 110_000, String(waitMs))
    }
  })

  t.test('failures on so many different accounts lock a source', async t => {
    const { store } = await open(t)
    const source = (name: string) =>
      counter('source', { ...LIMIT, maxAttempts: 50, accounts: 3 }, { kind: 'source', account: key(name) })
    for (let i = 0; i < 5; i++) t.equal(await guess(store, source('one')), false)
    t.equal(await guess(store, source('two')), false)
    const third = await place(store, source('three'))
    t.strictSame(await reserve(store, source('four')), { outcome: 'no_place', key: key('source') })
    t.equal((await reserve(store, source('two'))).outcome, 'reserved', 'a known one is let in')
    t.strictSame(await store.end(third, endingOf({ failed: [source('three')] }), NOBODY), { locked: true })
    retryAfter(t, await reserve(store, source('one')), 5_500)
  })

  t.test('a key that is only watched counts and refuses nobody', async t => {
    const { store, advance } = await open(t)
    const watched = counter('w', LIMIT, { kind: 'source', watched: true })
    for (let i = 0; i < 3; i++) t.match(await reserve(store, watched), { ignored: false })
    t.match(await reserve(store, watched, a), { outcome: 'reserved', ignored: true }, 'crowded')
    t.match(await store.inspect([watched]), [{ inFlight: 4 }])
    const lease = await place(store, a)
    const fail = endingOf({ failed: [watched, watched, watched] })
    t.match(await store.extend(lease, [watched], NOBODY), { outcome: 'extended', ignored: true })
    t.strictSame(await store.end(lease, fail, NOBODY), { locked: false }, 'its lock is none that refuses')
    t.match(await reserve(store, watched), { outcome: 'reserved', ignored: true }, 'locked')
    t.match(await store.list(10), [{ key: key('w'), kind: 'source' }])
    const refusing = counter('w', LIMIT, { kind: 'source' })
    retryAfter(t, await reserve(store, refusing), 5_500)
    await advance(6_000)
    t.equal((await reserve(store, refusing)).outcome, 'no_place', 'its places count all the same')
  })

  t.test('a limit that was lowered waits for the failures above it', async t => {
    const { store, advance } = await open(t)
    await guess(store, a)
    await advance(5_000)
    await guess(store, a)
    retryAfter(t, await reserve(store, counter('a', ONCE)), 20_500)
    await advance(21_000)
    t.equal((await reserve(store, counter('a', ONCE))).outcome, 'reserved')
  })

  t.test('a source that an account logged in from is familiar, others are not', async t => {
    const { store } = await open(t)
    const [home, away] = [account('alice', 'home'), account('alice', 'away')]
    t.match(await store.inspect([home, away]), [{ kind: 'unfamiliar' }, { kind: 'unfamiliar' }])
    await login(store, home)
    t.match(await store.inspect([home, away]), [{ kind: 'familiar' }, { kind: 'unfamiliar' }])
    t.match(await store.inspect([account('bob', 'home')]), [{ kind: 'unfamiliar' }])
    for (let i = 0; i < 3; i++) await guess(store, away)
    t.equal((await reserve(store, away)).outcome, 'locked', 'a stranger locks strangers')
    t.equal((await reserve(store, home)).outcome, 'reserved', 'and not the owner')
  })

  t.test('an attempt is charged where it held its place, though the source became familiar', async t => {
    const { store } = await open(t)
    const home = account('alice', 'home')
    const lease = await place(store, home)
    await login(store, home)
    t.match(await store.extend(lease, [home], NOBODY), { outcome: 'extended' })
    await store.end(lease, endingOf({ failed: [home] }), NOBODY)
    t.match(await store.inspect([home.unfamiliar, home.familiar]), [
      { failures: 1, inFlight: 0 },
      { failures: 0, inFlight: 0 },
    ])
    await store.end(await place(store, a), endingOf({ failed: [home] }), NOBODY)
    t.match(await store.inspect([home]), [{ kind: 'familiar', failures: 1 }], 'without a place: as of now')
  })

  t.test('the oldest familiar source goes first, one that is used stays', async t => {
    const { store } = await open(t)
    for (let i = 0; i < MOST_FAMILIAR; i++) await login(store, account('alice', `source ${i}`))
    await login(store, account('alice', 'source 0'))
    await login(store, account('alice', 'one more'))
    t.match(
      await store.inspect(['source 0', 'source 1', 'source 2', 'one more'].map(at => account('alice', at))),
      [{ kind: 'familiar' }, { kind: 'unfamiliar' }, { kind: 'familiar' }, { kind: 'familiar' }],
    )
  })

  t.test('a source is familiar for ninety days since its last login', async t => {
    const { store, advance } = await open(t)
    const home = account('alice', 'home')
    await login(store, home)
    await advance(FAMILIAR_MS / 2)
    await login(store, home)
    await advance(FAMILIAR_MS / 2 + 86_400_000)
    t.match(await store.inspect([home]), [{ kind: 'familiar' }])
    await advance(FAMILIAR_MS / 2)
    t.match(await store.inspect([home]), [{ kind: 'unfamiliar' }])
    t.match(await reserve(store, home), { outcome: 'reserved' })
    t.match(await store.inspect([home.unfamiliar]), [{ inFlight: 1 }])
  })

  t.test('a source that is familiar to a subject is familiar to each of its names', async t => {
    const { store } = await open(t)
    const resolved = { name: key('alias'), subjects: [key('subject')] }
    await store.end(await place(store, a), endingOf({ resolved }), NOBODY)
    const alias = account('alias', 'home')
    t.match(await store.inspect([alias]), [{ kind: 'unfamiliar' }])
    await store.end(await place(store, a), familiarFrom('home', 'name', 'subject'), NOBODY)
    t.match(await store.inspect([alias, account('alias', 'away')]), [
      { kind: 'familiar' },
      { kind: 'unfamiliar' },
    ])
    const lease = await place(store, alias)
    t.match(await store.inspect([alias.familiar]), [{ inFlight: 1 }])
    await store.end(lease, NOTHING, NOBODY)
    const other = await reserve(store, account('other', 'home'))
    t.equal(other.outcome, 'reserved')
    t.match(await store.inspect([account('other', 'home')]), [{ kind: 'unfamiliar', inFlight: 1 }])
  })

  for (const [whose, resolved] of [
    ['that may be nobody’s', { name: '', subjects: [] }],
    ['that is somebody’s', { name: key('n'), subjects: [key('s')] }],
  ] as const) {
    const pair = counter('pair', LIMIT, { unresolved: true, owner: key('n') })
    const tiered = counter('tiered', HALF_OPEN, { kind: 'unfamiliar', unresolved: true, owner: key('n') })
    const end = (more: Partial<Ending>) => endingOf({ resolved, ...more })

    t.test(`a name ${whose} is locked by the limit-th failure, and counts afresh later`, async t => {
      const { store, advance } = await open(t)
      for (let round = 0; round < 3; round++) {
        for (const locked of [false, false, true]) {
          t.strictSame(await store.end(await place(store, pair), end({ failed: [pair] }), NOBODY), { locked })
        }
        retryAfter(t, await reserve(store, pair), 5_500)
        t.match(await store.inspect([pair]), [{ kind: 'pair', failures: 0, limit: 3 }])
        await advance(6_000)
      }
      await store.end(await place(store, pair), end({ failed: [pair] }), NOBODY)
      t.match(await store.inspect([pair]), [{ failures: 1, limit: 3, inFlight: 0 }])
      await advance(12 * 3_600_000)
      t.match(await store.inspect([pair]), [{ failures: 0 }])
    })

    t.test(`a name ${whose} has places, tiers and tries as any other`, async t => {
      const { store, advance } = await open(t)
      await store.end(await place(store, tiered), end({ failed: [tiered] }), NOBODY)
      const held = [await place(store, tiered), await place(store, tiered)]
      t.strictSame(await reserve(store, tiered), { outcome: 'no_place', key: key('tiered') })
      t.match(await store.inspect([tiered]), [{ failures: 1, inFlight: 2 }])
      for (const lease of held) await store.end(lease, end({ failed: [tiered] }), NOBODY)
      for (const lockMs of [5_500, 10_500, 30_500, 30_500]) {
        retryAfter(t, await reserve(store, tiered), lockMs)
        t.match(await store.list(9), [{ key: key('tiered'), kind: 'unfamiliar' }])
        await advance(lockMs + 500)
        const lease = await place(store, tiered)
        t.equal((await reserve(store, tiered)).outcome, 'no_place')
        t.strictSame(await store.end(lease, end({ failed: [tiered] }), NOBODY), { locked: true })
      }
      await advance(31_000 + 12 * 3_600_000)
      t.match(await store.inspect([tiered]), [{ limit: 3, failures: 0 }])
    })

    t.test(`a name ${whose} is cleared, passed and pardoned as any other`, async t => {
      const { store, advance } = await open(t)
      for (let i = 0; i < 2; i++) {
        await store.end(await place(store, pair), end({ failed: [pair, tiered] }), NOBODY)
      }
      const right = endingOf({ cleared: [key('pair')], resolved: { name: key('n'), subjects: [key('s')] } })
      // An attempt holds all counts of its account.
      await store.end(await place(store, pair, tiered), right, NOBODY)
      t.match(await store.inspect([pair, tiered]), [{ failures: 0 }, { failures: 2 }])
      for (const locked of [true, false, true]) {
        t.strictSame(await store.end(await place(store, pair), end({ failed: [pair, tiered] }), NOBODY), {
          locked,
        })
      }
      t.match(await store.list(9), [{ tier: 1 }, { tier: 1 }], 'the pair after three of its own')
      await advance(6_000)
      await store.end(await place(store, tiered), { ...right, cleared: [], passed: [tiered] }, NOBODY)
      t.match(await store.inspect([tiered]), [{ limit: 3, failures: 0 }])
      for (let i = 0; i < 3; i++) {
        await store.end(await place(store, pair), end({ failed: [pair, tiered] }), NOBODY)
      }
      t.match(await store.list(9), [{ key: key('tiered'), tier: 2 }, { key: key('pair') }])
      const ended = await store.pardon({ of: 'account', profiles: [key('n')] })
      t.strictSame(new Set(ended.map(lock => lock.key)), new Set([key('pair'), key('tiered')]))
      t.strictSame(await store.list(9), [])
      t.match(await store.inspect([pair, tiered]), [
        { failures: 0, limit: 3 },
        { failures: 0, limit: 3 },
      ])
      for (const locked of [false, false, true]) {
        t.strictSame(await store.end(await place(store, pair), end({ failed: [pair] }), NOBODY), { locked })
      }
    })
  }

  t.test('failures of a name before and after it was found to be somebody’s add up', async t => {
    const { store } = await open(t)
    const pair = counter('pair', LIMIT, { unresolved: true })
    const resolved = { name: key('n'), subjects: [key('s')] }
    const fail = endingOf({ failed: [pair] })
    t.strictSame(await store.end(await place(store, pair), fail, NOBODY), { locked: false })
    t.strictSame(await store.end(await place(store, pair), { ...fail, resolved }, NOBODY), { locked: false })
    t.match(await store.inspect([pair]), [{ failures: 2 }])
    t.strictSame(await store.end(await place(store, pair), fail, NOBODY), { locked: true })
  })

  t.test('the list tells who set a lock and who came by last, longest first', async t => {
    const { store, advance } = await open(t)
    const [long, short] = [counter('long', { ...ONCE, lockMs: [9_500] }), counter('short', ONCE)]
    const first = { name: 'alice', subject: 'ad:1', address: '192.0.2.1', caller: 'mail' }
    await store.end(await place(store, short, long), endingOf({ failed: [short, long] }), first)
    await advance(1_000)
    t.match(await store.list(9), [
      { key: key('long'), kind: 'pair', tier: 1, note: first },
      { key: key('short'), kind: 'pair', tier: 1, note: first },
    ])
    t.strictSame(
      (await store.list(1)).map(lock => lock.key),
      [key('long')],
    )
    const second = { address: '192.0.2.9', caller: 'vpn' }
    t.equal((await store.reserve([short], second)).outcome, 'locked')
    const listed = await store.list(9)
    t.strictSame(
      listed.map(lock => lock.note),
      [first, second],
    )
    t.ok(listed.every(({ forMs }) => forMs > 0))
    await advance(5_000)
    t.strictSame(
      (await store.list(9)).map(lock => lock.key),
      [key('long')],
    )
    await advance(5_000)
    t.strictSame(await store.list(9), [])
  })

  t.test('a pardon of an account frees it, its subjects and their other names, and nobody else', async t => {
    const { store } = await open(t)
    await login(store, account('alias', 'home'))
    const owned = (label: string, owner: string, kind: 'pair' | 'directory' = 'pair') =>
      counter(label, ONCE, { owner: key(owner), kind })
    const [alias, other, bob] = [
      account('alias', 'x', ONCE),
      account('other', 'x', ONCE),
      account('bob', 'x', ONCE),
    ]
    const subject = account('subject', 'x', ONCE)
    const pairs = [owned('p1', 'alias'), owned('p2', 'subject'), owned('d', 'subject', 'directory')]
    const source = counter('source', ONCE, { kind: 'source' })
    for (const [name, who] of [
      ['alias', [alias, subject, ...pairs]],
      ['other', [other, source]],
    ] as const) {
      const resolved = { name: key(name), subjects: [key('subject')] }
      await store.end(await place(store, ...who), endingOf({ failed: who, resolved }), NOBODY)
    }
    await store.end(await place(store, bob), endingOf({ failed: [bob] }), NOBODY)
    const ended = await store.pardon({ of: 'account', profiles: [key('alias')] })
    t.equal(ended.length, 6)
    t.ok(ended.every(({ forMs }) => forMs > 0))
    t.match(await reserve(store, alias, subject, other, ...pairs), { outcome: 'reserved' })
    retryAfter(t, await reserve(store, bob), 5_500)
    retryAfter(t, await reserve(store, source), 5_500)
    t.match(await store.inspect([account('alias', 'home')]), [{ kind: 'familiar' }], 'that is no count')
    t.strictSame(await store.pardon({ of: 'account', profiles: [key('alias')] }), [], 'idempotent')
    t.match(await store.inspect([alias]), [{ inFlight: 1 }], 'places that are held stay held')
  })

  t.test('a pardon forgets counts below the limit, and tiers', async t => {
    const { store, advance } = await open(t)
    const tiered = counter('tiered', HALF_OPEN)
    for (let i = 0; i < 3; i++) await guess(store, tiered, a)
    await advance(6_000)
    await guess(store, a)
    t.strictSame(await store.pardon({ of: 'pair', keys: [key('tiered'), key('a')] }), [])
    t.match(await store.inspect([tiered, a]), [
      { limit: 3, failures: 0 },
      { limit: 3, failures: 0 },
    ])
    for (let i = 0; i < 3; i++) await guess(store, tiered)
    retryAfter(t, await reserve(store, tiered), 5_500)
  })

  t.test('a pardon of sources or of pairs frees just those', async t => {
    const { store } = await open(t)
    const source = counter('source', ONCE, { kind: 'source' })
    const subnet = counter('subnet', ONCE, { kind: 'subnet' })
    const pair = counter('pair', ONCE, { unresolved: true })
    const all = [source, subnet, pair, account('alice', 'x', ONCE)]
    await store.end(await place(store, ...all), endingOf({ failed: all }), NOBODY)
    t.equal((await store.list(9)).length, 4)
    const sources = await store.pardon({ of: 'source', keys: [key('source'), key('subnet'), key('none')] })
    t.strictSame(new Set(sources.map(({ kind }) => kind)), new Set(['source', 'subnet']))
    t.match(await reserve(store, source, subnet), { outcome: 'reserved' })
    t.match(await store.pardon({ of: 'pair', keys: [key('pair'), key('none')] }), [{ key: key('pair') }])
    t.match(await reserve(store, pair), { outcome: 'reserved' })
    t.match(await store.list(9), [{ kind: 'unfamiliar' }])
  })

  t.test('the oldest name of a subject goes first', async t => {
    const { store } = await open(t)
    const name = (i: number) => account(`name ${i}`, 'x', ONCE)
    for (let i = 0; i <= MOST_NAMES; i++) {
      const resolved = { name: key(`name ${i}`), subjects: [key('subject')] }
      await store.end(await place(store, name(i)), endingOf({ failed: [name(i)], resolved }), NOBODY)
    }
    const ended = await store.pardon({ of: 'account', profiles: [key('subject')] })
    t.equal(ended.length, MOST_NAMES)
    t.equal((await reserve(store, name(0))).outcome, 'locked')
    t.equal((await reserve(store, name(1))).outcome, 'reserved')
  })

  t.test('a report counts locks by kind', async t => {
    const { store } = await open(t)
    const subnet = counter('subnet', ONCE, { kind: 'subnet' })
    await guess(store, a)
    await guess(store, subnet)
    t.match(store.report(), { locked: { subnet: 1 }, underAttack: false, reachable: true })
    t.notOk(store.report().locked.pair)
  })

  t.test('closing is idempotent', async t => {
    const { store } = await open(t)
    await store.close()
    await store.close()
  })

  t.test(
    'any interleaving: what the model admits is admitted, and guesses stay within the limit',
    async t => {
      await storeMatchesModel(t, open, runs)
      t.pass()
    },
  )
}
