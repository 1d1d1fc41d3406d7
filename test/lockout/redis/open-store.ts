import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import { createRedisStore, type RedisStoreOptions } from '../../../src/lockout/redis-store.ts'
import type { SharedStore } from '../../../src/lockout/shared-store.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import type { Redis } from '../../support/redis.ts'

const secret = randomBytes(32)

/** One replica's store, closed when the test ends. Slow machines have time, unless the test is about that. */
export function openRedisStore(t: Test, redis: Redis, more: Partial<RedisStoreOptions> = {}): SharedStore {
  const store = createRedisStore({
    url: redis.url,
    password: new Secret(redis.password),
    prefix: 'gatehouse',
    timeoutMs: 5_000,
    secret,
    log: createLogRecorder(),
    ...more,
  })
  t.teardown(() => store.close())
  return store
}

/** Connections come up in the background. */
export async function untilReachable(store: SharedStore): Promise<void> {
  while (!store.report().reachable) await pause(5)
}
