import type { User } from '../../../plugin.ts'
import type { Group } from '../groups/group.ts'
import { type Member, PRIMARY_GROUP_ATTRIBUTES, readMember } from '../groups/member.ts'
import type { Settings } from '../settings.ts'
import { BAD_PASSWORD_ATTRIBUTES, type BadPasswords, readBadPasswords } from '../shield/bad-passwords.ts'
import { type DirectoryEntry, readId } from '../syntax/entry.ts'

/** A person as found, and what only this backend needs to know of them. */
export interface Person {
  readonly dn: string
  /** Without groups and roles; with `state` if the entry says that the account may not log in. */
  readonly user: User
  /** What their groups are found by. */
  readonly member: Member
  /** When the entry says that the password expires, in milliseconds since the Unix epoch. */
  readonly passwordExpiresAtMs?: number
  /** What the directory has counted; only where the shield is on. */
  readonly badPasswords?: BadPasswords
}

/** A person's groups and what the configuration makes of them. */
export interface Admission {
  readonly user: User
  /** Why the configuration lets nobody like this in; undefined if it does. */
  readonly refusal: string | undefined
}

/** Attributes to ask for, by name: an entry never comes whole (security.md S70). */
export function requestedAttributes({
  preset,
  idAttribute,
  options,
  groups,
  shield,
}: Settings): readonly string[] {
  const wanted = [
    idAttribute,
    preset.usernameAttribute,
    ...preset.displayNameAttributes,
    preset.emailAttribute,
    ...(groups.filter ? [] : [preset.groupsAttribute]),
    ...(groups.hasSids ? PRIMARY_GROUP_ATTRIBUTES : []),
    ...preset.stateAttributes,
    ...(shield ? BAD_PASSWORD_ATTRIBUTES : []),
    ...Object.values(options.attributes),
  ]
  return [...new Map(wanted.map(name => [name.toLowerCase(), name])).values()]
}

/**
 * @param wallMs wall clock, in milliseconds since the Unix epoch
 * @returns undefined for an entry without an id, or with groups that can't be read: who it is can't be said then
 */
export function readPerson(entry: DirectoryEntry, settings: Settings, wallMs: number): Person | undefined {
  const { preset, idAttribute, options, shield } = settings
  const id = readId(entry, idAttribute)
  if (id === undefined) return undefined
  const username = entry.texts(preset.usernameAttribute)[0] ?? id
  const member = readMember(entry, username, preset.groupsAttribute)
  if (member === undefined) return undefined
  const displayName = preset.displayNameAttributes.flatMap(attribute => entry.texts(attribute)).find(Boolean)
  const [email] = entry.texts(preset.emailAttribute)
  const { state, passwordExpiresAtMs } = preset.readState(entry, wallMs)
  const user: User = {
    id,
    username,
    ...(displayName && { displayName }),
    ...(email && { email }),
    groups: [],
    roles: [],
    attributes: readAttributes(entry, options.attributes),
    ...(state && { state }),
  }
  return {
    dn: entry.dn,
    user,
    member,
    ...(passwordExpiresAtMs !== undefined && { passwordExpiresAtMs }),
    ...(shield && { badPasswords: readBadPasswords(entry) }),
  }
}

/** What these groups mean for this person. */
export function admit(user: User, groups: readonly Group[], settings: Settings): Admission {
  const { required, denied, roles } = settings
  // In one order, however they were found: a directory and a cache have none.
  const names = unique(groups.map(({ name }) => name)).toSorted()
  const theirs = unique(roles.flatMap(({ role, matches }) => (matches(groups) ? [role] : [])))
  const denial = denied.find(({ matches }) => matches(groups))
  const refusal = denial
    ? `in a group that \`groups.denied\` names: ${denial.pattern}`
    : required && !required(groups)
      ? 'in no group that `groups.required` names'
      : undefined
  return { user: { ...user, groups: names, roles: theirs }, refusal }
}

function readAttributes(entry: DirectoryEntry, wanted: Readonly<Record<string, string>>): User['attributes'] {
  const found = Object.entries(wanted).flatMap(([ours, theirs]) => {
    const [first, ...more] = entry.texts(theirs)
    if (first === undefined) return []
    return [[ours, more.length > 0 ? [first, ...more] : first] as const]
  })
  return Object.fromEntries(found)
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)]
}
