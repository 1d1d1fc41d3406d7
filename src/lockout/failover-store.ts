import { randomUUID } from 'node:crypto'
import type { Clock } from '../authentication/clock.ts'
import { createInFlight } from '../authentication/in-flight.ts'
import type { LockNote } from '../authentication/lockout.ts'
import type { Log } from '../authentication/log.ts'
import { UnavailableError } from '../authentication/outcome.ts'
import { divideBy } from './failover/divided.ts'
import { createOutage } from './failover/outage.ts'
import { createShadowTrust } from './failover/shadow-trust.ts'
import { createUnsent } from './failover/unsent.ts'
import type { SharedStore } from './shared-store.ts'
import {
  type Ending,
  type HeldLock,
  LEASE_MS,
  type LockoutStore,
  NOTHING_TO_END,
  type Place,
} from './store.ts'

export interface FailoverStore extends LockoutStore {
  /** Why the shared store is away, as the last question to it has shown; undefined while it answers. */
  awayBecause(): string | undefined
}

/** One attempt's leases; without the shared one, this replica let it in alone. */
interface Lease {
  readonly shared?: string
  local?: string
  readonly untilMs: number
}

/** A pardon that the shared store could not be told is told later, within so long. */
const PARDON_MS = 24 * 3_600_000

/**
 * The shared store's answers while it gives them. This replica keeps a shadow of what it sees itself, and when the shared
 * store goes, either decides with that alone, under its part of the limits, or lets nobody in (lockout.md, Restart and
 * several replicas). Never open.
 *
 * @param parts.replicas how many share the store, 1 or more
 * @param parts.onFailure `closed`: without the shared store every question rejects with `UnavailableError`
 */
