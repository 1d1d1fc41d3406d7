/** What is written down about an attempt, and of whom (security.md S75, S79). */
import type { AttemptEvent } from '../../authentication/attempt-event.ts'
import type { AuditNote } from '../../authentication/audit.ts'
import type { HashUser } from '../../authentication/user-hash.ts'
import { attemptFields, type ShownName } from '../attempt-fields.ts'

/**
 * `known`: the name where somebody was identified, as in the log, and always its keyed hash; `plain`: also what a stranger
 * typed, which may be a password in the wrong box; `hash`: the hash alone.
 */
export type NamePolicy = 'known' | 'plain' | 'hash'

/** What backends said in detail is for the log: it may be long, and names hosts. */
export function describeAttempt(event: AttemptEvent, names: NamePolicy, hashUser: HashUser): AuditNote {
  return attemptFields(event, shownName(event, names, hashUser), false)
}

/** The same note without anybody's name, where names are to be hashes. */
export function describeNote(note: AuditNote, names: NamePolicy): AuditNote {
  return names === 'hash' ? withoutNames(note) : note
}

function shownName({ username, subject }: AttemptEvent, names: NamePolicy, hashUser: HashUser): ShownName {
  if (username === undefined) return {}
  const isShown = names === 'plain' || (names === 'known' && subject !== undefined)
  return { user_hash: hashUser(username), user: isShown ? username : undefined }
}

function withoutNames<T>(value: T): T {
  return JSON.parse(JSON.stringify(value, (key, inner) => (key === 'user' ? undefined : inner)))
}
