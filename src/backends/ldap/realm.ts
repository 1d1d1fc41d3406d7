import { normaliseDomain, type Realm, type Username } from '../../plugin.ts'
import type { LdapOptions } from './options.ts'

/** The domains that are this directory's, by `names`; undefined if it says none. */
export function realmOf({
  names: { netbios, upn_suffixes: suffixes },
}: Pick<LdapOptions, 'names'>): Realm | undefined {
  if (suffixes.length === 0 && netbios === undefined) return undefined
  return { suffixes, ...(netbios !== undefined && { netbios }) }
}

/** Whether a name is for this directory: a domain in it, if it is any backend's, has to be ours. */
export function createIsOurs(options: Pick<LdapOptions, 'names'>): (username: Username) => boolean {
  const realm = realmOf(options)
  const ours = new Set(realm && [realm.netbios ?? [], realm.suffixes].flat().map(normaliseDomain))
  return ({ domain }) => domain === undefined || ours.has(domain)
}
