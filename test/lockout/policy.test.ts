import fc from 'fast-check'
import t from 'tap'
import {
  admit,
  clear,
  EMPTY,
  FORGET_MS,
  fail,
  isPinned,
  isSpent,
  type Limit,
  type LockoutRecord,
  leave,
  pass,
  stateOf,
} from '../../src/lockout/policy.ts'
import { runs } from '../support/runs.ts'

const LIMIT: Limit = { maxAttempts: 3, windowMs: 1_000, lockMs: [300], afterLock: 'afresh' }
const TIERED: Limit = { ...LIMIT, lockMs: [5, 15, 60], afterLock: 'half_open' }

function admitted(record: LockoutRecord, nowMs: number, limit = LIMIT, account = ''): LockoutRecord {
  const admission = admit(record, limit, nowMs, account)
  if (admission.outcome !== 'admitted') throw new Error(admission.outcome)
  return admission.record
}

/** One whole wrong guess. */
function guess(record: LockoutRecord, nowMs: number, limit = LIMIT, account = ''): LockoutRecord {
  return leave(fail(admitted(record, nowMs, limit, account), limit, nowMs, { account }).record, account)
}

function guesses(limit: Limit, nowMs: number, record = EMPTY): LockoutRecord {
  return guess(guess(guess(record, nowMs, limit), nowMs, limit), nowMs, limit)
}

const failure = (atMs: number, account = '') => ({ atMs, account })

t.test('the limit-th failure sets the lock, and the next attempt is refused', async t => {
  let record = guess(guess(EMPTY, 0), 10)
  t.equal(record.lock, undefined)
  const third = fail(admitted(record, 20), LIMIT, 20)
  t.equal(third.locked, true)
  record = leave(third.record)
  t.strictSame(record, { failures: [], inFlight: [], lock: { untilMs: 320, tier: 1 } })
  t.strictSame(admit(record, LIMIT, 21), { outcome: 'locked', retryAfterMs: 299 })
  t.strictSame(admit(record, LIMIT, 319.5), { outcome: 'locked', retryAfterMs: 0.5 })
  t.equal(admit(record, LIMIT, 320).outcome, 'admitted')
})

t.test('a lock is neither extended nor fed while it holds', async t => {
  const locked: LockoutRecord = { failures: [], inFlight: [''], lock: { untilMs: 300, tier: 1 } }
  t.strictSame(fail(locked, LIMIT, 200), { record: locked, locked: false })
  t.strictSame(leave(locked), { ...locked, inFlight: [] })
  t.strictSame(clear(locked, 200), locked, 'a right password does not end it')
  t.equal(pass(locked, 200), locked)
})

t.test('after a lock the count starts afresh where the limit says so', async t => {
  let record = guess(guess(guesses(LIMIT, 0), 300), 301)
  t.strictSame(record.failures, [failure(300), failure(301)])
  record = guess(record, 302)
  t.strictSame(record.lock, { untilMs: 602, tier: 2 }, 'and the locks are counted on')
})

t.test('after a lock one try at a time where the limit says so', async t => {
  const record = guesses(TIERED, 0)
  const tried = admitted(record, 5, TIERED)
  t.strictSame(admit(tried, TIERED, 5), { outcome: 'no_place' })
  t.equal(admit(leave(tried), TIERED, 5).outcome, 'admitted', 'a try that came to nothing uses nothing up')
  t.match(stateOf(tried, TIERED, 5), { limit: 1, failures: 0, inFlight: 1 })
})

t.test(
  'a half-open key is locked by one failure, for longer each time, and the last length repeats',
  async t => {
    let record = guesses(TIERED, 0)
    let nowMs = 0
    for (const [index, lockMs] of [5, 15, 60, 60, 60].entries()) {
      t.strictSame(record.lock, { untilMs: nowMs + lockMs, tier: index + 1 })
      nowMs += lockMs
      record = guess(record, nowMs, TIERED)
    }
  },
)

t.test(
  'a right try where nothing is cleared: it counts again, and the next lock is a longer one',
  async t => {
    const passed = leave(pass(admitted(guesses(TIERED, 0), 5, TIERED), 5))
    t.match(stateOf(passed, TIERED, 5), { limit: 3, failures: 0 })
    t.equal(pass(passed, 6), passed)
    t.equal(pass(EMPTY, 6), EMPTY)
    const record = guesses(TIERED, 10, passed)
    t.strictSame(record.lock, { untilMs: 25, tier: 2 })
  },
)

