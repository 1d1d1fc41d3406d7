/** What the memory store writes down, so that a restart forgets no lock (lockout.md, Restart). Keys are HMACs: no names. */
import type { LockKind } from '../authentication/lockout.ts'
import type { Lock, LockoutRecord } from './policy.ts'

/** What is known of an account beside its counts. */
export interface Profile {
  /** Sources that it has logged in from, oldest first. */
  readonly familiar: readonly { readonly source: string; readonly untilMs: number }[]
  /** Of a name: the profiles of the subjects that it was found to be. */
  readonly subjects: readonly string[]
  /** Of a subject: the profiles of the names that it was found by, oldest first. */
  readonly names: readonly string[]
}

/** Every text in it is a key or a kind; `Failure.account` is a key, too. */
export type Saved =
  /** Its places are not saved: an attempt does not survive its process. */
  | {
      readonly what: 'record'
      readonly kind: LockKind
      readonly owner?: string
      readonly record: Omit<LockoutRecord, 'inFlight'>
    }
  | { readonly what: 'profile'; readonly profile: Profile }
  /** The lock of a name that may be nobody's; of the newest ones only, so that a flood of names fills no disk. */
  | { readonly what: 'unresolved'; readonly kind: LockKind; readonly owner?: string; readonly lock: Lock }

/** All times are milliseconds of the process's monotonic clock; how they are written down is the journal's business. */
export interface Journal {
  /** Everything that may still matter, by key. Never throws: what cannot be read is missing, and the log says so. */
  load(): ReadonlyMap<string, Saved>
  /** Remembers to write this, or to forget the key. */
  put(key: string, saved: Saved | undefined): void
  /** Writes what is to be written, before a reply goes out. What cannot be written now is kept and tried again. Never throws. */
  flush(): void
  /** Idempotent. */
  close(): void
}

/** Where nothing can be written down: a restart forgets. */
export const noJournal: Journal = { load: () => new Map(), put() {}, flush() {}, close() {} }
