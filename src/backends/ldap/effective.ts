/** What an option is where it is not set: the preset's word. */
import type { LdapOptions } from './options.ts'
import type { Nesting } from './presets/preset.ts'
import { presets } from './presets/presets.ts'

/** The filter that finds one person, or undefined where `custom` has none. */
export function userFilterOf({ user_filter, preset }: LdapOptions): string | undefined {
  return user_filter ?? presets[preset].userFilter
}

/** Whether accounts are kept below the directory's own lockout. */
export function isShielded({ lockout_shield, preset }: LdapOptions): boolean {
  return presets[preset].countsBadPasswords && lockout_shield.enabled !== false
}

export function idAttributeOf({ id_attribute, preset }: LdapOptions): string | undefined {
  return id_attribute ?? presets[preset].idAttribute
}

/** How groups within groups are found. */
export function nestingOf({ groups, preset }: LdapOptions): Nesting {
  return groups.nesting ?? presets[preset].nesting
}
