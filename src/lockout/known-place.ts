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
export function heldOf(held: ReadonlyMap<string, Counter>, place: Place): Counter | undefined {
  const choices = 'profile' in place ? [place.familiar, place.unfamiliar] : [place]
  const counter = choices.find(({ key }) => held.has(key))
  const unresolved = counter && held.get(counter.key)?.unresolved
  return counter && { ...counter, ...(unresolved !== undefined && { unresolved }) }
}
