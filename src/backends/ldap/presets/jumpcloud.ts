import { openldap } from './openldap.ts'
import type { Preset } from './preset.ts'

/** JumpCloud's LDAP: it has no groups within groups, and shows no state of an account. */
export const jumpcloud: Preset = {
  ...openldap,
  userFilter: '(&(objectClass=inetOrgPerson)(|(uid={username})(mail={mail})))',
  groupFilter: '(objectClass=groupOfNames)',
  nesting: 'direct',
  asksPolicy: false,
  expiryIsProof: false,
  refusesUnread: false,
  stateAttributes: [],
  readState: () => ({}),
}
