/** Local users in their table. */
import { statSync } from 'node:fs'
import { systemClock } from '../../src/authentication/clock.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { DEFAULT_PARAMETERS, hashNow } from '../../src/passwords/argon2.ts'
import { openDatabase } from '../../src/users/database.ts'
import { createUserStore } from '../../src/users/store.ts'
import { cpuMicros } from './own-cost.ts'
import type { Figure } from './row.ts'

const MIB = 2 ** 20

/**
 * So many users, with an address and a group each, and what it costs to look one up.
 *
 * @param file of SQLite; made here
 */
export async function localAccounts(file: string, size: number, times: number): Promise<readonly Figure[]> {
  const database = openDatabase(file, { log: { warn() {} } })
  try {
    const normalise = createUsernameNormaliser([])
    const store = createUserStore({ database, normalise, clock: systemClock })
    // One for all: a million would take a day, and a look-up does not read it.
    const passwordHash = hashNow('correct horse', DEFAULT_PARAMETERS)
    const insert = database.transaction(() => {
      for (let index = 0; index < size; index++) {
        const username = nameOf(index)
        const email = `${username}@corp.example`
        const change = store.create({ username, email, groups: ['staff'], passwordHash })
        if (!change.ok) throw new Error(change.problem)
      }
    })
    insert()
    database.pragma('wal_checkpoint(TRUNCATE)')
    // Names in no order, so that pages of the whole file are read.
    const lookUp = (index: number) => {
      const found = store.findLogin(nameOf((index * 7_919) % size))
      if (found === undefined) throw new Error(`${nameOf(index)} is not found`)
    }
    await cpuMicros(times, lookUp)
    const known = await cpuMicros(times, lookUp)
    const unknown = await cpuMicros(times, index => {
      if (store.findLogin(`nobody${index}`) !== undefined)
        throw new Error('somebody is found who is not there')
    })
    return [
      { name: 'looked up by name', value: known, unit: 'µs', flatAbove: 10 },
      { name: 'a name that nobody has', value: unknown, unit: 'µs', flatAbove: 10 },
      { name: 'file', value: statSync(file).size / MIB, unit: 'MiB' },
    ]
  } finally {
    database.close()
  }
}

function nameOf(index: number): string {
  return `user${String(index).padStart(7, '0')}`
}
