/** Chance that can be had again: the same seed gives the same numbers. */
export interface Chance {
  /** In [0, 1). */
  next(): number
  /** A whole number in [0, below). */
  below(limit: number): number
  /** Does it happen this time? */
  happens(probability: number): boolean
  pick<T>(from: readonly [T, ...T[]]): T
}

/**
 * Mulberry32, which is good enough to choose faults with.
 *
 * @param seed 32 bits
 */
export function createChance(seed: number): Chance {
  let state = seed >>> 0
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    next,
    below,
    happens: probability => next() < probability,
    pick: from => from[below(from.length)] ?? from[0],
  }
}
