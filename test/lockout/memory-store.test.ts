import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { type Journal, noJournal, type Saved } from '../../src/lockout/journal.ts'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import { takeUp, writeDown } from '../../src/lockout/saved-row.ts'
import { LEASE_MS, type LockoutStore, MOST_NEW_NAMES, type Place } from '../../src/lockout/store.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
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
} from './store-parts.ts'

const MIB = 1_048_576
const ONCE = { ...LIMIT, maxAttempts: 1, lockMs: [30_000] } as const
const LONG = { ...LIMIT, maxAttempts: 3, windowMs: 3_600_000, lockMs: [3_600_000] } as const

function setUp({ bytes = MIB, clock = createFakeClock(), journal = createFakeJournal() } = {}) {
  const log = createLogRecorder()
  return { clock, log, journal, store: createMemoryStore({ clock, log, bytes, journal }) }
}

/** What a journal holds, and how often it was written. */
function createFakeJournal(saved = new Map<string, Saved>()) {
  let flushes = 0
  let closed = false
  const journal: Journal = {
    load: () => saved,
    put(key, value) {
      if (value === undefined) saved.delete(key)
      else saved.set(key, value)
    },
    flush: () => void flushes++,
    close() {
      closed = true
    },
  }
  return { ...journal, saved, flushes: () => flushes, closed: () => closed }
}

/** All that one attempt of the full profile counts. */
function attempt(name: string, source: string, limit = LONG): Place[] {
  const more = { unresolved: true, owner: key(name) }
  const wide = { ...LONG, maxAttempts: 200 }
  return [
    counter(`pair ${name} ${source}`, limit, more),
    account(name, source, limit, { unresolved: true }),
    counter(`source ${source}`, { ...wide, accounts: 100 }, { kind: 'source', account: key(name) }),
    counter(`subnet ${source.slice(0, -1)}`, wide, { kind: 'subnet' }),
  ]
}

const found = (name: string) => ({ name: key(name), subjects: [key(`subject ${name}`)] })

async function outcome(store: LockoutStore, ...places: Place[]): Promise<string> {
  const answer = await reserve(store, ...places)
  if (answer.outcome === 'reserved') await store.end(answer.lease, endingOf({ failed: places }), NOBODY)
  return answer.outcome
}

storeConformance(t, async () => {
  const { store, clock } = setUp({ bytes: 4 * MIB })
  return { store, advance: clock.advance }
})

t.test('a budget that nothing fits into is refused', async t => {
  t.throws(() => setUp({ bytes: MIB - 1 }), { name: 'RangeError', message: /1048576 bytes or more/ })
  t.throws(() => setUp({ bytes: Number.NaN }), RangeError)
})

t.test('a flood of names that are nobody’s pushes out nothing of somebody’s', async t => {
  const { store, log } = setUp()
  const [locked, counted] = [account('locked', 'home', LONG), account('counted', 'home', LONG)]
  for (let i = 0; i < 3; i++) {
    const fail = endingOf({ failed: i === 0 ? [locked, counted] : [locked], resolved: found('locked') })
    await store.end(await place(store, locked, counted), fail, NOBODY)
  }
  await login(store, account('owner', 'home', LONG))
  for (let i = 0; i < 20_000; i++) await outcome(store, ...attempt(`random ${i}`, `source ${i % 10_000}`))
  t.equal((await reserve(store, locked)).outcome, 'locked')
  t.match(await store.inspect([counted, account('owner', 'home', LONG)]), [
    { failures: 1 },
    { kind: 'familiar' },
  ])
  const { bytes = Number.POSITIVE_INFINITY, records } = store.report()
  t.ok(bytes <= MIB, `${bytes} bytes`)
  t.equal(records.accounts, 2)
  t.equal(records.pairs, 0)
  t.strictSame(log.lines, [])
})

t.test('guessing at everybody makes nobody’s machine unfamiliar', async t => {
  const { store } = setUp()
  const alice = account('alice', 'office', LONG)
  await login(store, alice)
  for (let i = 0; i < 2_000; i++) {
    const places = attempt(`user${i}`, `source${i}`)
    const lease = await place(store, ...places)
    await store.end(lease, endingOf({ failed: places, resolved: found(`user${i}`) }), NOBODY)
  }
  t.match(await store.inspect([alice]), [{ kind: 'familiar' }])
})

