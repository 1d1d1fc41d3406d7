import { openldap } from './openldap.ts'
import type { Preset } from './preset.ts'

/** A directory of which nothing is known but that it speaks LDAP: `user_filter` and `id_attribute` are the operator's. */
export const custom: Preset = {
  ...openldap,
  userFilter: undefined,
  idAttribute: undefined,
  expiryIsProof: false,
  refusesUnread: true,
  stateAttributes: [],
  readState: () => ({}),
}
