import type { DirectoryEntry } from '../syntax/entry.ts'
import type { EntryState, Preset } from './preset.ts'
import { readFileTime, readInteger } from './values.ts'

/** Bits of userAccountControl and of msDS-User-Account-Control-Computed ([MS-ADTS] sections 2.2.16 and 3.1.1.4.5.17). */
const ACCOUNT_DISABLE = 0x2
const LOCKOUT = 0x10
const DONT_EXPIRE_PASSWORD = 0x10000
const PASSWORD_EXPIRED = 0x800000

/** Active Directory, and whatever is a domain controller like it. */
export const activeDirectory: Preset = {
  userFilter:
    '(&(objectCategory=person)(objectClass=user)' +
    '(|(sAMAccountName={username})(userPrincipalName={input})(mail={mail})))',
  idAttribute: 'objectGUID',
  usernameAttribute: 'sAMAccountName',
  displayNameAttributes: ['displayName', 'cn'],
  emailAttribute: 'mail',
  groupsAttribute: 'memberOf',
  groupFilter: '(objectClass=group)',
  memberAttributes: ['member'],
  nesting: 'auto',
  asksPolicy: false,
  expiryIsProof: false,
  refusesUnread: false,
  countsBadPasswords: true,
  stateAttributes: [
    'userAccountControl',
    'accountExpires',
    'pwdLastSet',
    'msDS-User-Account-Control-Computed',
    'msDS-UserPasswordExpiryTimeComputed',
  ],
  // One typo must not be tried on every backend below, each of which may count it.
  on: { wrong_password: 'stop' },
  readState,
}

/**
 * lockoutTime is not looked at: it stays after the lock has ended, and how long a lock lasts is not on the entry. The computed
 * attribute knows.
 */
function readState(entry: DirectoryEntry, wallMs: number): EntryState {
  const control = readInteger(entry, 'userAccountControl') ?? 0
  const computed = readInteger(entry, 'msDS-User-Account-Control-Computed') ?? 0
  const accountExpiresAtMs = readFileTime(entry, 'accountExpires') ?? Infinity
  if (control & ACCOUNT_DISABLE) return { state: 'disabled' }
  if (accountExpiresAtMs <= wallMs) return { state: 'expired' }
  if (computed & LOCKOUT) return { state: 'locked' }
  const neverSet = readFileTime(entry, 'pwdLastSet') === Infinity
  if (neverSet && !(control & DONT_EXPIRE_PASSWORD)) {
    return { state: 'password_must_change' }
  }
  if (computed & PASSWORD_EXPIRED) return { state: 'password_expired' }
  const passwordExpiresAtMs = readFileTime(entry, 'msDS-UserPasswordExpiryTimeComputed') ?? Infinity
  return passwordExpiresAtMs === Infinity ? {} : { passwordExpiresAtMs }
}
