import { deepEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import {
  admit,
  clear,
  EMPTY,
  fail,
  type Limit,
  type LockoutRecord,
  leave,
  pass,
  stateOf,
} from '../../../src/lockout/policy.ts'
import { LEASE_MS } from '../../../src/lockout/store.ts'
import { startRedis } from '../../support/redis.ts'
import { runs } from '../../support/runs.ts'
import { counter, endingOf, key, NOBODY } from '../store-parts.ts'
import { openRedisStore } from './open-store.ts'

const redis = await startRedis(t)

const milliseconds = fc.integer({ min: 1, max: 9_000 })
/** A longer window than before is not among the changes: what fell out of the shorter one is gone for good. */
const limit = fc.record(
  {
    maxAttempts: fc.integer({ min: 1, max: 5 }),
    accounts: fc.integer({ min: 1, max: 4 }),
    windowMs: fc.integer({ min: 1, max: 20_000 }),
    sinceLast: fc.boolean(),
    lockMs: fc.tuple(milliseconds, milliseconds, milliseconds),
    jitter: fc.constantFrom(0.25, 0.5),
    afterLock: fc.constantFrom('half_open' as const, 'afresh' as const),
  },
  { requiredKeys: ['maxAttempts', 'windowMs', 'lockMs', 'afterLock'] },
)
const account = fc.constantFrom('', 'one', 'two', 'three', 'four')
const step = fc.oneof(
  fc.record({ do: fc.constant('reserve' as const), account }),
  fc.record({
    do: fc.constantFrom('fail' as const, 'fail' as const, 'clear' as const, 'pass' as const),
    which: fc.nat(),
  }),
  fc.record({
    do: fc.constant('advance' as const),
    // A day: locks and their tiers are forgotten.
    ms: fc.oneof(
      { weight: 9, arbitrary: fc.integer({ min: 1, max: 8_000 }) },
      { weight: 1, arbitrary: fc.constant(86_400_000) },
    ),
  }),
  fc.record({ do: fc.constant('configure' as const), limit }),
)

t.test('the script decides on one key to the millisecond as policy.ts does', async t => {
  // A quarter of what is a power of two: the same sum here and there.
  const random = 0.25
  await fc.assert(
    fc.asyncProperty(limit, fc.array(step, { maxLength: 60 }), async (first, steps) => {
      await redis.command('FLUSHALL')
      const store = openRedisStore(t, redis, { random: () => random })
      let record: LockoutRecord = EMPTY
      let now = Date.UTC(2026, 0, 1)
      let current: Limit = first
      const open: { lease: string; account: string; since: number; limit: Limit }[] = []
      const one = (account = '') => counter('one', current, { kind: 'source', account })
      for (const step of steps) {
        if (step.do === 'configure') current = { ...step.limit, windowMs: first.windowMs }
        // Somebody asks at least once an hour: for so long is a lease found that nobody ended.
        for (let leftMs = step.do === 'advance' ? step.ms : 0; leftMs > 0; leftMs -= 3_000_000) {
          const ms = Math.min(leftMs, 3_000_000)
          redis.advance(ms)
          now += ms
          await store.inspect([])
          while (open[0] !== undefined && open[0].since + LEASE_MS <= now) {
            const { account, limit } = open[0]
            record = leave(fail(record, limit, now, { account, random }).record, account)
            open.shift()
          }
        }
        if (step.do === 'reserve') {
          const answer = await store.reserve([one(step.account)], NOBODY)
          const expected = admit(record, current, now, step.account)
          if (expected.outcome === 'admitted') {
            if (answer.outcome !== 'reserved') throw new Error(answer.outcome)
            record = expected.record
            open.push({ lease: answer.lease, account: step.account, since: now, limit: current })
          } else {
            deepEqual(
              answer,
              expected.outcome === 'locked' ? expected : { outcome: 'no_place', key: key('one') },
            )
          }
        }
        if (step.do === 'fail' || step.do === 'clear' || step.do === 'pass') {
          const ended = open.splice(step.which % Math.max(1, open.length), 1)[0]
          if (ended === undefined) continue
          const { lease, account } = ended
          const mine = one(account)
          let locked = false
          if (step.do === 'fail') ({ record, locked } = fail(record, current, now, { account, random }))
          if (step.do === 'clear') record = clear(record, now)
          if (step.do === 'pass') record = pass(record, now)
          record = leave(record, account)
          const ending = endingOf({
            failed: step.do === 'fail' ? [mine] : [],
            cleared: step.do === 'clear' ? [mine.key] : [],
            passed: step.do === 'pass' ? [mine] : [],
          })
          deepEqual(await store.end(lease, ending, NOBODY), { locked })
        }
        deepEqual(await store.inspect([one()]), [{ kind: 'source', ...stateOf(record, current, now) }])
      }
      await store.close()
    }),
    { numRuns: runs(60) },
  )
  t.pass()
})
