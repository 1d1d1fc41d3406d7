import type { StoredUser } from '../users/user.ts'
import { formatTable } from './table.ts'

/** A local user as operators see them. */
export interface ShownUser {
  /** As the API answers it: `<backend id>:<UUID>`. */
  readonly id: string
  readonly username: string
  readonly email: string | null
  readonly display_name: string | null
  readonly groups: readonly string[]
  readonly disabled: boolean
  /** RFC 3339 */
  readonly created_at: string
  readonly updated_at: string
}

/** @param backend the id of the backend that answers for local users */
export function showUser(user: StoredUser, backend: string): ShownUser {
  return {
    id: `${backend}:${user.id}`,
    username: user.username,
    email: user.email ?? null,
    display_name: user.displayName ?? null,
    groups: user.groups,
    disabled: user.disabled,
    created_at: new Date(user.createdAt).toISOString(),
    updated_at: new Date(user.updatedAt).toISOString(),
  }
}

/** One user per line under a heading, in columns. */
export function formatUsers(users: readonly ShownUser[]): string {
  if (users.length === 0) return 'There are no local users.\n'
  const rows = users.map(({ username, email, display_name, groups, disabled }) => [
    username,
    email ?? '',
    display_name ?? '',
    groups.join(', '),
    disabled ? 'disabled' : '',
  ])
  return formatTable([['USERNAME', 'E-MAIL', 'NAME', 'GROUPS', 'STATE'], ...rows])
}

/** One user, a line per property. */
export function formatUser(user: ShownUser): string {
  return formatTable([
    ['id', user.id],
    ['username', user.username],
    ['e-mail', user.email ?? '-'],
    ['name', user.display_name ?? '-'],
    ['groups', user.groups.join(', ') || '-'],
    ['state', user.disabled ? 'disabled' : 'enabled'],
    ['created', user.created_at],
    ['changed', user.updated_at],
  ])
}
