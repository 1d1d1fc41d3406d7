/**
 * What the authenticator needs of the lockout (lockout.md, Order of work). Promises, because a store may be
 * shared by several replicas; the memory store does each step synchronously inside.
 */

/** Who asks, for counting. */
export interface Asker {
  /** The normalised name, `Username.text`. */
  readonly name: string
  /** The end user's address in the canonical text of `http/address.ts`: dotted IPv4, or eight IPv6 groups. */
  readonly address: string
}

export type Refusal =
  /** Locked: nothing is verified until then. `retryAfterMs` is above 0. */
  | { readonly admitted: false; readonly reason: 'locked'; readonly retryAfterMs: number }
  /** No place came free within the wait: charged to nobody. */
  | { readonly admitted: false; readonly reason: 'busy' }

export type Reservation = { readonly admitted: true; readonly lease: Lease } | Refusal

/** What an ended attempt costs, and whom (chain.md, What the chain does). */
export interface Charge {
  /** The name before resolution. */
  readonly name: boolean
  /** Subjects, `<backend id>:<stable id>`, whose secret was found wrong. */
  readonly subjects: readonly string[]
  readonly source: boolean
  /** The subject that was accepted, whose own counter from this source starts afresh. */
  readonly accepted?: string
}

/** The places one attempt holds. Ends with exactly one of `commit` and `release`. */
export interface Lease {
  /** Takes a place for a subject found on the way, before its secret is checked. Asking twice for one subject is free. */
  claim(subject: string): Promise<{ readonly admitted: true } | Refusal>
  /** Gives every place back and charges failures. `locked` tells whether this commit set a lock. */
  commit(charge: Charge): Promise<{ readonly locked: boolean }>
  /** Gives every place back and charges nobody. */
  release(): Promise<void>
}

/** Where one key stands. */
export interface Standing {
  /** Counted within the window; 0 while locked, for the count then starts afresh. */
  readonly failures: number
  /** As many failures lock it. */
  readonly limit: number
  /** Attempts under way. */
  readonly inFlight: number
  /** Above 0, and only there while it is locked. */
  readonly lockedForMs?: number
}

export interface Standings {
  /** The name before resolution, from this source. */
  readonly name: Standing
  /** The source, whatever the account. */
  readonly source: Standing
  /** The subject, from this source; where one was asked about. */
  readonly subject?: Standing
}

export interface Lockout {
  /** Looks, and changes nothing: no place is taken, no record made, none kept longer. */
  inspect(asker: Asker, subject?: string): Promise<Standings>
  /** One atomic step: admitted only if for every key failures + in flight < limit. Waits a bounded time for a place. */
  reserve(asker: Asker): Promise<Reservation>
}
