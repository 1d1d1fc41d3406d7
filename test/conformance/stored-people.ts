/** Local users of a house, written into its database as another process would write them. */
import { join } from 'node:path'
import { systemClock } from '../../src/authentication/clock.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { DEFAULT_PARAMETERS, type HashParameters, hashNow } from '../../src/passwords/argon2.ts'
import { openDatabase } from '../../src/users/database.ts'
import { type Change, createUserStore } from '../../src/users/store.ts'

export interface LocalPerson {
  readonly username: string
  readonly password: string
  readonly email?: string
  readonly disabled?: boolean
  /** What one hash of the password costs; as it is today unless said. */
  readonly parameters?: HashParameters
  /** What stands in the database instead of a hash of the password; null for nothing. */
  readonly stored?: string | null
}

/** Why somebody was not taken, in the order given; undefined for who was. */
export function addLocalPeople(
  { folder }: { readonly folder: string },
  people: readonly LocalPerson[],
): readonly (string | undefined)[] {
  const database = openDatabase(join(folder, 'gatehouse.db'), { log: { warn() {} } })
  try {
    const store = createUserStore({ database, normalise: createUsernameNormaliser([]), clock: systemClock })
    const setStored = database.prepare('UPDATE users SET password_hash = ? WHERE id = ?')
    return people.map(({ username, password, email, disabled, stored, parameters = DEFAULT_PARAMETERS }) => {
      const change: Change = store.create({
        username,
        ...(email !== undefined && { email }),
        groups: [],
        passwordHash: hashNow(password, parameters),
      })
      if (!change.ok) return change.problem
      if (disabled) store.setDisabled(change.user.id, true)
      if (stored !== undefined) setStored.run(stored, change.user.id)
      return undefined
    })
  } finally {
    database.close()
  }
}
