/** What operators ask and are told about locks. */
import type { FoundSubjects } from './find-subjects.ts'
import type { LockKind } from './lockout.ts'
import type { LockoutState } from './standings.ts'

/** The most locks that anybody is shown, or that are searched for somebody's. */
export const MOST_LOCKS = 10_000

/** A lock as operators see it. Of a lock on a source, who is the last one that came by. */
export interface Lock {
  readonly kind: LockKind
  /** The normalised name, only where it is somebody's: else it may be a password in the wrong box. */
  readonly user?: string
  /** What the log of attempts calls the name. */
  readonly userHash?: string
  /** `<backend id>:<stable id>` */
  readonly subject?: string
  readonly address?: string
  /** Id of the app. */
  readonly caller?: string
  /** The how-manyth lock in a row. */
  readonly tier: number
  readonly forMs: number
  /** By the wall clock, in milliseconds since the Unix epoch. */
  readonly until: number
  /** Counted and reported: it refuses nobody. */
  readonly watched?: true
}

export interface LockList {
  /** Longest first. */
  readonly locks: readonly Lock[]
  /** There are more than were asked for. */
  readonly more: boolean
}

/** Whom a name means. */
export interface Person extends FoundSubjects {
  /** Normalised. */
  readonly name: string
}

/** `problem` is a predicate in one line, as in `NormalisedUsername`. */
export type InvalidName = { readonly ok: false; readonly problem: string }

export interface ShowRequest {
  /** In any spelling, an alias, a UPN or an e-mail address. */
  readonly user?: string
  /** Canonical. */
  readonly address?: string
}

export interface Shown {
  readonly ok: true
  readonly person?: Person
  /** Only for an address: most counts are one per source. */
  readonly standings?: LockoutState
  /** Those that hold, as far as it is known whom they concern. */
  readonly locks: readonly Lock[]
}

export interface UnlockOrder extends ShowRequest {
  readonly requestId: string
  /** Who the operator claims to be. */
  readonly operator?: string
  /** `<backend id>:<stable id>` */
  readonly subject?: string
}

export interface Unlocked {
  readonly ok: true
  readonly person?: Person
  /** What held until now. */
  readonly ended: readonly Lock[]
}

/** Each rejects with UnavailableError while the locks are out of reach. */
export interface LockDesk {
  /** @param most 1 or more */
  list(most: number): Promise<LockList>
  /** One of `user` and `address` at least; a TypeError without. */
  show(request: ShowRequest): Promise<Shown | InvalidName>
  /**
   * Everything of a user or a subject; with an address only what comes from there; an address alone is that source and
   * its subnet. Idempotent. A backend that cannot be asked does not stop it. Without any of the three a TypeError.
   */
  unlock(order: UnlockOrder): Promise<Unlocked | InvalidName>
}
