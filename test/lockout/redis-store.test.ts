import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { RedisStoreOptions } from '../../src/lockout/redis-store.ts'
import type { SharedStore } from '../../src/lockout/shared-store.ts'
import { LEASE_MS, MOST_NEW_NAMES } from '../../src/lockout/store.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { startRedis } from '../support/redis.ts'
import { openRedisStore } from './redis/open-store.ts'
import { storeConformance } from './store-conformance.ts'
import {
  account,
  counter,
  endingOf,
  familiarFrom,
  guess,
  key,
  LIMIT,
  NOBODY,
  NOTHING,
  place,
  reserve,
  retryAfter,
} from './store-parts.ts'

const redis = await startRedis(t)
const a = counter('a')

async function openEmpty(t: Test, more: Partial<RedisStoreOptions> = {}): Promise<SharedStore> {
  await redis.command('FLUSHALL')
  return openRedisStore(t, redis, more)
}

t.test('Redis', async t => {
  storeConformance(t, async t => ({ store: await openEmpty(t), advance: redis.advance }), { runs: 20 })
})

t.test('two replicas share one limit, however many guess at once', async t => {
  const stores = [await openEmpty(t), openRedisStore(t, redis)] as const
  const limited = counter('limited', { ...LIMIT, maxAttempts: 10 })
  let verified = 0
  const attempt = async (store: SharedStore) => {
    for (;;) {
      const answer = await reserve(store, limited)
      if (answer.outcome === 'locked') return
      if (answer.outcome !== 'reserved') continue
      verified++
      await store.end(answer.lease, endingOf({ failed: [limited] }), NOBODY)
    }
  }
  await Promise.all(Array.from({ length: 1_000 }, (_, i) => attempt(stores[i % 2 === 0 ? 0 : 1])))
  t.equal(verified, 10)
})

t.test('a lease that one replica left behind counts at the other', async t => {
  const [one, other] = [await openEmpty(t), openRedisStore(t, redis)]
  await place(one, a)
  await one.close()
  redis.advance(LEASE_MS)
  t.match(await other.inspect([a]), [{ failures: 1, inFlight: 0 }])
})

t.test('any number of leases left behind count, a bounded number with each step', async t => {
  const log = createLogRecorder()
  const store = await openEmpty(t, { log })
  const many = counter('many', { ...LIMIT, maxAttempts: 1_000, windowMs: 10 * LEASE_MS })
  await Promise.all(Array.from({ length: 250 }, () => place(store, many)))
  redis.advance(LEASE_MS)
  for (const failures of [100, 200, 250, 250]) {
    t.match(await store.inspect([many]), [{ failures, inFlight: 250 - failures }])
  }
  t.strictSame(
    log.at('error').map(({ fields }) => fields.attempts),
    [100, 100, 50],
  )
})

const note = { name: 'alice.liddell', subject: 'ad:5f1c', address: '198.51.100.77', caller: 'webmail-app' }

/** Some of everything that is kept. */
async function mixedWorkload(store: SharedStore): Promise<void> {
  const owner = key('alice')
  const tiered = { ...LIMIT, lockMs: [5_500, 90_000], jitter: 0.1, afterLock: 'half_open' } as const
  const source = counter('source', { ...LIMIT, accounts: 2 }, { kind: 'source', account: owner })
  const places = [counter('p', LIMIT, { owner, unresolved: true }), account('alice', 'home', tiered), source]
  const resolved = { name: owner, subjects: [key('subject')] }
  for (let i = 0; i < 3; i++) {
    const answer = await store.reserve(places, note)
    if (answer.outcome !== 'reserved') throw new Error(answer.outcome)
    await store.extend(
      answer.lease,
      [counter('d', LIMIT, { kind: 'directory', owner: key('subject') })],
      note,
    )
    await store.end(answer.lease, endingOf({ failed: places, resolved }), note)
  }
  const right = { ...familiarFrom('home', 'alice', 'subject'), resolved }
  await store.end(await place(store, a), { ...right, cleared: [a.key], passed: [a] }, note)
  await store.reserve(places, note)
  await store.pardon({ of: 'pair', keys: [key('p')] })
  await guess(store, counter('b'))
  // One is left open, one is left behind.
  await store.reserve([counter('c'), counter('s', LIMIT, { kind: 'subnet', watched: true })], note)
}

