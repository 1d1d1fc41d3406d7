import type { LockKind, LockNote } from '../authentication/lockout.ts'
import { isDurable, isSuspect, savedOf } from './durable.ts'
import { isExact, isRecorded, isSketched } from './exact.ts'
import { heldLock, namedOf } from './held-lock.ts'
import type { Journal } from './journal.ts'
import { createPartition, type Entry, type Kept, type Partition, partitionOf } from './partition.ts'
import * as policy from './policy.ts'
import type { Counter, HeldLock } from './store.ts'
import { createUnresolved, type NamedLock, type Unresolved } from './unresolved.ts'

/** What there is of a key that nothing is kept of. */
const NO_ENTRY: Pick<Entry, 'exactUntilMs' | 'keepUntilMs' | 'note'> = {}

/**
 * The counts of each key: exact ones in partitions, those of names that may be nobody's in a sketch. Where there is an
 * exact count it alone holds, and all that happens goes there.
 */
export interface Counts {
  readonly partitions: readonly [accounts: Partition, pairs: Partition, sources: Partition]
  readonly unresolved: Unresolved
  /** @param looks changes nothing, also not which record is the next to go */
  read(counter: Counter, nowMs: number, looks?: 'only looks'): policy.LockoutRecord
  /** What is kept of it. */
  find(counter: Counter): Kept | undefined
  /** What is counted on it. @param entry as `find` gives it */
  recordOf(counter: Counter, entry: Kept | undefined, nowMs: number): policy.LockoutRecord
  /** Takes a place, whether or not there is one. @param entry as `find` gives it */
  enter(counter: Counter, entry: Kept | undefined, nowMs: number): void
  leave(counter: Counter, nowMs: number): void
  /**
   * Counts a failure. Did it set a lock?
   *
   * @param how.resolved the name is somebody's
   * @param how.forgotten a name that may be nobody's is not counted
   */
  fail(
    counter: Counter,
    nowMs: number,
    how: { readonly resolved: boolean; readonly forgotten: boolean; readonly note: LockNote },
  ): boolean
  pass(counter: Counter, nowMs: number): void
  /** The name was found to be somebody's: what the sketch has counted is theirs from now on. */
  adopt(counter: Counter, nowMs: number): void
  /**
   * @param held the counter of this key, where it is known
   * @param startedAtMs when the attempt that was right began
   */
  clear(key: string, held: Counter | undefined, startedAtMs: number, nowMs: number): void
  /** Somebody came by while it was locked. */
  remark(counter: Counter, note: LockNote, nowMs: number): void
  /**
   * Forgets failures and the lock; places stay. The lock, where it held.
   *
   * @param mayBeNobodys whether the sketch may know of it
   */
  pardon(key: string, mayBeNobodys: boolean, nowMs: number): HeldLock | undefined
  /** Keys of these owners, as far as they are known. */
  ownedBy(owners: ReadonlySet<string>): ReadonlySet<string>
  locks(nowMs: number): Generator<HeldLock>
  restore(key: string, entry: Omit<Entry, 'note'>, nowMs: number): void
}

/**
 * @param options.bytes for the accounts, the pairs, sources with subnets, and names that may be nobody's
 * @param options.random in 0..1, for the jitter of locks
 */
