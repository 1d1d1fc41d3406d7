/** Locks and counts as JSON: what the admin listener answers, and what `gatehouse lockout --json` prints. */

import type { Standing } from '../authentication/lockout.ts'
import type { Lock, LockList, Person, Shown, Unlocked } from '../authentication/locks.ts'
import type { LockoutState } from '../authentication/standings.ts'

export type PresentedLock = ReturnType<typeof presentLock>
export type PresentedPerson = ReturnType<typeof presentPerson>
export type PresentedLockList = ReturnType<typeof presentLockList>
export type PresentedShown = ReturnType<typeof presentShown>
export type PresentedUnlocked = ReturnType<typeof presentUnlocked>
export type PresentedLockout = ReturnType<typeof presentLockout>
export type PresentedStanding = ReturnType<typeof presentStanding>

export function presentLockList({ locks, more }: LockList) {
  return { locks: locks.map(presentLock), more }
}

export function presentShown({ person, standings, locks }: Shown) {
  return {
    ...(person && { user: presentPerson(person) }),
    ...(standings && { lockout: presentLockout(standings) }),
    locks: locks.map(presentLock),
  }
}

export function presentUnlocked({ person, ended }: Unlocked) {
  return { ...(person && { user: presentPerson(person) }), ended: ended.map(presentLock) }
}

function presentPerson({ name, subjects, silent }: Person) {
  return { name, subjects, silent }
}

/** Names as in the log of attempts, so that one leads to the other. */
function presentLock({ kind, user, userHash, subject, address, caller, tier, forMs, until, watched }: Lock) {
  return {
    kind,
    ...(user !== undefined && { user }),
    ...(userHash !== undefined && { user_hash: userHash }),
    ...(subject !== undefined && { subject }),
    ...(address !== undefined && { source: address }),
    ...(caller !== undefined && { client: caller }),
    tier,
    until: new Date(until).toISOString(),
    for_seconds: Math.ceil(forMs / 1000),
    ...(watched && { watched }),
  }
}

export function presentLockout({ name, source, subjects }: LockoutState) {
  return {
    name: name.map(presentStanding),
    source: source.map(presentStanding),
    subjects: subjects.map(standing => ({ subject: standing.subject, ...presentStanding(standing) })),
  }
}

function presentStanding({ kind, failures, limit, inFlight, lockedForMs, watched }: Standing) {
  return {
    key: kind,
    failures,
    limit,
    in_flight: inFlight,
    ...(lockedForMs !== undefined && { locked_for_seconds: Math.ceil(lockedForMs / 1000) }),
    ...(watched && { watched }),
  }
}