t.test(
  'what counts at a directory is pushed out by nobody, until the directory has forgotten it',
  async t => {
    const { store, clock } = setUp()
    const sinceLast = { ...LIMIT, sinceLast: true } as const
    const at = (who: string) => counter(`directory ${who}`, sinceLast, { kind: 'directory' })
    await guess(store, at('bob'))
    let refused = 0
    for (let i = 0; i < 2_000; i++) if ((await outcome(store, at(`user${i}`))) !== 'reserved') refused++
    t.match(await store.inspect([at('bob')]), [{ failures: 1 }])
    t.ok(refused > 0, 'rather somebody is refused')
    clock.advance(LIMIT.windowMs)
    t.equal(await outcome(store, at('carol')), 'reserved')
  },
)

t.test(
  'a sketch full of names that nobody has keeps nobody out whose name was ever found to be somebody’s',
  async t => {
    const { store } = setUp()
    const owner = attempt('owner', 'home')
    const familiar = { source: key('home'), profiles: [key('owner')] }
    const right = endingOf({ resolved: found('owner'), familiar })
    await store.end(await place(store, ...owner), right, NOBODY)
    for (let i = 0; i < 20_000; i++) await outcome(store, ...attempt(`random ${i}`, `source ${i % 10_000}`))
    t.equal(await outcome(store, ...attempt('anybody', 'anywhere')), 'locked', 'the sketch is full')
    // His own failures count, one by one, and lock.
    for (let i = 1; i <= 3; i++) {
      const wrong = endingOf({ failed: owner, resolved: found('owner') })
      const { locked } = await store.end(await place(store, ...owner), wrong, NOBODY)
      t.equal(locked, i === 3, `failure ${i}`)
    }
    t.equal(await outcome(store, ...owner), 'locked')
    t.match(await store.inspect(attempt('owner', 'abroad')), [{ failures: 0, lockedForMs: undefined }])
    await store.end(await place(store, ...attempt('owner', 'abroad')), endingOf({}), NOBODY)
  },
)

t.test('a flood of sources pushes out neither a locked one nor one with an attempt in flight', async t => {
  const { store } = setUp()
  const source = (label: string | number) => counter(`source ${label}`, LONG, { kind: 'source' })
  for (let i = 0; i < 3; i++) await guess(store, source('locked'))
  await guess(store, source('held'))
  const lease = await place(store, source('held'))
  await guess(store, source('neither'))
  for (let i = 0; i < 5_000; i++) await guess(store, source(i))
  t.match(await store.inspect([source('locked'), source('held'), source('neither')]), [
    { lockedForMs: LONG.lockMs[0] },
    { failures: 1, inFlight: 1 },
    { failures: 0 },
  ])
  await store.end(lease, endingOf({ failed: [source('held')] }), NOBODY)
  t.match(await store.inspect([source('held')]), [{ failures: 2, inFlight: 0 }])
  t.ok((store.report().bytes ?? 0) < MIB)
})

/** Locks accounts of somebody until one is refused. */
async function fill(store: LockoutStore, from = 0): Promise<number> {
  for (let i = from; ; i++) {
    const who = account(`victim ${i}`, 'away', ONCE)
    const answer = await reserve(store, who)
    if (answer.outcome !== 'reserved') return i - from
    const ending = endingOf({ failed: [who], resolved: found('victim') })
    await store.end(answer.lease, ending, NOBODY)
  }
}

