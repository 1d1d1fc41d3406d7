/** Which counter an attempt's place is, for the memory store. */
import type { Profiles } from './profiles.ts'
import type { Counter, Place } from './store.ts'

/** The accounts among these places that have logged in from where this attempt comes from. */
export function familiarAmong(
  places: readonly Place[],
  profiles: Pick<Profiles, 'isFamiliar'>,
  nowMs: number,
): readonly string[] {
  return places.flatMap(place =>
    'profile' in place && profiles.isFamiliar(place.profile, place.source, nowMs) ? [place.profile] : [],
  )
}

/** Who logs in from where he is known is somebody: what a flood of other names has left in the sketch is not his. */
export function asKnown(counter: Counter, known: readonly string[]): Counter {
  const { unresolved, owner } = counter
  return unresolved && owner !== undefined && known.includes(owner)
    ? { ...counter, unresolved: false }
    : counter
}

/** What the lease holds of this place. */
export function heldOf(held: ReadonlyMap<string, Counter>, place: Place): Counter | undefined {
  if ('profile' in place) return held.get(place.familiar.key) ?? held.get(place.unfamiliar.key)
  return held.get(place.key)
}
