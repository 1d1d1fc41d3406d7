import type { AuditNote } from '../../authentication/audit.ts'
import type { Clock } from '../../authentication/clock.ts'
import type { Entry } from './row.ts'

/** Somebody's row that is not written yet, and how they hear of it. */
export interface Waiting {
  readonly at: number
  readonly note: AuditNote
  /** By the monotonic clock. */
  readonly since: number
  /** Undefined once they have been told, and where nobody waits. */
  tell: ((written: boolean) => void) | undefined
  /** They were told that it is an outage, whatever the verdict was. */
  withheld: boolean
  /** And the row says so itself. */
  saysSo: boolean
}

export function rowOf(note: AuditNote, clock: Clock): Waiting {
  const at = clock.wall()
  return { at, note, since: clock.now(), tell: undefined, withheld: false, saysSo: false }
}

/** As it is sent, and sent again. */
export function entryOf(row: Waiting): Entry {
  const { at, note, withheld } = row
  row.saysSo = withheld
  return { at, body: JSON.stringify(withheld ? { ...note, withheld } : note) }
}
