import type { Clock } from '../../authentication/clock.ts'
import type { SharedStore } from '../shared-store.ts'
import type { LockoutStore, Place } from '../store.ts'
import type { Outage } from './outage.ts'

/**
 * When this replica's own locks refuse beside the shared ones: for as long as a lock lasts after the shared store was
 * away, or has forgotten what it knew. At other times the shared store knows better: a right password at another replica
 * may have cleared what was counted here.
 */
export interface ShadowTrust {
  /** After each `reserve` of the shared store, for these places: takes over what was pardoned elsewhere. */
  catchUp(places: readonly Place[]): Promise<void>
  isRefusing(): boolean
}

export function createShadowTrust(parts: {
  readonly shared: SharedStore
  readonly local: LockoutStore
  readonly outage: Outage
  readonly clock: Clock
}): ShadowTrust {
  const { shared, local, outage, clock } = parts
  // A start is no different: what was written down before it may be news to the shared store.
  let gapAtMs = clock.now()
  let longestMs = 0
  let turn = outage.turn()
  let memory: string | undefined
  let pardon = 0
  let learning: Promise<void> | undefined

  async function learnPardons(upTo: number): Promise<void> {
    const asked = await outage.ask(() => shared.pardonsSince(pardon))
    if (asked === undefined) return
    for (const one of asked.answer) await local.pardon(one)
    pardon = Math.max(pardon, upTo)
  }

  return {
    async catchUp(places) {
      for (const place of places) longestMs = Math.max(longestMs, longestOf(place))
      const latest = shared.latest()
      if (outage.turn() !== turn || latest.memory !== memory) gapAtMs = clock.now()
      turn = outage.turn()
      memory = latest.memory
      while (pardon < latest.pardon && !outage.isOn()) {
        const learned = learning ?? learnPardons(latest.pardon)
        learning = learned
        await learned
        learning = undefined
      }
    },
    isRefusing: () => clock.now() < gapAtMs + longestMs,
  }
}

function longestOf(place: Place): number {
  if ('profile' in place) return Math.max(longestOf(place.familiar), longestOf(place.unfamiliar))
  const { lockMs, jitter = 0 } = place.limit
  return Math.max(...lockMs) * (1 + jitter)
}