export function createCounts(options: {
  readonly bytes: Readonly<Record<'accounts' | 'pairs' | 'sources' | 'unresolved', number>>
  readonly journal: Pick<Journal, 'put'>
  readonly random: () => number
}): Counts {
  const { bytes, journal, random } = options
  const unresolved = createUnresolved(bytes.unresolved, key => journal.put(key, undefined))
  const partitions = [
    createPartition(bytes.accounts, onEvict),
    createPartition(bytes.pairs, onEvict),
    createPartition(bytes.sources, onEvict),
  ] as const
  const at = (kind: LockKind) => partitions[partitionOf(kind)]

  function onEvict(key: string, { record }: Entry): void {
    if (isDurable(record)) journal.put(key, undefined)
  }

  function read(counter: Counter, nowMs: number, looks?: 'only looks'): policy.LockoutRecord {
    return recordOf(counter, at(counter.kind).find(counter.key, looks), nowMs)
  }

  function recordOf(counter: Counter, entry: Entry | undefined, nowMs: number): policy.LockoutRecord {
    if (isRecorded(counter, entry, nowMs)) return entry?.record ?? policy.EMPTY
    const { failures, lock } = unresolved.read(counter.key, counter.limit, nowMs)
    const inFlight = entry?.record.inFlight ?? policy.EMPTY.inFlight
    if (failures.length === 0 && lock === undefined) {
      return entry === undefined ? policy.EMPTY : { failures, inFlight }
    }
    return { failures, inFlight, ...(lock && { lock }) }
  }

  /** From now on exact, and written down. */
  function write(
    { key, kind, owner }: Pick<Counter, 'key' | 'kind' | 'owner'>,
    entry: Pick<Entry, 'record' | 'exactUntilMs' | 'keepUntilMs' | 'note'>,
    nowMs: number,
    before: Kept | undefined,
  ): void {
    unresolved.forgetLock(key)
    at(kind).keep(key, { ...entry, kind, owner }, nowMs, before)
    journal.put(key, savedOf({ kind, owner, record: entry.record }, nowMs))
  }

  /** Without failures and lock, though the sketch remembers some. */
  function empty(
    counter: Pick<Counter, 'key' | 'kind' | 'owner'>,
    entry: Kept | undefined,
    forgottenAtMs: number | undefined,
    nowMs: number,
  ): void {
    const untilMs = Math.max(entry?.exactUntilMs ?? nowMs, forgottenAtMs ?? nowMs)
    const record = { failures: [], inFlight: entry?.record.inFlight ?? [] }
    write(counter, { record, ...(untilMs > nowMs && { exactUntilMs: untilMs }) }, nowMs, entry)
  }

  function findAnywhere(key: string): Kept | undefined {
    for (const partition of partitions) {
      const entry = partition.find(key, 'only looks')
      if (entry !== undefined) return entry
    }
    return undefined
  }

  return {
    partitions,
    unresolved,
    read,
    find: ({ key, kind }) => at(kind).find(key),
    recordOf,

    enter(counter, found, nowMs) {
      const { key, kind, owner, account, limit } = counter
      const partition = at(kind)
      // What was there may have been unpinned since, and pushed out; what was not is not there now either.
      const before = found && partition.find(key)
      const { exactUntilMs, keepUntilMs, note } = before ?? NO_ENTRY
      const record = policy.enter(before?.record ?? policy.EMPTY, account)
      const entered: Entry = { kind, owner: before?.owner ?? owner, record, exactUntilMs, keepUntilMs, note }
      partition.keep(key, entered, nowMs, before)
      if (isSuspect(entered) && isRecorded(counter, before, nowMs))
        journal.put(key, savedOf(entered, nowMs, limit))
    },

    leave(counter, nowMs) {
      const { key, kind, account, limit } = counter
      const partition = at(kind)
      const entry = partition.find(key)
      if (entry === undefined) return
      const { owner, exactUntilMs, keepUntilMs, note } = entry
      const record = policy.leave(entry.record, account)
      const left: Entry = { kind: entry.kind, owner, record, exactUntilMs, keepUntilMs, note }
      partition.keep(key, left, nowMs, entry)
      if (isSuspect(entry) && isRecorded(counter, entry, nowMs)) journal.put(key, savedOf(left, nowMs, limit))
    },

    fail(counter, nowMs, { resolved, forgotten, note }) {
      const { key, kind, owner, limit, account } = counter
      const entry = at(kind).find(key)
      const before = recordOf(counter, entry, nowMs)
      const { record, locked } = policy.fail(before, limit, nowMs, { account, random: random() })
      if (record === before) return false
      if (resolved || isRecorded(counter, entry, nowMs)) {
        const exactUntilMs = entry?.exactUntilMs
        const more = {
          ...(exactUntilMs !== undefined && { exactUntilMs }),
          // A directory forgets nothing because we did: what counts there is kept like a lock.
          ...(kind === 'directory' && { keepUntilMs: nowMs + limit.windowMs }),
          ...(locked && { note }),
        }
        write(counter, { record, ...more }, nowMs, entry)
        return locked
      }
      if (forgotten) return false
      if (record.lock === undefined || !locked) unresolved.fail(key, limit.windowMs, nowMs)
      else {
        const { lock } = record
        unresolved.lock(key, { kind, ...(owner !== undefined && { owner }), lock, note })
        journal.put(key, { what: 'unresolved', kind, ...(owner !== undefined && { owner }), lock })
      }
      return locked
    },

    pass(counter, nowMs) {
      const entry = at(counter.kind).find(counter.key)
      const before = recordOf(counter, entry, nowMs)
      const record = policy.pass(before, nowMs)
      if (record !== before) write(counter, { ...entry, record }, nowMs, entry)
    },

    adopt(counter, nowMs) {
      if (!isSketched(counter)) return
      const entry = at(counter.kind).find(counter.key)
      if (isExact(entry, nowMs)) return
      const record = recordOf(counter, entry, nowMs)
      if (isDurable(record)) write(counter, { ...entry, record }, nowMs, entry)
    },

    clear(key, held, startedAtMs, nowMs) {
      const entry = held === undefined ? findAnywhere(key) : at(held.kind).find(key)
      const { kind, owner } = held ?? entry ?? { kind: 'pair' }
      const mayBeSketched = held === undefined || isSketched(held)
      const sketchedLock = mayBeSketched && !isExact(entry, nowMs) ? unresolved.lockOf(key, nowMs) : undefined
      const lock = sketchedLock ?? entry?.record.lock
      if (lock !== undefined && lock.untilMs > nowMs) return
      if (kind === 'directory') {
        // The directory may have counted the failure of an attempt beside this one after it had started afresh.
        if (entry === undefined) return
        const record = policy.clear(entry.record, nowMs, startedAtMs)
        write({ key, kind, owner }, { ...entry, record }, nowMs, entry)
        return
      }
      const forgottenAtMs = mayBeSketched ? unresolved.forgottenAtMs(key, nowMs) : undefined
      if (isExact(entry, nowMs) || forgottenAtMs !== undefined) {
        empty({ key, kind, owner }, entry, forgottenAtMs, nowMs)
      }
    },

    remark({ key, kind }, note, nowMs) {
      const partition = at(kind)
      const entry = partition.find(key, 'only looks')
      if (entry !== undefined && policy.isLocked(entry.record, nowMs)) {
        partition.keep(key, { ...entry, note }, nowMs, entry)
      } else unresolved.remark(key, note)
    },

    pardon(key, mayBeNobodys, nowMs) {
      const entry = findAnywhere(key)
      const forgottenAtMs = mayBeNobodys ? unresolved.forgottenAtMs(key, nowMs) : undefined
      const isOurs = !mayBeNobodys || isExact(entry, nowMs)
      const named = isOurs ? entry && namedOf(entry) : unresolvedLock(key, nowMs)
      if (entry === undefined && forgottenAtMs === undefined) return undefined
      const { kind, owner } = entry ?? named ?? { kind: 'pair' }
      empty({ key, kind, owner }, entry, forgottenAtMs, nowMs)
      return named && heldLock(key, named, nowMs)
    },

    ownedBy(owners) {
      const keys = new Set<string>()
      const isOurs = ({ owner }: { readonly owner?: string }) => owner !== undefined && owners.has(owner)
      for (const partition of partitions) {
        for (const [key, entry] of partition.entries()) if (isOurs(entry)) keys.add(key)
      }
      for (const [key, named] of unresolved.named()) if (isOurs(named)) keys.add(key)
      return keys
    },

    *locks(nowMs) {
      for (const partition of partitions) {
        for (const [key, entry] of partition.pinned.entries()) {
          const named = namedOf(entry)
          const held = named && heldLock(key, named, nowMs)
          if (held !== undefined) yield held
        }
      }
      for (const [key, named] of unresolved.named()) {
        const held = heldLock(key, named, nowMs)
        if (held !== undefined) yield held
      }
    },

    restore(key, entry, nowMs) {
      const partition = at(entry.kind)
      partition.keep(key, entry, nowMs, partition.find(key))
    },
  }

  function unresolvedLock(key: string, nowMs: number): NamedLock | undefined {
    const named = unresolved.find(key)
    const lock = unresolved.lockOf(key, nowMs)
    return named ?? (lock && { kind: 'pair', lock })
  }
}
