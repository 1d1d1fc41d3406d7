/** One person as this backend maps them: found, read, with their groups; and where nobody is found, why. */

import { createUsernameNormaliser } from '../../../authentication/username.ts'
import type { BackendServices, Finding } from '../../../plugin.ts'
import { userFilterOf } from '../effective.ts'
import { createGroupFinder } from '../groups/finder.ts'
import { admit, type Person, readPerson, requestedAttributes } from '../person/user.ts'
import type { Settings } from '../settings.ts'
import { readEntry } from '../syntax/entry.ts'
import { anyOf, equals } from '../syntax/filter.ts'
import type { SearchAnswer, SearchRequest } from '../wire/connection.ts'
import { orAbort } from '../wire/deadline.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { describe, SIZE_LIMIT_EXCEEDED, SUCCESS } from '../wire/result.ts'
import { has, takeApart } from './filter-parts.ts'
import { fail, ok, warn } from './finding.ts'
import type { RootDse } from './root-dse.ts'
import type { Session } from './session.ts'
import { manyMatch, whyNobody, whyNotThisOne } from './wrong-knob.ts'

/** Where directories keep what never changes. */
const ID_ATTRIBUTES = ['objectGUID', 'entryUUID', 'nsUniqueId', 'ipaUniqueID', 'GUID', 'ibm-entryUuid']

export interface PersonExamined {
  readonly session: Session
  readonly settings: Settings
  readonly services: BackendServices
  readonly rootDse: RootDse | undefined
  /** Undefined: anybody. */
  readonly user: string | undefined
  readonly signal: AbortSignal
}

/**
 * @returns their DN, if one was found
 * @throws {DirectoryFailure} if no answer came
 */
export async function* examinePerson(about: PersonExamined): AsyncGenerator<Finding, string | undefined> {
  const { session, settings, rootDse, user } = about
  const { options, userFilter } = settings
  const parts = takeApart(userFilterOf(options) ?? '')
  const around = { session, base: options.base_dn, parts, rootDse }
  const names = user === undefined ? undefined : readNames(user, settings)
  if (names === 'unreadable') {
    yield fail(`user ${user}`, 'this cannot be the name of a user')
    return undefined
  }
  const filters = names ? userFilter.forUser(names).map(({ filter }) => filter) : [userFilter.forAnyone()]
  let answer: SearchAnswer = { code: SUCCESS, message: '', entries: [] }
  for (const filter of filters) {
    answer = await search(about, filter, names ? 2 : 1)
    if (answer.code !== SUCCESS || answer.entries.length > 0) break
  }
  const { code, message, entries } = answer
  if (code !== SUCCESS && code !== SIZE_LIMIT_EXCEEDED) {
    yield fail(
      'user_filter',
      describe({ code, message }),
      'correct `user_filter`, or what the service account may read',
    )
    return undefined
  }
  const [first, second] = entries.map(readEntry)
  if (first === undefined) {
    const someone = names && (await session.find(options.base_dn, userFilter.forAnyone())).length > 0
    yield* names && someone ? whyNotThisOne(around, [names.username, names.input]) : whyNobody(around)
    return undefined
  }
  if (names && second) {
    yield manyMatch(user ?? '', [first.dn, second.dn])
    return undefined
  }
  yield* describePerson(about, first)
  return first.dn
}

type DirectoryEntry = ReturnType<typeof readEntry>

async function* describePerson(about: PersonExamined, entry: DirectoryEntry): AsyncGenerator<Finding> {
  const { session, settings, services } = about
  const check = `person ${entry.dn}`
  const person = readPerson(entry, settings, services.clock.wall())
  if (person === undefined) {
    yield await whyNoId(session, settings, entry)
    return
  }
  const { id, username, displayName, email, state } = person.user
  const named = [displayName, email && `<${email}>`].filter(Boolean).join(' ')
  const detail = `id ${id}, name ${username}${named && `, ${named}`}, state ${state ?? 'usable'}`
  yield state === undefined ? ok(check, detail) : warn(check, detail, 'this account may not log in')
  if (email === undefined) {
    const advice = 'harmless, unless your apps need it: may the service account read it?'
    yield warn(check, `no ${settings.preset.emailAttribute} that the service account can read`, advice)
  }
  yield* describeGroups(about, person)
}

