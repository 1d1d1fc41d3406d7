/** What it means that a search came to nothing, and which option that is about. */
import type { Finding } from '../../../plugin.ts'
import type { ServiceIdentity } from '../wire/connection.ts'
import { DirectoryFailure, type Explanation } from '../wire/failure.ts'
import {
  ADMIN_LIMIT_EXCEEDED,
  type Answer,
  explainResult,
  nameResult,
  refusesAnonymous,
} from '../wire/result.ts'
import { fail } from './finding.ts'
import { SearchRefused } from './session.ts'

type Method = ServiceIdentity['method']

/** Whoever is bound has rights, or has not; whoever is not is told so in many ways (RFC 4513 section 5.1.1). */
const NOT_FOR_ANYBODY: ReadonlySet<number> = new Set([1, 48, 50, 53])
const TOO_MUCH: ReadonlySet<number> = new Set([3, 51])

/** The two together are refused by `check`. */
export const GIVE_ACCOUNT =
  'take out `bind.method: anonymous` and give `bind` an account: `dn` and `password_file`'
const LIMITED =
  'index the attributes that `user_filter` looks in, or raise the limits of the service account in the directory'
const OVERLOAD = 'is the directory overloaded? `operation_timeout` says how long it is waited for'

/** The directory answered otherwise than with entries. */
export function explainRefusal(answer: Answer, method: Method): Explanation {
  if (method === 'anonymous' && (NOT_FOR_ANYBODY.has(answer.code) || refusesAnonymous(answer))) {
    return {
      reason: `\`bind.method: anonymous\` is not allowed here: ${nameResult(answer)}`,
      advice: GIVE_ACCOUNT,
    }
  }
  const { reason, advice } = explainResult(answer)
  if (answer.code === ADMIN_LIMIT_EXCEEDED) return { reason, advice: LIMITED }
  return { reason, advice: TOO_MUCH.has(answer.code) ? OVERLOAD : advice }
}

/**
 * A finding of a step that could not be made.
 *
 * @throws what is no failure of the directory: a bug
 */
export function noAnswer(check: string, error: unknown, method: Method): Finding {
  if (!(error instanceof DirectoryFailure)) throw error
  if (error instanceof SearchRefused) {
    const { reason, advice } = explainRefusal(error.answer, method)
    return fail(check, reason, advice)
  }
  const { reason, advice } = error.explanation ?? { reason: error.message }
  return fail(check, reason, advice ?? adviceOnSilence(reason))
}

/** What to do where no answer came, or one that is none. */
export function adviceOnSilence(reason: string): string | undefined {
  if (isLate(reason)) return OVERLOAD
  if (/this is not LDAP|no LDAP message/.test(reason)) {
    return 'what answers there speaks another protocol: is it the right port? 636 is for ldaps://, 389 for ldap://'
  }
  return undefined
}

/** Whether nothing came in time, as opposed to something wrong. */
export function isLate(reason: string): boolean {
  return /timed out|was used up|no sign of life/.test(reason)
}
