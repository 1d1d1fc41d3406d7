import { openldap } from './openldap.ts'
import type { Preset } from './preset.ts'

/** LLDAP: it has neither groups within groups nor states of an account. */
export const lldap: Preset = {
  ...openldap,
  userFilter: '(&(objectClass=person)(|(uid={username})(mail={mail})))',
  groupFilter: '(objectClass=groupOfUniqueNames)',
  nesting: 'direct',
  asksPolicy: false,
  expiryIsProof: false,
  refusesUnread: false,
  stateAttributes: [],
  readState: () => ({}),
}
