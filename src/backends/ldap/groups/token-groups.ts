import type { Group } from './group.ts'
import type { GroupSearch } from './group-search.ts'
import type { Identities } from './identities.ts'
import type { Member } from './member.ts'
import { readRest } from './ranges.ts'

/**
 * Active Directory's own answer: the SIDs of all security groups through nesting, cycles and the primary group, by one base
 * search on the person ([MS-ADTS] section 3.1.1.4.5.19).
 *
 * @returns undefined if it shows none: everybody has some, so the service account may not read them
 * @throws {DirectoryFailure}
 */
export async function readTokenGroups(
  { dn }: Member,
  search: GroupSearch,
  identities: Identities,
  max: number,
  signal: () => AbortSignal,
): Promise<readonly Group[] | undefined> {
  const entry = await search.entry(dn, ATTRIBUTE, signal())
  const range = entry.range(ATTRIBUTE)
  const first = entry.allOctets(range?.attribute ?? ATTRIBUTE)
  if (first.length === 0) return undefined
  const list = range && { dn, attribute: ATTRIBUTE, range, count: first.length }
  const rest = list && (await readRest(search, list, (part, name) => part.allOctets(name), max, signal()))
  return identities.ofSids(rest ? [...first, ...rest] : first, signal)
}

const ATTRIBUTE = 'tokenGroups'
