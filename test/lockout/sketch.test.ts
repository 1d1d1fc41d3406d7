import fc from 'fast-check'
import t from 'tap'
import { createSketch } from '../../src/lockout/sketch.ts'
import { runs } from '../support/runs.ts'
import { key } from './store-parts.ts'

const WINDOW_MS = 1_000

t.test('a sketch counts failures of a key and forgets them after the window', async t => {
  const sketch = createSketch(100_000)
  t.equal(sketch.estimate(key('a'), WINDOW_MS, 0), 0)
  for (let i = 0; i < 3; i++) sketch.add(key('a'), WINDOW_MS, 0)
  sketch.add(key('b'), WINDOW_MS, 500)
  t.equal(sketch.estimate(key('a'), WINDOW_MS, 999), 3)
  t.equal(sketch.estimate(key('b'), WINDOW_MS, 1_499), 1)
  t.equal(sketch.estimate(key('a'), WINDOW_MS, 2_000), 0)
  t.equal(sketch.countsUntilMs(), 1_500)
})

t.test('a failure counts at most a quarter of the window longer, though others go on', async t => {
  const sketch = createSketch(100_000)
  for (let nowMs = 0; nowMs < 10_000; nowMs += 10) sketch.add(key('noise'), WINDOW_MS, nowMs)
  for (let i = 0; i < 3; i++) sketch.add(key('a'), WINDOW_MS, 10_000)
  for (let nowMs = 10_000; nowMs < 11_000; nowMs += 10) {
    t.equal(sketch.estimate(key('a'), WINDOW_MS, nowMs), 3)
    sketch.add(key('noise'), WINDOW_MS, nowMs)
  }
  for (let nowMs = 11_000; nowMs <= 11_300; nowMs += 10) sketch.add(key('noise'), WINDOW_MS, nowMs)
  t.equal(sketch.estimate(key('a'), WINDOW_MS, 11_300), 0)
  const noise = sketch.estimate(key('noise'), WINDOW_MS, 11_300)
  t.ok(noise >= 100 && noise <= 130, `${noise} of about 100`)
})

t.test('failures can be counted after a mark, and after a time', async t => {
  const sketch = createSketch(100_000)
  for (let i = 0; i < 3; i++) sketch.add(key('a'), WINDOW_MS, 0)
  const mark = sketch.mark(key('a'))
  t.equal(sketch.estimate(key('a'), WINDOW_MS, 1, mark), 0)
  sketch.add(key('a'), WINDOW_MS, 1)
  t.equal(sketch.estimate(key('a'), WINDOW_MS, 1, mark), 1)
  sketch.add(key('a'), WINDOW_MS, 600)
  t.equal(sketch.estimate(key('a'), WINDOW_MS, 600, mark), 2, 'in a later slice')
  t.equal(sketch.estimate(key('a'), WINDOW_MS, 600, 500), 1)
})

t.test('a lock is known until a later one, with its tier', async t => {
  const sketch = createSketch(100_000)
  t.equal(sketch.lockOf(key('a')), undefined)
  sketch.lock(key('a'), { untilMs: -50, tier: 1 })
  t.strictSame(
    sketch.lockOf(key('a')),
    { untilMs: -50, tier: 1 },
    'also one that ended before this process began',
  )
  sketch.lock(key('a'), { untilMs: 500, tier: 2 })
  sketch.lock(key('a'), { untilMs: 100, tier: 9 })
  t.strictSame(sketch.lockOf(key('a')), { untilMs: 500, tier: 2 })
  t.equal(sketch.lockOf(key('b')), undefined)
})

t.test('its room is fixed, and at least half of what it was given', async t => {
  for (const bytes of [1_000, 100_000, 1_000_000, 3_000_000]) {
    const sketch = createSketch(bytes)
    t.ok(sketch.bytes <= bytes && sketch.bytes > bytes / 2, `${sketch.bytes} of ${bytes}`)
  }
})

t.test('it never counts too little and loses no lock, however crowded it is', async t => {
  const add = fc.record({
    key: fc.integer({ min: 0, max: 200 }),
    afterMs: fc.integer({ min: 0, max: 300 }),
    windowMs: fc.constantFrom(200, 1_000, 5_000),
    lockMs: fc.option(fc.integer({ min: 1, max: 5_000 })),
  })
  fc.assert(
    fc.property(fc.array(add, { maxLength: 300 }), steps => {
      const sketch = createSketch(1_200)
      const failures: { key: number; at: number }[] = []
      const locks = new Map<number, number>()
      const windows = new Map<number, number>()
      let nowMs = 0
      for (const step of steps) {
        nowMs += step.afterMs
        // A key is always under the same limit.
        const windowMs = windows.get(step.key) ?? step.windowMs
        windows.set(step.key, windowMs)
        sketch.add(key(`${step.key}`), windowMs, nowMs)
        failures.push({ key: step.key, at: nowMs })
        if (step.lockMs !== null) {
          sketch.lock(key(`${step.key}`), { untilMs: nowMs + step.lockMs, tier: 1 })
          locks.set(step.key, Math.max(locks.get(step.key) ?? 0, nowMs + step.lockMs))
        }
      }
      for (const [one, windowMs] of windows) {
        const counted = failures.filter(({ key, at }) => key === one && at + windowMs > nowMs).length
        if (sketch.estimate(key(`${one}`), windowMs, nowMs) < counted) return false
        const untilMs = sketch.lockOf(key(`${one}`))?.untilMs ?? Number.NEGATIVE_INFINITY
        if (untilMs < (locks.get(one) ?? Number.NEGATIVE_INFINITY)) return false
      }
      return true
    }),
    { numRuns: runs(300) },
  )
  t.pass()
})

t.test('a sketch of 3 MiB tells 20,000 names apart', async t => {
  const sketch = createSketch(3 * 1_048_576)
  for (let i = 0; i < 20_000; i++) sketch.add(key(`name ${i}`), WINDOW_MS, 0)
  let wrong = 0
  for (let i = 0; i < 2_000; i++) if (sketch.estimate(key(`other ${i}`), WINDOW_MS, 0) > 0) wrong++
  t.ok(wrong < 100, `${wrong} of 2,000 taken for others`)
})
