import type { Secret } from '../authentication/secret.ts'
import type { Passwords } from './local-users.ts'
import { randomPassword } from './random-password.ts'
import type { UserStore } from './store.ts'

export interface FirstAdmin {
  readonly username: string
  /** To be shown once: it is stored nowhere. */
  readonly password: Secret
}

/**
 * Where there has never been a user, makes one with a random password (security.md S36); else undefined. Once per
 * database, and only in one of several processes that start at the same time. Later, deleting the last user brings
 * nobody back.
 *
 * @throws UnavailableError
 */
export async function ensureFirstAdmin(parts: {
  readonly store: UserStore
  readonly passwords: Pick<Passwords, 'hash'>
}): Promise<FirstAdmin | undefined> {
  const { store, passwords } = parts
  if (!store.awaitsFirst()) return undefined
  const password = randomPassword()
  const passwordHash = await passwords.hash(password)
  const change = store.createFirst({ username: 'admin', groups: ['admins'], passwordHash })
  if (change === undefined) return undefined
  if (!change.ok) throw new Error(`the first user was not accepted: ${change.problem}`)
  return { username: change.user.username, password }
}
