import { LRUCache } from 'lru-cache'
import type { Clock } from '../../../plugin.ts'
import { keeping } from '../cache-options.ts'
import { anyOf, equals } from '../syntax/filter.ts'
import { formatSid } from '../syntax/sid.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { type Group, type NamedGroup, unnamedGroup } from './group.ts'
import type { GroupSearch } from './group-search.ts'
import type { GroupSettings } from './settings.ts'

/** Which group a SID is, and which SID a group has: asked once and kept. Each may throw {DirectoryFailure}. */
export interface Identities {
  /** One group per SID; where the directory does not know it, one that only has the SID. */
  ofSids(sids: readonly Buffer[], signal: () => AbortSignal): Promise<readonly Group[]>
  /** The same groups, with their SIDs wherever the directory shows them. */
  withSids(groups: readonly Group[], signal: () => AbortSignal): Promise<readonly Group[]>
}

/** Groups kept at a time, several hundred octets each. */
const MAX_KEPT = 20_000
/** Alternatives in one filter. */
const CHUNK = 250

export function createIdentities(search: GroupSearch, settings: GroupSettings, clock: Clock): Identities {
  const { cacheMs, sidPatterns } = settings
  const bySid = new LRUCache<string, Group>(keeping(MAX_KEPT, cacheMs, clock))
  const sidOf = new LRUCache<string, string | false>(keeping(MAX_KEPT, cacheMs, clock))

  async function nameThese(
    sids: ReadonlyMap<string, Buffer>,
    signal: AbortSignal,
  ): Promise<Map<string, Group>> {
    const groups = new Map<string, Group>()
    for (const [key, octets] of sids) {
      const sid = formatSid(octets)
      if (sid === undefined)
        throw new DirectoryFailure('the directory sends what is no SID', { phase: 'search' })
      groups.set(key, unnamedGroup(sid))
    }
    const keyOf = new Map(Array.from(groups, ([key, { sid }]) => [sid, key]))
    for (const chunk of inChunks([...sids.values()])) {
      const named = await search.anywhere(anyOf(chunk.map(sid => equals('objectSid', sid))), signal)
      for (const group of named) {
        const key = keyOf.get(group.sid)
        if (key !== undefined) groups.set(key, group)
      }
    }
    for (const [key, group] of groups) bySid.set(key, group)
    return groups
  }

  async function findSids(groups: readonly NamedGroup[], signal: AbortSignal): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    for (const chunk of inChunks(groups)) {
      const named = await search.anywhere(
        anyOf(chunk.map(({ dn }) => equals('distinguishedName', dn))),
        signal,
      )
      for (const { canonicalDn, sid } of named) if (sid !== undefined) found.set(canonicalDn, sid)
    }
    for (const { canonicalDn } of groups) sidOf.set(canonicalDn, found.get(canonicalDn) ?? false)
    return found
  }

  return {
    async ofSids(sids, signal) {
      const groups: Group[] = []
      const unknown = new Map<string, Buffer>()
      for (const sid of sids) {
        const key = sid.toString('latin1')
        const group = bySid.get(key)
        if (group) groups.push(group)
        else unknown.set(key, sid)
      }
      if (unknown.size === 0) return groups
      return [...groups, ...(await nameThese(unknown, signal())).values()]
    },

    async withSids(groups, signal) {
      if (sidPatterns === 'none') return groups
      const without = groups.filter(
        (group): group is NamedGroup => group.sid === undefined && group.dn !== undefined,
      )
      const known = new Map<string, string | false>()
      const unknown: NamedGroup[] = []
      for (const group of without) {
        // Asked once: what is kept now may be gone when the others have been found.
        const sid = sidOf.get(group.canonicalDn)
        if (sid === undefined) unknown.push(group)
        else known.set(group.canonicalDn, sid)
      }
      const found = unknown.length > 0 ? await findSids(unknown, signal()) : undefined
      return groups.map(group => {
        const sid = group.sid ?? known.get(group.canonicalDn) ?? found?.get(group.canonicalDn)
        return sid ? { ...group, sid } : group
      })
    },
  }
}

export function* inChunks<T>(all: readonly T[], size = CHUNK): Generator<readonly T[]> {
  for (let from = 0; from < all.length; from += size) yield all.slice(from, from + size)
}
