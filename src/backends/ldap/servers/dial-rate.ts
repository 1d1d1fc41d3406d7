import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '../../../plugin.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { DirectoryFailure } from '../wire/failure.ts'

/** So that no state of the network makes this daemon a flood: dials in any one second. */
export interface DialRate {
  /** Returns or resolves when one more may be made, in the order in which they were asked for; or when the signal aborts. */
  wait(signal: AbortSignal): void | Promise<void>
}

const WINDOW_MS = 1_000

/** @param limit dials in any one second */
export function createDialRate(limit: number, clock: Clock): DialRate {
  /** When the last ones were or will be made, the oldest first; never more than `limit`. */
  const times: number[] = []
  return {
    wait(signal) {
      const now = clock.now()
      const oldest = times.length < limit ? -Infinity : (times.shift() ?? -Infinity)
      const at = Math.max(now, oldest + WINDOW_MS)
      times.push(at)
      if (at <= now) return
      // The signal only ends the pause early: who waits has an eye on it, or has left already.
      return pause(at - now, undefined, { signal }).catch(() => {})
    },
  }
}

/**
 * Waits for something that comes before a dial.
 *
 * @throws {DirectoryFailure} if the signal aborts first
 */
export async function orCalledOff(
  wait: void | Promise<void>,
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) throw calledOff(endpoint)
  if (wait === undefined) return
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const giveUp = () => reject(calledOff(endpoint))
  signal.addEventListener('abort', giveUp)
  try {
    await Promise.race([wait, aborted])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
  if (signal.aborted) throw calledOff(endpoint)
}

export function calledOff({ url }: Endpoint): DirectoryFailure {
  return new DirectoryFailure(`${url}: it is not wanted any more`, { phase: 'connect', connectionLost: true })
}
