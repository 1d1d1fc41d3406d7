import t from 'tap'
import type { AttemptEvent } from '../../src/authentication/attempt-event.ts'
import { createAuthenticate } from '../../src/authentication/authenticate.ts'
import { createChain, type Link } from '../../src/authentication/chain.ts'
import { createPace } from '../../src/authentication/pace.ts'
import { createRelease } from '../../src/authentication/release.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { setUpLockoutAt } from '../support/lockout.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { type Answering, backend, link, verifies } from './backends.ts'

const TIMING = { floorMs: 250, jitterMs: 0 }
const TICK_MS = 10

/** A desk in time that a test moves: `pass` lets timers call. */
function desk(random: (most: number) => number = () => 0) {
  const clock = createFakeClock()
  let calls: { at: number; call: () => void }[] = []
  const release = createRelease({
    clock,
    random,
    after: (ms, call) => void calls.push({ at: clock.now() + ms, call }),
  })
  const pass = async (ms: number) => {
    const end = clock.now() + ms
    for (;;) {
      const next = calls.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      calls = calls.filter(each => each !== next)
      clock.advance(Math.max(next.at - clock.now(), 0))
      next.call()
      // What was let go goes on before more time passes.
      await Promise.resolve()
    }
    clock.advance(Math.max(end - clock.now(), 0))
    await Promise.resolve()
  }
  /** Waits so long, and tells later how long it was. */
  const hold = (ms: number) => {
    const since = clock.now()
    const answer: { afterMs?: number } = {}
    void release.hold(since + ms).then(() => {
      answer.afterMs = clock.now() - since
    })
    return answer
  }
  return { clock, release, pass, hold, timers: () => calls.length }
}

t.test('what is due goes out with the next tick, and one timer looks after all', async t => {
  const { pass, hold, timers } = desk()
  const answers = [0, 1, 9.9, 10, 123.4, 250].map(ms => ({ ms, answer: hold(ms) }))
  t.equal(timers(), 1)
  await pass(300)
  for (const { ms, answer } of answers) {
    const { afterMs = -1 } = answer
    t.ok(afterMs >= ms && afterMs <= ms + TICK_MS, `${ms} ms became ${afterMs}`)
  }
  t.equal(timers(), 0, 'and none is left when nobody waits')
})

t.test('whoever is due in one tick is answered in shuffled order', async t => {
  const orders = new Set<string>()
  for (let roll = 0; roll < 6; roll++) {
    let rolls = 0
    const { release, clock, pass } = desk(most => (roll >> (rolls++ % 3)) % most)
    const order: number[] = []
    for (let i = 0; i < 3; i++) {
      void release.hold(clock.now() + 100).then(() => order.push(i))
    }
    await pass(200)
    t.same([...order].sort(), [0, 1, 2], 'each once')
    orders.add(order.join())
  }
  t.ok(orders.size > 2, [...orders].join(' '))
})

t.test('what waits is bounded: the one too many lets the oldest go', async t => {
  const { release, pass, hold } = desk()
  const first = hold(50)
  for (let i = 1; i < 10_000; i++) hold(250)
  t.equal(release.held(), 10_000)
  hold(250)
  await pass(0)
  t.equal(first.afterMs, 0, 'before its time')
  t.equal(release.held(), 10_000)
  await pass(300)
  t.equal(release.held(), 0)
})

t.test('a flush answers all that wait at once, and nobody waits after it', async t => {
  const { release, pass, hold } = desk()
  const waiting = [hold(100), hold(200)]
  release.flush()
  const late = hold(300)
  await pass(0)
  t.strictSame(
    [...waiting, late].map(({ afterMs }) => afterMs),
    [0, 0, 0],
  )
  t.equal(release.held(), 0)
})

/** The use case around it, in the same time. */
function authenticator(links: readonly Link[], lockoutShown = true) {
  const { clock, release, pass } = desk()
  const events: AttemptEvent[] = []
  const authenticate = createAuthenticate({
    chain: createChain(links, 5_000, clock),
    lockout: setUpLockoutAt(clock).lockout,
    normalise: createUsernameNormaliser([]),
    clock,
    log: createLogRecorder(),
    onAttempt: event => void events.push(event),
    timing: {
      pace: createPace({ timing: TIMING, deadlineMs: 5_000, clock, random: () => 0 }),
      release,
      lockoutShown,
    },
  })
  const ask = (username: string, password: string, explain?: () => void) => {
    const answer: { verdict?: string } = {}
    const request = {
      requestId: 'r',
      caller: { id: 'wiki', requiredGroups: [] },
      username,
      password: new Secret(password),
      address: '192.0.2.7',
      ...(explain && { explain }),
    }
    const done = authenticate(request).then(({ verdict }) => {
      answer.verdict = verdict
    })
    return { answer, done }
  }
  return { ask, events, release, pass }
}

const WRONG: Answering = verifies('1', { outcome: 'wrong_password', subject: '1' })

t.test('an attempt that waits is counted and written down already, and keeps nobody from trying', async t => {
  const only = backend('a', WRONG)
  const { ask, events, release, pass } = authenticator([link(only, { maxInFlight: 1 })])
  const first = ask('alice', 'wrong')
  await new Promise(setImmediate)
  t.match(events, [{ verdict: 'rejected' }], 'written down before the answer')
  t.equal(first.answer.verdict, undefined)
  t.equal(release.held(), 1)
  const same = ask('alice', 'wrong')
  await new Promise(setImmediate)
  t.equal(only.asked, 2, 'its place at the backend is free again, and nothing is shared with what is over')
  await pass(300)
  await Promise.all([first.done, same.done])
  t.strictSame([first.answer.verdict, same.answer.verdict], ['rejected', 'rejected'])
})

t.test(
  'a lock that is hidden is answered as late as a wrong password, one that is shown at once',
  async t => {
    for (const shown of [true, false]) {
      const { ask, pass, release } = authenticator([link(backend('a', WRONG))], shown)
      for (let i = 0; i < 5; i++) {
        const { done } = ask('alice', `wrong ${i}`)
        await new Promise(setImmediate)
        await pass(300)
        await done
      }
      const locked = ask('alice', 'wrong 5')
      await new Promise(setImmediate)
      t.equal(locked.answer.verdict, shown ? 'locked_out' : undefined)
      t.equal(release.held(), shown ? 0 : 1)
      await pass(300)
      await locked.done
      t.equal(locked.answer.verdict, 'locked_out')
    }
  },
)

t.test('operators who have an attempt explained wait for nothing', async t => {
  const { ask, release } = authenticator([link(backend('a', WRONG))])
  const { answer, done } = ask('alice', 'wrong', () => {})
  await done
  t.equal(answer.verdict, 'rejected')
  t.equal(release.held(), 0)
})
