import { LRUCache } from 'lru-cache'
import { createInFlight, type InFlight } from '../authentication/in-flight.ts'
import type { LockKind, LockNote } from '../authentication/lockout.ts'
import { isLocked, isPinned, isSpent, type LockoutRecord } from './policy.ts'

/** What the memory store keeps of one key. */
export interface Entry {
  readonly kind: LockKind
  readonly owner?: string | undefined
  readonly record: LockoutRecord
  /** Until then this alone tells of the key, whatever the sketch says. */
  readonly exactUntilMs?: number | undefined
  /** Until then nothing pushes its failures out. */
  readonly keepUntilMs?: number | undefined
  /** While it is locked. */
  readonly note?: LockNote | undefined
}

/** What is kept, and whether nothing pushes it out. */
export interface Kept extends Entry {
  readonly isPinned: boolean
}

/** Records of one sort, within a fixed room. */
export interface Partition {
  /** All that is pinned: nothing pushes it out. */
  readonly pinned: Pick<InFlight<string, Kept>, 'entries'>
  /** @param looks changes nothing, also not which record is the next to go */
  find(key: string, looks?: 'only looks'): Kept | undefined
  /** @param before what is kept of this key, as `find` gives it */
  keep(key: string, entry: Entry, nowMs: number, before: Kept | undefined): void
  /** Unpins what is locked no longer. */
  sweep(nowMs: number): void
  entries(): IterableIterator<readonly [key: string, entry: Entry]>
  /** 0 where there is no pinned record, 1 where they fill their half, beyond 1 only with records that had to be kept. */
  fullness(moreBytes?: number): number
  size(): number
  bytes(): number
}

const PARTITION: Readonly<Record<LockKind, 0 | 1 | 2>> = {
  unfamiliar: 0,
  familiar: 0,
  directory: 0,
  pair: 1,
  source: 2,
  subnet: 2,
}

/** Where records of this kind are kept: 0 with the accounts, 1 with the pairs, 2 with the sources. */
export function partitionOf(kind: LockKind): 0 | 1 | 2 {
  return PARTITION[kind]
}

/** Upper bounds of what V8 needs; test/lockout/memory-store.test.ts measures it. */
const ENTRY_BYTES = 600
const FAILURE_BYTES = 90
const ACCOUNT_BYTES = 70
/** With its part of a lease. A place becomes at most a failure, so an attempt that was let in needs no more later. */
const PLACE_BYTES = 500
const LOCK_BYTES = 80
const NOTE_BYTES = 200

/**
 * Half of the room is for records that only count failures, least recently used first to go. The other half is for
 * those that are locked, have attempts in flight or count at a directory that locks by itself.
 *
 * @param onEvict told of each record that is pushed out
 */
export function createPartition(bytes: number, onEvict: (key: string, entry: Entry) => void): Partition {
  const pinnedBudget = Math.floor(bytes / 2)
  const pinned = createInFlight<string, Kept>()
  let pinnedBytes = 0
  const counting = new LRUCache<string, Kept>({
    maxSize: Math.ceil(bytes / 2),
    sizeCalculation: bytesOf,
    dispose(entry, key, reason) {
      if (reason === 'evict') onEvict(key, entry)
    },
  })

  function keep(key: string, entry: Entry, nowMs: number, before: Kept | undefined): void {
    if (before?.isPinned) pinnedBytes -= bytesOf(before)
    if (mustStay(entry, nowMs)) {
      if (before?.isPinned === false) counting.delete(key)
      const kept = asKept(entry, true, hasRoomForNote(entry, nowMs))
      pinned.set(key, kept)
      pinnedBytes += bytesOf(kept)
      return
    }
    if (before?.isPinned) pinned.delete(key)
    if (!isSpent(entry.record, nowMs) || (entry.exactUntilMs ?? nowMs) > nowMs) {
      counting.set(key, asKept(entry, false, false))
    } else if (before?.isPinned === false) {
      counting.delete(key)
    }
  }

  /** Who set a lock is good to know, not worth going beyond the budget. */
  function hasRoomForNote(entry: Entry, nowMs: number): boolean {
    if (entry.note === undefined) return false
    return isLocked(entry.record, nowMs) && pinnedBytes + bytesOf(entry) <= pinnedBudget
  }

  return {
    pinned,
    keep,
    find: (key, looks) => pinned.get(key) ?? (looks ? counting.peek(key) : counting.get(key)),
    sweep(nowMs) {
      for (const [key, entry] of pinned.entries()) {
        if (!mustStay(entry, nowMs)) keep(key, entry, nowMs, entry)
      }
    },
    *entries() {
      // Copies, because who looks may keep.
      yield* [...pinned.entries()]
      yield* [...counting.entries()]
    },
    fullness: (moreBytes = 0) => (pinnedBytes + moreBytes) / pinnedBudget,
    size: () => pinned.size + counting.size,
    bytes: () => pinnedBytes + counting.calculatedSize,
  }
}

/** So many bytes would be pinned in addition if this key got one place more. */
export function costOfPlace(entry: Kept | undefined): number {
  if (entry?.isPinned) return PLACE_BYTES
  return PLACE_BYTES + (entry === undefined ? ENTRY_BYTES : bytesOf(entry))
}

function mustStay({ record, keepUntilMs }: Entry, nowMs: number): boolean {
  const keeps = record.failures.length > 0 && keepUntilMs !== undefined && keepUntilMs > nowMs
  return keeps || isPinned(record, nowMs)
}

function bytesOf({ record: { failures, inFlight, lock }, note }: Entry): number {
  return (
    ENTRY_BYTES +
    failures.length * (FAILURE_BYTES + (failures[0]?.account ? ACCOUNT_BYTES : 0)) +
    inFlight.length * PLACE_BYTES +
    (lock === undefined ? 0 : LOCK_BYTES) +
    (note === undefined ? 0 : bytesOfNote(note))
  )
}

export function bytesOfNote({ name = '', subject = '', address, caller }: LockNote): number {
  // Two bytes per UTF-16 code unit where a single one is beyond Latin-1.
  return NOTE_BYTES + 2 * (name.length + subject.length + address.length + caller.length)
}

/** Always of one shape: entries are looked at all the time. */
function asKept(
  { kind, owner, record, exactUntilMs, keepUntilMs, note }: Entry,
  isPinned: boolean,
  withNote: boolean,
): Kept {
  return { kind, owner, record, exactUntilMs, keepUntilMs, note: withNote ? note : undefined, isPinned }
}
