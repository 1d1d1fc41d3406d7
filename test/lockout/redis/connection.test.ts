import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import { LEASE_MS } from '../../../src/lockout/store.ts'
import { createLogRecorder, type LogRecorder } from '../../support/log-recorder.ts'
import { startRedis } from '../../support/redis.ts'
import { counter, endingOf, guess, NOBODY, place, reserve } from '../store-parts.ts'
import { openRedisStore, untilReachable } from './open-store.ts'

const redis = await startRedis(t, { tls: true })
const a = counter('a', { maxAttempts: 1, windowMs: 10 * LEASE_MS, lockMs: [5_500], afterLock: 'afresh' })
const away = { name: 'UnavailableError', phase: 'lookup' }

t.beforeEach(() => redis.command('FLUSHALL'))

async function untilWarned(log: LogRecorder): Promise<void> {
  while (log.at('warn').length === 0) await pause(5)
}

t.test('a server that goes is told at once, and used again when it is back', async t => {
  const log = createLogRecorder()
  const store = openRedisStore(t, redis, { log })
  await guess(store, a)
  t.equal(store.report().reachable, true)
  await redis.stop()
  await untilWarned(log)
  t.equal(store.report().reachable, false)
  const beganAt = performance.now()
  for (let i = 0; i < 20; i++) await t.rejects(reserve(store, a), away)
  t.ok(performance.now() - beganAt < 5_000, 'without waiting for it')
  await t.rejects(store.inspect([a]), away)
  await t.rejects(store.list(1), away)
  await t.rejects(store.pardon({ of: 'pair', keys: [] }), away)
  await t.rejects(store.pardonsSince(0), away)
  await redis.start()
  await untilReachable(store)
  t.equal((await reserve(store, a)).outcome, 'reserved', 'it came back empty')
  const reasons = log.at('warn').map(({ fields }) => fields.reason)
  t.equal(reasons.length, new Set(reasons).size, 'each reason is logged once')
  t.equal(log.at('info').length, 2)
})

t.test('a server that hangs costs the timeout, and what it does late is taken back', async t => {
  const log = createLogRecorder()
  const store = openRedisStore(t, redis, { log, timeoutMs: 100 })
  await untilReachable(store)
  await place(store, counter('warm'))
  redis.freeze()
  const beganAt = performance.now()
  await t.rejects(reserve(store, a), away)
  const tookMs = performance.now() - beganAt
  t.ok(tookMs >= 99 && tookMs < 1_000, `${tookMs} ms`)
  t.equal(store.report().reachable, false)
  redis.thaw()
  await untilReachable(store)
  // Its own work first, what was left behind right after it.
  await place(store, counter('b'))
  while ((await store.inspect([a]))[0]?.inFlight !== 0) await pause(5)
  redis.advance(LEASE_MS)
  t.match(await store.inspect([a]), [{ failures: 0, inFlight: 0 }])
})

t.test('a lease that was given up before it reached the server never opens', async t => {
  const store = openRedisStore(t, redis, { timeoutMs: 100 })
  await untilReachable(store)
  await redis.stop()
  await t.rejects(reserve(store, a), away)
  await redis.start()
  await untilReachable(store)
  await place(store, counter('b'))
  const isNoted = async () => (await redis.command('KEYS', '*:x:*')) as string[]
  while ((await isNoted()).length === 0) await pause(5)
  t.equal((await isNoted()).length, 1)
})

t.test('a slow moment of our own is no outage of the server', async t => {
  const log = createLogRecorder()
  const store = openRedisStore(t, redis, { log, timeoutMs: 100 })
  await untilReachable(store)
  await place(store, counter('warm'))
  const answer = reserve(store, a)
  // After it was sent; the reply lies in the socket when this is over.
  await new Promise(setImmediate)
  const untilMs = performance.now() + 300
  while (performance.now() < untilMs);
  t.match(await answer, { outcome: 'reserved' })
  t.strictSame(log.at('warn'), [])
})

t.test('a server that became a replica is left, so that its name leads to the new one', async t => {
  const log = createLogRecorder()
  const store = openRedisStore(t, redis, { log })
  await guess(store, a)
  await redis.command('REPLICAOF', '127.0.0.1', '1')
  for (let i = 0; i < 3; i++) {
    await t.rejects(reserve(store, a), away)
    t.equal(store.report().reachable, false)
    await untilReachable(store)
  }
  await redis.command('REPLICAOF', 'NO', 'ONE')
  const answered = () => reserve(store, a).catch(() => pause(5))
  let answer = await answered()
  while (answer === undefined) answer = await answered()
  t.equal(answer.outcome, 'locked')
  t.match(log.at('warn'), [{ fields: { reason: /READONLY/ } }])
  t.strictSame(
    log.at('info').map(({ message }) => message),
    ['connected to Redis', 'connected to Redis again'],
  )
})

t.test('a wrong password is an outage, and in no log', async t => {
  const log = createLogRecorder()
  const store = openRedisStore(t, redis, { log, password: new Secret('nicht das richtige') })
  await t.rejects(reserve(store, a), away)
  t.equal(store.report().reachable, false)
  t.match(log.at('warn'), [{ fields: { reason: /WRONGPASS/, server: redis.url } }])
  t.notMatch(log.text(), 'nicht das richtige')
})

t.test('a user of its own needs no more than the keys below the prefix', async t => {
  const commands = ['+@read', '+@write', '+@scripting', '+time', '+hello', '+auth', '-keys']
  await redis.command('ACL', 'SETUSER', 'gatehouse', 'on', '>pass', '~{gatehouse}:*', ...commands)
  const store = openRedisStore(t, redis, { username: 'gatehouse', password: new Secret('pass') })
  t.equal(await guess(store, a), true)
  t.match(await store.list(9), [{ key: a.key }])
  const elsewhere = openRedisStore(t, redis, {
    username: 'gatehouse',
    password: new Secret('pass'),
    prefix: 'x',
  })
  await t.rejects(reserve(elsewhere, a), away)
})

t.test('TLS with a certificate authority of our own', async t => {
  const store = openRedisStore(t, redis, { url: redis.tlsUrl, ca: redis.ca })
  t.equal(await guess(store, a), true)
  const log = createLogRecorder()
  const distrusting = openRedisStore(t, redis, { url: redis.tlsUrl, log })
  await t.rejects(reserve(distrusting, a), away)
  t.match(log.at('warn'), [{ fields: { reason: /certificate/ } }])
})

t.test('a closed store answers nothing and logs nothing', async t => {
  const log = createLogRecorder()
  const store = openRedisStore(t, redis, { log })
  const lease = await place(store, a)
  await Promise.all([store.close(), store.close()])
  await t.rejects(store.end(lease, endingOf({}), NOBODY), away)
  t.strictSame(log.at('warn'), [])
  t.equal(store.report().reachable, false)
})
