import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { watchStore } from '../../../src/lockout/failover/watch.ts'
import { createFailoverStore } from '../../../src/lockout/failover-store.ts'
import { createMemoryStore } from '../../../src/lockout/memory-store.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import { startRedis } from '../../support/redis.ts'
import { openRedisStore } from '../redis/open-store.ts'

const redis = await startRedis(t)
const clock = { now: () => performance.now(), wall: () => Date.now() }

function openStore(onFailure: 'local' | 'closed') {
  const log = createLogRecorder()
  const shared = openRedisStore(t, redis, { timeoutMs: 1_000 })
  const local = createMemoryStore({ clock, log, bytes: 8 * 1024 * 1024 })
  const store = createFailoverStore({ shared, local, replicas: 1, onFailure, clock, log })
  return { store, log }
}

for (const onFailure of ['local', 'closed'] as const) {
  t.test(`${onFailure}: a store that hangs is noticed without anybody asking, and so is its end`, async t => {
    const { store, log } = openStore(onFailure)
    const watch = watchStore(store)
    t.strictSame(watch.health(), { ok: false, reason: 'not asked yet' })
    while (!watch.health().ok) await pause(5)
    redis.freeze()
    while (watch.health().ok) await pause(5)
    t.match(watch.health(), { ok: false, reason: /^Redis: no reply within 1000 ms$/ })
    redis.thaw()
    while (!watch.health().ok) await pause(5)
    t.match(log.at('error'), [{ message: 'the shared lockout store is away' }])
    t.match(log.at('warn'), [{ message: 'the shared lockout store is back' }])
    await watch.stop()
    await store.close()
    t.equal(log.at('error').length, 1, 'its end is no outage')
  })
}
