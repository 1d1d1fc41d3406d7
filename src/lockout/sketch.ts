import type { Lock } from './policy.ts'

/** Each key has one cell per row, and what is read is the smallest of them: only who shares all four is taken for it. */
const ROWS = 4
/** Of a window four have passed before the oldest is used again, and one is under way. */
const SLICES = 5
const MOST_COUNTED = 0xff_ff
const MOST_TIERS = 0xff
/** What one key may have in each array below. */
const BYTES_PER_COLUMN =
  SLICES * ROWS * Uint16Array.BYTES_PER_ELEMENT +
  ROWS * (Float64Array.BYTES_PER_ELEMENT + Uint8Array.BYTES_PER_ELEMENT)

/** A point in the counts of one key, after which they count. */
export interface Mark {
  readonly slice: number
  readonly count: number
}

/**
 * Failures and locks of any number of keys in a fixed room, for names that may be nobody's (lockout.md, Memory and
 * eviction). It may take a key for another one and so report too much, never too little. Times are milliseconds of one
 * monotonic clock.
 */
export interface Sketch {
  readonly bytes: number
  /** One more failure, which counts for at least `windowMs` and at most a quarter of the longest window longer. */
  add(key: string, windowMs: number, nowMs: number): void
  /** Failures that may count: after `afterMs` as far as slices tell, or exactly after the mark. */
  estimate(key: string, windowMs: number, nowMs: number, after?: number | Mark): number
  mark(key: string): Mark
  lock(key: string, lock: Lock): void
  /** The last one that may be this key's, also after its end. */
  lockOf(key: string): Lock | undefined
  /** When nothing that is counted now counts any longer. */
  countsUntilMs(): number
}

/**
 * A count-min sketch with conservative update (Cormode and Muthukrishnan, 2005; Estan and Varghese, 2002) per slice of
 * time. A slice counts until the window has passed since the last failure in it. Its length is a quarter of the
 * longest window that it was ever given, so that the ring covers that whole window.
 *
 * @param bytes at least 1,000; used to at least half
 */
export function createSketch(bytes: number): Sketch {
  const width = 2 ** Math.floor(Math.log2(bytes / BYTES_PER_COLUMN))
  const counts = new Uint16Array(SLICES * ROWS * width)
  const lockedUntil = new Float64Array(ROWS * width).fill(Number.NEGATIVE_INFINITY)
  const tiers = new Uint8Array(ROWS * width)
  const lastFailure = new Float64Array(SLICES).fill(Number.NEGATIVE_INFINITY)
  /** The how-manyth slice each one is. */
  const serials = new Float64Array(SLICES).fill(-1)
  let current = 0
  serials[current] = 0
  let startedAtMs = Number.NEGATIVE_INFINITY
  let longestMs = 0
  /** Used again and again: the column of the key in each row. */
  const columns = new Uint32Array(ROWS)

  function locate(key: string): void {
    for (let row = 0; row < ROWS; row++) columns[row] = row * width + (thirtyBits(key, row * 5) & (width - 1))
  }

  function smallest(slice: number): number {
    const start = slice * ROWS * width
    let least = MOST_COUNTED
    for (const column of columns) least = Math.min(least, counts[start + column] ?? 0)
    return least
  }

  function turn(nowMs: number): void {
    if (startedAtMs === Number.NEGATIVE_INFINITY) startedAtMs = nowMs
    if (nowMs - startedAtMs < longestMs / (SLICES - 1)) return
    // Four slices have been under way since the last failure in this one: a whole window.
    const next = (current + 1) % SLICES
    counts.fill(0, next * ROWS * width, (next + 1) * ROWS * width)
    lastFailure[next] = Number.NEGATIVE_INFINITY
    serials[next] = (serials[current] ?? 0) + 1
    startedAtMs = nowMs
    current = next
  }

  return {
    bytes: counts.byteLength + lockedUntil.byteLength + tiers.byteLength,

    add(key, windowMs, nowMs) {
      longestMs = Math.max(longestMs, windowMs)
      turn(nowMs)
      locate(key)
      const count = Math.min(MOST_COUNTED, smallest(current) + 1)
      const start = current * ROWS * width
      for (const column of columns) {
        if ((counts[start + column] ?? 0) < count) counts[start + column] = count
      }
      lastFailure[current] = nowMs
    },

    estimate(key, windowMs, nowMs, after = Number.NEGATIVE_INFINITY) {
      locate(key)
      let sum = 0
      for (let slice = 0; slice < SLICES; slice++) {
        const last = lastFailure[slice] ?? 0
        if (last + windowMs <= nowMs) continue
        if (typeof after === 'number') {
          if (last > after) sum += smallest(slice)
          continue
        }
        const serial = serials[slice] ?? 0
        if (serial > after.slice) sum += smallest(slice)
        // The smallest only ever grows, and by one at least with each failure of this key.
        else if (serial === after.slice) sum += smallest(slice) - after.count
      }
      return sum
    },

    mark(key) {
      locate(key)
      return { slice: serials[current] ?? 0, count: smallest(current) }
    },

    lock(key, { untilMs, tier }) {
      locate(key)
      for (const column of columns) {
        if ((lockedUntil[column] ?? 0) >= untilMs) continue
        lockedUntil[column] = untilMs
        tiers[column] = Math.min(tier, MOST_TIERS)
      }
    },

    lockOf(key) {
      locate(key)
      let untilMs = Number.POSITIVE_INFINITY
      let tier = 0
      for (const column of columns) {
        const until = lockedUntil[column] ?? untilMs
        if (until >= untilMs) continue
        untilMs = until
        tier = tiers[column] ?? 0
      }
      return untilMs === Number.NEGATIVE_INFINITY ? undefined : { untilMs, tier }
    },

    countsUntilMs: () => Math.max(...lastFailure) + longestMs,
  }
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const VALUES = new Uint8Array(128)
for (let value = 0; value < DIGITS.length; value++) VALUES[DIGITS.charCodeAt(value)] = value

/** Keys are HMACs in base64url: their bits are as good as any hash of them. */
function thirtyBits(key: string, start: number): number {
  let bits = 0
  for (let index = start; index < start + 5; index++)
    bits = (bits << 6) | (VALUES[key.charCodeAt(index)] ?? 0)
  return bits
}
