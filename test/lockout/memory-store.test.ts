import t from 'tap'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import type { Limit } from '../../src/lockout/policy.ts'
import type { Counter, LockoutStore } from '../../src/lockout/store.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { storeConformance } from './store-conformance.ts'

const LIMIT: Limit = { maxAttempts: 1, windowMs: 60_000, durationMs: 30_000 }
const TWICE: Limit = { ...LIMIT, maxAttempts: 2 }

function setUp(maxEntries: number) {
  const clock = createFakeClock()
  const log = createLogRecorder()
  const store = createMemoryStore({ clock, log, maxEntries })
  return { store, clock, log }
}

async function guess(store: LockoutStore, key: string, limit = LIMIT): Promise<string> {
  const counter: Counter = { key, limit }
  const answer = await store.reserve([counter])
  if (answer.outcome === 'reserved') await store.end(answer.lease, { failed: [counter], cleared: [] })
  return answer.outcome
}

storeConformance(t, async () => {
  const { store, clock } = setUp(200)
  return { store, advance: clock.advance }
})

t.test('a locked record survives a flood of four times as many names as there is room for', async t => {
  const { store, clock } = setUp(1_000)
  t.equal(await guess(store, 'victim'), 'reserved')
  clock.advance(1)
  for (let i = 0; i < 4_000; i++) await guess(store, `flood ${i}`, TWICE)
  t.equal(await guess(store, 'victim'), 'locked')
})

t.test('a record with an attempt in flight survives a flood', async t => {
  const { store } = setUp(1_000)
  const victim: Counter = { key: 'victim', limit: TWICE }
  await guess(store, 'victim', TWICE)
  const held = await store.reserve([victim])
  for (let i = 0; i < 4_000; i++) await guess(store, `flood ${i}`, TWICE)
  t.strictSame(
    await store.reserve([victim]),
    { outcome: 'no_place', key: 'victim' },
    'one failure, one in flight',
  )
  const lease = held.outcome === 'reserved' ? held.lease : ''
  t.equal((await store.end(lease, { failed: [victim], cleared: [] })).locked, true)
})

t.test('a table full of locks refuses, rings once, and takes attempts again when locks end', async t => {
  const { store, clock, log } = setUp(20)
  for (let i = 0; i < 10; i++) await guess(store, `locked ${i}`)
  t.equal(log.at('fatal').length, 0)
  for (let i = 0; i < 50; i++) t.equal(await guess(store, `other ${i}`), 'full')
  t.equal(await guess(store, 'locked 3'), 'locked', 'what is known to be locked is told so')
  t.equal(log.at('fatal').length, 1)
  t.match(log.at('fatal')[0]?.fields, { max_entries: 20 })

  clock.advance(LIMIT.durationMs)
  t.equal(await guess(store, 'other'), 'reserved')
  t.equal(log.at('warn').length, 1, 'the end of the alarm is told')
  for (let i = 0; i < 9; i++) await guess(store, `again ${i}`)
  t.equal(await guess(store, 'one too many'), 'full')
  t.equal(log.at('fatal').length, 2, 'and it can ring again')
})

t.test('a full table is not searched at every attempt', async t => {
  const { store, clock } = setUp(20)
  for (let i = 0; i < 10; i++) {
    await guess(store, `locked ${i}`, i === 0 ? { ...LIMIT, durationMs: 500 } : LIMIT)
  }
  t.equal(await guess(store, 'other'), 'full')
  clock.advance(999)
  t.equal(await guess(store, 'other'), 'full', 'one lock has ended, but the last search was just now')
  clock.advance(1)
  t.equal(await guess(store, 'other'), 'reserved')
})

t.test('an attempt that needs more room than there is takes none', async t => {
  const { store } = setUp(4)
  const counters = (...keys: string[]) => keys.map(key => ({ key, limit: LIMIT }))
  const [a, b, c] = counters('a', 'b', 'c')
  if (a === undefined || b === undefined || c === undefined) return
  t.equal((await store.reserve([a, b, c])).outcome, 'full')
  const first = await store.reserve([a, b])
  t.equal(first.outcome, 'reserved')
  t.equal((await store.reserve([c])).outcome, 'full')
  if (first.outcome !== 'reserved') return
  t.equal((await store.extend(first.lease, c)).outcome, 'full')
  await store.end(first.lease, { failed: [], cleared: [] })
  t.equal((await store.reserve([c])).outcome, 'reserved')
})

t.test('a lease that nobody ended is told to the log', async t => {
  const { store, clock, log } = setUp(20)
  await store.reserve([{ key: 'a', limit: LIMIT }])
  clock.advance(60_000)
  t.equal(await guess(store, 'a'), 'locked')
  t.equal(log.at('error').length, 1)
})

t.test('time set back or forth on the wall moves no lock', async t => {
  const { store, clock } = setUp(20)
  await guess(store, 'a')
  for (const hours of [1, -2, 24 * 365]) {
    clock.jumpWall(hours * 3_600_000)
    t.strictSame(await store.reserve([{ key: 'a', limit: LIMIT }]), {
      outcome: 'locked',
      retryAfterMs: LIMIT.durationMs,
    })
  }
})
