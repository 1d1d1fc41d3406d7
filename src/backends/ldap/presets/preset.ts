import type { AccountState } from '../../../plugin.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'

/** How groups within groups are found; `auto` takes what the server can do. */
export type Nesting = 'auto' | 'token_groups' | 'in_chain' | 'levels' | 'direct'

/** What an entry says about its account. */
export interface EntryState {
  /** Why it may not log in, whatever a bind says (security.md S21). */
  readonly state?: AccountState
  /** When its password expires, in milliseconds since the Unix epoch. */
  readonly passwordExpiresAtMs?: number
}

/** What differs between directories (directory.md). */
export interface Preset {
  /** Undefined where only the operator can know. */
  readonly userFilter: string | undefined
  readonly idAttribute: string | undefined
  readonly usernameAttribute: string
  /** The first one that has a value. */
  readonly displayNameAttributes: readonly string[]
  readonly emailAttribute: string
  /** Holds the DNs of the groups, on people and, for groups within groups, on groups. */
  readonly groupsAttribute: string
  /** What is a group. */
  readonly groupFilter: string
  /** Each may hold the DNs of a group's members. */
  readonly memberAttributes: readonly string[]
  readonly nesting: Nesting
  /** What `readState` looks at. */
  readonly stateAttributes: readonly string[]
  /** Whether a user's bind asks for the password policy's word (draft-behera-ldap-password-policy-11). */
  readonly asksPolicy: boolean
  /** Whether a bind that the policy refuses because the password has expired had found it right first. */
  readonly expiryIsProof: boolean
  /** Whether results 19 and 53 of a bind may be about the account, as 389 Directory Server and its kin have it. */
  readonly refusesUnread: boolean
  /** Whether it counts wrong passwords on the entry as Active Directory does, and locks by that: it is to be shielded then. */
  readonly countsBadPasswords: boolean
  /** What the chain does after an outcome, unless `on:` says otherwise (chain.md). */
  readonly on: { readonly wrong_password?: 'stop' }
  /** @param wallMs wall clock, in milliseconds since the Unix epoch */
  readState(entry: DirectoryEntry, wallMs: number): EntryState
}
