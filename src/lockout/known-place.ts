/** Which counter an attempt's place is, for the memory store. */
import type { Profiles } from './profiles.ts'
import type { Counter, Place } from './store.ts'

/** A name that was found to be somebody's is one: what a flood of other names has left in the sketch is not theirs. */
export function asKnown(counter: Counter, profiles: Pick<Profiles, 'isSomebodys'>): Counter {
  const { unresolved, owner } = counter
  return unresolved && owner !== undefined && profiles.isSomebodys(owner)
    ? { ...counter, unresolved: false }
    : counter
}

/** The counter of this place that the lease holds, under the limit that is asked about now. */
export function heldOf(held: readonly Counter[], place: Place): Counter | undefined {
  return 'profile' in place
    ? (underItsLimit(held, place.familiar) ?? underItsLimit(held, place.unfamiliar))
    : underItsLimit(held, place)
}

function underItsLimit(held: readonly Counter[], counter: Counter): Counter | undefined {
  const known = heldBy(held, counter.key)
  if (known === undefined) return undefined
  // Mostly it is the very one.
  if (known === counter || known.unresolved === undefined) return counter
  return known.unresolved === counter.unresolved ? counter : { ...counter, unresolved: known.unresolved }
}

/** An attempt holds a handful: going through them is quicker than a map. */
export function heldBy(held: readonly Counter[], key: string): Counter | undefined {
  for (const counter of held) if (counter.key === key) return counter
  return undefined
}