async function everyKey(): Promise<string[]> {
  const keys: string[] = []
  let cursor = '0'
  do {
    const [next, some] = (await redis.command('SCAN', cursor, 'COUNT', '100')) as [string, string[]]
    keys.push(...some)
    cursor = next
  } while (cursor !== '0')
  return keys
}

t.test('every key has a time to live, and lies below the prefix in one slot', async t => {
  const store = await openEmpty(t, { prefix: 'intranet' })
  await mixedWorkload(store)
  const keys = await everyKey()
  for (const what of ['r:', 'p:', 'o:', 'l:', 'leases', 'locks:', 'pardons', 'memory']) {
    t.ok(
      keys.some(name => name.startsWith(`{intranet}:1:${what}`)),
      what,
    )
  }
  for (const name of keys) {
    t.ok(name.startsWith('{intranet}:1:'), name)
    const ttl = Number(await redis.command('PTTL', name))
    t.ok(ttl > 0 && ttl <= 91 * 86_400_000, `${name}: ${ttl} ms`)
  }
  redis.advance(91 * 86_400_000)
  await store.inspect([])
  t.strictSame(await everyKey(), [], 'and none stays')
})

t.test('what is left of an attempt that charged nobody goes with it', async t => {
  const store = await openEmpty(t)
  await store.end(await place(store, a, account('alice', 'home')), NOTHING, NOBODY)
  t.strictSame(await everyKey(), ['{gatehouse}:1:memory'])
})

t.test('neither names nor addresses can be read in Redis', async t => {
  const store = await openEmpty(t)
  await mixedWorkload(store)
  t.match((await store.list(9))[0]?.note, note, 'while we know them')
  const read = { string: ['GET'], zset: ['ZRANGE', '0', '-1'] }
  let text = ''
  for (const name of await everyKey()) {
    const type = String(await redis.command('TYPE', name)) as keyof typeof read
    const [command = '', ...range] = read[type]
    text += `${name} ${await redis.command(command, name, ...range)}\n`
  }
  t.ok(text.length > 2_000 && text.includes(key('p')), 'it was read')
  for (const word of ['alice', 'liddell', '198.51', '5f1c', 'webmail', '192.0.2']) t.notMatch(text, word)
})

t.test('a replica with another secret sees the lock and not whose it is', async t => {
  const store = await openEmpty(t)
  const stranger = openRedisStore(t, redis, { secret: randomBytes(32) })
  const lease = await place(store, a)
  await store.end(lease, endingOf({ failed: [a, a, a] }), note)
  t.match(await store.list(9), [{ key: a.key, note }])
  const [lock] = await stranger.list(9)
  t.equal(lock?.key, a.key)
  t.equal(lock?.note, undefined)
})

t.test('the script is sent again where the server has forgotten it', async t => {
  const store = await openEmpty(t)
  await guess(store, a)
  await redis.command('SCRIPT', 'FLUSH')
  const answers = await Promise.all([guess(store, a), guess(store, counter('b')), guess(store, counter('c'))])
  t.strictSame(answers, [false, false, false])
  t.match(await store.inspect([a]), [{ failures: 2 }])
})

t.test('a source brings only so many new names, and known ones go on', async t => {
  const store = await openEmpty(t)
  const often = { ...LIMIT, maxAttempts: 1_000 }
  const attempt = async (name: string, subjects: readonly string[] = []) => {
    const pair = counter(`pair ${name}`, LIMIT, { unresolved: true, owner: key(name) })
    const source = counter('source', often, { kind: 'source', account: key(name) })
    const resolved = { name: key(name), subjects }
    await store.end(await place(store, pair, source), endingOf({ failed: [pair, source], resolved }), NOBODY)
    const [ofPair, ofSource] = await store.inspect([pair, source])
    return [ofPair?.failures, ofSource?.failures]
  }
  for (let i = 1; i <= MOST_NEW_NAMES; i++) t.strictSame(await attempt(`name ${i}`), [1, i])
  t.strictSame(await attempt('one more'), [0, MOST_NEW_NAMES + 1], 'the source is charged all the same')
  t.strictSame(await attempt('name 1'), [2, MOST_NEW_NAMES + 2], 'one of the fifty')
  t.strictSame(await attempt('somebody', [key('subject')]), [1, MOST_NEW_NAMES + 3], 'no new name')
})

