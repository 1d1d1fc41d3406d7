/** What differs between directories, one line each (directory.md). */
import type { AccountState } from '../../plugin.ts'
import type { DirectoryEntry } from './entry.ts'

export interface Preset {
  /** Undefined where only the operator can know. */
  readonly userFilter: string | undefined
  readonly idAttribute: string | undefined
  readonly usernameAttribute: string
  /** The first one that has a value. */
  readonly displayNameAttributes: readonly string[]
  readonly emailAttribute: string
  /** Holds the DNs of the groups. */
  readonly groupsAttribute: string
  /** What `readState` looks at. */
  readonly stateAttributes: readonly string[]
  /** What the chain does after an outcome, unless `on:` says otherwise (chain.md). */
  readonly on: { readonly wrong_password?: 'stop' }
  /** Why this account may not log in, whatever a bind says (security.md S21). */
  readState(entry: DirectoryEntry, wallMs: number): AccountState | undefined
}

const openldap: Preset = {
  userFilter: '(&(objectClass=inetOrgPerson)(|(uid={username})(mail={input})))',
  idAttribute: 'entryUUID',
  usernameAttribute: 'uid',
  displayNameAttributes: ['displayName', 'cn'],
  emailAttribute: 'mail',
  groupsAttribute: 'memberOf',
  stateAttributes: [],
  on: {},
  readState: () => undefined,
}

export const presets = {
  'active-directory': {
    userFilter:
      '(&(objectCategory=person)(objectClass=user)' +
      '(|(sAMAccountName={username})(userPrincipalName={input})(mail={input})))',
    idAttribute: 'objectGUID',
    usernameAttribute: 'sAMAccountName',
    displayNameAttributes: ['displayName', 'cn'],
    emailAttribute: 'mail',
    groupsAttribute: 'memberOf',
    stateAttributes: ['userAccountControl', 'accountExpires', 'pwdLastSet'],
    // One typo must not be tried on every backend below, each of which may count it.
    on: { wrong_password: 'stop' },
    readState: readActiveDirectoryState,
  },
  openldap,
  custom: { ...openldap, userFilter: undefined, idAttribute: undefined },
} as const satisfies Record<string, Preset>

export type PresetName = keyof typeof presets

/** Bits of userAccountControl ([MS-ADTS] section 2.2.16). */
const ACCOUNT_DISABLE = 0x2
const DONT_EXPIRE_PASSWORD = 0x10000

/** Hundreds of nanoseconds since 1601; these two mean never. */
const NEVER: ReadonlySet<string> = new Set(['0', '9223372036854775807'])
const EPOCH_1601_MS = -11_644_473_600_000

function readActiveDirectoryState(entry: DirectoryEntry, wallMs: number): AccountState | undefined {
  const control = Number(entry.texts('userAccountControl')[0] ?? 0)
  const [expires = '0'] = entry.texts('accountExpires')
  if (control & ACCOUNT_DISABLE) return 'disabled'
  if (!NEVER.has(expires) && Number(expires) / 10_000 + EPOCH_1601_MS <= wallMs) return 'expired'
  const mustChange = entry.texts('pwdLastSet')[0] === '0' && !(control & DONT_EXPIRE_PASSWORD)
  return mustChange ? 'password_must_change' : undefined
}
