import type { NormaliseUsername } from '../authentication/username.ts'

/** A local user as stored, without the password hash: safe to show to an operator. */
export interface StoredUser {
  /** UUID v4 */
  readonly id: string
  readonly username: string
  readonly email?: string
  readonly displayName?: string
  /** Sorted. */
  readonly groups: readonly string[]
  readonly disabled: boolean
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number
  readonly updatedAt: number
}

export interface NewUser {
  readonly username: string
  readonly email?: string
  readonly displayName?: string
  readonly groups: readonly string[]
  /** PHC string, see `PasswordHasher.hash`. */
  readonly passwordHash: string
}

/** A new user that may be stored, and what they log in with. */
export interface CheckedUser extends NewUser {
  readonly usernameKey: string
  readonly emailKey?: string
}

export type CheckedUserAnswer =
  | { readonly ok: true; readonly user: CheckedUser }
  | { readonly ok: false; readonly problem: string }

/** RFC 5321 §4.5.3.1.3: a path of 256 octets, less the angle brackets. */
const MAX_EMAIL_LENGTH = 254
const MAX_LABEL_LENGTH = 256
/** One @ with something on either side and no blank: what is delivered is for the mail server to say. */
const EMAIL = /^[^\s@]+@[^\s@]+$/u
const UNPRINTABLE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u

/** Checks what an operator typed and normalises the names. `problem` is a sentence, without a full stop. */
export function checkNewUser(raw: NewUser, normalise: NormaliseUsername): CheckedUserAnswer {
  const username = raw.username.trim()
  const usernameKey = normalise(username)
  if (!usernameKey.ok) return refuse(`the username ${usernameKey.problem}`)

  const displayName = raw.displayName?.trim() || undefined
  if (displayName !== undefined && !isLabel(displayName)) return refuse(`the display name ${NO_LABEL}`)

  const groups = [...new Set(raw.groups.map(group => group.trim()))]
  for (const group of groups) if (!isLabel(group)) return refuse(`the name of a group ${NO_LABEL}`)

  const user = {
    username,
    ...(displayName !== undefined && { displayName }),
    groups,
    passwordHash: raw.passwordHash,
    usernameKey: usernameKey.username.text,
  }
  if (raw.email === undefined) return { ok: true, user }

  const email = raw.email.trim()
  if (email.length > MAX_EMAIL_LENGTH || !EMAIL.test(email)) return refuse('the e-mail address is none')
  const emailKey = normalise(email)
  if (!emailKey.ok) return refuse(`the e-mail address ${emailKey.problem}`)
  return { ok: true, user: { ...user, email, emailKey: emailKey.username.text } }
}

const NO_LABEL = `is empty, longer than ${MAX_LABEL_LENGTH} characters or has unprintable characters`

function isLabel(text: string): boolean {
  return text !== '' && text.length <= MAX_LABEL_LENGTH && text.isWellFormed() && !UNPRINTABLE.test(text)
}

function refuse(problem: string): CheckedUserAnswer {
  return { ok: false, problem }
}
