import fc from 'fast-check'
import t from 'tap'
import { createPace, isHeld } from '../../src/authentication/pace.ts'
import type { StepOutcome } from '../../src/authentication/rule.ts'
import { createFakeClock } from '../support/fake-clock.ts'

/** Failures that took so long, and when they are due after their beginning. */
function desk(
  { floorMs = 250, jitterMs = 0, deadlineMs = 8_000 } = {},
  random: (most: number) => number = () => 0,
) {
  const clock = createFakeClock()
  const pace = createPace({ timing: { floorMs, jitterMs }, deadlineMs, clock, random })
  const due = (tookMs: number) => {
    const startedAt = clock.now() - tookMs
    return Math.round((pace.dueAt(startedAt) - startedAt) * 1000) / 1000
  }
  const succeed = (durationMs: number) => pace.learn({ accepted: true, durationMs, steps: [] })
  const verify = (outcome: StepOutcome, durations: Readonly<Record<string, number>>) => {
    const steps = Object.entries(durations).map(([backend, durationMs]) => ({ backend, outcome, durationMs }))
    pace.learn({ accepted: false, durationMs: 0, steps })
  }
  return { clock, due, succeed, verify }
}

t.test('failures are due after the floor, whatever they took', async t => {
  const { due } = desk()
  for (const tookMs of [0, 1, 100, 249.9, 250]) t.equal(due(tookMs), 250, `${tookMs} ms`)
})

t.test('or after what 95 of 100 recent successes took, if that is more', async t => {
  const { clock, due, succeed } = desk()
  for (let i = 1; i <= 100; i++) succeed(i * 10)
  t.equal(due(30), 950)
  for (let i = 0; i < 128; i++) succeed(2)
  clock.advance(100)
  t.equal(due(30), 250, 'old ones are forgotten')
})

t.test('or after a walk through all backends that verify, if that is more', async t => {
  const { clock, due, verify } = desk()
  verify('wrong_password', { corp: 300 })
  t.equal(due(300), 300)
  verify('accept', { local: 40 })
  clock.advance(100)
  t.equal(due(10), 340, 'somebody may be at both')
  for (let i = 0; i < 1_000; i++) verify('unknown_user', { corp: 1, local: 1 })
  clock.advance(100)
  t.equal(due(10), 340, 'names that nobody has pull it not down')
})

t.test('what took longer is due at the next multiple, so that it does not show by how much', async t => {
  const { due } = desk()
  for (const tookMs of [251, 400, 500]) t.equal(due(tookMs), 500, `${tookMs} ms`)
  t.equal(due(501), 750)
})

t.test('nothing is due after the deadline of its attempt', async t => {
  const { clock, due, succeed } = desk({ deadlineMs: 2_000, jitterMs: 20 }, most => most - 1)
  t.equal(due(1_990), 2_000)
  for (let i = 0; i < 10; i++) succeed(60_000)
  clock.advance(100)
  t.equal(due(1), 2_000)
  t.equal(desk({ deadlineMs: 2_000 }).due(2_050), 2_000, 'what came too late is due at once')
})

t.test('jitter comes on top: never below the floor, never above floor and jitter', async t => {
  const took = fc.double({ min: 0, max: 250, noNaN: true })
  const outside: number[] = []
  fc.assert(
    fc.property(took, fc.integer({ min: 0, max: 200 }), (tookMs, roll) => {
      const dueMs = desk({ floorMs: 250, jitterMs: 20 }, most => Math.min(roll, most - 1)).due(tookMs)
      if (dueMs < 250 || dueMs > 270) outside.push(dueMs)
    }),
  )
  t.strictSame(outside, [])
  t.equal(desk({ floorMs: 250, jitterMs: 20 }, most => most - 1).due(0), 270, 'the most of it')
})

t.test('failures wait; what tells nothing of an account does not', async t => {
  const step = (outcome: 'wrong_password' | 'unavailable' | 'not_applicable' | 'subject_locked') =>
    ({ backend: 'a', outcome, durationMs: 1 }) as const
  for (const verdict of ['rejected', 'account_state'] as const) t.ok(isHeld(verdict, [], true), verdict)
  for (const verdict of ['accepted', 'invalid'] as const) t.notOk(isHeld(verdict, [], true), verdict)
  t.notOk(isHeld('locked_out', [], true), 'a lock that is shown, and was found first')
  t.ok(isHeld('locked_out', [], false), 'one that passes for a wrong password')
  t.ok(isHeld('locked_out', [step('subject_locked')], true), 'one that a backend had to be asked for')
  t.notOk(isHeld('busy', [], true))
  t.notOk(
    isHeld('unavailable', [step('unavailable'), step('not_applicable')], true),
    'nobody could say a word',
  )
  t.ok(isHeld('unavailable', [step('unavailable'), step('wrong_password')], true), 'somebody could')
})
