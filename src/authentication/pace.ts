/**
 * How long failures take to the eye of a caller (chain.md, Timing). Unknown, wrong, disabled and locked in the directory cost the
 * backends different times; what is seen of it is one time for all:
 *
 *   due = began + k · max(floor, successes, walk) + jitter
 *
 * `successes` is the 95th percentile of what the newest logins took that were accepted. `walk` is what a failure takes whose password
 * is verified at every backend: the sum of the 95th percentiles of their newest verifications. Names that nobody has pull down
 * neither. k is 1 unless an attempt took longer, and then the next whole number: a slow failure does not show by how much. Nothing
 * is due later than the deadline of its attempt.
 */
import { randomInt } from 'node:crypto'
import type { Step } from './chain.ts'
import type { Clock } from './clock.ts'
import { createRecentDurations, type RecentDurations } from './recent-durations.ts'
import type { Verdict } from './verdict.ts'

/** The configuration's `timing`, in milliseconds. */
export interface Timing {
  /** No failure is answered sooner. */
  readonly floorMs: number
  /** Up to so much more, by chance. */
  readonly jitterMs: number
}

/** For one chain of backends. */
export interface Pace {
  /** Learns what an attempt took, in milliseconds, in all and step by step. */
  learn(attempt: {
    readonly accepted: boolean
    readonly durationMs: number
    readonly steps: readonly Step[]
  }): void
  /** When the failure of an attempt that began at `startedAt` may be answered, by the clock handed in. */
  dueAt(startedAt: number): number
}

export interface PaceParts {
  readonly timing: Timing
  /** For a whole attempt, in milliseconds. */
  readonly deadlineMs: number
  readonly clock: Clock
  /** A whole number from 0 to below `most`, that nobody can foretell. */
  readonly random?: (most: number) => number
}

/** Durations come in all the time; what they come to is worked out so often, in milliseconds. */
const WORKED_OUT_MS = 100

export function createPace({ timing, deadlineMs, clock, random = most => randomInt(most) }: PaceParts): Pace {
  const { floorMs, jitterMs } = timing
  const successes = createRecentDurations()
  const verifications = new Map<string, RecentDurations>()
  let usualMs = 0
  let workedOutAt = Number.NEGATIVE_INFINITY

  function verificationsOf(backend: string): RecentDurations {
    const known = verifications.get(backend)
    if (known !== undefined) return known
    const fresh = createRecentDurations()
    verifications.set(backend, fresh)
    return fresh
  }

  function workOut(): number {
    const now = clock.now()
    if (now - workedOutAt < WORKED_OUT_MS) return usualMs
    let walkMs = 0
    for (const durations of verifications.values()) walkMs += durations.p95()
    usualMs = Math.max(successes.p95(), walkMs)
    workedOutAt = now
    return usualMs
  }

  return {
    learn({ accepted, durationMs, steps }) {
      if (accepted) successes.add(durationMs)
      for (const { backend, outcome, durationMs } of steps) {
        if (outcome === 'accept' || outcome === 'wrong_password') verificationsOf(backend).add(durationMs)
      }
    },
    dueAt(startedAt) {
      const period = Math.max(floorMs, workOut())
      const elapsed = Math.max(clock.now() - startedAt, 0)
      const periods = Math.max(Math.ceil(elapsed / period), 1)
      // In tenths of a millisecond.
      const jitter = random(Math.round(jitterMs * 10) + 1) / 10
      return startedAt + Math.min(periods * period + jitter, deadlineMs)
    },
  }
}

/**
 * Whether the answer waits. It does if its time could tell something of an account: a failure always, an outage and a lock of
 * ours if a backend was asked on the way there. A lock that is shown, and was found before, is told at once.
 *
 * @param lockoutShown whether callers are told that they are locked out here
 */
export function isHeld(verdict: Verdict['verdict'], steps: readonly Step[], lockoutShown: boolean): boolean {
  switch (verdict) {
    case 'rejected':
    case 'account_state':
      return true
    case 'locked_out':
      return !lockoutShown || steps.some(knowsNames)
    case 'unavailable':
    case 'busy':
      return steps.some(knowsNames)
    case 'accepted':
    case 'invalid':
      return false
  }
}

/** A backend that was asked and answered. */
function knowsNames({ outcome }: Step): boolean {
  return outcome !== 'unavailable' && outcome !== 'not_applicable'
}
