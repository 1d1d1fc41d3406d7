import fc from 'fast-check'
import t from 'tap'
import {
  admit,
  EMPTY,
  fail,
  isPinned,
  type Limit,
  type LockoutRecord,
  leave,
  succeed,
} from '../../src/lockout/policy.ts'

const LIMIT: Limit = { maxAttempts: 3, windowMs: 1_000, durationMs: 300 }

function admitted(record: LockoutRecord, nowMs: number, limit = LIMIT): LockoutRecord {
  const admission = admit(record, limit, nowMs)
  if (admission.outcome !== 'admitted') throw new Error(admission.outcome)
  return admission.record
}

/** One whole wrong guess. */
function guess(record: LockoutRecord, nowMs: number): LockoutRecord {
  return leave(fail(admitted(record, nowMs), LIMIT, nowMs).record)
}

t.test('the limit-th failure sets the lock, and the next attempt is refused', async t => {
  let record = guess(guess(EMPTY, 0), 10)
  t.equal(record.lockedUntilMs, undefined)
  const third = fail(admitted(record, 20), LIMIT, 20)
  t.equal(third.locked, true)
  record = leave(third.record)
  t.strictSame(admit(record, LIMIT, 21), { outcome: 'locked', retryAfterMs: 299 })
  t.strictSame(admit(record, LIMIT, 319.5), { outcome: 'locked', retryAfterMs: 0.5 })
})

t.test('a lock is neither extended nor fed while it holds', async t => {
  const locked: LockoutRecord = { failures: [], inFlight: 1, lockedUntilMs: 300 }
  t.strictSame(fail(locked, LIMIT, 200), { record: locked, locked: false })
  t.strictSame(leave(locked), { ...locked, inFlight: 0 })
  t.strictSame(succeed(locked), locked, 'and a right password does not end it')
})

t.test('after the lock the count starts afresh', async t => {
  let record: LockoutRecord = { failures: [], inFlight: 0, lockedUntilMs: 300 }
  record = guess(guess(record, 300), 301)
  t.equal(record.lockedUntilMs, undefined)
  t.equal(guess(record, 302).lockedUntilMs, 602)
})

t.test('failures leave the window one by one', async t => {
  const record = guess(guess(EMPTY, 0), 600)
  t.strictSame(guess(record, 1_000).failures, [600, 1_000], 'the first is over at exactly the window')
  t.equal(guess(record, 999).lockedUntilMs, 1_299)
  t.strictSame(guess(record, 5_000).failures, [5_000])
})

t.test('places in flight count like failures, and a success frees the count', async t => {
  const two = admitted(admitted(EMPTY, 0), 0)
  const one = leave(fail(two, LIMIT, 1).record)
  const full = admitted(one, 2)
  t.strictSame(admit(full, LIMIT, 3), { outcome: 'no_place' }, 'one failure and two in flight')
  const free = leave(succeed(full))
  t.strictSame(free, { failures: [], inFlight: 1 })
  t.equal(admit(free, LIMIT, 4).outcome, 'admitted')
})

t.test('a limit that was lowered waits for the failures above it', async t => {
  const record: LockoutRecord = { failures: [0, 100], inFlight: 0 }
  const strict = { ...LIMIT, maxAttempts: 1 }
  t.strictSame(admit(record, strict, 200), { outcome: 'locked', retryAfterMs: 900 })
  t.equal(admit(record, strict, 1_100).outcome, 'admitted')
})

t.test('only what is locked or in flight is pinned', async t => {
  t.notOk(isPinned({ failures: [1, 2], inFlight: 0 }, 3))
  t.ok(isPinned({ failures: [], inFlight: 1 }, 3))
  t.ok(isPinned({ failures: [], inFlight: 0, lockedUntilMs: 4 }, 3))
  t.notOk(isPinned({ failures: [], inFlight: 0, lockedUntilMs: 3 }, 3))
})

t.test('records never grow beyond the limit, go negative or get changed in place', async t => {
  const step = fc.record({
    what: fc.constantFrom('admit' as const, 'fail' as const, 'succeed' as const, 'leave' as const),
    afterMs: fc.integer({ min: 0, max: 400 }),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), (maxAttempts, steps) => {
      const limit = { ...LIMIT, maxAttempts }
      let record = EMPTY
      let nowMs = 0
      for (const { what, afterMs } of steps) {
        nowMs += afterMs
        const before = Object.freeze({ ...record, failures: Object.freeze([...record.failures]) })
        record = before
        if (what === 'admit') {
          const admission = admit(before, limit, nowMs)
          if (admission.outcome === 'admitted') record = admission.record
          if (admission.outcome === 'locked' && !(admission.retryAfterMs > 0)) return false
        } else if (what === 'fail') record = fail(before, limit, nowMs).record
        else record = what === 'succeed' ? succeed(before) : leave(before)
        if (record.failures.length >= maxAttempts || record.inFlight < 0) return false
        if (record.inFlight > maxAttempts) return false
      }
      return true
    }),
  )
  t.pass()
})
