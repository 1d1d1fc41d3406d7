import { allOf, anyOf, matchesRule } from '../syntax/filter.ts'
import type { Group, NamedGroup } from './group.ts'
import type { GroupSearch } from './group-search.ts'
import type { Member } from './member.ts'
import type { GroupSettings } from './settings.ts'

/** LDAP_MATCHING_RULE_TRANSITIVE_EVAL ([MS-ADTS] section 3.1.1.3.4.4.3). */
const IN_CHAIN = '1.2.840.113556.1.4.1941'

/**
 * Every group that has this person, or their primary group, among its members through any number of groups between. One
 * query, but a costly one for the server.
 *
 * @throws {DirectoryFailure}
 */
export async function searchInChain(
  { dn }: Member,
  primary: Group | undefined,
  search: GroupSearch,
  { groupFilter, memberAttributes }: GroupSettings,
  signal: () => AbortSignal,
): Promise<readonly NamedGroup[]> {
  const dns = primary?.dn === undefined ? [dn] : [dn, primary.dn]
  const chains = dns.flatMap(member =>
    memberAttributes.map(attribute => matchesRule(attribute, IN_CHAIN, member)),
  )
  return search.matching(allOf(groupFilter, anyOf(chains)), signal())
}
