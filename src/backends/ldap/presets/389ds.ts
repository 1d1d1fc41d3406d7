import type { DirectoryEntry } from '../syntax/entry.ts'
import type { EntryState, Preset } from './preset.ts'
import { readBoolean, readGeneralizedTime } from './values.ts'

/**
 * Two times that stand for none (`slap.h`): a password that an administrator has reset and that has to be changed, and one that
 * was changed since and does not expire.
 */
const TO_BE_CHANGED_MS = 0
const CHANGED_MS = 1_000

/** 389 Directory Server and its kin (Red Hat Directory Server, and behind FreeIPA). */
export const directoryServer389: Preset = {
  userFilter: '(&(objectClass=person)(|(uid={username})(mail={mail})))',
  idAttribute: 'nsUniqueId',
  usernameAttribute: 'uid',
  displayNameAttributes: ['displayName', 'cn'],
  emailAttribute: 'mail',
  groupsAttribute: 'memberOf',
  groupFilter: '(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))',
  memberAttributes: ['member', 'uniqueMember'],
  nesting: 'levels',
  asksPolicy: true,
  expiryIsProof: true,
  refusesUnread: true,
  countsBadPasswords: false,
  stateAttributes: ['nsAccountLock', 'passwordExpirationTime'],
  on: {},
  readState,
}

/**
 * accountUnlockTime is not looked at: it stays when an administrator unlocks the account. The server refuses a locked account
 * before it looks at the password, and says so.
 */
function readState(entry: DirectoryEntry, wallMs: number): EntryState {
  if (readBoolean(entry, 'nsAccountLock')) return { state: 'disabled' }
  const passwordExpiresAtMs = readGeneralizedTime(entry, 'passwordExpirationTime')
  if (passwordExpiresAtMs === undefined || passwordExpiresAtMs === CHANGED_MS) return {}
  if (passwordExpiresAtMs === TO_BE_CHANGED_MS) return { state: 'password_must_change' }
  return passwordExpiresAtMs <= wallMs ? { state: 'password_expired' } : { passwordExpiresAtMs }
}
