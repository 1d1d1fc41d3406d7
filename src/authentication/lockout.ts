/**
 * What the authenticator and the operators need of the lockout (lockout.md). Promises, because a store may be shared by
 * several replicas; the memory store does each step synchronously inside.
 */

/** Who asks, for counting. */
export interface Asker {
  /** The normalised name, `Username.text`. */
  readonly name: string
  /** The end user's address in the canonical text of `http/address.ts`: dotted IPv4, or eight IPv6 groups. */
  readonly address: string
  /** The calling app, for whoever looks at a lock. */
  readonly caller: string
  /**
   * 16 bits of a keyed hash of the password, 0..65535: the same wrong one again is charged to the account once. Undefined
   * where nobody tries one.
   */
  readonly passwordTag?: () => number
}

export type Refusal =
  /** Locked: nothing is verified until then. `retryAfterMs` is above 0. `blocked`: nobody is let in from there, by configuration. */
  | {
      readonly admitted: false
      readonly reason: 'locked'
      readonly retryAfterMs: number
      readonly blocked?: true
    }
  /** No place came free within the wait: charged to nobody. */
  | { readonly admitted: false; readonly reason: 'busy' }
  /** The counts are out of reach, and the configuration wants nothing verified then. */
  | { readonly admitted: false; readonly reason: 'unavailable' }

/** `ignored`: a lock that is only watched would have refused. */
export type Reservation =
  | { readonly admitted: true; readonly lease: Lease; readonly ignored: boolean }
  | Refusal

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

/** When a directory locks an account by itself (lockout.md, AD shield). */
export interface Ceiling {
  /** So many wrong passwords lock it there, 1 or more. */
  readonly threshold: number
  /** It forgets them so long after the last one, in milliseconds. */
  readonly windowMs: number
}

/** The places one attempt holds. Ends with exactly one of `commit` and `release`. */
export interface Lease {
  /**
   * Takes a place for a subject found on the way, before its secret is checked. Asking twice for one subject is free.
   *
   * @param ceiling where the secret is about to go to a directory that locks by itself: kept below it
   */
  claim(subject: string, ceiling?: Ceiling): Promise<{ readonly admitted: true } | Refusal>
  /** Gives every place back and charges failures. `locked` tells whether this commit set a lock. */
  commit(charge: Charge): Promise<{ readonly locked: boolean }>
  /** Gives every place back and charges nobody. */
  release(): Promise<void>
}

/** What is counted together (lockout.md, Keys). */
export type LockKind =
  /** One account from one source. */
  | 'pair'
  /** One account from all sources that it has never logged in from. */
  | 'unfamiliar'
  /** One account from all sources that it has logged in from. */
  | 'familiar'
  /** One source, whatever the account. */
  | 'source'
  /** The network around it. */
  | 'subnet'
  /** One account at a directory that locks by itself. */
  | 'directory'

/** Where one key stands. */
export interface Standing {
  readonly kind: LockKind
  /** Counted within the window; 0 while locked, for the count then starts afresh. */
  readonly failures: number
  /** As many failures lock it. */
  readonly limit: number
  /** Attempts under way. */
  readonly inFlight: number
  /** Above 0, and only there while it is locked. */
  readonly lockedForMs?: number
  /** Counted and reported: its lock refuses nobody. */
  readonly watched?: true
}

export interface Standings {
  /** The name before resolution: from this source, and from all like it. */
  readonly name: readonly Standing[]
  /** The source and its subnet, whatever the account; empty where neither is counted. A blocked one has a limit of 0. */
  readonly source: readonly Standing[]
  /** The subject, where one was asked about. */
  readonly subject: readonly Standing[]
}

export interface Lockout {
  /** Looks, and changes nothing: no place is taken, no record made, none kept longer. */
  inspect(asker: Pick<Asker, 'name' | 'address'>, subject?: string): Promise<Standings>
  /** One atomic step: admitted only if for every key failures + in flight < limit. Waits a bounded time for a place. */
  reserve(asker: Asker): Promise<Reservation>
  /** For operators. */
  readonly desk: LockoutDesk
}

/** What is known of who set a lock: the last one who came by. */
export interface LockNote {
  /** The normalised name; shown only where it is somebody's, for it may be a password in the wrong box. */
  readonly name?: string
  /** `<backend id>:<stable id>` */
  readonly subject?: string
  readonly address: string
  readonly caller: string
}

export interface LockEntry {
  readonly kind: LockKind
  readonly lockedForMs: number
  /** The how-manyth lock in a row. */
  readonly tier: number
  /** Undefined after a restart, until somebody comes by. */
  readonly note?: LockNote
  /** Counted and reported: it refuses nobody. */
  readonly watched?: true
}

/** What to take back. An account by any of its names and subjects; with an address only what comes from there. */
export type UnlockRequest =
  | { readonly names: readonly string[]; readonly subjects: readonly string[]; readonly address?: string }
  | { readonly address: string }

export interface LockoutDesk {
  /** Locks that hold, longest first. */
  list(most: number): Promise<readonly LockEntry[]>
  /** Forgets counts and locks; the locks that it ended. Idempotent. */
  unlock(request: UnlockRequest): Promise<readonly LockEntry[]>
}

/** How full the store of the counts is, and what it holds. */
export interface LockoutReport {
  /** Records by where they are kept. */
  readonly records: Readonly<Record<string, number>>
  /** Undefined for memory that is not this process's. */
  readonly bytes?: number
  readonly budgetBytes?: number
  readonly locked: Readonly<Partial<Record<LockKind, number>>>
  /** Refusing whom it does not know, because it is full of what must be kept. */
  readonly underAttack: boolean
  /** False while a shared store is away. */
  readonly reachable: boolean
}
