import type { DirectoryEntry } from '../syntax/entry.ts'
import type { EntryState, Preset } from './preset.ts'
import { readBoolean, readGeneralizedTime } from './values.ts'

/** FreeIPA and Red Hat Identity Management. */
export const freeipa: Preset = {
  // Entries of the compatibility tree are no inetOrgPerson: below the domain everybody would be there twice.
  userFilter: '(&(objectClass=inetOrgPerson)(|(uid={username})(mail={mail})))',
  idAttribute: 'ipaUniqueID',
  usernameAttribute: 'uid',
  displayNameAttributes: ['displayName', 'cn'],
  emailAttribute: 'mail',
  groupsAttribute: 'memberOf',
  groupFilter: '(objectClass=ipaUserGroup)',
  memberAttributes: ['member'],
  // Its memberOf holds groups within groups already.
  nesting: 'direct',
  asksPolicy: true,
  // It counts the grace logins before it looks at the password, of right and of wrong ones.
  expiryIsProof: false,
  refusesUnread: true,
  countsBadPasswords: false,
  stateAttributes: ['nsAccountLock', 'krbPrincipalExpiration', 'krbPasswordExpiration', 'krbLastPwdChange'],
  on: {},
  readState,
}

/** A password that an administrator has set expires at that moment: to be changed, not to be mourned. */
function readState(entry: DirectoryEntry, wallMs: number): EntryState {
  if (readBoolean(entry, 'nsAccountLock')) return { state: 'disabled' }
  const accountExpiresAtMs = readGeneralizedTime(entry, 'krbPrincipalExpiration')
  if (accountExpiresAtMs !== undefined && accountExpiresAtMs <= wallMs) return { state: 'expired' }
  const passwordExpiresAtMs = readGeneralizedTime(entry, 'krbPasswordExpiration')
  if (passwordExpiresAtMs === undefined) return {}
  if (passwordExpiresAtMs > wallMs) return { passwordExpiresAtMs }
  const changedAtMs = readGeneralizedTime(entry, 'krbLastPwdChange')
  const reset = changedAtMs !== undefined && changedAtMs >= passwordExpiresAtMs
  return { state: reset ? 'password_must_change' : 'password_expired' }
}
