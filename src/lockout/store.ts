/**
 * Where the lockout keeps its counts. The rules are in policy.ts; a store makes each step atomic and remembers.
 * test/lockout/store-conformance.ts says what every store must show.
 */
import type { LockKind, LockNote, LockoutReport } from '../authentication/lockout.ts'
import type { Limit, State } from './policy.ts'

/** One key and the limit it is under. Keys are opaque and of fixed size (keys.ts). */
export interface Counter {
  readonly key: string
  readonly kind: LockKind
  readonly limit: Limit
  /** Whom it is about, for a limit that tells accounts apart; else empty. */
  readonly account: string
  /** The profile of the account it belongs to; a source belongs to none. */
  readonly owner?: string | undefined
  /** By a name that may be nobody's: such counts are kept apart, so that random names push out no one else's. */
  readonly unresolved?: boolean | undefined
  /** Counted and reported, and refuses nobody. */
  readonly watched?: boolean
}

/** The counts of one account from all sources together: which of the two holds is decided by where somebody comes from. */
export interface AccountCounter {
  /** Key of the account's profile. */
  readonly profile: string
  /** Key of the source that may be familiar. */
  readonly source: string
  readonly familiar: Counter
  readonly unfamiliar: Counter
}

export type Place = Counter | AccountCounter

export type Refused =
  /** At least one key is locked; the longest `retryAfterMs`, above 0. */
  | { readonly outcome: 'locked'; readonly retryAfterMs: number }
  /** No place on `key` until an attempt in flight ends. */
  | { readonly outcome: 'no_place'; readonly key: string }
  /** No room for a record that must be kept: never fails open. */
  | { readonly outcome: 'full' }

/** `ignored`: a watched key would have refused. */
export interface Taken {
  readonly ignored: boolean
}

/** What an ended attempt costs. A key in `failed` and in `cleared` is cleared. */
export interface Ending {
  readonly failed: readonly Place[]
  /**
   * Keys whose count starts afresh. At a directory that locks by itself only what was counted before the lease was opened is
   * forgotten: a failure beside it may have been verified after the right password, and then it counts there.
   */
  readonly cleared: readonly string[]
  /** Keys that are half-open no longer. */
  readonly passed: readonly Place[]
  /** Whose source is familiar from now on: profiles, the name's first. */
  readonly familiar?: { readonly source: string; readonly profiles: readonly string[] }
  /** Whom the name was found to be: its profile and theirs. Without subjects it may be nobody's. */
  readonly resolved: { readonly name: string; readonly subjects: readonly string[] }
}

export const NOTHING_TO_END: Ending = {
  failed: [],
  cleared: [],
  passed: [],
  resolved: { name: '', subjects: [] },
}

/** A lock that holds. */
export interface HeldLock {
  readonly key: string
  readonly kind: LockKind
  readonly forMs: number
  /** The how-manyth in a row. */
  readonly tier: number
  /** Undefined where nobody has come by since a restart. */
  readonly note?: LockNote
}

/** Which counts an operator takes back; all that are named together, as one step. */
export type Pardon =
  /** Everything of these accounts and of the names and subjects they are linked with, from everywhere. */
  | { readonly of: 'account'; readonly profiles: readonly string[] }
  /** These sources and subnets, whatever the account. */
  | { readonly of: 'source'; readonly keys: readonly string[] }
  /** These pairs of an account and a source. */
  | { readonly of: 'pair'; readonly keys: readonly string[] }

export interface LockoutStore {
  /** Takes a place on every key, or on none. Opens a lease that holds the places. `note` is for whoever looks at a lock. */
  reserve(
    places: readonly Place[],
    note: LockNote,
  ): Promise<({ readonly outcome: 'reserved'; readonly lease: string } & Taken) | Refused>
  /** Takes further places for an open lease, all or none. A key that it holds already is free of charge. */
  extend(
    lease: string,
    places: readonly Place[],
    note: LockNote,
  ): Promise<({ readonly outcome: 'extended' } & Taken) | { readonly outcome: 'lease_over' } | Refused>
  /**
   * Gives back every place of the lease, counts and clears. Once only: on a lease that is over it does nothing.
   * A lease that nobody ends is over after `LEASE_MS` and counts as a failure on each of its keys, because its guess may
   * well have been verified. `locked`: this end set a lock that refuses.
   */
  end(lease: string, ending: Ending, note: LockNote): Promise<{ readonly locked: boolean }>
  /** Where each key stands, in their order. Changes nothing, also not which record is the next to go. */
  inspect(places: readonly Place[]): Promise<readonly (State & { readonly kind: LockKind })[]>
  /** Every lock that holds, at most `most`, longest first. Of names that are nobody's only the newest are known. */
  list(most: number): Promise<readonly HeldLock[]>
  /** Forgets counts and locks; the locks that it ended. Places that are held stay held. */
  pardon(pardon: Pardon): Promise<readonly HeldLock[]>
  report(): LockoutReport
  /** Lets go of what it holds outside of this process. Idempotent; never rejects. */
  close(): Promise<void>
}

/** Longer than any attempt can take. */
export const LEASE_MS = 60_000
/** A source stays familiar so long after its last login, and an account has so many of them; the oldest goes first. */
export const FAMILIAR_MS = 90 * 24 * 3_600_000
export const MOST_FAMILIAR = 20
/** Names that one subject is remembered by; the oldest goes first. */
export const MOST_NAMES = 32
/** New names that one source may bring in its window, whatever its limit: more are not remembered. */
export const MOST_NEW_NAMES = 50
