/**
 * When one key is locked (lockout.md, Rules). A pure state machine: a record and the time go in, a record comes out.
 * Whether the key is an account or a source, and where records are kept, is not known here.
 *
 *                    admit: failures + in flight < maxAttempts, takes a place
 *                    fail: counted for windowMs     succeed: failures forgotten     leave: the place is given back
 *                      ┌───────┐
 *                      │       ▼
 *                   ┌──┴─────────────┐   fail, the maxAttempts-th within windowMs     ┌────────────────┐
 *      (no record)─▶│    counting    ├───────────────────────────────────────────────▶│     locked     │
 *                   └────────────────┘                                                └──┬──────────┬──┘
 *                           ▲                  durationMs is over                        │  ▲       │
 *                           └────────────────────────────────────────────────────────────┘  └───────┘
 *                             counting afresh; a half-open state with longer            admit: refused
 *                             and longer locks belongs between the two                  fail: not counted, not extended
 *                                                                                       succeed: still locked
 *
 * A place is held from `admit` until `leave`, whatever the state does meanwhile. Since a guess is only verified while
 * it holds a place, no more than maxAttempts wrong ones are verified within any min(windowMs, durationMs) without a
 * right one among them, however many come at once.
 */
import type { Standing } from '../authentication/lockout.ts'

/** How often one key may fail. All from the configuration. */
export interface Limit {
  /** 1 or more: this failure sets the lock. */
  readonly maxAttempts: number
  /** How long one failure counts, in milliseconds, above 0. */
  readonly windowMs: number
  /** How long a lock holds, in milliseconds, above 0. */
  readonly durationMs: number
}

/** What is remembered about one key. Times are monotonic milliseconds of one clock. */
export interface LockoutRecord {
  /** When each counted failure happened, oldest first; fewer than `maxAttempts`. */
  readonly failures: readonly number[]
  /** Places taken and not yet given back. */
  readonly inFlight: number
  readonly lockedUntilMs?: number
}

export const EMPTY: LockoutRecord = { failures: [], inFlight: 0 }

export type Admission =
  | { readonly outcome: 'admitted'; readonly record: LockoutRecord }
  /** `retryAfterMs` is above 0. */
  | { readonly outcome: 'locked'; readonly retryAfterMs: number }
  /** So many are in flight that one more could go beyond the limit. */
  | { readonly outcome: 'no_place' }

/** May one more guess be verified? Takes a place for it if so. A refusal changes nothing. */
export function admit(record: LockoutRecord, limit: Limit, nowMs: number): Admission {
  if (isLocked(record, nowMs)) return { outcome: 'locked', retryAfterMs: record.lockedUntilMs - nowMs }
  const failures = recent(record.failures, limit, nowMs)
  // Only where the limit was lowered while failures were remembered: as many must leave the window first.
  const surplus = failures[failures.length - limit.maxAttempts]
  if (surplus !== undefined) return { outcome: 'locked', retryAfterMs: surplus + limit.windowMs - nowMs }
  if (failures.length + record.inFlight >= limit.maxAttempts) return { outcome: 'no_place' }
  return { outcome: 'admitted', record: { failures, inFlight: record.inFlight + 1 } }
}

/** A guess was wrong. `locked` tells whether this very failure set the lock. */
export function fail(
  record: LockoutRecord,
  limit: Limit,
  nowMs: number,
): { readonly record: LockoutRecord; readonly locked: boolean } {
  if (isLocked(record, nowMs)) return { record, locked: false }
  const { inFlight } = record
  const failures = [...recent(record.failures, limit, nowMs), nowMs]
  if (failures.length < limit.maxAttempts) return { record: { failures, inFlight }, locked: false }
  return { record: { failures: [], inFlight, lockedUntilMs: nowMs + limit.durationMs }, locked: true }
}

/** A guess was right: the count starts afresh. A lock that was set meanwhile stays. */
export function succeed(record: LockoutRecord): LockoutRecord {
  return { ...record, failures: [] }
}

/** Gives one place back. */
export function leave(record: LockoutRecord): LockoutRecord {
  return { ...record, inFlight: Math.max(0, record.inFlight - 1) }
}

/** Where the record stands, for people to see. */
export function standing(record: LockoutRecord, limit: Limit, nowMs: number): Standing {
  const admission = admit(record, limit, nowMs)
  return {
    failures: recent(record.failures, limit, nowMs).length,
    limit: limit.maxAttempts,
    inFlight: record.inFlight,
    ...(admission.outcome === 'locked' && { lockedForMs: admission.retryAfterMs }),
  }
}

/** Must this record be kept, whoever else wants its room? */
export function isPinned(record: LockoutRecord, nowMs: number): boolean {
  return record.inFlight > 0 || isLocked(record, nowMs)
}

function isLocked(record: LockoutRecord, nowMs: number): record is LockoutRecord & { lockedUntilMs: number } {
  return record.lockedUntilMs !== undefined && record.lockedUntilMs > nowMs
}

function recent(failures: readonly number[], limit: Limit, nowMs: number): readonly number[] {
  const first = failures.findIndex(failedAt => failedAt + limit.windowMs > nowMs)
  return first === 0 ? failures : first === -1 ? [] : failures.slice(first)
}
