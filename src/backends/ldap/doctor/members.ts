import type { NamedGroup } from '../groups/group.ts'
import { requestedAttributes } from '../person/user.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { allOf, anyOf, equals } from '../syntax/filter.ts'
import { formatSid } from '../syntax/sid.ts'
import type { PersonExamined } from './person.ts'
import { quietly } from './quietly.ts'
import type { Session } from './session.ts'

type About = Pick<PersonExamined, 'session' | 'settings' | 'isOwn' | 'groupList'>
type Filter = Parameters<Session['find']>[1]

/** Groups within groups that are looked into. */
const MOST_GROUPS = 10
/** Enough to have somebody else than the service account. */
const SEVERAL = 3
/** People that a group is asked for where their entries do not list it. */
const MOST_PEOPLE = 200
/** Names in one question, so that it is shorter than any server's limit. */
const AT_ONCE = 50

/** Lists login names, where groups are as in Unix (RFC 2307 section 4). */
const NAMES_ATTRIBUTE = 'memberUid'

/**
 * Somebody who is in one of these groups, or in one within them, and whom the filter finds. No list of members is read: of a large
 * group it is longer than an answer may be.
 *
 * @returns their entry as a login would read it; undefined if nobody is to be found among the first few
 * @throws what is no failure of the directory: a bug
 */
export async function findMember(
  about: About,
  groups: readonly NamedGroup[],
): Promise<DirectoryEntry | undefined> {
  const queue = groups.map(({ dn }) => dn)
  const seen = new Set(queue)
  let people: readonly DirectoryEntry[] | undefined
  for (let turn = 0; turn < MOST_GROUPS; turn++) {
    const group = queue.shift()
    if (group === undefined) return undefined
    const listing = await findListing(about, group)
    if (listing !== undefined) return listing
    people ??= await askPeople(about, undefined, MOST_PEOPLE)
    const listed = await quietly(findListed(about, group, people))
    if (listed !== undefined) return listed
    for (const dn of (await quietly(groupsWithin(about, group))) ?? []) {
      if (!seen.has(dn)) queue.push(dn)
      seen.add(dn)
    }
  }
  return undefined
}

/** Whose own entry says that they are in it. */
async function findListing(about: About, group: string): Promise<DirectoryEntry | undefined> {
  const { session, settings } = about
  const primary = relativeId(await quietly(session.read(group, ['objectSid'])))
  const filters = [
    equals(settings.preset.groupsAttribute, group),
    primary === undefined ? [] : equals('primaryGroupID', primary),
  ].flat()
  for (const filter of filters) {
    const people = await askPeople(about, filter, SEVERAL)
    for (const person of people) if (!(await quietly(about.isOwn(person.dn)))) return person
  }
  return undefined
}

/** Whom the group lists. */
async function findListed(
  { session, settings, isOwn }: About,
  group: string,
  people: readonly DirectoryEntry[],
): Promise<DirectoryEntry | undefined> {
  const { memberAttributes, usernameAttribute } = settings.preset
  const isListed = (person: DirectoryEntry) => [
    ...memberAttributes.map(attribute => equals(attribute, person.dn)),
    ...person.texts(usernameAttribute).map(name => equals(NAMES_ATTRIBUTE, name)),
  ]
  for await (const person of membersAmong(session, group, people, isListed)) {
    if (!(await isOwn(person.dn))) return person
  }
  return undefined
}

async function askPeople(
  { session, settings }: About,
  filter: Filter | undefined,
  most: number,
): Promise<readonly DirectoryEntry[]> {
  const { options, userFilter } = settings
  const anyone = userFilter.forAnyone()
  const whom = filter === undefined ? anyone : allOf(anyone, filter)
  const answer = await quietly(session.ask(options.base_dn, whom, requestedAttributes(settings), most))
  return answer?.entries ?? []
}

async function groupsWithin(
  { session, settings, groupList }: About,
  group: string,
): Promise<readonly string[]> {
  const { memberAttributes } = settings.preset
  const isListed = (dn: string) => memberAttributes.map(attribute => equals(attribute, dn))
  const within: string[] = []
  const all = (await groupList.all()).groups.map(({ dn }) => dn)
  for await (const dn of membersAmong(session, group, all, isListed)) {
    if (within.push(dn) === MOST_GROUPS) break
  }
  return within
}

/**
 * Those of the candidates that a group lists: asked for many at once, and then for halves.
 *
 * @throws {DirectoryFailure} if no answer came
 */
async function* membersAmong<T>(
  session: Session,
  group: string,
  candidates: readonly T[],
  isListed: (candidate: T) => Filter[],
): AsyncGenerator<T> {
  for (let start = 0; start < candidates.length; start += AT_ONCE) {
    yield* halve(candidates.slice(start, start + AT_ONCE))
  }

  async function* halve(some: readonly T[]): AsyncGenerator<T> {
    if ((await session.read(group, ['1.1'], anyOf(some.flatMap(isListed)))) === undefined) return
    const [only] = some
    if (only !== undefined && some.length === 1) yield only
    if (some.length <= 1) return
    const middle = some.length >> 1
    yield* halve(some.slice(0, middle))
    yield* halve(some.slice(middle))
  }
}

/** By it Active Directory's people name their primary group, which does not list them. */
function relativeId(group: DirectoryEntry | undefined): string | undefined {
  const sid = group?.octets('objectSid')
  return sid && formatSid(sid)?.split('-').at(-1)
}
