import { LRUCache } from 'lru-cache'
import type { Clock } from '../../../plugin.ts'
import { keeping } from '../cache-options.ts'
import { allOf, anyOf, equals } from '../syntax/filter.ts'
import { orAbort } from '../wire/deadline.ts'
import { tooSlow } from './deadline.ts'
import type { NamedGroup } from './group.ts'
import type { GroupSearch } from './group-search.ts'
import { inChunks } from './identities.ts'
import type { GroupSettings } from './settings.ts'

/** The groups that groups are directly in: asked once and kept. Each may throw {DirectoryFailure}. */
export interface Parents {
  of(group: NamedGroup, signal: () => AbortSignal): Promise<readonly NamedGroup[]>
  /** Those of all of them together, in one round trip at most. */
  ofAll(groups: readonly NamedGroup[], signal: () => AbortSignal): Promise<Iterable<NamedGroup>>
}

/** Groups whose parents are kept at a time. */
const MAX_KEPT = 20_000
/** Groups in one filter. */
const CHUNK = 100
/**
 * Groups of one level that are asked about one by one, at the same time. Only so it is known whose parents they are, and kept:
 * an answer about many says it only if there are none. So the first logins learn a few each, and later ones ask nothing.
 */
const ONE_BY_ONE = 8

export function createParents(search: GroupSearch, settings: GroupSettings, clock: Clock): Parents {
  const { groupFilter, memberAttributes, cacheMs, timeoutMs } = settings
  const kept = new LRUCache<string, readonly NamedGroup[]>(keeping(MAX_KEPT, cacheMs, clock))
  const underWay = new Map<string, Promise<readonly NamedGroup[]>>()

  function query(groups: readonly NamedGroup[], signal: AbortSignal): Promise<readonly NamedGroup[]> {
    const members = groups.flatMap(({ dn }) => memberAttributes.map(attribute => equals(attribute, dn)))
    return search.matching(allOf(groupFilter, anyOf(members)), signal)
  }

  /** Shared by all who want to know at the same time, so it ends by its own deadline and not by one of theirs. */
  function ask(group: NamedGroup): Promise<readonly NamedGroup[]> {
    const key = group.canonicalDn
    const asked = underWay.get(key)
    if (asked) return asked
    const deadline = AbortSignal.timeout(timeoutMs)
    const answer = query([group], deadline)
      .then(parents => {
        kept.set(key, parents)
        return parents
      })
      .catch(error => {
        throw deadline.aborted ? tooSlow(timeoutMs) : error
      })
      .finally(() => underWay.delete(key))
    underWay.set(key, answer)
    return answer
  }

  /** Who joins a question has begun later than who asked it: that it failed then need not be an answer now. */
  async function askOrJoin(group: NamedGroup, signal: AbortSignal): Promise<readonly NamedGroup[]> {
    const joins = underWay.has(group.canonicalDn)
    const answer = orAbort(ask(group), signal, 'search')
    if (!joins) return answer
    return answer.catch(error => {
      if (signal.aborted) throw error
      return orAbort(ask(group), signal, 'search')
    })
  }

  async function askTogether(groups: readonly NamedGroup[], signal: AbortSignal) {
    const parents = await query(groups, signal)
    if (parents.length === 0) for (const { canonicalDn } of groups) kept.set(canonicalDn, parents)
    return parents
  }

  return {
    async of(group, signal) {
      return kept.get(group.canonicalDn) ?? askOrJoin(group, signal())
    },

    async ofAll(groups, signal) {
      const found = new Map<string, NamedGroup>()
      const unknown: NamedGroup[] = []
      const add = (parents: readonly NamedGroup[]) => {
        for (const parent of parents) found.set(parent.canonicalDn, parent)
      }
      for (const group of groups) {
        const parents = kept.get(group.canonicalDn)
        if (parents) add(parents)
        else unknown.push(group)
      }
      if (unknown.length > 0) {
        const alone = unknown.splice(0, ONE_BY_ONE).map(group => askOrJoin(group, signal()))
        const together = Array.from(inChunks(unknown, CHUNK), chunk => askTogether(chunk, signal()))
        for (const parents of await Promise.all([...alone, ...together])) add(parents)
      }
      return found.values()
    },
  }
}
