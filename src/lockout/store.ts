/**
 * Where records are kept, apart from the policy that judges them, so that a store shared by several replicas can stand
 * beside the memory store: each method is one atomic step over all its keys (one server-side script, on the server's
 * time). test/lockout/store-conformance.ts says what every store must show.
 */
import type { Standing } from '../authentication/lockout.ts'
import type { Limit } from './policy.ts'

/** One key and the limit it is under. Keys are opaque and of fixed size (keys.ts). */
export interface Counter {
  readonly key: string
  readonly limit: Limit
}

export type Refused =
  /** At least one key is locked; the longest `retryAfterMs`, above 0. */
  | { readonly outcome: 'locked'; readonly retryAfterMs: number }
  /** No place on `key` until an attempt in flight ends. */
  | { readonly outcome: 'no_place'; readonly key: string }
  /** No room for a record that must be kept: never fails open. */
  | { readonly outcome: 'full' }

/** What an ended attempt costs. A key in both is cleared. */
export interface Ending {
  readonly failed: readonly Counter[]
  /** Keys whose count starts afresh. */
  readonly cleared: readonly string[]
}

export interface LockoutStore {
  /** Takes a place on every key, or on none. Opens a lease that holds the places. */
  reserve(
    counters: readonly [Counter, ...Counter[]],
  ): Promise<{ readonly outcome: 'reserved'; readonly lease: string } | Refused>
  /** Takes a further place for an open lease. A key that it holds already is free of charge. */
  extend(
    lease: string,
    counter: Counter,
  ): Promise<{ readonly outcome: 'extended' } | { readonly outcome: 'lease_over' } | Refused>
  /**
   * Gives back every place of the lease, counts and clears. Once only: on a lease that is over it does nothing.
   * A lease that nobody ends is over after `LEASE_MS` and counts as a failure on each of its keys, because its guess may
   * well have been verified.
   */
  end(lease: string, ending: Ending): Promise<{ readonly locked: boolean }>
  /** Where each key stands, in their order. Changes nothing, also not which record is the next to go. */
  inspect(counters: readonly Counter[]): Promise<readonly Standing[]>
}

/** Longer than any attempt can take. */
export const LEASE_MS = 60_000