t.test(
  'crowded with locks it refuses whom it does not know, rings once, and says when it is over',
  async t => {
    const { store, clock, log } = setUp()
    await login(store, account('owner', 'home'))
    t.equal(log.at('fatal').length, 0)
    const filled = await fill(store)
    t.ok(filled > 50 && filled < 1_000, `${filled} locks`)
    t.equal(log.at('fatal').length, 1)
    t.match(log.at('fatal')[0]?.fields, { budget_bytes: MIB })
    t.match(store.report(), { underAttack: true, locked: { unfamiliar: filled } })
    for (let i = 0; i < 50; i++) {
      t.strictSame(await reserve(store, account(`other ${i}`, 'away')), { outcome: 'full' })
    }
    t.equal((await reserve(store, account('owner', 'away'))).outcome, 'full')
    t.equal(
      (await reserve(store, account('victim 3', 'away', ONCE))).outcome,
      'locked',
      'as it is known to be',
    )
    t.equal((await reserve(store, account('owner', 'home'))).outcome, 'reserved')
    t.equal(log.at('fatal').length, 1)

    clock.advance(30_000)
    t.equal((await reserve(store, account('other', 'away'))).outcome, 'reserved')
    t.equal(log.at('warn').length, 1, 'the end of the alarm is told')
    t.match(store.report(), { underAttack: false, locked: {} })
    await fill(store, 10_000)
    t.equal(log.at('fatal').length, 2, 'and it can ring again')
  },
)

t.test('full of what must be kept it refuses everybody, but whom it only watches', async t => {
  const { store, clock } = setUp()
  await login(store, account('owner', 'home', { ...LIMIT, maxAttempts: 1_000 }))
  const owner = account('owner', 'home', { ...LIMIT, maxAttempts: 1_000 })
  await fill(store)
  const leases: string[] = []
  for (;;) {
    const answer = await reserve(store, owner)
    if (answer.outcome !== 'reserved') {
      t.strictSame(answer, { outcome: 'full' })
      break
    }
    leases.push(answer.lease)
  }
  t.ok(leases.length > 1)
  const open = await place(store)
  t.strictSame(await store.extend(open, [owner], NOBODY), { outcome: 'full' })
  t.strictSame(await store.extend(open, [counter('d', LIMIT, { kind: 'directory' })], NOBODY), {
    outcome: 'full',
  })
  const watched = account('watched', 'away', LIMIT, { watched: true })
  t.match(await reserve(store, watched), { outcome: 'reserved', ignored: true })
  t.ok((store.report().bytes ?? 0) < MIB)
  for (const lease of leases) await store.end(lease, endingOf({ failed: [owner] }), NOBODY)
  t.equal((await reserve(store, owner)).outcome, 'reserved')
  t.ok((store.report().bytes ?? 0) < MIB, 'failures need no more than the places did')
  clock.advance(1_000)
  t.equal(store.report().underAttack, true)
})

t.test('who came by is remembered only while there is room', async t => {
  const { store } = setUp()
  const filled = await fill(store)
  const before = store.report().bytes ?? 0
  const long = { name: 'x'.repeat(256), address: '192.0.2.1', caller: 'y'.repeat(256) }
  for (let i = 0; i < filled; i++) await store.reserve([account(`victim ${i}`, 'away', ONCE)], long)
  const more = (store.report().bytes ?? 0) - before
  t.ok(more < (0.1 * ((4.5 / 16) * MIB)) / 2, `${more} bytes more, with a tenth of the room left`)
  const notes = (await store.list(10_000)).map(({ note }) => note)
  t.equal(notes.length, filled)
  t.ok(notes.includes(long) && notes.includes(undefined))
})

t.test('a crowded store is not searched at every attempt', async t => {
  const { store, clock } = setUp()
  const filled = await fill(store)
  clock.advance(1_000)
  t.equal((await reserve(store, account('other', 'away'))).outcome, 'full', 'searched just now')
  clock.advance(29_000 - 500)
  t.equal((await reserve(store, account('other', 'away'))).outcome, 'full')
  clock.advance(500)
  t.equal((await reserve(store, account('other', 'away'))).outcome, 'full', 'they have ended, unseen')
  t.equal((await store.list(filled)).length, 0)
  clock.advance(500)
  t.equal((await reserve(store, account('other', 'away'))).outcome, 'reserved')
})

t.test('a record that is unpinned while its attempt is let in is kept once', async t => {
  const { store, clock } = setUp()
  const filled = await fill(store)
  clock.advance(31_000)
  // The locks have ended, unseen: the attempt that finds one of them is the one that searches the store.
  const lease = await place(store, account(`victim ${filled - 1}`, 'away', ONCE))
  const { records, bytes = 0 } = store.report()
  await store.end(lease, NOTHING, NOBODY)
  t.equal(store.report().records.accounts, records.accounts)
  t.ok(bytes - (store.report().bytes ?? 0) < 1_000, 'a place was given back, and nothing else')
})

