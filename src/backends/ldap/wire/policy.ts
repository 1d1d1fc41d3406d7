/** What a password policy says beside the result of a bind (draft-behera-ldap-password-policy-11 section 6.2). */
import { PasswordPolicyError, type PasswordPolicyValue } from 'ldapts'

export interface PolicyAnswer {
  /** The other errors of the draft are about changing a password, which nobody does here. */
  readonly error?: 'password_expired' | 'account_locked' | 'change_after_reset'
  readonly expiresInSeconds?: number
  readonly graceLogins?: number
}

const ERRORS: ReadonlyMap<number, NonNullable<PolicyAnswer['error']>> = new Map([
  [PasswordPolicyError.PasswordExpired, 'password_expired'],
  [PasswordPolicyError.AccountLocked, 'account_locked'],
  [PasswordPolicyError.ChangeAfterReset, 'change_after_reset'],
])

/** @returns undefined if the directory has no policy for this account, or answered without one */
export function readPolicy(value: PasswordPolicyValue | undefined): PolicyAnswer | undefined {
  if (value === undefined) return undefined
  const { error: code, timeBeforeExpiration, graceAuthNsRemaining } = value
  const error = code === undefined ? undefined : ERRORS.get(code)
  return {
    ...(error && { error }),
    ...(isCount(timeBeforeExpiration) && { expiresInSeconds: timeBeforeExpiration }),
    ...(isCount(graceAuthNsRemaining) && { graceLogins: graceAuthNsRemaining }),
  }
}

/** INTEGER (0 .. maxInt). */
function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0
}
