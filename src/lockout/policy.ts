/**
 * When one key is locked (lockout.md, Rules). A pure state machine: a record and the time go in, a record comes out.
 * Whether the key is an account or a source, and where records are kept, is not known here.
 *
 *               admit: failures + in flight < maxAttempts        fail: counted        leave: the place is given back
 *                  ┌───────┐
 *                  │       ▼
 *               ┌──┴─────────────┐   fail, the maxAttempts-th, or on the accounts-th account    ┌──────────────────┐
 * (no record)──▶│    counting    ├─────────────────────────────────────────────────────────────▶│      locked      │
 *               └────────────────┘                                                              │  admit: refused  │
 *                  ▲      ▲                                                                     │  fail: ignored   │
 *                  │      │ `afresh`: the lock is over                                          └──┬───────────────┘
 *                  │      ├────────────────────────────────────────────────────────────────────────┤        ▲
 *                  │      │                                                                        │        │ fail:
 *                  │      │ clear, or FORGET_MS later   ┌────────────────────────┐   `half_open`:  │        │ the next
 *                  │      └─────────────────────────────┤       half-open        │◀────────────────┘        │ of lockMs
 *                  └────────────────────────────────────┤  admit: one at a time  ├──────────────────────────┘
 *                    pass: the next lock is a longer    └────────────────────────┘
 *                    one all the same
 *
 * A place is held from `admit` until `leave`, whatever the state does meanwhile. Since a guess is only verified while
 * it holds a place, no more than maxAttempts wrong ones are verified within any min(windowMs, shortest lock) without a
 * right one among them, however many come at once.
 */

/** How often one key may fail. All from the configuration. */
export interface Limit {
  /** 1 or more: this failure sets the lock. */
  readonly maxAttempts: number
  /** Failures on so many different accounts set it, too. */
  readonly accounts?: number
  /** How long one failure counts, in milliseconds, above 0. */
  readonly windowMs: number
  /** Failures count until `windowMs` has passed without another one, as Active Directory counts ([MS-SAMR] section 3.1.1.9). */
  readonly sinceLast?: boolean
  /** How long the first lock in a row holds, the second, and so on, in milliseconds, above 0; the last one repeats. */
  readonly lockMs: readonly [number, ...number[]]
  /** So much longer or shorter, as a part of it in 0..1. */
  readonly jitter?: number
  /** What a lock leaves behind: one try, whose failure locks again, or a count that starts afresh. */
  readonly afterLock: 'half_open' | 'afresh'
}

/** How long a lock that has ended is remembered, so that the next one is longer, in milliseconds. */
export const FORGET_MS = 12 * 3_600_000

export interface Failure {
  readonly atMs: number
  /** On which account, where the limit tells them apart; else empty. */
  readonly account: string
}

export interface Lock {
  readonly untilMs: number
  /** The how-manyth in a row, from 1. */
  readonly tier: number
  /** A try after its end was right: no longer half-open. */
  readonly passed?: boolean
}

/** What is remembered about one key. Times are milliseconds of one clock. */
export interface LockoutRecord {
  /** Those that count, oldest first. */
  readonly failures: readonly Failure[]
  /** Places taken and not yet given back, each with its account. */
  readonly inFlight: readonly string[]
  /** The last one, also after its end. */
  readonly lock?: Lock
}

export const EMPTY: LockoutRecord = { failures: [], inFlight: [] }
const NOBODY: readonly string[] = EMPTY.inFlight
/** One place of a key that tells no accounts apart. */
const ALONE: readonly string[] = ['']

export type Refusal =
  /** `retryAfterMs` is above 0. */
  | { readonly outcome: 'locked'; readonly retryAfterMs: number }
  /** So many are in flight that one more could go beyond the limit. */
  | { readonly outcome: 'no_place' }

export type Admission = { readonly outcome: 'admitted'; readonly record: LockoutRecord } | Refusal

const NO_PLACE: Refusal = Object.freeze({ outcome: 'no_place' })

