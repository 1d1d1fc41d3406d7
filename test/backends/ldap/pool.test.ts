/** Connections that are kept and lent out. */
import { getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Trust } from '../../../src/backends/ldap/servers/members.ts'
import { createPool, type PoolOptions } from '../../../src/backends/ldap/servers/pool.ts'
import { DirectoryFailure } from '../../../src/backends/ldap/wire/failure.ts'
import { createFakeClock } from '../../support/fake-clock.ts'

/** A connection that a test plays. */
interface Fake {
  readonly name: number
  usable: boolean
  trust: Trust
  rank: number
  /** Answers the try that is under way. */
  answer: (alive: boolean) => void
  tries: number
  closed: boolean
  close(): Promise<void>
}

const refusal = new DirectoryFailure('no server', { phase: 'connect', connectionLost: true })
const forever = new AbortController().signal

/** A pool whose connections are made as soon as they are asked for, unless `open` says otherwise. */
function stage(scope: { teardown(end: () => unknown): void }, changes: Partial<PoolOptions<Fake>> = {}) {
  const clock = createFakeClock()
  const made: Fake[] = []
  const asked: number[] = []
  const state = { rank: 0, open: async (): Promise<void> => {} }
  const pool = createPool<Fake>({
    async open(_signal, below) {
      asked.push(below)
      await state.open()
      const connection: Fake = {
        name: made.length,
        usable: true,
        trust: 'now',
        rank: state.rank,
        answer: () => {},
        tries: 0,
        closed: false,
        async close() {
          this.closed = true
          this.usable = false
        },
      }
      made.push(connection)
      return connection
    },
    trust: ({ trust }) => trust,
    rank: ({ rank }) => rank,
    try(connection) {
      connection.tries++
      const { promise, resolve } = Promise.withResolvers<boolean>()
      connection.answer = alive => {
        if (alive) connection.trust = 'now'
        resolve(alive)
      }
      return promise
    },
    maxConnections: 2,
    maxUses: 1,
    maxWaiting: 10,
    idleTimeoutMs: 600_000,
    maxAgeMs: 3_600_000,
    clock,
    random: () => 0,
    ...changes,
  })
  scope.teardown(() => pool.close())

  /** Takes a connection and holds it until told otherwise. */
  function hold(signal = forever) {
    const { promise: held, resolve: end } = Promise.withResolvers<void>()
    const { promise: got, resolve: take, reject } = Promise.withResolvers<Fake>()
    const done = pool.use(signal, connection => {
      take(connection)
      return held
    })
    done.catch(reject)
    got.catch(() => {})
    return {
      got,
      async end() {
        end()
        await done
      },
    }
  }

  const useOne = () => pool.use(forever, async connection => connection.name)
  return { pool, clock, made, asked, state, hold, useOne }
}

t.test('a connection is made once and used again', async t => {
  const { useOne, made } = stage(t)
  for (let count = 0; count < 5; count++) t.equal(await useOne(), 0)
  t.equal(made.length, 1)
})

t.test('no more are made than are wanted or allowed, and who waits is served in order', async t => {
  const { hold, made } = stage(t)
  const holders = Array.from({ length: 5 }, () => hold())
  const order: number[] = []
  holders.forEach(({ got }, index) => void got.then(() => order.push(index)))
  await turn()
  t.equal(made.length, 2)
  for (const { end } of holders) {
    await end()
    await turn()
  }
  t.same(order, [0, 1, 2, 3, 4])
  t.equal(made.length, 2)
})

t.test('one that does not answer when it is tried is never used again', async t => {
  const { useOne, made } = stage(t)
  await useOne()
  const [first] = made
  if (first === undefined) throw new Error('none was made')
  first.trust = 'once_tried'
  const next = useOne()
  await turn()
  first.answer(false)
  t.equal(await next, 1)
  t.equal(first.closed, true)
  first.trust = 'now'
  t.equal(await useOne(), 1)
})

