import { formatSid } from '../syntax/sid.ts'
import type { FoundGroups, Group } from './group.ts'
import type { Member } from './member.ts'
import type { GroupSettings } from './settings.ts'

/**
 * Why a denied group may have been overlooked among these, for operators; undefined if it cannot have been. Groups that are
 * required or give roles need no such care: who is not seen in them has less.
 */
export function whyUnsure(
  { groups, way }: FoundGroups,
  member: Member,
  { sidPatterns, deniesNames }: GroupSettings,
): string | undefined {
  // A token holds every SID that a pattern can deny.
  if (sidPatterns === 'denied' && way !== 'token_groups') {
    const withoutSid = groups.find(({ sid }) => sid === undefined)
    if (withoutSid) return `groups.denied has a SID, and the SID of ${withoutSid.dn} cannot be read`
    // What the primary group is in is found by its DN.
    const hidden = way !== 'direct' && groups.find(group => isHidden(group, member))
    if (hidden)
      return `groups.denied has a SID, and the groups that ${hidden.sid} is in cannot be found: ${LET_READ}`
  }
  const hidden = deniesNames ? groups.find(group => isHidden(group, member)) : undefined
  return hidden && `groups.denied has a name, and that of ${hidden.sid} cannot be read: ${LET_READ}`
}

const LET_READ = 'let the service account read every group'

/** A group of this domain of which only the SID is known: it has a name, and the service account may not read it. */
function isHidden({ dn, sid }: Group, { primaryGroup }: Member): boolean {
  if (dn !== undefined || sid === undefined) return false
  if (sid.startsWith(BUILTIN)) return true
  const domain = primaryGroup && formatSid(primaryGroup)?.replace(/-\d+$/, '')
  // Names of other domains' groups are not to be had here; nor those of a domain that somebody was moved from.
  return domain === undefined ? sid.startsWith(ANY_DOMAIN) : sid.startsWith(`${domain}-`)
}

/** Where every domain keeps the groups that come with it, and the domains ([MS-DTYP] section 2.4.2.4). */
const BUILTIN = 'S-1-5-32-'
const ANY_DOMAIN = 'S-1-5-21-'
