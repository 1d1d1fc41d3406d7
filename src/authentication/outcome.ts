/** What one backend answers about one attempt, and the people it answers about (chain.md, Outcomes). */

/** Why a principal that exists may not log in. `locked` is the directory's own lock, not ours. */
export type AccountState =
  | 'disabled'
  | 'expired'
  | 'password_expired'
  | 'password_must_change'
  | 'logon_hours'
  | 'workstation_not_allowed'
  | 'locked'
  | 'restricted'

/** A person as a backend knows them. Frozen before it leaves the chain. */
export interface User {
  /** Stable within the issuing backend: objectGUID, entryUUID or a local UUID; never a DN, a name or an address. */
  readonly id: string
  readonly username: string
  readonly displayName?: string
  readonly email?: string
  readonly groups: readonly string[]
  readonly roles: readonly string[]
  /** Only what the configuration asks for (security.md S70). */
  readonly attributes: Readonly<Record<string, string | readonly string[]>>
  /** Set when the account may not log in. Never set in an `accept`. */
  readonly state?: AccountState
}

export interface Warning {
  readonly code: 'password_expires' | 'grace_logins'
  /** RFC 3339, for `password_expires`. */
  readonly at?: string
  /** Logins left, for `grace_logins`. */
  readonly remaining?: number
}

/** Where in its work a backend was when it could give no verdict. */
export type Phase =
  | 'connect'
  | 'tls'
  | 'service_bind'
  | 'search'
  | 'bind'
  | 'lookup'
  | 'hash'
  | 'plugin'
  | 'admission'

export interface Accept {
  readonly outcome: 'accept'
  readonly user: User
  readonly warnings?: readonly Warning[]
}

export interface Unavailable {
  readonly outcome: 'unavailable'
  /** For operators, in words; never shown to callers and never holding credentials. */
  readonly cause: string
  readonly phase: Phase
  /** True once the user's secret may have reached the other side: then nothing is retried. */
  readonly credentialSent: boolean
}

export type Outcome =
  | Accept
  | { readonly outcome: 'unknown_user' }
  | { readonly outcome: 'wrong_password'; readonly subject: string }
  | {
      readonly outcome: 'account_state'
      readonly subject: string
      readonly state: AccountState
      readonly passwordVerified: boolean
    }
  | { readonly outcome: 'ambiguous'; readonly count: number }
  | { readonly outcome: 'deny'; readonly reason: string }
  | Unavailable
  | { readonly outcome: 'not_applicable'; readonly reason: string }

export type OutcomeKind = Outcome['outcome']

/** A user as the daemon answers about them: the id carries the backend that issued it (api.md). */
export interface Identity extends User {
  /** `<backend id>:<stable id>` */
  readonly id: string
  readonly backend: string
}

/** Thrown by `getUser` and `probe` when a backend cannot know. `authenticate` answers with the outcome instead. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError'
  readonly phase: Phase

  constructor(cause: string, phase: Phase, options?: ErrorOptions) {
    super(cause, options)
    this.phase = phase
  }
}
