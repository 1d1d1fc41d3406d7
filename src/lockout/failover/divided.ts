import type { Limit } from '../policy.ts'
import type { Counter, Ending, Place } from '../store.ts'

/** One replica's part of the limits, so that all of them together stay within: rounded down, at least 1. */
export interface Division {
  places(places: readonly Place[]): readonly Place[]
  ending(ending: Ending): Ending
}

/** @param replicas 1 or more */
export function divideBy(replicas: number): Division {
  const part = (whole: number) => Math.max(1, Math.floor(whole / replicas))
  const limitOf = ({ accounts, ...limit }: Limit): Limit => ({
    ...limit,
    maxAttempts: part(limit.maxAttempts),
    ...(accounts !== undefined && { accounts: part(accounts) }),
  })
  const counterOf = (counter: Counter): Counter => ({ ...counter, limit: limitOf(counter.limit) })
  const placeOf = (place: Place): Place =>
    'profile' in place
      ? { ...place, familiar: counterOf(place.familiar), unfamiliar: counterOf(place.unfamiliar) }
      : counterOf(place)
  return {
    places: places => places.map(placeOf),
    ending: ending => ({ ...ending, failed: ending.failed.map(placeOf), passed: ending.passed.map(placeOf) }),
  }
}
