import type { Clock } from '../authentication/clock.ts'
import { createInFlight } from '../authentication/in-flight.ts'
import type { LockKind, LockNote } from '../authentication/lockout.ts'
import type { Log } from '../authentication/log.ts'
import { createCounts } from './counts.ts'
import { longestFirst } from './held-lock.ts'
import { type Journal, noJournal } from './journal.ts'
import { asKnown, heldBy, heldOf } from './known-place.ts'
import { bringsTooManyNames } from './new-names.ts'
import { costOfPlace, type Kept, partitionOf } from './partition.ts'
import { refusalFor, stateOf } from './policy.ts'
import { createPressure } from './pressure.ts'
import { createProfiles } from './profiles.ts'
import { restore } from './restore.ts'
import {
  type Counter,
  type Ending,
  type HeldLock,
  LEASE_MS,
  type LockoutStore,
  NOTHING_TO_END,
  type Pardon,
  type Place,
  type Refused,
  type Taken,
} from './store.ts'

const LEAST_BYTES = 1_048_576

interface Lease {
  readonly id: string
  readonly held: Counter[]
  readonly overAtMs: number
  readonly note: LockNote
}

/**
 * Records in this process. Each step runs to its end before any other: that is what makes it atomic.
 *
 * Of the bytes three eighths are for accounts (a quarter of them for profiles), three sixteenths for pairs, as many for
 * sources and subnets, and a quarter for names that may be nobody's. What must be kept is never pushed out: when it
 * gets too much, attempts are refused (lockout.md, Memory and eviction).
 *
 * @param options.bytes at least 1 MiB, for all records together
 * @param options.random in 0..1, for the jitter of locks
 * @throws {RangeError} if there are fewer bytes
 */
