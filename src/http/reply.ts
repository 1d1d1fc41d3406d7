/** The one table from what the core answers to what HTTP says (api.md, POST /authenticate and GET /users/{id}). */
import type { AccountState, Identity, Warning } from '../authentication/outcome.ts'
import type { Lookup, Verdict } from '../authentication/verdict.ts'
import type { PublicErrorCode } from '../errors.ts'
import type { ProblemDetails } from './problem.ts'

export interface Refused {
  readonly code: PublicErrorCode
  readonly details?: ProblemDetails
}

export type LoginAnswer =
  | { readonly user: Identity; readonly warnings: readonly Warning[] }
  /** Everything but a success. */
  | Refused

/** What an app is told beyond the name or the password being wrong. */
export interface Disclosure {
  /** Why an account with the right password is refused. */
  readonly state: boolean
  /** That somebody is locked out here, and for how long. */
  readonly lockout: boolean
}

export function answerLogin(verdict: Verdict, may: Disclosure): LoginAnswer {
  switch (verdict.verdict) {
    case 'accepted':
      return { user: verdict.user, warnings: verdict.warnings }
    case 'rejected':
      return { code: 'invalid_credentials' }
    case 'account_state':
      // Without the right password nobody learns that there is such an account.
      return {
        code: may.state && verdict.passwordVerified ? stateCodes[verdict.state] : 'invalid_credentials',
      }
    case 'locked_out':
      return may.lockout
        ? { code: 'locked_out', details: { retryAfterMs: verdict.retryAfterMs } }
        : { code: 'invalid_credentials' }
    case 'busy':
      return { code: 'busy_retry', details: { retryAfterMs: 1000 } }
    case 'unavailable':
      return { code: 'backend_unavailable', details: { retryAfterMs: verdict.retryAfterMs } }
    case 'invalid':
      return {
        code: 'invalid_request',
        details: { errors: [{ pointer: `/${verdict.field}`, detail: verdict.problem }] },
      }
    default:
      return unknownAnswer(verdict)
  }
}

/** The directory's own lock and its vague refusals stay a secret: api.md has no code for them. */
const stateCodes: Readonly<Record<AccountState, PublicErrorCode>> = {
  disabled: 'account_disabled',
  expired: 'account_expired',
  password_expired: 'password_expired',
  password_must_change: 'password_must_change',
  logon_hours: 'logon_hours',
  workstation_not_allowed: 'workstation_not_allowed',
  locked: 'invalid_credentials',
  restricted: 'invalid_credentials',
}

export type LookupAnswer = { readonly user: Identity } | Refused

/**
 * @param showUnusable whether a user who may not log in is shown, which only some apps may ask for
 */
export function answerLookup(lookup: Lookup, showUnusable: boolean): LookupAnswer {
  switch (lookup.lookup) {
    case 'found':
      return lookup.user.state === undefined || showUnusable
        ? { user: lookup.user }
        : { code: 'user_not_found' }
    case 'not_found':
      return { code: 'user_not_found' }
    case 'unavailable':
      return { code: 'backend_unavailable', details: { retryAfterMs: lookup.retryAfterMs } }
    default:
      return unknownAnswer(lookup)
  }
}

/** Whatever the core answers beyond its type accepts nobody. */
function unknownAnswer(answer: never): never {
  throw new Error(`the core gave an answer of an unknown kind: ${typeof answer}`)
}
