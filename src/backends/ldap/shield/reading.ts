/** Something that is read from the directory now and then, shared by all logins. */
import type { Clock } from '../../../plugin.ts'
import { DirectoryFailure } from '../wire/failure.ts'

/** So long a reading is good, in milliseconds. */
export const GOOD_FOR_MS = 300_000
/** After a failure the next try comes so much later, in milliseconds: meanwhile no login waits for it. */
const PAUSE_MS = 10_000

/** The last reading; undefined while none has succeeded. One read is under way at most, and whoever comes shares it. */
export type Reading<T> = () => Promise<T | undefined>

/**
 * @param read throws {DirectoryFailure} in an outage, whereupon the last reading holds on
 * @param onFailure told of each outage
 */
export function createReading<T>(
  read: () => Promise<T>,
  clock: Clock,
  onFailure: (failure: DirectoryFailure, isKnown: boolean) => void,
): Reading<T> {
  let last: { readonly value: T } | undefined
  let nextAtMs = Number.NEGATIVE_INFINITY
  let underWay: Promise<T | undefined> | undefined

  async function refresh(): Promise<T | undefined> {
    const startedMs = clock.now()
    try {
      const value = await read()
      last = { value }
      nextAtMs = startedMs + GOOD_FOR_MS
    } catch (error) {
      if (!(error instanceof DirectoryFailure)) throw error
      nextAtMs = clock.now() + PAUSE_MS
      onFailure(error, last !== undefined)
    } finally {
      underWay = undefined
    }
    return last?.value
  }

  return async () => {
    if (underWay === undefined && clock.now() < nextAtMs) return last?.value
    underWay ??= refresh()
    return underWay
  }
}