t.test('whoever waited and was served leaves nothing behind on their signal', async t => {
  const { hold } = stage(t, { maxConnections: 1 })
  const first = hold()
  await first.got
  const { signal } = new AbortController()
  const second = hold(signal)
  await first.end()
  await second.got
  t.same(getEventListeners(signal, 'abort'), [])
  await second.end()
})

t.test('a connection at work is not idle, however long the work takes', async t => {
  const { hold, clock, made, pool } = stage(t, { maxUses: 2, maxConnections: 1 })
  const long = hold()
  await long.got
  clock.advance(600_001)
  pool.review()
  const beside = hold()
  t.equal((await beside.got).name, 0)
  await beside.end()
  await long.end()
  t.equal(made.length, 1)
})

t.test('who comes does not overtake who waits', async t => {
  const { hold } = stage(t, { maxConnections: 1 })
  const first = hold()
  await first.got
  const order: string[] = []
  const second = hold()
  void second.got.then(() => order.push('second'))
  await first.end()
  const third = hold()
  void third.got.then(() => order.push('third'))
  await turn()
  t.same(order, ['second'])
  await second.end()
  await turn()
  t.same(order, ['second', 'third'])
  await third.end()
})

t.test(
  'while all are busy, who comes and whom the next free one goes to costs no look at the others',
  async t => {
    let looks = 0
    const { hold } = stage(t, {
      maxConnections: 8,
      maxWaiting: 100,
      trust({ trust }) {
        looks++
        return trust
      },
    })
    const busy = Array.from({ length: 8 }, () => hold())
    await Promise.all(busy.map(({ got }) => got))
    const first = hold()
    const looksBefore = looks
    const others = Array.from({ length: 20 }, () => hold())
    t.equal(looks, looksBefore, 'nothing has changed since the first of them came')
    for (const [freed, served] of [first, ...others].slice(0, 8).entries()) {
      await busy[freed]?.end()
      t.equal((await served.got).name, freed)
    }
    t.equal(looks, looksBefore + 8)
    await Promise.all([first, ...others].map(({ end }) => end()))
  },
)

t.test('one that ends under its work while others wait is replaced for them', async t => {
  const { hold, made } = stage(t)
  const busy = [hold(), hold()]
  await Promise.all(busy.map(({ got }) => got))
  const waiting = [hold(), hold(), hold()]
  for (const connection of made) connection.usable = false
  await busy[0]?.end()
  t.equal((await waiting[0]?.got)?.name, 2)
  await busy[1]?.end()
  t.equal((await waiting[1]?.got)?.name, 3)
  await waiting[0]?.end()
  t.equal((await waiting[2]?.got)?.name, 2)
  await Promise.all(waiting.slice(1).map(({ end }) => end()))
})

t.test('a connection for several is shared while it is being made', async t => {
  const { hold, made } = stage(t, { maxUses: 4 })
  const holders = Array.from({ length: 6 }, () => hold())
  await Promise.all(holders.map(({ got }) => got))
  t.equal(made.length, 2)
  await Promise.all(holders.map(({ end }) => end()))
})

t.test('too many are turned away, those for whom a connection is on its way are not', async t => {
  const { hold, state } = stage(t, { maxWaiting: 1 })
  const gate = Promise.withResolvers<void>()
  state.open = () => gate.promise
  const holders = Array.from({ length: 3 }, () => hold())
  await t.rejects(hold().got, { message: /too many logins wait/ })
  gate.resolve()
  await Promise.all([holders[0]?.got, holders[1]?.got])
  await holders[0]?.end()
  await holders[2]?.got
  await Promise.all([holders[1]?.end(), holders[2]?.end()])
})

t.test('a pool that cannot grow serves with what it has', async t => {
  const { hold, useOne, made, state, asked } = stage(t)
  const first = hold()
  await first.got
  state.open = () => Promise.reject(refusal)
  const waiting = Array.from({ length: 3 }, () => useOne())
  await turn()
  t.ok(asked.length >= 2, 'it tried')
  t.ok(asked.length <= 4, 'and not for ever')
  await first.end()
  t.same(await Promise.all(waiting), [0, 0, 0])
  t.equal(made.length, 1)
})

