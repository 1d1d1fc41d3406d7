/** Where the lockout of this configuration keeps its counts: in this process and its database, or in a store that replicas share. */
import { systemClock } from './authentication/clock.ts'
import type { Log } from './authentication/log.ts'
import type { Config } from './config/config.ts'
import { systemBoot } from './lockout/boot.ts'
import { type Journal, noJournal } from './lockout/journal.ts'
import { createMemoryStore } from './lockout/memory-store.ts'
import { createJournal } from './lockout/sqlite-journal.ts'
import type { LockoutStore } from './lockout/store.ts'
import { DatabaseError } from './users/database.ts'
import { openLockoutTable } from './users/lockout-table.ts'

/**
 * Opens the store. A database that cannot be used costs the counts their memory across restarts, and nobody a login.
 *
 * @param databaseOpens false where it has been tried and does not: it is not tried again
 */
export function openLockoutStore(
  { lockout, database }: Pick<Config, 'lockout' | 'database'>,
  { databaseOpens, log }: { readonly databaseOpens: boolean; readonly log: Log },
): LockoutStore {
  const { memoryBytes: bytes } = lockout
  return createMemoryStore({
    clock: systemClock,
    log,
    bytes,
    journal: databaseOpens ? openJournal(database, log) : noJournal,
  })
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