export function createMemoryStore(options: {
  readonly clock: Clock
  readonly log: Log
  readonly bytes: number
  readonly random?: () => number
  readonly journal?: Journal
}): LockoutStore {
  const { clock, log, bytes, random = Math.random, journal = noJournal } = options
  if (!(bytes >= LEAST_BYTES))
    throw new RangeError(`The lockout needs ${LEAST_BYTES} bytes or more, not ${bytes}`)
  let toFlush = false
  const pen: Pick<Journal, 'put'> = {
    put(key, saved) {
      toFlush = true
      journal.put(key, saved)
    },
  }
  const sixteenth = bytes / 16
  const profiles = createProfiles(Math.floor(sixteenth * 1.5), pen)
  const counts = createCounts({
    bytes: {
      accounts: sixteenth * 4.5,
      pairs: sixteenth * 3,
      sources: sixteenth * 3,
      unresolved: sixteenth * 4,
    },
    journal: pen,
    random,
  })
  const pressure = createPressure(counts.partitions, log, bytes)
  /** In the order of their ends, because all last equally long. */
  const leases = createInFlight<string, Lease>()
  let leasesOpened = 0

  restore(journal, { counts, profiles }, clock.now())

  function flush(): void {
    if (toFlush) journal.flush()
    toFlush = false
  }

  function choose(place: Place, nowMs: number, looks?: 'only looks'): Counter {
    if (!('profile' in place)) return asKnown(place, profiles)
    const isFamiliar = profiles.isFamiliar(place.profile, place.source, nowMs, looks)
    return asKnown(isFamiliar ? place.familiar : place.unfamiliar, profiles)
  }

  /** All that is not held already, or nothing. */
  function take(held: Counter[], places: readonly Place[], note: LockNote, nowMs: number): Taken | Refused {
    const chosen: Counter[] = []
    const entries: (Kept | undefined)[] = []
    const needed: [number, number, number] = [0, 0, 0]
    let retryAfterMs = 0
    let crowded: string | undefined
    let ignored = false
    let stranger = false
    for (const place of places) {
      if (heldOf(held, place) !== undefined) continue
      const counter = choose(place, nowMs)
      const { key, kind, limit, account, watched } = counter
      if (heldBy(chosen, key) !== undefined) continue
      let entry = counts.find(counter)
      const refusal = refusalFor(counts.recordOf(counter, entry, nowMs), limit, nowMs, account)
      if (refusal?.outcome === 'locked') {
        counts.remark(counter, note, nowMs)
        entry = counts.find(counter)
      }
      chosen.push(counter)
      entries.push(entry)
      if (watched) {
        ignored ||= refusal !== undefined
        continue
      }
      needed[partitionOf(kind)] += costOfPlace(entry)
      stranger ||= 'profile' in place && key !== place.familiar.key
      if (refusal?.outcome === 'locked') retryAfterMs = Math.max(retryAfterMs, refusal.retryAfterMs)
      else if (refusal?.outcome === 'no_place') crowded ??= key
    }
    if (retryAfterMs > 0) return { outcome: 'locked', retryAfterMs }
    if (crowded !== undefined) return { outcome: 'no_place', key: crowded }
    if (needed[0] + needed[1] + needed[2] > 0 && !pressure.admits(needed, stranger, nowMs))
      return { outcome: 'full' }
    for (const [index, counter] of chosen.entries()) {
      if (counter.watched && !hasRoom(counter)) {
        // It refuses nobody, so it goes without.
        ignored = true
        continue
      }
      counts.enter(counter, entries[index], nowMs)
      held.push(counter)
    }
    return { ignored }
  }

  function hasRoom(counter: Counter): boolean {
    const partition = counts.partitions[partitionOf(counter.kind)]
    return partition.fullness(costOfPlace(counts.find(counter))) <= 1
  }

  function chargeOverdue(nowMs: number): void {
    for (let next = leases.first(); next && next.overAtMs <= nowMs; next = leases.first()) {
      log.error({ lease_ms: LEASE_MS }, 'an attempt never ended: counted as a failure')
      settle(next.id, { ...NOTHING_TO_END, failed: next.held }, next.note, nowMs)
    }
    flush()
  }

  function settle(id: string, ending: Ending, note: LockNote, nowMs: number): boolean {
    const lease = leases.get(id)
    if (lease === undefined) return false
    leases.delete(id)
    const { held, overAtMs } = lease
    const { failed, cleared, passed, familiar, resolved: found } = ending
    const resolved = found.subjects.length > 0
    const how = { resolved, forgotten: !resolved && isBeyondItsSource(failed, nowMs), note }
    let locked = false
    if (resolved) for (const counter of held) counts.adopt(counter, nowMs)
    for (const place of failed) {
      const counter = heldOf(held, place) ?? choose(place, nowMs)
      if (cleared.includes(counter.key)) continue
      // May pin a key beyond the budget that the lease doesn't hold; no more of these than leases can be open.
      if (counts.fail(counter, nowMs, how) && !counter.watched) locked = true
    }
    for (const key of cleared) counts.clear(key, heldBy(held, key), overAtMs - LEASE_MS, nowMs)
    for (const place of passed) counts.pass(heldOf(held, place) ?? choose(place, nowMs), nowMs)
    for (const counter of held) counts.leave(counter, nowMs)
    if (familiar !== undefined) profiles.welcome(familiar.source, familiar.profiles, nowMs)
    if (resolved && found.name !== '') profiles.link(found.name, found.subjects)
    return locked
  }

  function isBeyondItsSource(failed: readonly Place[], nowMs: number): boolean {
    for (const place of failed) {
      if ('profile' in place || place.kind !== 'source') continue
      return bringsTooManyNames(place, counts.read(place, nowMs, 'only looks'), nowMs)
    }
    return false
  }

  function keysOf(pardon: Pardon): Iterable<string> {
    switch (pardon.of) {
      case 'account':
        return counts.ownedBy(profiles.linked(pardon.profiles))
      case 'source':
      case 'pair':
        return pardon.keys
    }
  }

  return {
    async reserve(places, note) {
      const nowMs = clock.now()
      chargeOverdue(nowMs)
      const held: Counter[] = []
      const taken = take(held, places, note, nowMs)
      if ('outcome' in taken) return taken
      flush()
      const id = String(++leasesOpened)
      leases.set(id, { id, held, overAtMs: nowMs + LEASE_MS, note })
      return { outcome: 'reserved', lease: id, ignored: taken.ignored }
    },

    async extend(lease, places, note) {
      const nowMs = clock.now()
      chargeOverdue(nowMs)
      const held = leases.get(lease)?.held
      if (held === undefined) return { outcome: 'lease_over' }
      const taken = take(held, places, note, nowMs)
      flush()
      return 'outcome' in taken ? taken : { outcome: 'extended', ignored: taken.ignored }
    },

    async end(lease, ending, note) {
      const nowMs = clock.now()
      chargeOverdue(nowMs)
      const locked = settle(lease, ending, note, nowMs)
      flush()
      return { locked }
    },

    async inspect(places) {
      const nowMs = clock.now()
      return places.map(place => {
        const counter = choose(place, nowMs, 'only looks')
        return {
          kind: counter.kind,
          ...stateOf(counts.read(counter, nowMs, 'only looks'), counter.limit, nowMs),
        }
      })
    },

    async list(most) {
      return longestFirst(counts.locks(clock.now())).slice(0, most)
    },

    async pardon(pardon) {
      const nowMs = clock.now()
      chargeOverdue(nowMs)
      const ended: HeldLock[] = []
      for (const key of keysOf(pardon)) {
        const lock = counts.pardon(key, pardon.of !== 'source', nowMs)
        if (lock !== undefined) ended.push(lock)
      }
      flush()
      return longestFirst(ended)
    },

    report() {
      const nowMs = clock.now()
      const [accounts, pairs, sources] = counts.partitions
      const { unresolved } = counts
      const locked: Partial<Record<LockKind, number>> = {}
      for (const { kind } of counts.locks(nowMs)) locked[kind] = (locked[kind] ?? 0) + 1
      const stored = { accounts, pairs, sources, profiles, unresolved }
      const all = Object.entries(stored)
      return {
        records: Object.fromEntries(all.map(([name, part]) => [name, part.size()])),
        bytes: all.reduce((sum, [, part]) => sum + part.bytes(), 0),
        budgetBytes: bytes,
        locked,
        underAttack: pressure.underAttack(nowMs),
        reachable: true,
      }
    },

    async close() {
      journal.close()
    },
  }
}