t.test('a source that was locked meanwhile brings no new name', async t => {
  const store = await openEmpty(t)
  const source = counter('source', { ...LIMIT, maxAttempts: 2 }, { kind: 'source' })
  const pair = counter('pair', LIMIT, { unresolved: true })
  const late = await place(store, pair, source)
  await store.end(await place(store, a), endingOf({ failed: [source, source] }), NOBODY)
  await store.end(late, endingOf({ failed: [pair, source] }), NOBODY)
  t.match(await store.inspect([pair, source]), [{ failures: 0 }, { lockedForMs: Number }])
})

t.test('pardons are told to the other replicas, once and in order', async t => {
  const [one, other] = [await openEmpty(t), openRedisStore(t, redis)]
  await store(one)
  async function store(replica: SharedStore) {
    await replica.end(await place(replica, a), NOTHING, NOBODY)
    return replica.latest().pardon
  }
  t.equal(await store(other), 0)
  const resolved = { name: key('name'), subjects: [key('subject')] }
  await one.end(await place(one, a), endingOf({ resolved }), NOBODY)
  await one.pardon({ of: 'account', profiles: [key('subject')] })
  await one.pardon({ of: 'source', keys: [key('s')] })
  t.ok((await store(other)) > 0)
  t.strictSame(await other.pardonsSince(0), [
    { of: 'account', profiles: [key('subject'), key('name')] },
    { of: 'source', keys: [key('s')] },
  ])
  const seen = other.latest().pardon
  t.strictSame(await other.pardonsSince(seen), [])
  t.strictSame(await one.pardonsSince(0), [], 'its own it knows')
  await one.pardon({ of: 'pair', keys: [key('p')] })
  t.ok((await store(other)) > seen)
  t.strictSame(await other.pardonsSince(seen), [{ of: 'pair', keys: [key('p')] }])
  redis.advance(86_400_001)
  t.equal(await store(other), 0, 'forgotten after a day')
})

t.test('a step that fails inside leaves nothing half done', async t => {
  const store = await openEmpty(t)
  await guess(store, a)
  const [name = ''] = (await everyKey()).filter(name => name.includes(':r:'))
  await redis.command('SET', name, 'no record', 'PX', '60000')
  const before = (await everyKey()).sort()
  await t.rejects(reserve(store, counter('b'), a), { name: 'UnavailableError', phase: 'lookup' })
  t.strictSame((await everyKey()).sort(), before)
})

t.test('what is configured wrongly is told at once, without the password', async t => {
  const bad = (more: Partial<RedisStoreOptions>) => () => openRedisStore(t, redis, more)
  t.throws(bad({ url: 'nowhere' }), RangeError)
  t.throws(bad({ url: 'http://localhost' }), RangeError)
  t.throws(bad({ url: 'redis://:geheim@localhost' }), { name: 'RangeError', message: /^(?!.*geheim)/ })
  t.throws(bad({ prefix: '' }), RangeError)
  t.throws(bad({ prefix: 'a}b' }), RangeError)
  t.throws(bad({ secret: randomBytes(31) }), RangeError)
})

t.test('a lock holds on the time of the server', async t => {
  const store = await openEmpty(t)
  await guess(store, counter('one', { ...LIMIT, maxAttempts: 1 }))
  redis.advance(5_499)
  retryAfter(t, await reserve(store, counter('one')), 1)
  redis.advance(1)
  t.match(await reserve(store, counter('one')), { outcome: 'reserved' })
})

t.test('a server that has forgotten everything is another memory', async t => {
  const store = await openEmpty(t)
  await reserve(store, a)
  const { memory } = store.latest()
  t.type(memory, 'string')
  await reserve(store, a)
  t.equal(store.latest().memory, memory)
  await redis.command('FLUSHALL')
  await reserve(store, a)
  t.not(store.latest().memory, memory)
})

t.test('who comes from a familiar source is told', async t => {
  const store = await openEmpty(t)
  await store.end(await place(store, a), familiarFrom('home', 'alice'), NOBODY)
  const answer = await reserve(store, account('alice', 'home'), account('bob', 'home'), a)
  t.match(answer, { outcome: 'reserved', familiar: [key('alice')] })
  const lease = await place(store, a)
  t.match(await store.extend(lease, [account('alice', 'home')], NOBODY), { familiar: [key('alice')] })
})