export function createFailoverStore(parts: {
  readonly shared: SharedStore
  readonly local: LockoutStore
  readonly replicas: number
  readonly onFailure: 'local' | 'closed'
  readonly clock: Clock
  readonly log: Log
}): FailoverStore {
  const { shared, local, onFailure, clock, log } = parts
  if (!Number.isInteger(parts.replicas) || parts.replicas < 1) {
    throw new RangeError('The number of replicas must be an integer of 1 or more')
  }
  const mine = divideBy(parts.replicas)
  const outage = createOutage(clock, log, onFailure)
  const unsent = createUnsent(clock)
  const trust = createShadowTrust({ shared, local, outage, clock })
  /** In the order of their ends, because all last equally long. */
  const leases = createInFlight<string, Lease>()

  async function ask<T>(question: () => Promise<T>): Promise<{ readonly answer: T } | undefined> {
    const asked = await outage.ask(question)
    if (asked !== undefined) void unsent.send()
    return asked
  }

  /** Now, or as soon as the shared store can be told. */
  async function tell<T>(
    question: () => Promise<T>,
    untilMs: number,
  ): Promise<{ readonly answer: T } | undefined> {
    const asked = await ask(question)
    if (asked === undefined) {
      unsent.add({ untilMs, send: async () => (await outage.ask(question)) !== undefined })
    }
    return asked
  }

  function open(lease: Omit<Lease, 'untilMs'>): string {
    const nowMs = clock.now()
    for (const [id, { untilMs }] of leases.entries()) {
      if (untilMs > nowMs) break
      leases.delete(id)
    }
    const id = randomUUID()
    leases.set(id, { ...lease, untilMs: nowMs + LEASE_MS })
    return id
  }

  function refuseIfClosed(): void {
    if (onFailure === 'closed') throw new UnavailableError('the shared lockout store is away', 'lookup')
  }

  async function reserveAlone(places: readonly Place[], note: LockNote) {
    refuseIfClosed()
    const answer = await local.reserve(mine.places(places), note)
    return answer.outcome === 'reserved' ? { ...answer, lease: open({ local: answer.lease }) } : answer
  }

  async function extendAlone(lease: Lease, places: readonly Place[], note: LockNote) {
    refuseIfClosed()
    if (lease.local !== undefined) return local.extend(lease.local, mine.places(places), note)
    const answer = await local.reserve(mine.places(places), note)
    if (answer.outcome !== 'reserved') return answer
    lease.local = answer.lease
    return { outcome: 'extended', ignored: answer.ignored } as const
  }

  return {
    async reserve(places, note) {
      const asked = await ask(() => shared.reserve(places, note))
      if (asked === undefined) return reserveAlone(places, note)
      const { answer } = asked
      if (answer.outcome !== 'reserved') return answer
      await trust.catchUp(places)
      const shadow = await local.reserve(asFamiliar(places, answer.familiar), note)
      if (isRefused(shadow) && trust.isRefusing()) {
        await tell(() => shared.end(answer.lease, NOTHING_TO_END, note), clock.now() + LEASE_MS)
        return shadow
      }
      const isShadowed = shadow.outcome === 'reserved'
      const lease = open({ shared: answer.lease, ...(isShadowed && { local: shadow.lease }) })
      return { outcome: 'reserved', lease, ignored: answer.ignored || (isShadowed && shadow.ignored) }
    },

    async extend(id, places, note) {
      const lease = leases.get(id)
      if (lease === undefined) return { outcome: 'lease_over' }
      const { shared: sharedLease, local: localLease } = lease
      if (sharedLease === undefined) return extendAlone(lease, places, note)
      const asked = await ask(() => shared.extend(sharedLease, places, note))
      if (asked === undefined) return extendAlone(lease, places, note)
      const { answer } = asked
      if (answer.outcome !== 'extended') return answer
      const { ignored, familiar } = answer
      if (localLease === undefined) return { outcome: 'extended', ignored }
      const shadow = await local.extend(localLease, asFamiliar(places, familiar), note)
      if (isRefused(shadow) && trust.isRefusing()) return shadow
      return { outcome: 'extended', ignored: ignored || (shadow.outcome === 'extended' && shadow.ignored) }
    },

    async end(id, ending, note) {
      const lease = leases.get(id)
      if (lease === undefined) return { locked: false }
      leases.delete(id)
      const { shared: sharedLease, local: localLease, untilMs } = lease
      const told =
        sharedLease === undefined
          ? undefined
          : await tell(() => shared.end(sharedLease, ending, note), untilMs)
      if (localLease === undefined) return { locked: told?.answer.locked ?? false }
      const own: Ending = told === undefined && onFailure === 'local' ? mine.ending(ending) : ending
      const shadow = await local.end(localLease, own, note)
      return { locked: told?.answer.locked || (shadow.locked && (told === undefined || trust.isRefusing())) }
    },

    async inspect(places) {
      const asked = await ask(() => shared.inspect(places))
      if (asked === undefined) {
        refuseIfClosed()
        return local.inspect(mine.places(places))
      }
      if (!trust.isRefusing()) return asked.answer
      const familiar = places.flatMap((place, i) =>
        'profile' in place && asked.answer[i]?.kind === 'familiar' ? [place.profile] : [],
      )
      const shadow = await local.inspect(asFamiliar(places, familiar))
      return asked.answer.map((state, i) => {
        const own = shadow[i]
        return own?.lockedForMs !== undefined && state.lockedForMs === undefined ? own : state
      })
    },

    async list(most) {
      const asked = await ask(() => shared.list(most))
      if (asked === undefined) refuseIfClosed()
      const own = asked === undefined || trust.isRefusing() ? await local.list(most) : []
      return together(asked?.answer ?? [], own).slice(0, most)
    },

    async pardon(pardon) {
      if (outage.isOn()) refuseIfClosed()
      const told = await tell(() => shared.pardon(pardon), clock.now() + PARDON_MS)
      return together(told?.answer ?? [], await local.pardon(pardon))
    },

    awayBecause: outage.reason,

    report() {
      const [ofShared, ofLocal] = [shared.report(), local.report()]
      const isAway = outage.isOn() || !ofShared.reachable
      return {
        ...ofLocal,
        records: { ...ofLocal.records, ...ofShared.records },
        locked: isAway ? ofLocal.locked : ofShared.locked,
        reachable: !isAway,
      }
    },

    async close() {
      unsent.close()
      await Promise.all([shared.close(), local.close()])
    },
  }
}

/** No place is a refusal as well: or a crowd that comes at once would pass what is counted here. */
function isRefused<T extends { readonly outcome: string }>(
  shadow: T,
): shadow is Extract<T, { readonly outcome: 'locked' | 'no_place' }> {
  return shadow.outcome === 'locked' || shadow.outcome === 'no_place'
}

/** What the shared store found familiar is so here, too: it knows of logins at other replicas. */
function asFamiliar(places: readonly Place[], familiar: readonly string[] = []): readonly Place[] {
  if (familiar.length === 0) return places
  return places.map(place =>
    'profile' in place && familiar.includes(place.profile) ? place.familiar : place,
  )
}

/** Each key once, as the first list has it; longest first. */
function together(first: readonly HeldLock[], second: readonly HeldLock[]): readonly HeldLock[] {
  const known = new Set(first.map(({ key }) => key))
  return [...first, ...second.filter(({ key }) => !known.has(key))].sort((a, b) => b.forMs - a.forMs)
}
