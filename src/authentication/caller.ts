import type { Identity } from './outcome.ts'

/** The calling app, as far as the core cares. */
export interface Caller {
  readonly id: string
  /** Ids of the backends this app may use; undefined means all. */
  readonly backends?: ReadonlySet<string>
  /** Groups of which the user must be in at least one; empty means no demand. */
  readonly requiredGroups: readonly string[]
  /** Names of the attributes this app is told; undefined means all that the backend was configured to give. */
  readonly attributes?: ReadonlySet<string>
}

/** As which app an operator's attempts are written down: no app has this id. */
export const OPERATOR = 'admin'

/** Whether this app takes this user: one of its required groups is enough, and none means everybody. */
export function admits({ requiredGroups }: Caller, { groups }: Identity): boolean {
  return requiredGroups.length === 0 || requiredGroups.some(group => groups.includes(group))
}

/** The user with only the attributes this app may see (api.md, Who may call). */
export function showTo({ attributes }: Caller, user: Identity): Identity {
  if (attributes === undefined) return user
  const shown = Object.entries(user.attributes).filter(([name]) => attributes.has(name))
  return Object.freeze({ ...user, attributes: Object.freeze(Object.fromEntries(shown)) })
}