t.test('one source brings no more than so many new names, and is charged for more', async t => {
  const { store } = setUp()
  const source = (name: string) =>
    counter('source', { ...LONG, maxAttempts: 1_000 }, { kind: 'source', account: key(name) })
  const name = (i: number) => counter(`name ${i}`, LONG, { unresolved: true })
  const fail = async (i: number, resolved = endingOf({}).resolved) => {
    const places = [name(i), source(`name ${i}`)]
    await store.end(await place(store, ...places), endingOf({ failed: places, resolved }), NOBODY)
  }
  for (let i = 0; i < MOST_NEW_NAMES + 5; i++) await fail(i)
  t.match(await store.inspect([name(49), name(50), source('')]), [
    { failures: 1 },
    { failures: 0 },
    { failures: MOST_NEW_NAMES + 5 },
  ])
  await fail(49)
  t.match(await store.inspect([name(49)]), [{ failures: 2 }], 'one that it brought before')
  await fail(60, found('somebody'))
  t.match(await store.inspect([name(60)]), [{ failures: 1 }], 'one that is somebody’s')
  await store.end(await place(store), endingOf({ failed: [name(61)] }), NOBODY)
  t.match(await store.inspect([name(61)]), [{ failures: 1 }], 'where no source is counted')
})

t.test('a source that is locked and only watched brings no names', async t => {
  const { store } = setUp()
  const source = counter('source', ONCE, { kind: 'source', watched: true })
  const name = counter('name', LONG, { unresolved: true })
  await guess(store, source)
  await guess(store, name, source)
  t.match(await store.inspect([name]), [{ failures: 0 }])
})

t.test('a lease that nobody ended is told to the log', async t => {
  const { store, clock, log, journal } = setUp()
  await place(store, counter('a', ONCE), counter('b', ONCE, { unresolved: true }))
  clock.advance(LEASE_MS)
  t.equal((await reserve(store, counter('a', ONCE))).outcome, 'locked')
  t.equal((await reserve(store, counter('b', ONCE, { unresolved: true }))).outcome, 'locked')
  t.match(await store.list(9), [{ note: NOBODY }, { note: NOBODY }], 'with whom it was')
  t.equal(log.at('error').length, 1)
  t.equal(journal.flushes(), 1)
})

t.test('time set back or forth on the wall moves no lock', async t => {
  const { store, clock } = setUp()
  await guess(store, counter('a', ONCE))
  for (const hours of [1, -2, 24 * 365]) {
    clock.jumpWall(hours * 3_600_000)
    t.strictSame(await reserve(store, counter('a', ONCE)), { outcome: 'locked', retryAfterMs: 30_000 })
  }
})

t.test('a restart forgets no failure, lock, tier, familiar source or link', async t => {
  const tiered = { ...LIMIT, lockMs: [5_000, 60_000], afterLock: 'half_open' } as const
  const pair = counter('pair', tiered, { unresolved: true, owner: key('u') })
  const [locked, counting] = [counter('locked', ONCE, { owner: key('s') }), counter('counting', LIMIT)]
  const home = account('s', 'home')
  const { store, clock, journal } = setUp()
  for (let i = 0; i < 3; i++) await guess(store, pair)
  clock.advance(5_000)
  await guess(store, pair)
  await guess(store, locked)
  await guess(store, counting)
  await place(store, counting, home)
  await login(store, home)
  const resolved = { name: key('n'), subjects: [key('s')] }
  await store.end(await place(store), endingOf({ resolved }), NOBODY)
  clock.advance(1_000)

  const again = setUp({ clock, journal }).store
  t.match(await again.inspect([pair, locked, counting, account('n', 'home')]), [
    { lockedForMs: 59_000, failures: 0 },
    { lockedForMs: 29_000 },
    { failures: 2, inFlight: 0 },
    { kind: 'familiar', inFlight: 0 },
  ])
  t.strictSame(await again.list(9), [
    { key: key('pair'), kind: 'pair', forMs: 59_000, tier: 2 },
    { key: key('locked'), kind: 'pair', forMs: 29_000, tier: 1 },
  ])
  await reserve(again, pair, locked)
  t.match(await again.list(9), [{ note: NOBODY }, { note: NOBODY }], 'somebody came by')
  const ended = await again.pardon({ of: 'account', profiles: [key('n'), key('u')] })
  t.match(ended, [{ key: key('pair') }, { key: key('locked') }], 'by its name and by whom it was found to be')
})

