import { LRUCache } from 'lru-cache'
import { type Group, type NamedGroup, readGroup } from './group.ts'
import type { GroupSearch } from './group-search.ts'
import type { Identities } from './identities.ts'
import type { Member } from './member.ts'
import { readRest } from './ranges.ts'
import type { GroupSettings } from './settings.ts'

/** The groups that somebody is in without any other group between. Each may throw {DirectoryFailure}. */
export interface DirectGroups {
  /** Those that the entry lists, or that `groups.filter` finds. */
  listed(member: Member, signal: () => AbortSignal): Promise<readonly NamedGroup[]>
  /** Active Directory's primary group, which is in no list. */
  primary(member: Member, signal: () => AbortSignal): Promise<Group | undefined>
}

/** A DN is read once, not at every login. */
const MAX_READ = 20_000

export function createDirectGroups(
  search: GroupSearch,
  identities: Identities,
  { filter, groupsAttribute, max }: GroupSettings,
): DirectGroups {
  const readings = new LRUCache<string, NamedGroup>({ max: MAX_READ })

  function read(dn: string): NamedGroup {
    const known = readings.get(dn)
    if (known) return known
    const group = readGroup(dn)
    readings.set(dn, group)
    return group
  }

  return {
    async listed({ dn, username, listed, range }, signal) {
      if (filter) return search.matching(filter.forMember({ dn, username }), signal())
      const groups = listed.map(read)
      if (range === undefined) return groups
      const list = { dn, attribute: groupsAttribute, range, count: listed.length }
      const texts = await readRest(search, list, (entry, part) => entry.texts(part), max, signal())
      return [...groups, ...texts.map(read)]
    },

    async primary({ primaryGroup }, signal) {
      if (primaryGroup === undefined) return undefined
      const [group] = await identities.ofSids([primaryGroup], signal)
      return group
    },
  }
}
