/** The groups of a directory as `groups` matches patterns against them. */
import { type NamedGroup, readGroup } from '../groups/group.ts'
import type { Settings } from '../settings.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { allOf, anyOf, equals } from '../syntax/filter.ts'
import { formatSid } from '../syntax/sid.ts'
import { SUCCESS } from '../wire/result.ts'
import { contextOf, type RootDse } from './root-dse.ts'
import type { Session } from './session.ts'

/** What directories make groups of, besides what the preset says. */
const GROUP_CLASSES = [
  'group',
  'groupOfNames',
  'groupOfUniqueNames',
  'groupOfMembers',
  'posixGroup',
  'ipaUserGroup',
]
/** Servers give so many without being asked for pages. */
const MOST = 1_000

type Filter = Parameters<Session['find']>[1]

export interface GroupList {
  /** Below it groups are looked for. */
  readonly base: string
  /** Some groups that fit, wherever in the directory they are. Throws {DirectoryFailure}. */
  matching(filter: Filter): Promise<readonly NamedGroup[]>
  /** All of them, or as many as the directory gives at once. Throws {DirectoryFailure}. */
  all(): Promise<{ readonly groups: readonly NamedGroup[]; readonly whole: boolean }>
}

/** Asks the directory no more often than it must. */
export function createGroupList(
  session: Session,
  { groups: { baseDn, groupFilter }, options }: Settings,
  rootDse: RootDse | undefined,
): GroupList {
  const context = contextOf(options.base_dn, rootDse)
  const base = baseDn ?? context
  const isGroup = anyOf([groupFilter, ...GROUP_CLASSES.map(name => equals('objectClass', name))])
  let listed: ReturnType<GroupList['all']> | undefined

  async function list() {
    const answer = await session.ask(base, isGroup, ['objectSid'], MOST)
    return { groups: answer.entries.map(asGroup), whole: answer.code === SUCCESS }
  }

  return {
    base,
    async matching(filter) {
      const found = await session.find(base, allOf(isGroup, filter), ['objectSid'])
      if (found.length > 0 || base === context) return found.map(asGroup)
      return (await session.find(context, allOf(isGroup, filter), ['objectSid'])).map(asGroup)
    },
    all() {
      listed ??= list()
      return listed
    },
  }
}

/** @param entry with `objectSid`, where there is one */
export function asGroup(entry: DirectoryEntry): NamedGroup {
  const sid = entry.octets('objectSid')
  return readGroup(entry.dn, sid && formatSid(sid))
}
