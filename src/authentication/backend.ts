import type { Log } from './log.ts'
import type { Outcome, User } from './outcome.ts'
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
   * @param subject the principal's stable id, the same that `User.id` would carry
   */
  mayVerify(subject: string): Promise<boolean>
}

export type BackendHealth = { readonly ok: true } | { readonly ok: false; readonly reason: string }

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
  /** Can it give verdicts now? Cheap, without user credentials. */
  probe(signal: AbortSignal): Promise<BackendHealth>
  /** Lets go of every connection; in-flight attempts have ended before it is called. Must be idempotent. */
  close(): Promise<void>
}
