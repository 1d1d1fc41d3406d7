import type { Secret } from './secret.ts'

/** `problem` is a predicate in one line ("is empty"), shows nothing of the password and is safe to answer. */
export type CheckedPassword = { readonly ok: true } | { readonly ok: false; readonly problem: string }

const MAX_BYTES = 1024
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/
/** Also what string preparation maps to nothing (RFC 4013 §2.1): a server may see an empty password in it. */
const BLANK = /^[\p{White_Space}\p{Default_Ignorable_Code_Point}]*$/u

/**
 * Judges whether this can be a password at all: 1..1,024 bytes of UTF-8, no control character and not blank, because a
 * simple bind with an empty one is an anonymous bind that succeeds (RFC 4513 §5.1.2; security.md S01, S02).
 * It alters nothing: what is verified is the password as received (S23).
 */
export function checkPassword(password: Secret): CheckedPassword {
  const value = password.reveal()
  if (typeof value !== 'string') return problem('is not a string')
  if (value === '') return problem('is empty')
  if (value.length > MAX_BYTES || Buffer.byteLength(value) > MAX_BYTES) {
    return problem(`is longer than ${MAX_BYTES} bytes`)
  }
  if (!value.isWellFormed()) return problem('is not well-formed Unicode')
  if (CONTROL.test(value)) return problem('contains a control character')
  if (BLANK.test(value)) return problem('is blank')
  return { ok: true }
}

function problem(problem: string): CheckedPassword {
  return { ok: false, problem }
}
