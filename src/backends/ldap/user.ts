import type { User } from '../../plugin.ts'
import { type DirectoryEntry, readId } from './entry.ts'
import { type Group, readGroup } from './groups.ts'
import type { Settings } from './settings.ts'

/** A person as found, and what only this backend needs to know of them. */
export interface Person {
  readonly dn: string
  /** With `state` if the entry says that the account may not log in. */
  readonly user: User
  /** Why the configuration lets nobody like this in; undefined if it does. */
  readonly denied: string | undefined
}

/** Attributes to ask for, by name: an entry never comes whole (security.md S70). */
export function requestedAttributes({ preset, idAttribute, options }: Settings): readonly string[] {
  const wanted = [
    idAttribute,
    preset.usernameAttribute,
    ...preset.displayNameAttributes,
    preset.emailAttribute,
    preset.groupsAttribute,
    ...preset.stateAttributes,
    ...Object.values(options.attributes),
  ]
  return [...new Map(wanted.map(name => [name.toLowerCase(), name])).values()]
}

/**
 * @param wallMs wall clock, in milliseconds since the Unix epoch
 * @returns undefined for an entry without an id, or with more groups than it shows: who it is can't be said then
 */
export function readPerson(entry: DirectoryEntry, settings: Settings, wallMs: number): Person | undefined {
  const { preset, idAttribute, options } = settings
  const id = readId(entry, idAttribute)
  if (id === undefined || entry.isPartial(preset.groupsAttribute)) return undefined
  const groups = entry.texts(preset.groupsAttribute).map(readGroup)
  const displayName = preset.displayNameAttributes.flatMap(attribute => entry.texts(attribute)).find(Boolean)
  const [email] = entry.texts(preset.emailAttribute)
  const state = preset.readState(entry, wallMs)
  const user: User = {
    id,
    username: entry.texts(preset.usernameAttribute)[0] ?? id,
    ...(displayName && { displayName }),
    ...(email && { email }),
    groups: unique(groups.map(({ name }) => name)),
    roles: unique(settings.roles.flatMap(({ role, matches }) => (matches(groups) ? [role] : []))),
    attributes: readAttributes(entry, options.attributes),
    ...(state && { state }),
  }
  return { dn: entry.dn, user, denied: denialOf(groups, settings) }
}

function denialOf(groups: readonly Group[], { required, denied }: Settings): string | undefined {
  if (denied(groups)) return 'in a denied group'
  return required && !required(groups) ? 'in none of the required groups' : undefined
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
