import type { Ceiling } from './lockout.ts'
import type { Log } from './log.ts'
import type { AccountState, Outcome, User } from './outcome.ts'
import type { Secret } from './secret.ts'
import type { Realm, Username } from './username.ts'

/** One question to one backend. It never carries the HTTP request. */
export interface Attempt {
  readonly username: Username
  readonly password: Secret
  /** Aborts at this backend's deadline. */
  readonly signal: AbortSignal
  readonly log: Log
  /**
   * To be awaited once the principal is found and before its secret is checked or sent anywhere: it takes a
   * place in the subject's lockout, so that every spelling of one person shares one limit.
   * On `false` the backend must not touch the secret and answers `not_applicable`; the chain already knows why
   * (locked out here, or this backend is a deny list) and overrides whatever is answered.
   *
   * Asking again for the same subject costs nothing; with a ceiling it takes a place below that, too.
   *
   * @param subject the principal's stable id, the same that `User.id` would carry
   * @param ceiling where the secret is about to go to a directory that locks the account by itself
   */
  mayVerify(subject: string, ceiling?: Ceiling): Promise<boolean>
  /** There only when somebody has the attempt explained: what was asked and found, for operators, never a secret. */
  readonly note?: (fact: Fact) => void
}

/** One line of an explanation. */
export interface Fact {
  /** In a few words, such as `filter`. */
  readonly what: string
  readonly value: string
  /** How long it took, in milliseconds, if it took anything. */
  readonly durationMs?: number
}

/** Whom a name finds, without a password. */
export type Look =
  /** `state` if the account may not log in; `refusal` if the configuration lets nobody like this in. */
  | {
      readonly found: 'one'
      readonly user: User
      readonly state?: AccountState
      readonly refusal?: string
    }
  | { readonly found: 'none' }
  | { readonly found: 'several'; readonly count: number }
  | { readonly found: 'not_applicable'; readonly reason: string }

/** One of the servers behind a backend. */
export interface ServerHealth {
  /** Scheme, host and port. */
  readonly server: string
  readonly ok: boolean
  /** Why not, in words for operators. */
  readonly reason?: string
  /** End of its certificate's validity, as last seen, in milliseconds since the Unix epoch. */
  readonly certificateExpiresAt?: number
}

export type BackendHealth = ({ readonly ok: true } | { readonly ok: false; readonly reason: string }) & {
  readonly servers?: readonly ServerHealth[]
}

/** The contract of a backend (architecture.md). */
export interface Backend {
  /** As configured; it goes into every user id. */
  readonly id: string
  /** Set by an alias backend only: the id of the backend whose users it finds and whose ids it issues (email → local). */
  readonly issuer?: string
  /** The domains this backend owns, for the one name normalisation. */
  readonly realm?: Realm
  /** Expected outcomes are values; a throw is a bug, contained in chain.ts as `unavailable`. */
  authenticate(attempt: Attempt): Promise<Outcome>
  /**
   * The user with this stable id, unusable ones included (then `state` is set); undefined if there is none.
   * @throws UnavailableError when it cannot know
   */
  getUser(id: string, signal: AbortSignal): Promise<User | undefined>
  /**
   * Whom this name finds here, noting each step: `explain` without a password. It must send no secret anywhere.
   * @throws UnavailableError when it cannot know
   */
  look?(username: Username, signal: AbortSignal, note: (fact: Fact) => void): Promise<Look>
  /** Can it give verdicts now? Cheap, without user credentials. */
  probe(signal: AbortSignal): Promise<BackendHealth>
  /** Lets go of every connection; in-flight attempts have ended before it is called. Must be idempotent. */
  close(): Promise<void>
}
