/** Which tells of a key: its record, or the sketch of names that may be nobody's. */
import { isDurable } from './durable.ts'
import type { Entry } from './partition.ts'
import type { Counter } from './store.ts'

/** A window that starts again with each failure is nothing for slices of time. */
export function isSketched({ unresolved, limit }: Counter): boolean {
  return unresolved === true && limit.sinceLast !== true
}

/** Whether a record tells of this key, whatever the sketch says. */
export function isRecorded(counter: Counter, entry: Entry | undefined, nowMs: number): boolean {
  return !isSketched(counter) || isExact(entry, nowMs)
}

export function isExact(entry: Entry | undefined, nowMs: number): boolean {
  return entry !== undefined && (isDurable(entry.record) || (entry.exactUntilMs ?? nowMs) > nowMs)
}
