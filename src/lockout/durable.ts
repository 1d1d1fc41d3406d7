/** What of a record outlives its process. */
import type { LockKind } from '../authentication/lockout.ts'
import type { Saved } from './journal.ts'
import type { Entry } from './partition.ts'
import { fail, type Limit, type LockoutRecord } from './policy.ts'

/** Kinds that count guesses at one account; a source has many logins under way that are right. */
const OF_AN_ACCOUNT: ReadonlySet<LockKind> = new Set(['pair', 'unfamiliar', 'familiar', 'directory'])

export function isDurable({ failures, lock }: LockoutRecord): boolean {
  return failures.length > 0 || lock !== undefined
}

/**
 * Whether places are written down, too, as the failures that they may come to: or who makes the daemon crash has the guesses back
 * that were under way. A single login at an account without failures is none, and costs nothing.
 */
export function isSuspect({ kind, record }: Pick<Entry, 'kind' | 'record'>): boolean {
  const { inFlight } = record
  return OF_AN_ACCOUNT.has(kind) && inFlight.length > 0 && (isDurable(record) || inFlight.length > 1)
}

/**
 * @param limit that its places are under; without it they are left out
 * @returns undefined for what needs no row
 */
export function savedOf(
  entry: Pick<Entry, 'kind' | 'owner' | 'record'>,
  nowMs: number,
  limit?: Limit,
): (Saved & { readonly what: 'record' }) | undefined {
  const { kind, owner, record } = entry
  const feared = limit && isSuspect(entry) ? afterFailures(record, limit, nowMs) : record
  if (!isDurable(feared)) return undefined
  const { failures, lock } = feared
  return {
    what: 'record',
    kind,
    ...(owner !== undefined && { owner }),
    record: { failures, ...(lock && { lock }) },
  }
}

/** As if all that is under way had failed. */
function afterFailures(record: LockoutRecord, limit: Limit, nowMs: number): LockoutRecord {
  return record.inFlight.reduce((before, account) => fail(before, limit, nowMs, { account }).record, record)
}
