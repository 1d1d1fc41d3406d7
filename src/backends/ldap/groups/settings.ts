import type { Filter } from 'ldapts'
import type { Nesting } from '../presets/preset.ts'
import type { GroupFilterTemplate } from '../syntax/filter.ts'
import type { SearchAnswer, SearchRequest } from '../wire/connection.ts'

/** How the groups of one directory are found, read once from the options and their preset. */
export interface GroupSettings {
  readonly nesting: Nesting
  /** Undefined: the naming context that people are in. */
  readonly baseDn: string | undefined
  readonly peopleBaseDn: string
  /** Finds the groups that somebody is directly in, where entries do not list them. */
  readonly filter: GroupFilterTemplate | undefined
  /** Lists the DNs of the groups on an entry. */
  readonly groupsAttribute: string
  /** Each lists DNs of members on a group. */
  readonly memberAttributes: readonly string[]
  /** What is a group. */
  readonly groupFilter: Filter
  /** As in Active Directory: entries have a SID, and people a primary group, which no list has. */
  readonly hasSids: boolean
  /** Patterns are about SIDs, so that every group must show its own. */
  readonly sidPatterns: 'none' | 'some' | 'denied'
  /** Some group is denied by its name or DN, so that every group must show it. */
  readonly deniesNames: boolean
  readonly maxDepth: number
  readonly max: number
  readonly cacheMs: number
  readonly timeoutMs: number
}

/**
 * Searches as the service account.
 *
 * @throws {DirectoryFailure}
 */
export type Search = (request: SearchRequest, signal: AbortSignal) => Promise<SearchAnswer>
