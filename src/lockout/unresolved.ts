import { LRUCache } from 'lru-cache'
import type { LockKind, LockNote } from '../authentication/lockout.ts'
import { bytesOfNote } from './partition.ts'
import { type Failure, FORGET_MS, type Limit, type Lock, type LockoutRecord } from './policy.ts'
import { createSketch, type Mark } from './sketch.ts'

/** A lock that a name that may be nobody's has got. */
export interface NamedLock {
  readonly kind: LockKind
  readonly owner?: string
  readonly lock: Lock
  readonly note?: LockNote
  /** Failures before it count no longer. Undefined after a restart: there were none. */
  readonly mark?: Mark
}

/**
 * Counts of names that may be nobody's, in a fixed room, so that no flood of them pushes out anything of somebody's.
 * Of the newest locks it is known whose they are.
 */
export interface Unresolved {
  /** What is counted on this key, as policy.ts wants it: at worst more than there was. */
  read(key: string, limit: Limit, nowMs: number): Pick<LockoutRecord, 'failures' | 'lock'>
  fail(key: string, windowMs: number, nowMs: number): void
  lock(key: string, lock: Omit<NamedLock, 'mark'>): void
  /** Who came by, where the lock is one of the newest. */
  remark(key: string, note: LockNote): void
  /** The newest locks, also after their end. */
  named(): IterableIterator<readonly [key: string, lock: NamedLock]>
  find(key: string): NamedLock | undefined
  /** From now on a record tells of this key. */
  forgetLock(key: string): void
  /** When all that is known of this key will be forgotten; undefined if nothing is known. */
  forgottenAtMs(key: string, nowMs: number): number | undefined
  lockOf(key: string, nowMs: number): Lock | undefined
  size(): number
  bytes(): number
}

const MOST_NAMED = 1_000
const NAMED_BYTES = 700

/**
 * @param bytes three quarters of it for the sketch
 * @param onForget told of each lock that is no longer one of the newest
 */
export function createUnresolved(bytes: number, onForget: (key: string) => void): Unresolved {
  const sketch = createSketch(bytes * 0.75)
  /** In the order in which somebody last came by. */
  const newest = new LRUCache<string, NamedLock>({
    max: MOST_NAMED,
    maxSize: Math.floor(bytes * 0.25),
    sizeCalculation: ({ note }) => NAMED_BYTES + (note === undefined ? 0 : bytesOfNote(note)),
    dispose(_, key, reason) {
      if (reason === 'evict') onForget(key)
    },
  })

  function failuresOf(key: string, lock: Lock | undefined, limit: Limit, nowMs: number): readonly Failure[] {
    // Half-open, one failure locks whatever was counted before.
    if (lock !== undefined && (lock.untilMs > nowMs || limit.afterLock === 'half_open')) return []
    const named = newest.peek(key)
    const after = named?.lock.untilMs === lock?.untilMs ? (named?.mark ?? lock?.untilMs) : lock?.untilMs
    const length = Math.min(limit.maxAttempts, sketch.estimate(key, limit.windowMs, nowMs, after))
    return length === 0 ? [] : Array.from({ length }, () => ({ atMs: nowMs, account: '' }))
  }

  function lockOf(key: string, nowMs: number): Lock | undefined {
    const lock = sketch.lockOf(key)
    return lock !== undefined && lock.untilMs + FORGET_MS > nowMs ? lock : undefined
  }

  return {
    read(key, limit, nowMs) {
      const lock = lockOf(key, nowMs)
      return { failures: failuresOf(key, lock, limit, nowMs), ...(lock && { lock }) }
    },
    fail: sketch.add,
    lock(key, named) {
      newest.delete(key)
      newest.set(key, { ...named, mark: sketch.mark(key) })
      sketch.lock(key, named.lock)
    },
    remark(key, note) {
      const named = newest.peek(key)
      if (named !== undefined) newest.set(key, { ...named, note })
    },
    *named() {
      yield* [...newest.entries()]
    },
    find: key => newest.peek(key),
    forgetLock: key => newest.delete(key),
    forgottenAtMs(key, nowMs) {
      const lock = lockOf(key, nowMs)
      const countsUntilMs = sketch.countsUntilMs()
      const counts = countsUntilMs > nowMs && sketch.estimate(key, Number.POSITIVE_INFINITY, nowMs) > 0
      if (lock === undefined) return counts ? countsUntilMs : undefined
      return Math.max(countsUntilMs, lock.untilMs + FORGET_MS)
    },
    lockOf,
    size: () => newest.size,
    bytes: () => sketch.bytes + newest.calculatedSize,
  }
}
