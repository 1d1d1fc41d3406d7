import type { Clock } from '../../../plugin.ts'

/** Who was found locked by the directory a moment ago: a bind would tell nothing, and may prolong the lock. */
export interface LockedMemory {
  /** @param subject the stable id */
  remember(subject: string): void
  isLocked(subject: string): boolean
}

/** How long an answer counts; a lock that is lifted is noticed so much later. */
const REMEMBERED_MS = 60_000
/** A flood of locked accounts costs no more than this; the oldest go first. */
const MAX_SUBJECTS = 10_000

/**
 * Where the entry does not show a lock (another server has it, or the service account may not read it) the directory's own
 * answer is what there is.
 */
export function createLockedMemory(clock: Clock): LockedMemory {
  /** Until when, by subject; in the order of remembering. */
  const until = new Map<string, number>()
  return {
    remember(subject) {
      until.delete(subject)
      until.set(subject, clock.now() + REMEMBERED_MS)
      for (const [oldest, end] of until) {
        if (until.size <= MAX_SUBJECTS && end > clock.now()) break
        until.delete(oldest)
      }
    },
    isLocked(subject) {
      // Mostly nobody is.
      const end = until.size === 0 ? undefined : until.get(subject)
      if (end === undefined) return false
      if (end > clock.now()) return true
      until.delete(subject)
      return false
    },
  }
}
