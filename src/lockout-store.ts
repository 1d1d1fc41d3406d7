/** Where the lockout of this configuration keeps its counts: in this process and its database, or in a store that replicas share. */
import { readFileSync } from 'node:fs'
import { systemClock } from './authentication/clock.ts'
import type { Log } from './authentication/log.ts'
import type { Config } from './config/config.ts'
import { systemBoot } from './lockout/boot.ts'
import { createFailoverStore } from './lockout/failover-store.ts'
import { type Journal, noJournal } from './lockout/journal.ts'
import { createMemoryStore } from './lockout/memory-store.ts'
import { createJournal } from './lockout/sqlite-journal.ts'
import type { LockoutStore } from './lockout/store.ts'
import { DatabaseError } from './users/database.ts'
import { openLockoutTable } from './users/lockout-table.ts'

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
): Promise<LockoutStore> {
  const { memoryBytes: bytes, onStoreFailure: onFailure } = lockout
  const memory = { clock: systemClock, log, bytes }
  if (lockout.store === 'memory') {
    return createMemoryStore({ ...memory, journal: databaseOpens ? openJournal(database, log) : noJournal })
  }
  // Only here: its library takes memory and time at the start, and most do without.
  const { createRedisStore } = await import('./lockout/redis-store.ts')
  const { redis, secret } = lockout
  const { url, username, password, caFile, prefix, timeoutMs, replicas } = redis
  const shared = createRedisStore({
    url,
    ...(username !== undefined && { username }),
    ...(password && { password }),
    ...(caFile !== undefined && { ca: readCa(caFile) }),
    prefix,
    timeoutMs,
    secret: Buffer.from(secret.reveal()),
    log,
  })
  // What this replica has seen itself: the shared store remembers across restarts.
  const local = createMemoryStore(memory)
  return createFailoverStore({ shared, local, replicas, onFailure, clock: systemClock, log })
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
