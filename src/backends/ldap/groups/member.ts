import type { DirectoryEntry, ValueRange } from '../syntax/entry.ts'
import { formatSid, neighbourSid } from '../syntax/sid.ts'

/** A person as far as their groups go, from their entry. */
export interface Member {
  /** Exactly as the directory returned it. */
  readonly dn: string
  /** The login name as the directory has it. */
  readonly username: string
  /** DNs of the groups that the entry lists. */
  readonly listed: readonly string[]
  /** Where that list goes on, if the directory cut it short. */
  readonly range: ValueRange | undefined
  /** Active Directory's primary group, which no list has. */
  readonly primaryGroup: Buffer | undefined
}

/** What `readMember` looks at, besides the attribute that lists groups. */
export const PRIMARY_GROUP_ATTRIBUTES = ['objectSid', 'primaryGroupID'] as const

/**
 * @param groupsAttribute lists the DNs of the groups
 * @returns undefined if a DN in the list can't be read: a group would be overlooked
 */
export function readMember(
  entry: DirectoryEntry,
  username: string,
  groupsAttribute: string,
): Member | undefined {
  const range = entry.range(groupsAttribute)
  const attribute = range?.attribute ?? groupsAttribute
  const listed = entry.texts(attribute)
  if (listed.length !== entry.allOctets(attribute).length) return undefined
  return { dn: entry.dn, username, listed, range, primaryGroup: readPrimaryGroup(entry) }
}

function readPrimaryGroup(entry: DirectoryEntry): Buffer | undefined {
  const sid = entry.octets('objectSid')
  const [id] = entry.texts('primaryGroupID')
  if (sid === undefined || formatSid(sid) === undefined || id === undefined) return undefined
  return neighbourSid(sid, Number(id))
}