async function* describeGroups(
  { session, settings, services, signal, rootDse }: PersonExamined,
  person: Person,
): AsyncGenerator<Finding> {
  const check = `groups of ${person.user.username}`
  const search = (request: Parameters<Session['search']>[0]) => session.search(request)
  const finder = createGroupFinder(search, settings.groups, services)
  try {
    const { groups, way } = await orAbort(finder.find(person.member, signal), signal, 'search')
    const { user, refusal } = admit(person.user, groups, settings)
    const shown = user.groups.slice(0, 10).join(', ')
    const more = user.groups.length > 10 ? ` and ${user.groups.length - 10} more` : ''
    const roles = user.roles.length > 0 ? `; roles ${user.roles.join(', ')}` : ''
    yield ok(check, `${groups.length === 0 ? 'none' : `${shown}${more}`}, found by ${way}${roles}`)
    if (refusal)
      yield warn(check, `this person is not let in: ${refusal}`, 'see `groups.required` and `groups.denied`')
    if (groups.length === 0) yield* whyNoGroups(session, settings, rootDse)
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
    const advice = 'let the service account read the groups, or set `groups.nesting`'
    yield fail(check, error.message, advice)
  }
}

/** Directories without the memberOf overlay have groups, and nobody is told. */
async function* whyNoGroups(
  session: Session,
  settings: Settings,
  rootDse: RootDse | undefined,
): AsyncGenerator<Finding> {
  const { groups, preset, options } = settings
  if (groups.filter !== undefined) return
  const [listed] = await session.find(options.base_dn, has(preset.groupsAttribute))
  if (listed !== undefined) return
  const base = groups.baseDn ?? rootDse?.defaultContext ?? rootDse?.namingContexts[0] ?? options.base_dn
  const posixGroup = equals('objectClass', 'posixGroup')
  const [group] = await session.find(base, anyOf([groups.groupFilter, posixGroup]))
  const detail = `nobody below \`base_dn\` has ${preset.groupsAttribute} that the service account can read`
  const classes = group?.texts('objectClass') ?? []
  const filter = classes.some(name => /^posixGroup$/i.test(name))
    ? '(&(objectClass=posixGroup)(memberUid={username}))'
    : `(&${groups.groupFilter}(${preset.memberAttributes[0]}={dn}))`
  const advice = `set \`groups.filter: ${filter}\`, or have the server keep memberOf (OpenLDAP: the overlay memberof)`
  yield group === undefined
    ? warn('groups', `${detail}, and no group is to be seen below ${base}`, 'harmless, unless you use groups')
    : warn('groups', `${detail}, though there are groups (such as ${group.dn})`, advice)
}

async function whyNoId(session: Session, settings: Settings, { dn }: DirectoryEntry): Promise<Finding> {
  const { idAttribute, preset } = settings
  const check = `id_attribute ${idAttribute}`
  const entry = await session.read(dn, [...ID_ATTRIBUTES, idAttribute])
  if (entry && entry.octets(idAttribute) !== undefined) {
    const advice = `groups have to be DNs in ${preset.groupsAttribute}: is \`preset\` the right one?`
    return fail(`person ${dn}`, `a value of ${preset.groupsAttribute} is no DN`, advice)
  }
  const present = ID_ATTRIBUTES.filter(attribute => entry?.octets(attribute) !== undefined)
  const [instead] = present
  const advice =
    instead === undefined
      ? `let the service account read ${idAttribute}`
      : `set \`id_attribute: ${instead}\`, which is there; or let the service account read ${idAttribute}`
  return fail(check, `${dn} shows no ${idAttribute}, which goes into every user id`, advice)
}

function search({ session, settings }: PersonExamined, filter: SearchRequest['filter'], sizeLimit: number) {
  const attributes = requestedAttributes(settings)
  return session.search({
    base: settings.options.base_dn,
    scope: 'sub',
    filter,
    attributes,
    sizeLimit,
  })
}

function readNames(user: string, { options: { names } }: Settings) {
  const realm = {
    suffixes: names.upn_suffixes,
    ...(names.netbios !== undefined && { netbios: names.netbios }),
  }
  const name = createUsernameNormaliser([realm])(user)
  return name.ok ? { username: name.username.user, input: name.username.typed } : ('unreadable' as const)
}
