/** One person as this backend maps them: found, read, with their groups; and where nobody is found, why. */
import type { BackendServices, Finding, Username } from '../../../plugin.ts'
import { userFilterOf } from '../effective.ts'
import type { Group } from '../groups/group.ts'
import { type Person, readPerson, requestedAttributes } from '../person/user.ts'
import type { Preset } from '../presets/preset.ts'
import type { Settings } from '../settings.ts'
import { isUnder, parseDn } from '../syntax/dn.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import type { Names } from '../syntax/filter.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { ADMIN_LIMIT_EXCEEDED, nameResult, SIZE_LIMIT_EXCEEDED, SUCCESS } from '../wire/result.ts'
import { examineAttributes } from './attributes.ts'
import { parentsOf } from './base.ts'
import { betterAbout } from './better-preset.ts'
import { takeApart } from './filter-parts.ts'
import { fail, ok, warn } from './finding.ts'
import type { GroupList } from './group-list.ts'
import type { LookedUp } from './group-patterns.ts'
import { findMember } from './members.ts'
import { namesFor } from './names.ts'
import type { IsOwn } from './own-account.ts'
import { describeGroups, findGroups, type GroupsOfPerson } from './person-groups.ts'
import { quietly } from './quietly.ts'
import { explainRefusal } from './refusal.ts'
import type { RootDse } from './root-dse.ts'
import type { Session } from './session.ts'
import { whyNoId } from './why-no-id.ts'
import { whyNobody } from './why-nobody.ts'
import { manyMatch, whyNotThisOne } from './why-not-this-one.ts'

export interface PersonExamined {
  readonly session: Session
  readonly settings: Settings
  readonly services: BackendServices
  readonly rootDse: RootDse | undefined
  /** Undefined: anybody. */
  readonly user: string | undefined
  /** What a login makes of it. */
  readonly username: Username | undefined
  readonly isOwn: IsOwn
  readonly groupList: GroupList
  readonly patterns: readonly LookedUp[]
  /** False where groups cannot be found, and the findings say why. */
  readonly withGroups: boolean
  readonly signal: AbortSignal
}

/** Who was looked at. */
export interface Sample {
  readonly dn: string
  readonly groups: readonly Group[]
}

/** Results of a search for everybody that say nothing about one for a name: timeLimitExceeded, adminLimitExceeded. */
const TOO_MANY: ReadonlySet<number> = new Set([3, ADMIN_LIMIT_EXCEEDED])

/** Enough to have somebody else than the service account. */
const SEVERAL = 3

/**
 * @returns undefined if nobody was found
 * @throws {DirectoryFailure} if no answer came
 */
export async function* examinePerson(about: PersonExamined): AsyncGenerator<Finding, Sample | undefined> {
  const { settings, user, username } = about
  const { options, service } = settings
  const names = user === undefined ? undefined : namesFor(user, username, options)
  if (user !== undefined && names === undefined) {
    yield { ...fail(`user ${user}`, 'this cannot be the name of a user'), user: 'missing' }
    return undefined
  }
  const { code, message, entries } = await search(about, names)
  if (names === undefined && TOO_MANY.has(code) && entries.length === 0) {
    const detail = `the directory does not look through everybody: ${nameResult({ code, message })}`
    yield warn('people', detail, 'try with `--user` and the name of somebody who should get in')
    return undefined
  }
  if (code !== SUCCESS && code !== SIZE_LIMIT_EXCEEDED && (names || !TOO_MANY.has(code))) {
    const { reason, advice } = explainRefusal({ code, message }, service.method)
    yield fail('user_filter', reason, advice ?? 'correct `user_filter`, or what the service account may read')
    return undefined
  }
  const [first, second] = entries
  if (first === undefined) {
    yield* whyNotFound(about, names)
    return undefined
  }
  if (user !== undefined) {
    if (second) yield { ...manyMatch(user, [first.dn, second.dn]), user: 'found' }
    return second ? undefined : yield* describePerson(about, await look(about, first))
  }
  const other = await firstOther(about, entries)
  if (other !== undefined) return yield* describePerson(about, await findAdmitted(about, other))
  const detail = `nobody but the service account itself is found (${first.dn})`
  const advice =
    'let it read the entries of people; or correct `base_dn` or `user_filter`, if they are elsewhere'
  yield fail('people', detail, advice)
  return undefined
}

async function search({ session, settings }: PersonExamined, names: Names | undefined) {
  const { userFilter, options } = settings
  const filters = names ? userFilter.forUser(names).map(({ filter }) => filter) : [userFilter.forAnyone()]
  let answer: Awaited<ReturnType<Session['ask']>> = { code: SUCCESS, message: '', entries: [] }
  for (const filter of filters) {
    answer = await session.ask(options.base_dn, filter, requestedAttributes(settings), names ? 2 : SEVERAL)
    if (answer.code !== SUCCESS || answer.entries.length > 0) break
  }
  return answer
}

async function firstOther({ isOwn }: PersonExamined, entries: readonly DirectoryEntry[]) {
  for (const entry of entries) if (!(await isOwn(entry.dn))) return entry
  return undefined
}

