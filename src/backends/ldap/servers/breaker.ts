import type { DirectoryFailure } from '../wire/failure.ts'

/**
 * Whether one server may be used: `closed` it may; `open` it may not, as nothing could be had from it; `half_open` only where
 * no other server is left: it can be reached, but what was asked of it failed.
 */
export type BreakerState = 'closed' | 'open' | 'half_open'

/** What was tried on a server, and went well or not. */
export type Trial = 'connect' | 'service_bind' | 'search' | 'bind'

/**
 * One server's breaker: a state machine that owns neither time nor timers. Who owns it asks `probeAt`, tries the server at
 * that time with a connection of its own, never with a login, and says what came of it.
 */
export interface Breaker {
  readonly state: BreakerState
  /** Why it is not closed, or was not last. */
  readonly failure: DirectoryFailure | undefined
  /** When it left `closed`, in monotonic milliseconds. */
  readonly since: number
  /** When the server is to be tried next, in monotonic milliseconds; Infinity while closed. */
  readonly probeAt: number
  /** @param said the server itself says that it is out of order: no need to hear it again */
  failed(trial: Trial, failure: DirectoryFailure, now: number, said?: 'said'): void
  succeeded(trial: Trial): void
  /** A probe leaves; `probeAt` is then when the next one may. */
  probing(now: number): void
  /** A probe was answered. */
  reached(now: number): void
  /** A probe was not answered. */
  missed(failure: DirectoryFailure, now: number): void
}

/**
 * Failures in a row that open it. Nobody else can connect either, so one is enough. An operation can also fail because of its
 * connection alone (a NAT that forgot it, say), and search and bind of one login may share that fate: the third is the server's.
 */
const LIMITS: Readonly<Record<Trial, number>> = { connect: 1, service_bind: 1, search: 3, bind: 3 }

/** Between two probes of a server that cannot be reached: doubled up to a second, so that its return is seen within one. */
const FIRST_PAUSE_MS = 100
const LAST_PAUSE_MS = 1_000

/**
 * A server that answers probes proves little if it failed at what it is for: it is kept half-open so long, doubled each time it
 * fails again. It costs nobody anything: half-open servers are used where there is nothing better.
 */
const FIRST_HOLD_MS = 1_000
const LAST_HOLD_MS = 30_000

/** @param random in [0, 1) */
export function createBreaker(random: () => number): Breaker {
  const streaks = new Map<Trial, number>()
  const relapses = new Map<Trial, number>()
  let state: BreakerState = 'closed'
  let failure: DirectoryFailure | undefined
  let since = -Infinity
  let cause: Trial = 'connect'
  let probes = 0
  let probeAt = Infinity
  let heldUntil = -Infinity

  /** Somewhere in the upper half, so that daemons that lost a server together do not come back together. */
  function pause(): number {
    return Math.min(FIRST_PAUSE_MS * 2 ** probes, LAST_PAUSE_MS) * (0.5 + random() / 2)
  }

  function leave(to: 'open' | 'half_open', why: DirectoryFailure, now: number): void {
    if (state === 'closed') since = now
    state = to
    failure = why
  }

  function close(): void {
    state = 'closed'
    probeAt = Infinity
    probes = 0
    heldUntil = -Infinity
  }

  function trip(trial: Trial, why: DirectoryFailure, now: number): void {
    streaks.delete(trial)
    // A server that is down anyway has nothing to relapse from.
    if (state === 'open') return
    const relapse = relapses.get(trial) ?? 0
    relapses.set(trial, relapse + 1)
    if (trial !== 'connect') heldUntil = now + Math.min(FIRST_HOLD_MS * 2 ** relapse, LAST_HOLD_MS)
    cause = trial
    probes = 0
    const reachable = trial === 'search' || trial === 'bind'
    leave(reachable ? 'half_open' : 'open', why, now)
    probeAt = reachable ? now : now + pause()
  }

  return {
    get state() {
      return state
    },
    get failure() {
      return failure
    },
    get since() {
      return since
    },
    get probeAt() {
      return probeAt
    },

    failed(trial, why, now, said) {
      const streak = (streaks.get(trial) ?? 0) + 1
      streaks.set(trial, streak)
      if (said || streak >= LIMITS[trial]) trip(trial, why, now)
    },

    succeeded(trial) {
      streaks.delete(trial)
      relapses.delete(trial)
      // It was used for want of a better one, and did what it had failed at.
      if (state === 'half_open' && trial === cause) close()
    },

    probing(now) {
      probes++
      probeAt = state === 'closed' ? Infinity : now + pause()
    },

    reached(now) {
      if (state === 'closed') {
        probes = 0
        return
      }
      if (now >= heldUntil) return close()
      leave('half_open', failure as DirectoryFailure, now)
      probeAt = heldUntil
    },

    missed(why, now) {
      leave('open', why, now)
      if (probeAt === Infinity) probeAt = now + pause()
    },
  }
}