t.test(
  'guesses that were under way when the process died count, but for a single one at an account without failures',
  async t => {
    const halfOpen = { ...LIMIT, afterLock: 'half_open' } as const
    const [one, two] = [counter('one', halfOpen), counter('two', halfOpen)]
    const [failed, last, tried] = [counter('failed'), counter('last', halfOpen), counter('tried', halfOpen)]
    const source = counter('source', LIMIT, { kind: 'source' })
    const { store, clock, journal } = setUp()
    await guess(store, failed)
    for (let i = 0; i < 3; i++) await guess(store, tried)
    clock.advance(LIMIT.lockMs[0])
    for (const each of [one, two, two, failed, last, last, last, tried, source, source])
      await place(store, each)
    const right = await place(store, counter('right'))
    await place(store, counter('right'))
    await store.end(right, endingOf({ cleared: [key('right')] }), NOBODY)

    const again = setUp({ clock, journal }).store
    t.match(await again.inspect([one, two, failed, last, tried, source, counter('right')]), [
      { failures: 0, lockedForMs: undefined },
      { failures: 2 },
      { failures: 2 },
      { lockedForMs: LIMIT.lockMs[0] },
      { lockedForMs: LIMIT.lockMs[0] },
      { failures: 0 },
      { failures: 0 },
    ])
    for (const each of await again.inspect([one, two, failed, last, tried])) t.equal(each.inFlight, 0)
  },
)

t.test('only what is over is left out after a restart', async t => {
  const { store, clock, journal } = setUp()
  await guess(store, counter('locked', ONCE))
  await login(store, account('s', 'home'))
  clock.advance(365 * 24 * 3_600_000)
  t.strictSame([...journal.saved.keys()].length, 2)
  const { records, locked } = setUp({ clock, journal }).store.report()
  t.match(records, { pairs: 0, profiles: 0 })
  t.strictSame(locked, {})
})

t.test('what is durable is written once per end, places of those without failures are not', async t => {
  const { store, journal } = setUp()
  const [a, b] = [counter('a'), counter('b', ONCE, { unresolved: true })]
  const lease = await place(store, a, b)
  await store.extend(lease, [counter('c')], NOBODY)
  await store.inspect([a, b])
  t.equal(journal.saved.size, 0)
  t.equal(journal.flushes(), 0)
  await store.end(lease, endingOf({ failed: [a, b] }), NOBODY)
  t.equal(journal.flushes(), 1)
  t.match(journal.saved.get(key('a')), {
    what: 'record',
    kind: 'pair',
    record: { failures: [{ account: '' }] },
  })
  t.match(journal.saved.get(key('b')), { what: 'unresolved', kind: 'pair', lock: { tier: 1 } })
  await store.end(await place(store, counter('c')), endingOf({}), NOBODY)
  t.equal(journal.flushes(), 1, 'nothing to write')
  await store.end(await place(store, a), endingOf({ cleared: [key('a')] }), NOBODY)
  await store.pardon({ of: 'pair', keys: [key('b')] })
  t.equal(journal.flushes(), 4, 'the place beside a failure, its end, and the pardon')
  t.equal(journal.saved.size, 0, 'what is forgotten is forgotten there, too')
  await store.close()
  t.ok(journal.closed())
})

t.test('what is pushed out is forgotten by the journal, too', async t => {
  const { store, journal } = setUp()
  for (let i = 0; i < 3_000; i++) await guess(store, counter(`source ${i}`, LONG, { kind: 'source' }))
  for (let i = 0; i < 3_000; i++) await login(store, account(`name ${i}`, 'home'))
  const { sources = 0, profiles = 0 } = store.report().records
  t.ok(sources > 50 && sources < 3_000)
  t.ok(profiles > 50 && profiles < 3_000)
  t.equal(journal.saved.size, sources + profiles)
})