t.test('a right try where all is cleared forgets the tiers', async t => {
  const cleared = clear(guess(pass(guesses(TIERED, 0), 5), 5, TIERED), 6)
  t.strictSame(cleared, EMPTY)
  t.strictSame(guesses(TIERED, 10, cleared).lock, { untilMs: 15, tier: 1 })
})

t.test('tiers are forgotten twelve hours after the end of the lock', async t => {
  const record = guesses(TIERED, 0)
  t.equal(stateOf(record, TIERED, 5 + FORGET_MS - 1).limit, 1)
  t.equal(stateOf(record, TIERED, 5 + FORGET_MS).limit, 3)
  t.equal(guesses(TIERED, 5 + FORGET_MS, record).lock?.tier, 1)
  t.notOk(isSpent(record, 5 + FORGET_MS - 1))
  t.ok(isSpent(record, 5 + FORGET_MS))
})

t.test('jitter makes a lock longer or shorter by at most its part', async t => {
  const limit = { ...LIMIT, maxAttempts: 1, jitter: 0.1 }
  const until = (random: number) => fail(EMPTY, limit, 0, { random }).record.lock?.untilMs ?? 0
  t.equal(Math.round(until(0)), 270)
  t.equal(Math.round(until(0.5)), 300)
  t.equal(Math.round(until(1)), 330)
})

t.test('failures leave the window one by one', async t => {
  const record = guess(guess(EMPTY, 0), 600)
  t.strictSame(guess(record, 1_000).failures, [failure(600), failure(1_000)], 'over at exactly the window')
  t.equal(guess(record, 999).lock?.untilMs, 1_299)
  t.strictSame(guess(record, 5_000).failures, [failure(5_000)])
})

t.test('failures that count since the last one leave all at once', async t => {
  const limit: Limit = { ...LIMIT, sinceLast: true }
  const record = guess(guess(EMPTY, 0, limit), 900, limit)
  t.equal(stateOf(record, limit, 1_899).failures, 2)
  t.equal(stateOf(record, limit, 1_900).failures, 0)
  t.equal(guess(record, 1_800, limit).lock?.untilMs, 2_100)
  t.strictSame(guess(record, 1_900, limit).failures, [failure(1_900)])
})

t.test('places in flight count like failures, and clearing frees the count', async t => {
  const two = admitted(admitted(EMPTY, 0), 0)
  const full = admitted(leave(fail(two, LIMIT, 1).record), 2)
  t.strictSame(admit(full, LIMIT, 3), { outcome: 'no_place' }, 'one failure and two in flight')
  const free = leave(clear(full, 3))
  t.strictSame(free, { failures: [], inFlight: [''] })
  t.equal(admit(free, LIMIT, 4).outcome, 'admitted')
})

t.test('failures on so many different accounts lock', async t => {
  const limit: Limit = { ...LIMIT, maxAttempts: 50, accounts: 3 }
  let record = EMPTY
  for (const account of ['a', 'a', 'a', 'b', 'b', 'a']) record = guess(record, 0, limit, account)
  t.equal(record.lock, undefined)
  t.equal(guess(record, 1, limit, 'c').lock?.tier, 1)
})

t.test('accounts in flight count like those that failed', async t => {
  const limit: Limit = { ...LIMIT, maxAttempts: 50, accounts: 3 }
  const record = admitted(admitted(guess(EMPTY, 0, limit, 'a'), 0, limit, 'b'), 0, limit, 'c')
  t.strictSame(admit(record, limit, 0, 'd'), { outcome: 'no_place' })
  for (const account of ['a', 'b', 'c']) t.equal(admit(record, limit, 0, account).outcome, 'admitted')
  t.equal(admit(leave(record, 'b'), limit, 0, 'd').outcome, 'admitted')
  t.equal(admit(leave(record, 'd'), limit, 0, 'd').outcome, 'no_place', 'what is not there cannot leave')
})

t.test('a limit that was lowered waits for the failures above it', async t => {
  const record: LockoutRecord = { failures: [failure(0, 'a'), failure(100, 'b')], inFlight: [] }
  const strict = { ...LIMIT, maxAttempts: 1 }
  t.strictSame(admit(record, strict, 200), { outcome: 'locked', retryAfterMs: 900 })
  t.match(stateOf(record, strict, 200), { lockedForMs: 900 })
  t.equal(admit(record, strict, 1_100).outcome, 'admitted')
  const fewer = { ...LIMIT, maxAttempts: 9, accounts: 2 }
  t.strictSame(admit(record, fewer, 200, 'a'), { outcome: 'locked', retryAfterMs: 800 })
  t.equal(admit(record, fewer, 1_000, 'b').outcome, 'admitted')
  const quiet = { ...strict, sinceLast: true }
  t.strictSame(admit(record, quiet, 200), { outcome: 'locked', retryAfterMs: 900 })
})

