/** Where the lockout of this configuration keeps its counts: in this process and its database, or in a store that replicas share. */
import { readFileSync } from 'node:fs'
import { systemClock } from './authentication/clock.ts'
import type { Log } from './authentication/log.ts'
import type { Config, RedisConfig } from './config/config.ts'
import { systemBoot } from './lockout/boot.ts'
import { type StoreHealth, watchStore } from './lockout/failover/watch.ts'
import { createFailoverStore } from './lockout/failover-store.ts'
import { type Journal, noJournal } from './lockout/journal.ts'
import { createMemoryStore } from './lockout/memory-store.ts'
import type { RedisAddress } from './lockout/redis/connection.ts'
import { createJournal } from './lockout/sqlite-journal.ts'
import type { LockoutStore } from './lockout/store.ts'
import { DatabaseError } from './users/database.ts'
import { openLockoutTable } from './users/lockout-table.ts'

export interface OpenedStore extends LockoutStore {
  /** Whether counts are kept where the configuration says; costs nothing. */
  health(): StoreHealth
}

/**
 * Opens the store. A database that cannot be used costs the counts their memory across restarts, and nobody a login; a shared
 * store that is away is waited for in the background.
 *
 * @param databaseOpens false where it has been tried and does not: it is not tried again
 * @throws Error when the file of its CA cannot be read
 */
export async function openLockoutStore(
  { lockout, database }: Pick<Config, 'lockout' | 'database'>,
  { databaseOpens, log }: { readonly databaseOpens: boolean; readonly log: Log },
): Promise<OpenedStore> {
  const { memoryBytes: bytes, onStoreFailure: onFailure } = lockout
  const memory = { clock: systemClock, log, bytes }
  if (lockout.store === 'memory') {
    const journal = databaseOpens ? openJournal(database, log) : noJournal
    return { ...createMemoryStore({ ...memory, journal }), health: () => ({ ok: true }) }
  }
  // Only here: its library takes memory and time at the start, and most do without.
  const { createRedisStore } = await import('./lockout/redis-store.ts')
  const { prefix, timeoutMs, replicas } = lockout.redis
  const secret = Buffer.from(lockout.secret.reveal())
  const shared = createRedisStore({ ...redisAddress(lockout.redis), prefix, timeoutMs, secret, log })
  // What this replica has seen itself: the shared store remembers across restarts.
  const local = createMemoryStore(memory)
  const store = createFailoverStore({ shared, local, replicas, onFailure, clock: systemClock, log })
  const watch = watchStore(store)
  return {
    ...store,
    health: watch.health,
    async close() {
      // Else its last question would be one that got no answer.
      await watch.stop()
      await store.close()
    },
  }
}

/** @throws Error when the file of its CA cannot be read */
export function redisAddress({ url, username, password, caFile }: RedisConfig): RedisAddress {
  return {
    url,
    ...(username !== undefined && { username }),
    ...(password && { password }),
    ...(caFile !== undefined && { ca: readCa(caFile) }),
  }
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(`lockout.redis.ca_file: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

function openJournal(database: string, log: Log): Journal {
  try {
    const table = openLockoutTable(database)
    return createJournal({ table, clock: systemClock, boot: systemBoot, log })
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    log.error({ reason: error.message }, 'a restart will forget who is locked out')
    return noJournal
  }
}