t.test('of names that nobody has, the journal keeps the newest locks and no flood of them', async t => {
  const { store, journal } = setUp()
  for (let i = 0; i < 300; i++) await guess(store, counter(`name ${i}`, ONCE, { unresolved: true }))
  const { unresolved = 0 } = store.report().records
  t.ok(unresolved > 50 && unresolved < 300)
  t.equal(journal.saved.size, unresolved)
  t.ok(journal.saved.has(key('name 299')))
})

t.test('failures of a name that was cleared or pardoned do not come back from the sketch', async t => {
  const { store, clock } = setUp()
  const pair = counter('pair', LONG, { unresolved: true, owner: key('n') })
  for (let i = 0; i < 3; i++) await guess(store, pair)
  const lease = await place(store, counter('other'))
  await store.pardon({ of: 'account', profiles: [key('n')] })
  for (let hours = 0; hours < 20; hours++) {
    t.match(await store.inspect([pair]), [{ failures: 0, limit: 3 }])
    clock.advance(3_600_000)
  }
  await store.end(lease, endingOf({}), NOBODY)
  t.match(await store.inspect([pair]), [{ failures: 0, limit: 3 }])
})

t.test(
  'a short lock of a name that is nobody’s is followed by a fresh count, however long slices are',
  async t => {
    const { store, clock } = setUp()
    const pair = counter('pair', LIMIT, { unresolved: true })
    await guess(store, counter('long', LONG, { unresolved: true }))
    for (let round = 0; round < 3; round++) {
      for (const locked of [false, false, true]) t.equal(await guess(store, pair), locked)
      clock.advance(6_000)
    }
  },
)

t.test('a name that is nobody’s is half-open after its lock, though newer ones are remembered', async t => {
  const { store, clock } = setUp()
  const halfOpen = { ...LIMIT, lockMs: [5_000, 9_000], afterLock: 'half_open' } as const
  const pair = (i: number) => counter(`pair ${i}`, halfOpen, { unresolved: true })
  const long = counter('long', { ...LONG, maxAttempts: 9 }, { unresolved: true })
  await guess(store, long)
  for (let i = 0; i < 200; i++) for (let j = 0; j < 3; j++) await guess(store, pair(i))
  const listed = await store.list(1_000)
  t.ok(listed.length > 50 && listed.length < 200, `${listed.length} of 200`)
  t.ok((await reserve(store, pair(0))).outcome === 'locked')
  clock.advance(5_001)
  await guess(store, long)
  t.match(await store.inspect([pair(0)]), [{ failures: 0, limit: 1 }])
  t.equal(await guess(store, pair(0)), true)
  t.strictSame(await reserve(store, pair(0)), { outcome: 'locked', retryAfterMs: 9_000 })
})

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

async function heapUsed(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await setImmediate()
    collectGarbage()
  }
  return process.memoryUsage().heapUsed
}

const SORTS: readonly [what: string, fillOne: (store: LockoutStore, i: number) => Promise<unknown>][] = [
  ['failures', (store, i) => guess(store, counter(`pair ${i}`, LONG, { owner: key(`name ${i}`) }))],
  [
    'locks',
    async (store, i) => {
      const note = { name: `name-${i}`, subject: `ad:${i}`, address: `192.0.2.${i}`, caller: `caller ${i}` }
      const one = counter(`pair ${i}`, ONCE, { owner: key(`name ${i}`) })
      await store.end(await place(store, one), endingOf({ failed: [one] }), note)
    },
  ],
  ['places', (store, i) => place(store, account(`name ${i}`, 'home'))],
  [
    'many failures',
    async (store, i) => {
      const subnet = counter(`subnet ${i}`, { ...LONG, maxAttempts: 50 }, { kind: 'subnet' })
      await store.end(await place(store), endingOf({ failed: new Array(40).fill(subnet) }), NOBODY)
    },
  ],
  [
    'accounts of a source',
    async (store, i) => {
      const limit = { ...LONG, maxAttempts: 50 }
      const of = (name: string) => counter(`source ${i}`, limit, { kind: 'source', account: key(name) })
      for (let j = 0; j < 10; j++) await guess(store, of(`name ${i} ${j}`))
    },
  ],
  ['familiar sources', (store, i) => login(store, account(`name ${i}`, `source ${i}`))],
  [
    'many familiar sources and names',
    async (store, i) => {
      for (let j = 0; j < 5; j++) {
        const familiar = { source: key(`source ${i} ${j}`), profiles: [key(`name ${i}`)] }
        const resolved = { name: key(`name ${i}`), subjects: [key(`subject ${i} ${j}`)] }
        await store.end(await place(store), endingOf({ familiar, resolved }), NOBODY)
      }
    },
  ],
  ['names that are nobody’s', (store, i) => guess(store, counter(`pair ${i}`, ONCE, { unresolved: true }))],
]

