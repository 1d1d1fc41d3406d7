import type { Realm } from '../../plugin.ts'
import type { LdapOptions } from './options.ts'

/** The domains that are this directory's, by `names`; undefined if it says none. */
export function realmOf({
  names: { netbios, upn_suffixes: suffixes },
}: Pick<LdapOptions, 'names'>): Realm | undefined {
  if (suffixes.length === 0 && netbios === undefined) return undefined
  return { suffixes, ...(netbios !== undefined && { netbios }) }
}
