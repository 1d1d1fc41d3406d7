import { once } from 'node:events'
import t from 'tap'
import { createUnsent } from '../../../src/lockout/failover/unsent.ts'
import { createFakeClock } from '../../support/fake-clock.ts'

const untilMs = Number.POSITIVE_INFINITY

t.test('what waits is sent in order, up to the first that cannot be sent', async t => {
  const unsent = createUnsent(createFakeClock())
  t.teardown(unsent.close)
  const sent: number[] = []
  let most = 2
  for (let i = 0; i < 4; i++) {
    unsent.add({
      untilMs,
      async send() {
        if (sent.length === most) return false
        sent.push(i)
        return true
      },
    })
  }
  await Promise.all([unsent.send(), unsent.send()])
  t.strictSame(sent, [0, 1])
  most = 9
  await unsent.send()
  await unsent.send()
  t.strictSame(sent, [0, 1, 2, 3], 'each once')
})

t.test('what is too late is not sent', async t => {
  const clock = createFakeClock()
  const unsent = createUnsent(clock)
  t.teardown(unsent.close)
  const sent: string[] = []
  const message = (name: string, forMs: number) => ({
    untilMs: clock.now() + forMs,
    send: async () => sent.push(name) > 0,
  })
  unsent.add(message('late', 1_000))
  unsent.add(message('in time', 1_001))
  clock.advance(1_000)
  await unsent.send()
  t.strictSame(sent, ['in time'])
})

t.test('only the newest ten thousand wait', async t => {
  const unsent = createUnsent(createFakeClock())
  t.teardown(unsent.close)
  const sent: number[] = []
  for (let i = 0; i < 10_002; i++) unsent.add({ untilMs, send: async () => sent.push(i) > 0 })
  await unsent.send()
  t.equal(sent.length, 10_000)
  t.equal(sent[0], 2)
})

t.test('it is sent by itself where nobody asks for anything', async t => {
  const unsent = createUnsent(createFakeClock())
  t.teardown(unsent.close)
  // Its own timer keeps no process alive.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  const target = new EventTarget()
  const sent = once(target, 'sent')
  let tries = 0
  unsent.add({
    untilMs,
    async send() {
      if (++tries === 2) target.dispatchEvent(new Event('sent'))
      return tries === 2
    },
  })
  await sent
  t.equal(tries, 2)
})
