import type { Secret } from '../authentication/secret.ts'
import type { Passwords } from './local-users.ts'
import { randomPassword } from './random-password.ts'
import type { UserStore } from './store.ts'

export interface FirstAdmin {
  readonly username: string
  /** To be shown once: it is stored nowhere. */
  readonly password: Secret
}

interface Parts {
  readonly store: UserStore
  readonly passwords: Pick<Passwords, 'hash'>
}

/**
 * Where there has never been a user, makes one with a random password (security.md S36); else undefined. Once per
 * database, and only in one of several processes that start at the same time. Later, deleting the last user brings
 * nobody back.
 *
 * In two steps: the hash, which takes its time, is computed from now on, and the user is made when what is given back is called.
 * Without that nothing is made. Never throws; the second step rejects with what either met, an UnavailableError among them.
 */
export function prepareFirstAdmin({ store, passwords }: Parts): () => Promise<FirstAdmin | undefined> {
  const preparing = prepare()
  // The second step tells; a start that fails before it has something else to tell.
  preparing.catch(() => {})

  async function prepare() {
    if (!store.awaitsFirst()) return undefined
    const password = randomPassword()
    return { password, passwordHash: await passwords.hash(password) }
  }

  return async () => {
    const prepared = await preparing
    if (prepared === undefined) return undefined
    const { password, passwordHash } = prepared
    const change = store.createFirst({ username: 'admin', groups: ['admins'], passwordHash })
    if (change === undefined) return undefined
    if (!change.ok) throw new Error(`the first user was not accepted: ${change.problem}`)
    return { username: change.user.username, password }
  }
}
