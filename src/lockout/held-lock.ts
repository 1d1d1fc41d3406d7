/** A lock as operators see it. */
import type { Entry } from './partition.ts'
import type { HeldLock } from './store.ts'
import type { NamedLock } from './unresolved.ts'

export function namedOf({ kind, owner, record: { lock }, note }: Entry): NamedLock | undefined {
  if (lock === undefined) return undefined
  return { kind, lock, ...(owner !== undefined && { owner }), ...(note && { note }) }
}

/** @returns undefined for one that is over */
export function heldLock(key: string, { kind, lock, note }: NamedLock, nowMs: number): HeldLock | undefined {
  const forMs = lock.untilMs - nowMs
  return forMs > 0 ? { key, kind, forMs, tier: lock.tier, ...(note && { note }) } : undefined
}

export function longestFirst(locks: Iterable<HeldLock>): HeldLock[] {
  return [...locks].sort((a, b) => b.forMs - a.forMs)
}