/** Why no further guess may be verified now; undefined if one may. */
export function refusalFor(
  record: LockoutRecord,
  limit: Limit,
  nowMs: number,
  account = '',
): Refusal | undefined {
  const { lock, inFlight } = record
  if (lock !== undefined && isLocked(record, nowMs)) {
    return { outcome: 'locked', retryAfterMs: lock.untilMs - nowMs }
  }
  const failures = recent(record.failures, limit, nowMs)
  const places = isHalfOpen(lock, limit, nowMs) ? 1 : limit.maxAttempts - failures.length
  // Only where the limit was lowered while failures were remembered.
  const surplusMs = surplusFor(failures, limit, nowMs)
  if (surplusMs > 0) return { outcome: 'locked', retryAfterMs: surplusMs }
  if (inFlight.length >= places) return NO_PLACE
  if (
    limit.accounts !== undefined &&
    // So few can't be too many.
    failures.length + inFlight.length + 1 > limit.accounts &&
    accountsOf(failures, [...inFlight, account]).size > limit.accounts
  ) {
    return NO_PLACE
  }
  return undefined
}

/** May one more guess be verified? Takes a place for it if so. A refusal changes nothing. */
export function admit(record: LockoutRecord, limit: Limit, nowMs: number, account = ''): Admission {
  const refusal = refusalFor(record, limit, nowMs, account)
  if (refusal !== undefined) return refusal
  const failures = recent(record.failures, limit, nowMs)
  return { outcome: 'admitted', record: enter({ ...record, failures }, account) }
}

/** Takes one place, whether or not there is one. */
export function enter(record: LockoutRecord, account = ''): LockoutRecord {
  const { failures, inFlight, lock } = record
  const entered = inFlight.length === 0 && account === '' ? ALONE : [...inFlight, account]
  return lock === undefined ? { failures, inFlight: entered } : { failures, inFlight: entered, lock }
}

/**
 * A guess was wrong. `locked` tells whether this very failure set the lock.
 *
 * @param random in 0..1, for the jitter
 */
export function fail(
  record: LockoutRecord,
  limit: Limit,
  nowMs: number,
  { account = '', random = 0.5 }: { readonly account?: string; readonly random?: number } = {},
): { readonly record: LockoutRecord; readonly locked: boolean } {
  if (isLocked(record, nowMs)) return { record, locked: false }
  const { lock, inFlight } = record
  const failures = [...recent(record.failures, limit, nowMs), { atMs: nowMs, account }]
  const isLast =
    isHalfOpen(lock, limit, nowMs) ||
    failures.length >= limit.maxAttempts ||
    (limit.accounts !== undefined &&
      failures.length >= limit.accounts &&
      accountsOf(failures, []).size >= limit.accounts)
  if (!isLast) return { record: { ...record, failures }, locked: false }
  const tier = isRemembered(lock, nowMs) ? lock.tier + 1 : 1
  const untilMs = nowMs + lockDuration(limit, tier, random)
  return { record: { failures: [], inFlight, lock: { untilMs, tier } }, locked: true }
}

/**
 * A guess was right: the count starts afresh. A lock that was set meanwhile stays.
 *
 * @param keepFromMs failures from then on stay, too
 */
export function clear(
  record: LockoutRecord,
  nowMs: number,
  keepFromMs = Number.POSITIVE_INFINITY,
): LockoutRecord {
  const { inFlight, lock } = record
  const failures = record.failures.filter(({ atMs }) => atMs >= keepFromMs)
  return { failures, inFlight, ...(lock && isLocked(record, nowMs) && { lock }) }
}

/** A guess was right where that clears nothing: a half-open key counts again, its next lock is still a longer one. */
export function pass(record: LockoutRecord, nowMs: number): LockoutRecord {
  const { lock } = record
  if (lock === undefined || lock.passed || isLocked(record, nowMs)) return record
  return { ...record, lock: { ...lock, passed: true } }
}

