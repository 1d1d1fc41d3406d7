import { LRUCache } from 'lru-cache'
import type { Clock } from '../authentication/clock.ts'
import type { Log } from '../authentication/log.ts'
import {
  admit,
  EMPTY,
  fail,
  isPinned,
  type Limit,
  type LockoutRecord,
  leave,
  standing,
  succeed,
} from './policy.ts'
import { type Counter, LEASE_MS, type LockoutStore, type Refused } from './store.ts'

/** A full table is searched for locks that have ended at most this often: it takes milliseconds. */
const SWEEP_EVERY_MS = 1_000

/** The alarm may ring again once this part of the table has come free. */
const ROOM_AGAIN = 0.1

/**
 * Records in this process. Each step runs to its end before any other: that is what makes it atomic.
 *
 * Half of `maxEntries` is for records that only count failures, least recently used first to go. The other half is for
 * those that are locked or have attempts in flight: nothing pushes them out. When it is full, attempts that would need
 * more are refused until locks end (lockout.md, Memory and eviction).
 *
 * @param options.maxEntries at least 2
 */
export function createMemoryStore(options: {
  readonly clock: Clock
  readonly log: Log
  readonly maxEntries: number
}): LockoutStore {
  const { clock, log, maxEntries } = options
  const maxPinned = Math.ceil(maxEntries / 2)
  const counting = new LRUCache<string, LockoutRecord>({ max: Math.floor(maxEntries / 2) })
  const pinned = new Map<string, LockoutRecord>()
  /** In the order of their ends, because all last equally long. */
  const leases = new Map<string, { readonly held: Map<string, Limit>; readonly overAtMs: number }>()
  let leasesOpened = 0
  let sweptAtMs = Number.NEGATIVE_INFINITY
  let alarmed = false

  function recordOf(key: string): LockoutRecord {
    return pinned.get(key) ?? counting.get(key) ?? EMPTY
  }

  function keep(key: string, record: LockoutRecord, nowMs: number): void {
    if (isPinned(record, nowMs)) {
      counting.delete(key)
      pinned.set(key, record)
      return
    }
    pinned.delete(key)
    if (record.failures.length > 0) counting.set(key, record)
    else counting.delete(key)
  }

  function take(counters: readonly Counter[], nowMs: number): Refused | undefined {
    const admitted: [key: string, record: LockoutRecord][] = []
    let retryAfterMs = 0
    let crowded: string | undefined
    let needed = 0
    for (const { key, limit } of counters) {
      const admission = admit(recordOf(key), limit, nowMs)
      switch (admission.outcome) {
        case 'locked':
          retryAfterMs = Math.max(retryAfterMs, admission.retryAfterMs)
          break
        case 'no_place':
          crowded ??= key
          break
        case 'admitted':
          admitted.push([key, admission.record])
          if (!pinned.has(key)) needed++
      }
    }
    if (retryAfterMs > 0) return { outcome: 'locked', retryAfterMs }
    if (crowded !== undefined) return { outcome: 'no_place', key: crowded }
    if (!hasRoom(needed, nowMs)) return { outcome: 'full' }
    for (const [key, record] of admitted) keep(key, record, nowMs)
    return undefined
  }

  function hasRoom(needed: number, nowMs: number): boolean {
    if (pinned.size + needed > maxPinned && nowMs - sweptAtMs >= SWEEP_EVERY_MS) {
      sweptAtMs = nowMs
      for (const [key, record] of pinned) keep(key, record, nowMs)
    }
    if (pinned.size + needed > maxPinned) {
      if (!alarmed) {
        log.fatal({ max_entries: maxEntries }, 'lockout table full of locked records: attempts are refused')
      }
      alarmed = true
      return false
    }
    if (alarmed && pinned.size <= maxPinned * (1 - ROOM_AGAIN)) {
      alarmed = false
      log.warn({ max_entries: maxEntries }, 'lockout table has room again')
    }
    return true
  }

  function chargeOverdue(nowMs: number): void {
    for (const [id, { held, overAtMs }] of leases) {
      if (overAtMs > nowMs) return
      log.error({ lease_ms: LEASE_MS }, 'an attempt never ended: counted as a failure')
      const failed = Array.from(held, ([key, limit]) => ({ key, limit }))
      settle(id, failed, [], nowMs)
    }
  }

  function settle(
    id: string,
    failed: readonly Counter[],
    cleared: readonly string[],
    nowMs: number,
  ): boolean {
    const lease = leases.get(id)
    if (lease === undefined) return false
    leases.delete(id)
    let locked = false
    for (const { key, limit } of failed) {
      if (cleared.includes(key)) continue
      const failure = fail(recordOf(key), limit, nowMs)
      // May pin a key beyond the bound that the lease doesn't hold; no more of these than leases can be open.
      keep(key, failure.record, nowMs)
      locked ||= failure.locked
    }
    for (const key of cleared) keep(key, succeed(recordOf(key)), nowMs)
    for (const key of lease.held.keys()) keep(key, leave(recordOf(key)), nowMs)
    return locked
  }

  return {
    async reserve(counters) {
      const nowMs = clock.now()
      chargeOverdue(nowMs)
      const refused = take(counters, nowMs)
      if (refused !== undefined) return refused
      const lease = String(++leasesOpened)
      const held = new Map(counters.map(({ key, limit }) => [key, limit]))
      leases.set(lease, { held, overAtMs: nowMs + LEASE_MS })
      return { outcome: 'reserved', lease }
    },

    async extend(lease, counter) {
      const nowMs = clock.now()
      chargeOverdue(nowMs)
      const held = leases.get(lease)?.held
      if (held === undefined) return { outcome: 'lease_over' }
      if (!held.has(counter.key)) {
        const refused = take([counter], nowMs)
        if (refused !== undefined) return refused
        held.set(counter.key, counter.limit)
      }
      return { outcome: 'extended' }
    },

    async inspect(counters) {
      const nowMs = clock.now()
      return counters.map(({ key, limit }) =>
        standing(pinned.get(key) ?? counting.peek(key) ?? EMPTY, limit, nowMs),
      )
    },

    async end(lease, { failed, cleared }) {
      const nowMs = clock.now()
      chargeOverdue(nowMs)
      return { locked: settle(lease, failed, cleared, nowMs) }
    },
  }
}