for (const [what, fillOne] of SORTS) {
  t.test(`the heap grows by less than is accounted: ${what}`, async t => {
    const clock = createFakeClock()
    const log = createLogRecorder()
    const store = createMemoryStore({ clock, log, bytes: 256 * MIB })
    const count = 10_000
    const accounted = () => store.report().bytes ?? 0
    const [heapBefore, before] = [await heapUsed(), accounted()]
    for (let i = 0; i < count; i++) {
      // Times that are no whole numbers need more room.
      clock.advance(0.001)
      await fillOne(store, i)
    }
    const [heapAfter, after] = [await heapUsed(), accounted()]
    const perRecord = (bytes: number) => Math.round(bytes / count)
    t.ok(after - before > 0)
    t.ok(
      heapAfter - heapBefore < after - before,
      `${perRecord(heapAfter - heapBefore)} of ${perRecord(after - before)} bytes each`,
    )
    t.comment(`${what}: ${perRecord(heapAfter - heapBefore)} of ${perRecord(after - before)} bytes each`)
    t.strictSame(log.lines, [])
  })
}

/** A store that was filled, as its journal has it on disk. */
async function writtenDown(fillOne: (store: LockoutStore, i: number) => Promise<unknown>, count: number) {
  const clock = createFakeClock()
  const journal = createFakeJournal()
  const store = createMemoryStore({ clock, log: createLogRecorder(), bytes: 256 * MIB, journal })
  for (let i = 0; i < count; i++) {
    clock.advance(0.001)
    await fillOne(store, i)
  }
  const clocks = { clock, boot: { id: 'one', nowMs: () => clock.now() } }
  const rows = [...journal.saved].flatMap(([key, saved]) => {
    const { value, expiresAt } = writeDown(saved, clocks) ?? {}
    return value === undefined ? [] : [{ key: Buffer.from(key), value: Buffer.from(value), expiresAt }]
  })
  return { clocks, rows }
}

for (const [what, fillOne] of SORTS.filter(([what]) => /fail|locks|familiar|accounts/.test(what))) {
  t.test(`after a restart the heap holds less than is accounted: ${what}`, async t => {
    const { clocks, rows } = await writtenDown(fillOne, 10_000)
    t.ok(rows.length > 1_000)
    const { clock } = clocks
    const open = (journal: Journal) =>
      createMemoryStore({ clock, log: createLogRecorder(), bytes: 256 * MIB, journal })
    const load = () =>
      new Map(
        rows.flatMap(({ key, value, expiresAt = 0 }) => {
          const row = takeUp({ value: value.toString(), expiresAt }, clocks)
          return row.found === 'saved' ? [[key.toString(), row.saved] as const] : []
        }),
      )
    const empty = open(noJournal).report().bytes ?? 0
    const heapBefore = await heapUsed()
    const store = open({ ...noJournal, load })
    const heap = (await heapUsed()) - heapBefore
    const accounted = (store.report().bytes ?? 0) - empty
    const each = (bytes: number) => Math.round(bytes / rows.length)
    t.ok(heap < accounted, `${each(heap)} of ${each(accounted)} bytes each`)
    t.comment(`${what}: ${each(heap)} of ${each(accounted)} bytes each`)
  })
}