t.test('with nothing left all who wait are told why at once', async t => {
  const { useOne, state, asked } = stage(t)
  state.open = () => Promise.reject(refusal)
  const waiting = Array.from({ length: 8 }, () => useOne())
  for (const each of waiting) await t.rejects(each, refusal)
  t.ok(asked.length <= 2)
  state.open = async () => {}
  t.equal(await useOne(), 0, 'and the next is served when it can be')
})

t.test('a busy connection that leads nowhere is not waited for', async t => {
  const { hold, useOne, made, state } = stage(t)
  const first = hold()
  await first.got
  for (const connection of made) connection.trust = 'not_now'
  state.open = () => Promise.reject(refusal)
  await t.rejects(useOne(), refusal)
  await first.end()
})

t.test('who gives up waiting leaves, and nobody is served in their place twice', async t => {
  const { hold, useOne } = stage(t, { maxConnections: 1 })
  const first = hold()
  await first.got
  const impatient = new AbortController()
  const leaving = hold(impatient.signal)
  const staying = useOne()
  impatient.abort()
  await t.rejects(leaving.got, { message: /no connection came free in time/ })
  await first.end()
  t.equal(await staying, 0)
  await t.rejects(hold(AbortSignal.abort()).got, { message: /used up before/ })
})

t.test('one that has ended, is too old or was idle for too long is replaced', async t => {
  const { useOne, made, clock, hold } = stage(t)
  await useOne()
  for (const connection of made) connection.usable = false
  t.equal(await useOne(), 1)
  clock.advance(599_999)
  t.equal(await useOne(), 1)
  clock.advance(600_000)
  t.equal(await useOne(), 2)
  t.ok(made[1]?.closed)
  const busy = hold()
  t.equal((await busy.got).name, 2)
  clock.advance(3_600_000)
  t.equal(await useOne(), 3, 'too old')
  t.notOk(made[2]?.closed, 'but in use')
  await busy.end()
  t.ok(made[2]?.closed)
})

t.test('those made together are not replaced together', async t => {
  const chances = [0.5, 0, 0.5, 0]
  const { hold, useOne, made, clock } = stage(t, { random: () => chances.pop() ?? 0 })
  const both = [hold(), hold()]
  await Promise.all(both.map(({ got }) => got))
  await Promise.all(both.map(({ end }) => end()))
  for (let minute = 0; minute < 58; minute += 2) {
    clock.advance(120_000)
    const again = [hold(), hold()]
    await Promise.all(again.map(({ got }) => got))
    await Promise.all(again.map(({ end }) => end()))
  }
  t.equal(made.length, 3)
  await useOne()
})

t.test('among equals the one used last is taken, so that the others can age out', async t => {
  const { hold, useOne, made, clock } = stage(t)
  const both = [hold(), hold()]
  await Promise.all(both.map(({ got }) => got))
  await both[0]?.end()
  clock.advance(1)
  await both[1]?.end()
  for (let count = 0; count < 10; count++) {
    clock.advance(100_000)
    t.equal(await useOne(), 1)
  }
  t.same(
    made.map(({ closed }) => closed),
    [true, false],
  )
})

t.test('one that was idle is tried before it is used', async t => {
  const { useOne, made } = stage(t)
  await useOne()
  const [only] = made as [Fake]
  only.trust = 'once_tried'
  const waiting = useOne()
  await turn()
  t.equal(only.tries, 1)
  only.answer(true)
  t.equal(await waiting, 0)
  await useOne()
  t.equal(only.tries, 1, 'once')
})