async function* whyNotFound(about: PersonExamined, names: Names | undefined): AsyncGenerator<Finding> {
  const { session, settings, rootDse, user, isOwn } = about
  const { options, userFilter, service } = settings
  const parts = takeApart(userFilterOf(options) ?? '')
  const around = { session, options, base: options.base_dn, parts, rootDse, method: service.method, isOwn }
  const anyone = names && (await quietly(session.find(options.base_dn, userFilter.forAnyone())))
  // Where the directory does not look through everybody, most will be found.
  if (names && user !== undefined && anyone?.length !== 0) {
    yield { ...(await whyNotThisOne(around, { user, names, userFilter })), user: 'missing' }
    return
  }
  try {
    yield* whyNobody(around)
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
    const detail = `it finds nobody below ${options.base_dn}, and no search says why: ${error.message}`
    yield fail(
      'user_filter',
      detail,
      'correct `user_filter` or `base_dn`, or what the service account may read',
    )
  }
}

/** A person as far as they could be read. */
interface Looked {
  readonly entry: DirectoryEntry
  /** Undefined: their id or their groups cannot be read, or their DN is not below the base as it is spelled. */
  readonly person: Person | undefined
  readonly groups: GroupsOfPerson | undefined
}

async function look(about: PersonExamined, entry: DirectoryEntry): Promise<Looked> {
  const { settings, services } = about
  const person = isUnder(entry.dn, settings.options.base_dn)
    ? readPerson(entry, settings, services.clock.wall())
    : undefined
  return { entry, person, groups: person && about.withGroups ? await findGroups(about, person) : undefined }
}

/** Anybody will do, but who is let in says more: whether the required groups are the right ones. */
async function findAdmitted(about: PersonExamined, entry: DirectoryEntry): Promise<Looked> {
  const { settings, patterns } = about
  const looked = await look(about, entry)
  const found = looked.groups?.found
  if (!found || !settings.required || settings.required(found.groups)) return looked
  const required = patterns.flatMap(({ option, groups }) => (option === 'required' ? groups : []))
  const member = await findMember(about, required)
  return member === undefined ? looked : look(about, member)
}

async function* describePerson(
  about: PersonExamined,
  { entry, person, groups }: Looked,
): AsyncGenerator<Finding, Sample> {
  const { session, settings, rootDse, user } = about
  const check = `person ${entry.dn}`
  const found = user === undefined ? {} : ({ user: 'found' } as const)
  if (!isUnder(entry.dn, settings.options.base_dn)) {
    yield { ...notUnder(entry.dn, settings.options.base_dn), ...found }
    return { dn: entry.dn, groups: [] }
  }
  if (person === undefined) {
    yield { ...(await whyNoId(session, settings, rootDse, entry)), ...found }
    return { dn: entry.dn, groups: [] }
  }
  const { id, username, displayName, email, state } = person.user
  const named = [displayName, email && `<${email}>`].filter(Boolean).join(' ')
  const detail = `id ${id}, name ${username}${named && `, ${named}`}, state ${state ?? 'usable'}`
  const usable = state === undefined ? ok(check, detail) : warn(check, detail, 'this account may not log in')
  yield { ...usable, ...found }
  yield* missingNames(about, entry, person)
  if (groups !== undefined) yield* describeGroups(about, person, groups)
  // Last, as a search that takes too long ends the connection.
  yield* examineAttributes(about, entry)
  return { dn: entry.dn, groups: groups?.found?.groups ?? [] }
}

/**
 * The directory knows more spellings of a DN than a login does, which refuses whoever does not seem to be below the base.
 */
function notUnder(dn: string, base: string): Finding {
  const check = `person ${dn}`
  if (parseDn(dn) === undefined) {
    const detail = 'no login can read this DN (RFC 4514 as it is mostly written), so that each one fails'
    return fail(check, detail, 'give the entry a name without quotes around it, and without a # in front')
  }
  const depth = parseDn(base)?.length
  const spelled = [dn, ...parentsOf(dn)].find(each => parseDn(each)?.length === depth)
  const detail = `its DN is not below \`base_dn: ${base}\` as that is spelled, so every login fails`
  return fail(check, detail, `write \`base_dn\` as the server does: \`base_dn: ${spelled ?? dn}\``)
}

/** What the preset reads and this entry does not show. */
function* missingNames(
  { settings, rootDse }: PersonExamined,
  entry: DirectoryEntry,
  { user }: Person,
): Generator<Finding> {
  const { usernameAttribute, emailAttribute } = settings.preset
  const check = `person ${entry.dn}`
  const instead = (about: keyof Preset) => {
    const better = betterAbout(about, settings.options, rootDse)
    return better && `it is the preset's: set \`preset: ${better}\``
  }
  if (entry.texts(usernameAttribute).length === 0) {
    const detail = `no ${usernameAttribute} that the service account can read, so apps are told the id for a name`
    yield warn(
      check,
      detail,
      instead('usernameAttribute') ?? `let the service account read ${usernameAttribute}`,
    )
  }
  if (user.email === undefined) {
    const advice = 'harmless, unless your apps need it: may the service account read it?'
    yield warn(
      check,
      `no ${emailAttribute} that the service account can read`,
      instead('emailAttribute') ?? advice,
    )
  }
}
