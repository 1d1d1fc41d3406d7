import type { Clock, Log } from '../../../plugin.ts'
import type { Nesting } from '../presets/preset.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { createCapabilities } from './capabilities.ts'
import { createDeadline, tooSlow } from './deadline.ts'
import { createDirectGroups } from './direct.ts'
import type { FoundGroups, Group } from './group.ts'
import { createGroupSearch, overCap } from './group-search.ts'
import { createIdentities } from './identities.ts'
import { searchInChain } from './in-chain.ts'
import { climb } from './levels.ts'
import type { Member } from './member.ts'
import { whyUnsure } from './overlooked.ts'
import { createParents } from './parents.ts'
import { findPaths, type GroupPath } from './paths.ts'
import type { GroupSettings, Search } from './settings.ts'
import { readTokenGroups } from './token-groups.ts'

/** Finds the groups of people, through groups within groups. */
export interface GroupFinder {
  /**
   * Every group, or none at all: one that was overlooked might be a denied one.
   *
   * @throws {DirectoryFailure} also when it takes too long or there are too many
   */
  find(member: Member, attempt: AbortSignal): Promise<FoundGroups>
  /**
   * The path that led to each of these groups, as far as it can be seen. For operators: it decides nothing.
   *
   * @param groups from `find`
   */
  explain(member: Member, groups: readonly Group[], attempt: AbortSignal): Promise<readonly GroupPath[]>
}

type Signal = () => AbortSignal

/** @param search as the service account */
export function createGroupFinder(
  search: Search,
  settings: GroupSettings,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): GroupFinder {
  const { max, maxDepth, timeoutMs } = settings
  const capabilities = createCapabilities(search)
  const questions = createGroupSearch(search, capabilities, settings, log)
  const identities = createIdentities(questions, settings, clock)
  const parents = createParents(questions, settings, clock)
  const direct = createDirectGroups(questions, identities, settings)
  const denies = settings.sidPatterns === 'denied' || settings.deniesNames
  let warned = false

  async function chooseWay(signal: Signal): Promise<Nesting> {
    if (settings.filter) return 'levels'
    return (await capabilities(signal())).activeDirectory ? 'auto' : 'levels'
  }

  async function findAll(member: Member, signal: Signal): Promise<FoundGroups> {
    const way = settings.nesting === 'auto' ? await chooseWay(signal) : settings.nesting
    if (way === 'auto' || way === 'token_groups') {
      const [groups, listed] = await Promise.all([
        readTokenGroups(member, questions, identities, max, signal),
        // Distribution groups are in no token.
        direct.listed(member, signal),
      ])
      if (groups) return { groups: unite(listed, groups), way: 'token_groups' }
      if (way === 'token_groups') throw new DirectoryFailure(UNREADABLE_TOKEN, { phase: 'search' })
      warnOnce(member)
      return findInChain(member, signal)
    }
    if (way === 'in_chain') return findInChain(member, signal)
    const start = await findDirect(member, signal)
    const groups = way === 'direct' ? start : await climb(start, parents, settings, log, signal)
    return { groups, way }
  }

  async function findDirect(member: Member, signal: Signal): Promise<readonly Group[]> {
    const listed = await direct.listed(member, signal)
    if (member.primaryGroup === undefined) return listed
    const primary = await direct.primary(member, signal)
    return unite(listed, primary ? [primary] : [])
  }

  async function findInChain(member: Member, signal: Signal): Promise<FoundGroups> {
    const primary = await direct.primary(member, signal)
    const chain = await searchInChain(member, primary, questions, settings, signal)
    const listed = await direct.listed(member, signal)
    return { groups: unite(listed, primary ? [primary, ...chain] : chain), way: 'in_chain' }
  }

  async function identify(
    { groups, way }: FoundGroups,
    member: Member,
    signal: Signal,
  ): Promise<FoundGroups> {
    const identified = { groups: await identities.withSids(groups, signal), way }
    if (denies) {
      const reason = (await hidesPrimary(member, way, signal)) ?? whyUnsure(identified, member, settings)
      if (reason) throw new DirectoryFailure(reason, { phase: 'search' })
    }
    return identified
  }

  /** Everybody in Active Directory has a primary group, which a token holds, and every other way takes from the entry. */
  async function hidesPrimary(
    { dn, primaryGroup }: Member,
    way: FoundGroups['way'],
    signal: Signal,
  ): Promise<string | undefined> {
    if (way === 'token_groups' || primaryGroup !== undefined) return undefined
    if (!(await capabilities(signal())).activeDirectory) return undefined
    return `groups.denied is set, and the primary group of ${dn} cannot be read: let the service account read objectSid and primaryGroupID`
  }

  function warnOnce({ dn }: Member): void {
    if (!warned) log.warn({ dn }, `${UNREADABLE_TOKEN}; until then a costlier search is used`)
    warned = true
  }

  async function inTime<T>(attempt: AbortSignal, work: (signal: Signal) => Promise<T>): Promise<T> {
    const deadline = createDeadline(attempt, timeoutMs)
    try {
      return await work(deadline.signal)
    } catch (error) {
      if (!deadline.hasPassed() || !(error instanceof DirectoryFailure)) throw error
      throw tooSlow(timeoutMs)
    } finally {
      deadline.clear()
    }
  }

  return {
    find: (member, attempt) =>
      inTime(attempt, async signal => {
        const all = await findAll(member, signal)
        const found = settings.sidPatterns === 'none' && !denies ? all : await identify(all, member, signal)
        if (found.groups.length > max) throw overCap(log, 'groups.max', max)
        return found
      }),

    explain: (member, groups, attempt) =>
      inTime(attempt, async signal => {
        const start = await findDirect(member, signal)
        const primary = await direct.primary(member, signal)
        return findPaths(groups, start, primary, parents, maxDepth, signal)
      }),
  }
}

const UNREADABLE_TOKEN =
  'the directory shows no tokenGroups: put the service account into Windows Authorization Access Group, or set groups.nesting'

/** Each group once; of two the one that has its SID. */
function unite(one: readonly Group[], other: readonly Group[]): readonly Group[] {
  if (other.length === 0) return one
  const all = new Map(one.map(group => [group.canonicalDn, group]))
  for (const group of other) {
    const known = all.get(group.canonicalDn)
    if (known?.sid === undefined) all.set(group.canonicalDn, group)
  }
  return [...all.values()]
}
