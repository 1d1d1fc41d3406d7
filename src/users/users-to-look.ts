/** The local users for those who only look (`explain` without a daemon, `doctor`): nothing is written, nobody is verified. */
import { existsSync } from 'node:fs'
import { systemClock } from '../authentication/clock.ts'
import type { LocalUsers } from '../authentication/local-users.ts'
import type { Log } from '../authentication/log.ts'
import { UnavailableError } from '../authentication/outcome.ts'
import { createUsernameNormaliser } from '../authentication/username.ts'
import { DatabaseError, openDatabaseToLook } from './database.ts'
import { createLocalUsers } from './local-users.ts'
import { usersOutOfOrder } from './out-of-order.ts'
import { createUserStore } from './store.ts'

/** @param opened closes the database */
export function openUsersToLook(
  path: string,
  log: Pick<Log, 'warn'>,
  opened: DisposableStack | AsyncDisposableStack,
): LocalUsers {
  if (!existsSync(path)) return nobodyYet
  try {
    const database = openDatabaseToLook(path)
    if (database === 'empty') return nobodyYet
    opened.defer(() => void database.close())
    const store = createUserStore({ database, normalise: createUsernameNormaliser([]), clock: systemClock })
    return createLocalUsers({ store, passwords: { hash: refuse, verify: refuse }, log })
  } catch (error) {
    if (!(error instanceof DatabaseError || error instanceof UnavailableError)) throw error
    return usersOutOfOrder(error.message)
  }
}

function refuse(): Promise<never> {
  return Promise.reject(new UnavailableError('only a daemon verifies passwords', 'hash'))
}

/** The daemon's first start makes the database. */
const nobodyYet: LocalUsers = {
  authenticateByUsername: refuse,
  authenticateByEmail: refuse,
  findByUsername: () => undefined,
  findByEmail: () => undefined,
  count: () => ({ all: 0, withEmail: 0 }),
  getUser: () => undefined,
  probe: () => ({ ok: true }),
}
