import type { DirectoryEntry } from '../syntax/entry.ts'
import type { EntryState, Preset } from './preset.ts'
import { readBoolean, readGeneralizedTime } from './values.ts'

/** A time that stands for none: of unlocking, that only an administrator does it; of expiring, that a reset has to be followed. */
const NO_TIME_MS = 1_000

/** 389 Directory Server and its kin (Red Hat Directory Server, and behind FreeIPA). */
export const directoryServer389: Preset = {
  userFilter: '(&(objectClass=person)(|(uid={username})(mail={input})))',
  idAttribute: 'nsUniqueId',
  usernameAttribute: 'uid',
  displayNameAttributes: ['displayName', 'cn'],
  emailAttribute: 'mail',
  groupsAttribute: 'memberOf',
  groupFilter: '(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))',
  memberAttribute: 'member',
  nesting: 'levels',
  asksPolicy: true,
  expiryIsProof: true,
  stateAttributes: ['nsAccountLock', 'accountUnlockTime', 'passwordExpirationTime'],
  on: {},
  readState,
}

function readState(entry: DirectoryEntry, wallMs: number): EntryState {
  if (readBoolean(entry, 'nsAccountLock')) return { state: 'disabled' }
  const unlocksAtMs = readGeneralizedTime(entry, 'accountUnlockTime')
  if (unlocksAtMs !== undefined && (unlocksAtMs > wallMs || unlocksAtMs <= NO_TIME_MS)) {
    return { state: 'locked' }
  }
  const passwordExpiresAtMs = readGeneralizedTime(entry, 'passwordExpirationTime')
  if (passwordExpiresAtMs === undefined) return {}
  if (passwordExpiresAtMs <= NO_TIME_MS) return { state: 'password_must_change' }
  return passwordExpiresAtMs <= wallMs ? { state: 'password_expired' } : { passwordExpiresAtMs }
}
