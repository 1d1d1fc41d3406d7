import type { Clock } from '../../src/authentication/clock.ts'

/** Time that stands still until a test moves it. */
export interface FakeClock extends Clock {
  /** Both clocks move on, as when time passes. */
  advance(durationMs: number): void
  /** Only the wall clock moves, either way: somebody sets it, or NTP does. */
  jumpWall(durationMs: number): void
}

/** @param wall where the wall clock starts, in milliseconds since the Unix epoch */
export function createFakeClock(wall = Date.UTC(2026, 0, 1)): FakeClock {
  // Any number will do for the monotonic zero; not 0, so that code that takes it for "never" is found out.
  let monotonic = 1_000_000
  let wallNow = wall
  return {
    now: () => monotonic,
    wall: () => wallNow,
    advance(durationMs) {
      if (durationMs < 0) throw new RangeError('time does not run backwards: use jumpWall')
      monotonic += durationMs
      wallNow += durationMs
    },
    jumpWall(durationMs) {
      wallNow += durationMs
    },
  }
}
