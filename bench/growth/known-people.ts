/** People who log in again and again: what the lockout remembers of them, and what it writes down. */
import { systemClock } from '../../src/authentication/clock.ts'
import type { Log } from '../../src/authentication/log.ts'
import { systemBoot } from '../../src/lockout/boot.ts'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import { createJournal, type JournalTable } from '../../src/lockout/sqlite-journal.ts'
import { openDatabase } from '../../src/users/database.ts'
import { openLockoutTable } from '../../src/users/lockout-table.ts'
import { setUpLockoutAt } from '../../test/support/lockout.ts'
import { accept } from './counted-accounts.ts'
import { cpuMicros } from './own-cost.ts'
import type { Figure } from './row.ts'

/**
 * Right passwords of so many people in turn, each from their own machine, with counts in memory and in the database.
 *
 * @param file of SQLite; made here
 */
export async function knownPeople(file: string, size: number, times: number): Promise<readonly Figure[]> {
  const log: Log = { debug() {}, info() {}, warn() {}, error() {}, fatal() {}, child: () => log }
  openDatabase(file, { log }).close()
  let written = 0
  const table = openLockoutTable(file)
  const counting: JournalTable = {
    ...table,
    write: (changes, waitMs) => {
      const all = [...changes]
      written += all.length
      table.write(all, waitMs)
    },
  }
  const journal = createJournal({ table: counting, clock: systemClock, boot: systemBoot, log })
  const store = createMemoryStore({ clock: systemClock, log, bytes: 64 * 2 ** 20, journal })
  try {
    const { lockout } = setUpLockoutAt(systemClock, { store })
    for (let index = 0; index < size; index++) await accept(lockout, index)
    written = 0
    const micros = await cpuMicros(times, index => accept(lockout, index % size))
    return [
      { name: 'a right login', value: micros, unit: 'µs' },
      { name: 'rows written for it', value: written / times, unit: '' },
      { name: 'remembered', value: store.report().records.profiles ?? 0, unit: '' },
    ]
  } finally {
    await store.close()
  }
}
