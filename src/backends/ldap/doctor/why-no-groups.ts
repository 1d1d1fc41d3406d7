/** Somebody has no group at all. */
import type { Finding } from '../../../plugin.ts'
import type { Person } from '../person/user.ts'
import type { Settings } from '../settings.ts'
import { allOf, anyOf, equals } from '../syntax/filter.ts'
import { has, takeApart } from './filter-parts.ts'
import { warn } from './finding.ts'
import type { PersonExamined } from './person.ts'

type About = Pick<PersonExamined, 'session' | 'settings' | 'groupList'>

/** @throws {DirectoryFailure} if no answer came */
export async function* whyNoGroups(about: About, { user }: Person): AsyncGenerator<Finding> {
  const { settings } = about
  if (settings.groups.filter !== undefined) yield await blameFilter(about, user.username)
  else yield* missMemberOf(about)
}

/** `groups.filter` finds none: is it a clause, the attribute, or this person alone? */
async function blameFilter({ session, settings, groupList }: About, username: string): Promise<Finding> {
  const check = 'groups.filter'
  const { base } = groupList
  const parts = takeApart(settings.options.groups.filter ?? '')
  for (const { text, filter } of parts.fixed) {
    if ((await session.find(base, filter)).length > 0) continue
    const detail = `its clause ${text} matches nothing below ${base}`
    return warn(check, detail, `correct ${text}, or \`groups.base_dn\``)
  }
  const names = parts.nameAttributes.join(' or ')
  // Without its members: their list may be longer than an answer may be.
  const [group] = await session.find(base, allOf(parts.people, anyOf(parts.nameAttributes.map(has))))
  if (group === undefined) {
    const detail = `no group below ${base} has ${names} that the service account can read`
    return warn(check, detail, `look for members in another attribute than ${names}`)
  }
  const detail = `it finds no group of ${username}, though there are groups with ${names}, such as ${group.dn}`
  return warn(
    check,
    detail,
    'harmless, if this person is in none; else correct it: is it {dn} or {username}?',
  )
}

/** Directories without the memberOf overlay have groups, and nobody is told. */
async function* missMemberOf({ session, settings, groupList }: About): AsyncGenerator<Finding> {
  const { groups, preset, options } = settings
  const [listed] = await session.find(options.base_dn, has(preset.groupsAttribute))
  if (listed !== undefined) return
  const { base } = groupList
  const posixGroup = equals('objectClass', 'posixGroup')
  const [group] = await session.find(base, anyOf([groups.groupFilter, posixGroup]))
  const detail = `nobody below \`base_dn\` has ${preset.groupsAttribute} that the service account can read`
  const advice = `set \`groups.filter: ${proposeFilter(settings, group?.texts('objectClass') ?? [])}\`, or have the server keep memberOf (OpenLDAP: the overlay memberof)`
  yield group === undefined
    ? warn('groups', `${detail}, and no group is to be seen below ${base}`, 'harmless, unless you use groups')
    : warn('groups', `${detail}, though there are groups (such as ${group.dn})`, advice)
}

function proposeFilter({ groups, preset }: Settings, classes: readonly string[]): string {
  return classes.some(name => /^posixGroup$/i.test(name))
    ? '(&(objectClass=posixGroup)(memberUid={username}))'
    : `(&${groups.groupFilter}(${preset.memberAttributes[0]}={dn}))`
}
