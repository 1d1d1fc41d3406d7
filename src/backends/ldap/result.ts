/**
 * What a directory's answer to a user's bind means (directory.md, Bind errors of AD; RFC 4511 appendix A).
 *
 * | result            | outcome                                                      |
 * |-------------------|--------------------------------------------------------------|
 * | 0                 | the password is right                                        |
 * | 49                | `wrong_password`, unless Active Directory's sub-code says more |
 * | everything else   | `unavailable`: it says nothing about the password            |
 */
import type { AccountState, Outcome } from '../../plugin.ts'

/** A result as the directory gave it. */
export interface Answer {
  readonly code: number
  /** The diagnostic message, for operators. */
  readonly message: string
}

export const SUCCESS = 0
export const SIZE_LIMIT_EXCEEDED = 4
const INVALID_CREDENTIALS = 49

type SubCode = 'unknown_user' | { readonly state: AccountState; readonly verified: boolean }

/** Active Directory's sub-codes of result 49. `verified`: it comes only with the right password. */
const SUB_CODES: ReadonlyMap<string, SubCode> = new Map<string, SubCode>([
  ['525', 'unknown_user'],
  ['52f', { state: 'restricted', verified: false }],
  ['530', { state: 'logon_hours', verified: true }],
  ['531', { state: 'workstation_not_allowed', verified: true }],
  ['532', { state: 'password_expired', verified: true }],
  ['533', { state: 'disabled', verified: true }],
  ['701', { state: 'expired', verified: true }],
  ['773', { state: 'password_must_change', verified: true }],
  ['775', { state: 'locked', verified: false }],
])

/** Name of a result (RFC 4511 section 4.1.9) and, where an operator can do something, what. */
const RESULTS: ReadonlyMap<number, readonly [name: string, hint?: string]> = new Map([
  [1, ['operationsError', 'the connection may have lost its bind']],
  [2, ['protocolError']],
  [3, ['timeLimitExceeded', 'the directory is overloaded or an attribute of user_filter has no index']],
  [4, ['sizeLimitExceeded']],
  [7, ['authMethodNotSupported', 'the directory allows no simple bind']],
  [8, ['strongerAuthRequired', 'the directory wants encryption: use ldaps:// or tls: { starttls: true }']],
  [10, ['referral', 'the answer lies on another server, and referrals are not followed: correct base_dn']],
  [11, ['adminLimitExceeded', 'an attribute of user_filter has no index, or a limit is too low']],
  [12, ['unavailableCriticalExtension']],
  [
    13,
    ['confidentialityRequired', 'the directory wants encryption: use ldaps:// or tls: { starttls: true }'],
  ],
  [14, ['saslBindInProgress']],
  [19, ['constraintViolation', 'the directory may have locked the account']],
  [32, ['noSuchObject', 'base_dn does not exist, or the service account may not see it']],
  [34, ['invalidDNSyntax', 'correct base_dn or bind.dn']],
  [48, ['inappropriateAuthentication', 'the entry has no password']],
  [49, ['invalidCredentials']],
  [50, ['insufficientAccessRights', 'the service account needs the right to search']],
  [51, ['busy']],
  [52, ['unavailable', 'the server is shutting down or starting']],
  [53, ['unwillingToPerform', 'the directory may forbid this bind, or have the account deactivated']],
  [80, ['other']],
])

/** What a user's bind amounts to; undefined means that the password is right. */
export function bindOutcome(answer: Answer, subject: string): Outcome | undefined {
  if (answer.code === SUCCESS) return undefined
  if (answer.code !== INVALID_CREDENTIALS) {
    return { outcome: 'unavailable', cause: describe(answer), phase: 'bind', credentialSent: true }
  }
  const known = SUB_CODES.get(subCode(answer) ?? '')
  if (known === undefined) return { outcome: 'wrong_password', subject }
  if (known === 'unknown_user') return { outcome: 'unknown_user' }
  return { outcome: 'account_state', subject, state: known.state, passwordVerified: known.verified }
}

/** A result for operators, in one line. */
export function describe(answer: Answer): string {
  const [name, hint] = RESULTS.get(answer.code) ?? ['not a known result']
  const said = answer.message
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 200)
  return [`result ${answer.code} (${name})`, said && `"${said}"`, hint].filter(Boolean).join(': ')
}

function subCode({ message }: Answer): string | undefined {
  return /\bdata ([0-9a-f]+)/i.exec(message)?.[1]?.toLowerCase().replace(/^0+/, '')
}
