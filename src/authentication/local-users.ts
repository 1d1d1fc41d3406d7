import type { Attempt, BackendHealth } from './backend.ts'
import type { Outcome, User } from './outcome.ts'

/**
 * What the `local` and `email` backends are given of the user store. Both are look-ups over the same people, so that
 * a name and an address share one account, one hash and one lockout (chain.md, Identity).
 * When the database gives no answer, the outcome and the health say so and everything else throws `UnavailableError`.
 */
export interface LocalUsers {
  /** Checks the attempt against the user with this normalised name: exactly one password hash, whoever is found. */
  authenticateByUsername(username: string, attempt: Attempt): Promise<Outcome>
  /** The same by e-mail address, normalised like a name. */
  authenticateByEmail(email: string, attempt: Attempt): Promise<Outcome>
  /** The user with this UUID, disabled ones with their state. */
  getUser(id: string): User | undefined
  /** Whom this normalised name finds, without a password; disabled ones with their state. */
  findByUsername(username: string): User | undefined
  findByEmail(email: string): User | undefined
  /** How many there are, and how many of them have an address. */
  count(): { readonly all: number; readonly withEmail: number }
  /** Asks the database something cheap. */
  probe(): BackendHealth
}