t.test('where a key stands is told as to somebody who is in nobody’s way', async t => {
  const crowded = admitted(admitted(guess(EMPTY, 0), 0), 0)
  t.strictSame(stateOf(crowded, LIMIT, 1), { failures: 1, limit: 3, inFlight: 2 })
  t.strictSame(stateOf(guesses(LIMIT, 0), LIMIT, 100), {
    failures: 0,
    limit: 3,
    inFlight: 0,
    lockedForMs: 200,
  })
})

t.test('only what is locked or in flight is pinned, only what holds nothing is spent', async t => {
  const counting: LockoutRecord = { failures: [failure(1)], inFlight: [] }
  const locked: LockoutRecord = { failures: [], inFlight: [], lock: { untilMs: 4, tier: 1 } }
  t.notOk(isPinned(counting, 3))
  t.ok(isPinned({ failures: [], inFlight: [''] }, 3))
  t.ok(isPinned(locked, 3))
  t.notOk(isPinned(locked, 4))
  t.notOk(isSpent(counting, 3))
  t.notOk(isSpent(locked, 4), 'its tier is remembered')
  t.ok(isSpent(EMPTY, 3))
})

const someLimit = fc.record(
  {
    maxAttempts: fc.integer({ min: 1, max: 5 }),
    windowMs: fc.integer({ min: 1, max: 1_500 }),
    lockMs: fc
      .array(fc.integer({ min: 1, max: 1_500 }), { minLength: 1, maxLength: 3 })
      .map(([first = 1, ...rest]): Limit['lockMs'] => [first, ...rest]),
    afterLock: fc.constantFrom('half_open' as const, 'afresh' as const),
    sinceLast: fc.boolean(),
    accounts: fc.integer({ min: 1, max: 4 }),
  },
  { requiredKeys: ['maxAttempts', 'windowMs', 'lockMs', 'afterLock'] },
)
const someAccount = fc.constantFrom('a', 'b', 'c')
const someSteps = fc.array(
  fc.record({
    what: fc.constantFrom('admit', 'admit', 'admit', 'fail', 'fail', 'fail', 'release', 'clear', 'pass'),
    afterMs: fc.integer({ min: 0, max: 400 }),
    account: someAccount,
    which: fc.nat(),
  }),
  { maxLength: 80 },
)

t.test('however guesses interleave, no more are verified than the limit allows', async t => {
  fc.assert(
    fc.property(someLimit, someSteps, (limit, steps) => {
      let record: LockoutRecord = EMPTY
      let nowMs = 0
      let open: string[] = []
      let wrong: number[] = []
      for (const { what, afterMs, account, which } of steps) {
        nowMs += afterMs
        const before = Object.freeze({
          ...record,
          failures: Object.freeze([...record.failures]),
          inFlight: Object.freeze([...record.inFlight]),
        })
        record = before
        if (what === 'admit') {
          const admission = admit(before, limit, nowMs, account)
          if (admission.outcome === 'locked' && !(admission.retryAfterMs > 0)) return false
          if (admission.outcome !== 'admitted') continue
          record = admission.record
          open.push(account)
          continue
        }
        const of = open[which % open.length]
        if (of === undefined) continue
        open = open.toSpliced(which % open.length, 1)
        if (what === 'fail') {
          record = fail(before, limit, nowMs, { account: of }).record
          wrong.push(nowMs)
        } else if (what === 'clear') {
          record = clear(before, nowMs)
          wrong = []
        } else if (what === 'pass') {
          record = pass(before, nowMs)
          wrong = []
        }
        record = leave(record, of)
        const spanMs = Math.min(limit.windowMs, ...limit.lockMs)
        if (wrong.filter(atMs => atMs + spanMs > nowMs).length > limit.maxAttempts) return false
        if (record.failures.length >= limit.maxAttempts && record.failures.length > 0) return false
        if (record.inFlight.length !== open.length) return false
      }
      return record.inFlight.toSorted().join() === open.toSorted().join()
    }),
    { numRuns: runs(2_000) },
  )
  t.pass()
})
