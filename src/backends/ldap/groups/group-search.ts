import type { Filter } from 'ldapts'
import type { Log } from '../../../plugin.ts'
import { isUnder } from '../syntax/dn.ts'
import { type DirectoryEntry, readEntry } from '../syntax/entry.ts'
import { anything } from '../syntax/filter.ts'
import { formatSid } from '../syntax/sid.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { ADMIN_LIMIT_EXCEEDED, describe, SIZE_LIMIT_EXCEEDED, SUCCESS } from '../wire/result.ts'
import type { Capabilities } from './capabilities.ts'
import { type NamedGroup, readGroup } from './group.ts'
import type { GroupSettings, Search } from './settings.ts'

/** Questions to the directory about groups. Each may throw {DirectoryFailure}. */
export interface GroupSearch {
  /** Every group below `groups.base_dn` that fits. */
  matching(filter: Filter, signal: AbortSignal): Promise<readonly NamedGroup[]>
  /** The same in the whole naming context: for groups that are known and only need a name. */
  anywhere(filter: Filter, signal: AbortSignal): Promise<readonly NamedGroup[]>
  /** One entry with these attributes, by its DN. */
  entry(dn: string, attribute: string, signal: AbortSignal): Promise<DirectoryEntry>
  readonly capabilities: (signal: AbortSignal) => Promise<Capabilities>
}

/** Servers give so many without being asked for pages. */
const UNPAGED = 1_000
const PAGE_SIZE = 500
/** Too many at once: Active Directory says the first, OpenLDAP either. */
const CUT_SHORT: ReadonlySet<number> = new Set([SIZE_LIMIT_EXCEEDED, ADMIN_LIMIT_EXCEEDED])

export function createGroupSearch(
  search: Search,
  capabilities: GroupSearch['capabilities'],
  settings: GroupSettings,
  log: Log,
): GroupSearch {
  const { max, peopleBaseDn } = settings
  // Whoever asks for no SID gets the DNs alone.
  const attributes = settings.hasSids ? ['objectSid'] : ['1.1']

  async function searchAll(base: string, filter: Filter, signal: AbortSignal): Promise<NamedGroup[]> {
    const sizeLimit = max + 1
    const request = { base, scope: 'sub', filter, attributes } as const
    let answer = await search({ ...request, sizeLimit: Math.min(sizeLimit, UNPAGED) }, signal)
    if (CUT_SHORT.has(answer.code) && answer.entries.length < sizeLimit) {
      const { pages } = await capabilities(signal)
      if (pages) answer = await search({ ...request, sizeLimit, pageSize: PAGE_SIZE }, signal)
    }
    if (answer.entries.length > max) throw overCap(log, 'groups.max', max)
    if (answer.code !== SUCCESS) {
      const cause = `groups cannot be searched below ${base} (groups.base_dn): ${describe(answer)}`
      throw new DirectoryFailure(cause, { phase: 'search' })
    }
    return answer.entries.map(raw => readFound(readEntry(raw)))
  }

  return {
    capabilities,

    async matching(filter, signal) {
      const base = settings.baseDn ?? (await capabilities(signal)).contextOf(peopleBaseDn) ?? peopleBaseDn
      return searchAll(base, filter, signal)
    },

    async anywhere(filter, signal) {
      const { baseDn = peopleBaseDn } = settings
      const context = (await capabilities(signal)).contextOf(peopleBaseDn) ?? baseDn
      // A global catalogue's base may be wider than the domain that people are in.
      return searchAll(isUnder(context, baseDn) ? baseDn : context, filter, signal)
    },

    async entry(dn, attribute, signal) {
      const answer = await search(
        {
          base: dn,
          scope: 'base',
          filter: anything(),
          attributes: [attribute],
          sizeLimit: 1,
        },
        signal,
      )
      const [raw] = answer.entries
      if (answer.code === SUCCESS && raw) return readEntry(raw)
      throw new DirectoryFailure(`${attribute} of ${dn}: ${describe(answer)}`, { phase: 'search' })
    },
  }
}

/** What to throw where a person has more groups than may be: one that was cut off might be a denied one. */
export function overCap(log: Log, cap: 'groups.max' | 'groups.max_depth', limit: number): DirectoryFailure {
  log.error({ cap, limit }, 'somebody has more groups than allowed: nobody like this can log in')
  return new DirectoryFailure(`there are more groups than ${cap} allows (${limit})`, { phase: 'search' })
}

function readFound(entry: DirectoryEntry): NamedGroup {
  const sid = entry.octets('objectSid')
  return readGroup(entry.dn, sid && formatSid(sid))
}
