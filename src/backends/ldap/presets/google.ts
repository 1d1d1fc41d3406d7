import { openldap } from './openldap.ts'
import type { Preset } from './preset.ts'

/**
 * Google's Secure LDAP. It shows no state of an account: a suspended one cannot bind. It wants a client certificate before
 * anything else.
 */
export const google: Preset = {
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
