/** The groups of one person, what the configuration makes of them, and where there are none, why. */
import type { Finding } from '../../../plugin.ts'
import { createGroupFinder } from '../groups/finder.ts'
import type { FoundGroups } from '../groups/group.ts'
import { admit, type Person } from '../person/user.ts'
import { orAbort } from '../wire/deadline.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { betterAbout } from './better-preset.ts'
import { fail, ok, warn } from './finding.ts'
import { warnOfHidden } from './hidden-groups.ts'
import type { PersonExamined } from './person.ts'
import { asFarAsKnown } from './quietly.ts'
import { whyNoGroups } from './why-no-groups.ts'

export interface GroupsOfPerson {
  readonly found?: FoundGroups
  /** Why they were not found. */
  readonly failure?: DirectoryFailure
}

const MOST_SHOWN = 10

/** As a login finds them. */
export async function findGroups(
  { session, settings, services, signal }: PersonExamined,
  { member }: Person,
): Promise<GroupsOfPerson> {
  const finder = createGroupFinder(request => session.search(request), settings.groups, services)
  try {
    return { found: await orAbort(finder.find(member, signal), signal, 'search') }
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
    return { failure: error }
  }
}

/** @throws {DirectoryFailure} if no answer came */
export async function* describeGroups(
  about: PersonExamined,
  person: Person,
  { found, failure }: GroupsOfPerson,
): AsyncGenerator<Finding> {
  const { settings, user: asked } = about
  const check = `groups of ${person.user.username}`
  if (found === undefined) {
    const reason = failure?.message ?? 'they were not found'
    yield fail(check, reason, adviceOn(reason, about))
    return
  }
  const { groups, way } = found
  const { user, refusal } = admit(person.user, groups, settings)
  const shown = user.groups.slice(0, MOST_SHOWN).join(', ')
  const more = user.groups.length > MOST_SHOWN ? ` and ${user.groups.length - MOST_SHOWN} more` : ''
  const roles = user.roles.length > 0 ? `; roles ${user.roles.join(', ')}` : ''
  // Somebody who was taken at random may well be kept out.
  const outcome = refusal !== undefined && asked === undefined ? `; not let in: ${refusal}` : ''
  yield ok(check, `${groups.length === 0 ? 'none' : `${shown}${more}`}, found by ${way}${roles}${outcome}`)
  if (refusal !== undefined) yield* warnOfRefusal(about, found, refusal)
  yield* asFarAsKnown(warnOfHidden(about, person, found))
  if (groups.length === 0) yield* asFarAsKnown(whyNoGroups(about, person))
}

function* warnOfRefusal(
  { settings, user }: PersonExamined,
  { groups }: FoundGroups,
  refusal: string,
): Generator<Finding> {
  const { required } = settings.options.groups
  const denied = settings.denied.some(({ matches }) => matches(groups))
  if (user !== undefined) {
    const advice = denied
      ? 'take them out of that group, or correct `groups.denied`'
      : `put them into one of these, or correct \`groups.required\`: ${required.join(', ')}`
    yield warn(`user ${user}`, `this person is not let in: ${refusal}`, advice)
  } else if (!denied) {
    const detail = `nobody was found who is in one of these: ${required.join(', ')}`
    yield warn('groups.required', detail, 'try with `--user` and the name of somebody who should get in')
  }
}

/** What the finder says, by the option that it names. */
function adviceOn(reason: string, { rootDse, settings }: PersonExamined): string {
  const better = betterAbout('nesting', settings.options, rootDse)
  const [, cap] = /\bgroups\.(max_depth|max)\b/.exec(reason) ?? []
  if (cap !== undefined) return `raise \`groups.${cap}\`, or ask why somebody has so many groups`
  if (/\bgroups\.timeout\b/.test(reason)) {
    return 'is the directory slow, or has `member` no index? `groups.timeout` says how long it is waited for'
  }
  if (better !== undefined && settings.options.groups.nesting === undefined)
    return `set \`preset: ${better}\``
  if (/\btokenGroups\b/.test(reason)) {
    return 'or set `groups.nesting: auto`, which looks for them in another way then'
  }
  if (/\bgroups\.base_dn\b/.test(reason)) {
    return settings.groups.baseDn === undefined
      ? 'set `groups.base_dn` to where groups are, or let the service account search there'
      : 'correct `groups.base_dn`, or let the service account search there'
  }
  return 'let the service account read the groups, or set `groups.nesting`'
}
