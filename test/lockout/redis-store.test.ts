import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { Secret } from '../../src/authentication/secret.ts'
import { createRedisStore, type RedisStoreOptions, type SharedStore } from '../../src/lockout/redis-store.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { startRedis } from '../support/redis.ts'
import { storeConformance } from './store-conformance.ts'

const redis = await startRedis(t)
const secret = randomBytes(32)

async function openStore(t: Test, more: Partial<RedisStoreOptions> = {}): Promise<SharedStore> {
  const store = createRedisStore({
    url: redis.url,
    password: new Secret(redis.password),
    prefix: 'gatehouse',
    secret,
    log: createLogRecorder(),
    ...more,
  })
  t.teardown(() => store.close())
  return store
}

async function openEmpty(t: Test, more: Partial<RedisStoreOptions> = {}): Promise<SharedStore> {
  await redis.command('FLUSHALL')
  return openStore(t, more)
}

t.test('Redis', async t => {
  storeConformance(
    t,
    async t => ({ store: await openEmpty(t, { timeoutMs: 5_000 }), advance: redis.advance }),
    { runs: 20 },
  )
})
