import type { DirectoryEntry } from '../syntax/entry.ts'
import type { EntryState, Preset } from './preset.ts'
import { readBoolean, readGeneralizedTime } from './values.ts'

/** Locked by an administrator, for ever (draft-behera-ldap-password-policy-11 section 5.3.3). */
const LOCKED_FOR_EVER_MS = Date.parse('0000-01-01T00:00:00Z')

/** OpenLDAP, with or without the overlays memberof and ppolicy. */
export const openldap: Preset = {
  userFilter: '(&(objectClass=inetOrgPerson)(|(uid={username})(mail={mail})))',
  idAttribute: 'entryUUID',
  usernameAttribute: 'uid',
  displayNameAttributes: ['displayName', 'cn'],
  emailAttribute: 'mail',
  groupsAttribute: 'memberOf',
  groupFilter: '(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))',
  memberAttributes: ['member', 'uniqueMember'],
  nesting: 'levels',
  asksPolicy: true,
  expiryIsProof: true,
  refusesUnread: false,
  countsBadPasswords: false,
  stateAttributes: ['pwdAccountLockedTime', 'pwdReset'],
  on: {},
  readState,
}

/** Any other time of locking says nothing: how long a lock lasts stands in the policy, which the bind applies. */
function readState(entry: DirectoryEntry): EntryState {
  if (readGeneralizedTime(entry, 'pwdAccountLockedTime') === LOCKED_FOR_EVER_MS) return { state: 'locked' }
  return readBoolean(entry, 'pwdReset') ? { state: 'password_must_change' } : {}
}