t.test('one that does not answer its try is replaced, and with it all that are lost like it', async t => {
  const { hold, useOne, made } = stage(t, { maxConnections: 4 })
  const four = Array.from({ length: 4 }, () => hold())
  await Promise.all(four.map(({ got }) => got))
  await Promise.all(four.map(({ end }) => end()))
  for (const connection of made) connection.trust = 'once_tried'
  const waiting = useOne()
  await turn()
  t.equal(made.filter(({ tries }) => tries > 0).length, 1, 'one login tries one')
  const tried = made.find(({ tries }) => tries > 0)
  for (const connection of made) connection.trust = 'lost'
  tried?.answer(false)
  t.equal(await waiting, 4)
  t.ok(made.slice(0, 4).every(({ closed }) => closed))
})

t.test('several who wait have several tried', async t => {
  const { hold, useOne, made } = stage(t)
  const both = [hold(), hold()]
  await Promise.all(both.map(({ got }) => got))
  await Promise.all(both.map(({ end }) => end()))
  for (const connection of made) connection.trust = 'once_tried'
  const waiting = [useOne(), useOne(), useOne()]
  await turn()
  t.same(
    made.map(({ tries }) => tries),
    [1, 1],
  )
  for (const connection of made) connection.answer(true)
  t.equal((await Promise.all(waiting)).length, 3)
  t.equal(made.length, 2)
})

t.test('better connections are used first, and take the place of lesser ones one by one', async t => {
  const { pool, hold, useOne, made, asked, state } = stage(t)
  state.rank = 1
  const both = [hold(), hold()]
  await Promise.all(both.map(({ got }) => got))
  await both[0]?.end()
  state.rank = 0
  asked.length = 0
  pool.review()
  await turn()
  t.same(asked, [1, 1], 'better than those')
  t.equal(made.length, 4)
  t.ok(made[0]?.closed)
  t.notOk(made[1]?.closed, 'somebody is using it')
  await both[1]?.end()
  t.ok(made[1]?.closed, 'now nobody is')
  t.ok((await useOne()) >= 2)
  pool.review()
  await turn()
  t.equal(made.length, 4, 'and that is that')
})

t.test('lesser ones stay where there is nothing better', async t => {
  const { pool, useOne, made, state } = stage(t)
  state.rank = 1
  await useOne()
  state.open = () => Promise.reject(refusal)
  pool.review()
  await turn()
  t.notOk(made[0]?.closed)
  t.equal(await useOne(), 0)
})

t.test('those that are spared do not take up room, and go when there are others', async t => {
  const { hold, useOne, made } = stage(t, { maxConnections: 1 })
  await useOne()
  const [first] = made as [Fake]
  first.trust = 'not_now'
  first.rank = 9
  t.equal(await useOne(), 1)
  t.ok(first.closed)
  const busy = hold()
  t.equal((await busy.got).name, 1)
  await busy.end()
})

t.test('closing turns away who waits and who comes, and leaves nothing open', async t => {
  const { pool, hold, useOne, made, state } = stage(t)
  const busy = hold()
  await busy.got
  const gate = Promise.withResolvers<void>()
  state.open = () => gate.promise
  const waiting = useOne()
  const closing = pool.close()
  await t.rejects(waiting, { message: 'the backend is closed' })
  await t.rejects(useOne(), { message: 'the backend is closed' })
  gate.resolve()
  await closing
  t.equal(made.length, 2)
  t.ok(made.every(({ closed }) => closed))
  await busy.end()
  await pool.close()
})

t.test('closing ends those, too, that were to go when their work was done', async t => {
  const { pool, hold, useOne, made, state } = stage(t, { maxConnections: 1 })
  const busy = hold()
  const first = await busy.got
  first.rank = 1
  state.rank = 0
  pool.review()
  await turn()
  t.equal(await useOne(), 1, 'a better one has taken its place')
  t.notOk(first.closed, 'its work goes on')
  await pool.close()
  t.ok(made.every(({ closed }) => closed))
  await busy.end()
})

t.test('what work throws is thrown, and its connection goes on', async t => {
  const { pool, useOne, made } = stage(t)
  const mistake = new TypeError('a mistake')
  await t.rejects(
    pool.use(forever, () => Promise.reject(mistake)),
    mistake,
  )
  t.equal(await useOne(), 0)
  t.equal(made.length, 1)
})
