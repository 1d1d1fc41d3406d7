/** A name as it is typed, and what this backend makes of it. */
import { createUsernameNormaliser } from '../../../authentication/username.ts'
import type { LdapOptions } from '../options.ts'
import { realmOf } from '../realm.ts'
import type { Names } from '../syntax/filter.ts'

/** @returns undefined for what can be no name */
export function readNames(user: string, options: LdapOptions): Names | undefined {
  const name = createUsernameNormaliser([realmOf(options) ?? []].flat())(user)
  return name.ok ? { username: name.username.user, input: name.username.typed } : undefined
}

/** A domain in a name, and which option says that it is ours. */
export interface TypedDomain {
  readonly domain: string
  /** The name without it. */
  readonly user: string
  readonly option: 'netbios' | 'upn_suffixes'
}

/** @returns undefined for a name without a domain */
export function domainOf(user: string): TypedDomain | undefined {
  const [, netbios, account] = /^([^\\@]+)\\([^\\@]+)$/.exec(user) ?? []
  if (netbios !== undefined && account !== undefined)
    return { domain: netbios.trim(), user: account.trim(), option: 'netbios' }
  const [, local, suffix] = /^([^\\@]+)@([^\\@]+)$/.exec(user) ?? []
  if (local === undefined || suffix === undefined) return undefined
  return { domain: suffix.trim(), user: local.trim(), option: 'upn_suffixes' }
}
