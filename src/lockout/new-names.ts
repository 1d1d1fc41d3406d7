import { isLocked, type LockoutRecord } from './policy.ts'
import { type Counter, MOST_NEW_NAMES } from './store.ts'

/**
 * Does this source bring more new names than are remembered? So that one source cannot fill the sketch: what it tries
 * beyond is charged to itself alone.
 *
 * @param source the account it tries is the name in question
 */
export function bringsTooManyNames(source: Counter, record: LockoutRecord, nowMs: number): boolean {
  if (isLocked(record, nowMs)) return true
  if (record.failures.length < MOST_NEW_NAMES) return false
  const accounts = new Set<string>()
  for (const { atMs, account } of record.failures) {
    if (atMs + source.limit.windowMs > nowMs) accounts.add(account)
  }
  return accounts.size >= MOST_NEW_NAMES && !accounts.has(source.account)
}
