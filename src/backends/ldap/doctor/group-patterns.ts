/**
 * Each pattern of `groups` is looked up: one that matches no group is silent at every login, and in `groups.denied` it lets in
 * whom it should keep out. A group that cannot be read is matched all the same, by what people's entries list.
 */
import type { Finding } from '../../../plugin.ts'
import { type Group, isSidPattern, matchGroups, type NamedGroup, readGroup } from '../groups/group.ts'
import type { Settings } from '../settings.ts'
import { isUnder } from '../syntax/dn.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { anyOf, equals } from '../syntax/filter.ts'
import { parseSid } from '../syntax/sid.ts'
import { fail, warn } from './finding.ts'
import { asGroup, type GroupList } from './group-list.ts'
import { nearest } from './nearest.ts'
import { quietly } from './quietly.ts'
import type { Session } from './session.ts'

type Option = 'required' | 'denied' | 'roles'

export interface LookedUp {
  readonly option: Option
  readonly pattern: string
  /** What the pattern is for, where it is not told by the option. */
  readonly role?: string
  readonly matches: (groups: readonly Group[]) => boolean
  /** Some of the groups that it matches. */
  readonly groups: readonly NamedGroup[]
  /** It matches none: this is known for sure. */
  readonly known: boolean
  /** What may have been meant. */
  readonly meant?: string | undefined
}

/** Attributes in which people read the name of a group. */
const NAMES = ['cn', 'ou', 'uid', 'sAMAccountName', 'displayName']

/**
 * Looks up all patterns.
 *
 * @throws {DirectoryFailure} if no answer came
 */
export async function lookUpPatterns(
  session: Session,
  { options: { groups } }: Settings,
  list: GroupList,
): Promise<readonly LookedUp[]> {
  const patterns: Pick<LookedUp, 'option' | 'pattern' | 'role'>[] = [
    ...groups.required.map(pattern => ({ option: 'required' as const, pattern })),
    ...groups.denied.map(pattern => ({ option: 'denied' as const, pattern })),
    ...Object.entries(groups.roles).map(([pattern, role]) => ({ option: 'roles' as const, pattern, role })),
  ]
  const results: LookedUp[] = []
  for (const each of patterns) {
    const matches = matchGroups([each.pattern])
    results.push({ ...each, matches, ...(await lookUp(session, list, each.pattern, matches)) })
  }
  return results
}

/** What is wrong with those patterns that match nothing, and that none of these groups shows to be right. */
export async function* examinePatterns(
  patterns: readonly LookedUp[],
  list: GroupList,
  seen: readonly Group[],
  { groups: { baseDn, filter } }: Settings,
): AsyncGenerator<Finding> {
  const silent = patterns.filter(({ matches, groups }) => groups.length === 0 && !matches(seen))
  if (silent.length > 0 && (await list.all()).groups.length === 0) {
    const which = silent.map(({ option, pattern }) => `${option} "${pattern}"`).join(', ')
    const detail = `no group is to be seen below ${list.base}, so nobody can say whether these match any: ${which}`
    yield warn('groups', detail, 'let the service account read the groups, or correct `groups.base_dn`')
    return
  }
  for (const each of silent) if (each.known) yield matchesNone(each, list)
  if (baseDn === undefined) return
  for (const { option, pattern, groups } of patterns) {
    const [outside] = groups
    if (outside === undefined || groups.some(({ dn }) => isUnder(dn, baseDn))) continue
    const detail = `${outside.dn} is not below \`groups.base_dn\`, where groups are looked for`
    const say = filter !== undefined && option !== 'roles' ? fail : warn
    yield say(`groups.${option} "${pattern}"`, detail, 'correct `groups.base_dn`')
  }
}

function matchesNone({ option, pattern, role, meant }: LookedUp, { base }: GroupList): Finding {
  const check = `groups.${option} "${pattern}"`
  const detail = `matches no group that the service account can see below ${base}`
  // Never to be taken out: a group that cannot be seen may keep people out by this very pattern.
  const correct = 'correct it, or let the service account read the group'
  const advice = meant === undefined ? correct : `did you mean "${meant}"?`
  if (option === 'roles') return warn(check, `${detail}, so nobody gets the role ${role}`, advice)
  if (option === 'required') return fail(check, `${detail}, so nobody gets in by it`, advice)
  const unsure = 'it is misspelled and keeps nobody out, or the group cannot be seen'
  return warn(check, `${detail}: ${unsure}`, meant === undefined ? correct : `${advice} If not, ${correct}`)
}

async function lookUp(
  session: Session,
  list: GroupList,
  pattern: string,
  matches: LookedUp['matches'],
): Promise<Pick<LookedUp, 'groups' | 'known' | 'meant'>> {
  const direct = await quietly(findDirectly(session, list, pattern))
  // A referral, perhaps: it lies in another directory.
  if (direct === undefined) return { groups: [], known: false }
  const groups = direct.filter(group => matches([group]))
  if (groups.length > 0) return { groups, known: true }
  const { groups: all, whole } = await list.all()
  const listed = all.filter(group => matches([group]))
  if (listed.length > 0) return { groups: listed, known: true }
  // A pattern with a star can only be held against all groups.
  const known = whole || !pattern.includes('*')
  const [otherwise] = direct
  return { groups: [], known, meant: otherwise?.name ?? guess(pattern, all) }
}

/** @returns what has this name, DN or SID, also in another way than patterns look at; undefined if that is not to be known here */
async function findDirectly(
  session: Session,
  list: GroupList,
  pattern: string,
): Promise<readonly NamedGroup[] | undefined> {
  if (pattern.includes('*')) return []
  if (isSidPattern(pattern)) {
    const sid = parseSid(pattern)
    if (sid === undefined) return []
    const found = await list.matching(equals('objectSid', sid))
    // Another domain's groups are not to be had here.
    return found.length > 0 || !/^S-1-5-21-/i.test(pattern) || (await isOfThisDomain(list, pattern))
      ? found
      : undefined
  }
  if (!pattern.includes('=')) {
    // Escapes of a pattern are not those of a value.
    if (pattern.includes('\\')) return []
    return list.matching(anyOf(NAMES.map(attribute => equals(attribute, pattern))))
  }
  const entry = await session.read(pattern, ['objectClass', 'objectSid'])
  return entry === undefined || isOtherThanGroup(entry) ? [] : [asGroup(entry)]
}

/** Such as a folder of groups. */
function isOtherThanGroup(entry: DirectoryEntry): boolean {
  const classes = entry.texts('objectClass')
  return classes.length > 0 && !classes.some(name => /group|role/i.test(name))
}

async function isOfThisDomain(list: GroupList, sid: string): Promise<boolean> {
  const domain = sid.slice(0, sid.lastIndexOf('-') + 1).toLowerCase()
  const { groups } = await list.all()
  return groups.some(group => group.sid?.toLowerCase().startsWith(domain))
}

function guess(pattern: string, groups: readonly NamedGroup[]): string | undefined {
  if (pattern.includes('*') || isSidPattern(pattern)) return undefined
  if (!pattern.includes('='))
    return nearest(
      pattern,
      groups.map(({ name }) => name),
    )
  const { name } = readGroup(pattern)
  const meant = nearest(
    name,
    groups.map(group => group.name),
  )
  return groups.find(group => group.name === meant)?.dn
}
