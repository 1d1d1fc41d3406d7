import type { Counts } from './counts.ts'
import type { Journal } from './journal.ts'
import type { Profiles } from './profiles.ts'

/** Fills an empty store with what was written down before. What is over is left out, a lock that holds never. */
export function restore(
  journal: Pick<Journal, 'load'>,
  { counts, profiles }: { readonly counts: Counts; readonly profiles: Profiles },
  nowMs: number,
): void {
  for (const [key, saved] of journal.load()) {
    switch (saved.what) {
      case 'record': {
        const { kind, owner, record } = saved
        const entry = { kind, ...(owner !== undefined && { owner }), record: { ...record, inFlight: [] } }
        counts.restore(key, entry, nowMs)
        break
      }
      case 'profile':
        profiles.restore(key, saved.profile, nowMs)
        break
      case 'unresolved': {
        const { kind, owner, lock } = saved
        counts.unresolved.lock(key, { kind, ...(owner !== undefined && { owner }), lock })
      }
    }
  }
}
