/** Which counter an attempt's place is, for the memory store. */
import type { Profiles } from './profiles.ts'
import type { AccountCounter, Counter, Place } from './store.ts'

/** A name that was found to be somebody's is one: what a flood of other names has left in the sketch is not theirs. */
export function asKnown(counter: Counter, profiles: Pick<Profiles, 'isSomebodys'>): Counter {
  const { unresolved, owner } = counter
  return unresolved && owner !== undefined && profiles.isSomebodys(owner)
    ? { ...counter, unresolved: false }
    : counter
}

/** The counter of this place that the lease holds, under the limit that is asked about now. */
export function heldOf(held: ReadonlyMap<string, Counter>, place: Place): Counter | undefined {
  const counter = 'profile' in place ? whichHeld(held, place) : place
  const known = counter && held.get(counter.key)
  if (counter === undefined || known === undefined) return undefined
  // Mostly it is the very one.
  if (known === counter || known.unresolved === undefined) return counter
  return known.unresolved === counter.unresolved ? counter : { ...counter, unresolved: known.unresolved }
}

function whichHeld(
  held: ReadonlyMap<string, Counter>,
  { familiar, unfamiliar }: AccountCounter,
): Counter | undefined {
  if (held.has(familiar.key)) return familiar
  return held.has(unfamiliar.key) ? unfamiliar : undefined
}