/** Gives one place back. */
export function leave(record: LockoutRecord, account = ''): LockoutRecord {
  const { failures, inFlight, lock } = record
  const index = inFlight.indexOf(account)
  if (index === -1) return record
  const left = inFlight.length === 1 ? NOBODY : inFlight.toSpliced(index, 1)
  return lock === undefined ? { failures, inFlight: left } : { failures, inFlight: left, lock }
}

/** Where one key stands, for people to see. */
export interface State {
  /** Counted within the window; 0 while locked, for the count then starts afresh. */
  readonly failures: number
  /** As many failures lock it; 1 where it is half-open. */
  readonly limit: number
  /** Attempts under way. */
  readonly inFlight: number
  /** Above 0, and only there while it is locked. */
  readonly lockedForMs?: number
}

export function stateOf(record: LockoutRecord, limit: Limit, nowMs: number): State {
  // As somebody who is in nobody's way.
  const admission = admit({ ...record, inFlight: [] }, limit, nowMs, record.failures[0]?.account)
  const halfOpen = isHalfOpen(record.lock, limit, nowMs)
  return {
    failures: recent(record.failures, limit, nowMs).length,
    limit: halfOpen ? 1 : limit.maxAttempts,
    inFlight: record.inFlight.length,
    ...(admission.outcome === 'locked' && { lockedForMs: admission.retryAfterMs }),
  }
}

/** Must this record be kept, whoever else wants its room? */
export function isPinned(record: LockoutRecord, nowMs: number): boolean {
  return record.inFlight.length > 0 || isLocked(record, nowMs)
}

/** Is there nothing left in it that could matter? */
export function isSpent({ failures, inFlight, lock }: LockoutRecord, nowMs: number): boolean {
  return failures.length === 0 && inFlight.length === 0 && !isRemembered(lock, nowMs)
}

export function isLocked({ lock }: LockoutRecord, nowMs: number): boolean {
  return lock !== undefined && lock.untilMs > nowMs
}

function isRemembered(lock: Lock | undefined, nowMs: number): lock is Lock {
  return lock !== undefined && lock.untilMs + FORGET_MS > nowMs
}

function isHalfOpen(lock: Lock | undefined, limit: Limit, nowMs: number): boolean {
  return limit.afterLock === 'half_open' && isRemembered(lock, nowMs) && !lock.passed && lock.untilMs <= nowMs
}

function lockDuration({ lockMs, jitter = 0 }: Limit, tier: number, random: number): number {
  const durationMs = lockMs[Math.min(tier, lockMs.length) - 1] ?? lockMs[0]
  return durationMs * (1 + jitter * (2 * random - 1))
}

function recent(failures: readonly Failure[], limit: Limit, nowMs: number): readonly Failure[] {
  if (failures.length === 0) return failures
  const counts = ({ atMs }: Failure) => atMs + limit.windowMs > nowMs
  if (limit.sinceLast) {
    const last = failures.at(-1)
    return last !== undefined && counts(last) ? failures : []
  }
  const first = failures.findIndex(counts)
  return first === 0 ? failures : first === -1 ? [] : failures.slice(first)
}

/** How long until no more failures count than the limit allows; 0 if they don't. */
function surplusFor(failures: readonly Failure[], limit: Limit, nowMs: number): number {
  const { maxAttempts, accounts, windowMs, sinceLast } = limit
  if (failures.length === 0) return 0
  let over = failures[failures.length - maxAttempts]
  if (accounts !== undefined && failures.length >= accounts && accountsOf(failures, []).size >= accounts) {
    over ??= failures[0]
  }
  if (over === undefined) return 0
  const since = sinceLast ? failures.at(-1) : over
  return (since?.atMs ?? nowMs) + windowMs - nowMs
}

function accountsOf(failures: readonly Failure[], more: readonly string[]): ReadonlySet<string> {
  const accounts = new Set(more)
  for (const { account } of failures) accounts.add(account)
  return accounts
}
