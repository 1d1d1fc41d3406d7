/**
 * What a directory's answer to a user's bind means (directory.md, Bind errors of AD; RFC 4511 appendix A;
 * draft-behera-ldap-password-policy-11 section 6.2; the bind of 389 Directory Server). "Verified" is said only of what comes
 * after the password was found right; everything else says nothing about it.
 *
 * | result | beside it                              | outcome                       | verified |
 * |--------|----------------------------------------|-------------------------------|----------|
 * | 0      | nothing                                | what the entry says, or good  | yes      |
 * | 0      | policy: to be changed after a reset    | `password_must_change`        | yes      |
 * | 0      | policy: expired, no grace login        | `password_expired`            | yes      |
 * | 0      | policy: a grace login                  | good, also where the entry says that the password has expired | yes |
 * | 0      | policy: locked                         | `locked`                      | no       |
 * | 49     | AD 530, 531, 532, 533, 701, 773        | as the table below            | yes      |
 * | 49     | AD 775, 52f, 569                       | `locked`, `restricted`        | no       |
 * | 49     | AD 525                                 | `unknown_user`                |          |
 * | 49     | AD 80090346, 80090311, 51f, 54b        | `unavailable`: channel binding, or no domain controller that knows the account | |
 * | 49     | policy: expired                        | `password_expired`: OpenLDAP and 389 DS look after the password | yes |
 * |        |                                        | FreeIPA before it, and others may: what the entry says, or `password_expired` | no |
 * | 49     | policy: locked                         | `locked`: OpenLDAP looks before the password | no |
 * | 49     | anything else                          | `wrong_password`, whatever the entry says | |
 * | 19     | policy: locked, the entry or the text says so | `locked` (389 DS)      | no       |
 * | 19     | the text: the limit is exceeded now    | `wrong_password` (389 DS: this was the last guess) | |
 * | 53     | policy: locked, the entry or the text says so | `disabled`, `expired`, `locked` (389 DS, FreeIPA: before the password) | no |
 * | other  |                                        | `unavailable`                 |          |
 */
import type { AccountState, Outcome, Warning } from '../../../plugin.ts'
import type { Preset } from '../presets/preset.ts'
import type { BindAnswer } from '../wire/connection.ts'
import { describe, INVALID_CREDENTIALS, isNoVerdict, SUCCESS, subCode } from '../wire/result.ts'
import type { Person } from './user.ts'

interface Classified {
  readonly state: AccountState
  /** It comes only with the right password. */
  readonly verified: boolean
}

/** Active Directory's sub-codes of result 49. */
const SUB_CODES: ReadonlyMap<string, Classified> = new Map<string, Classified>([
  ['52f', { state: 'restricted', verified: false }],
  ['530', { state: 'logon_hours', verified: true }],
  ['531', { state: 'workstation_not_allowed', verified: true }],
  ['532', { state: 'password_expired', verified: true }],
  ['533', { state: 'disabled', verified: true }],
  ['569', { state: 'restricted', verified: false }],
  ['701', { state: 'expired', verified: true }],
  ['773', { state: 'password_must_change', verified: true }],
  ['775', { state: 'locked', verified: false }],
])
const UNKNOWN_USER = '525'

/** What 389 Directory Server and FreeIPA say in words only, with result 19 or 53, before they look at the password. */
const SAID_BEFORE: readonly (readonly [said: RegExp, state: AccountState])[] = [
  [/exceed password retry limit|too many failed logins|permanently locked/i, 'locked'],
  [/inactivity limit exceeded|principal\) is expired/i, 'expired'],
  [/account inactivated/i, 'disabled'],
]
/** What 389 Directory Server says of the wrong password that reaches its limit, where it does so with result 19. */
const LAST_GUESS = /you now have exceeded the password retry limit/i

const CONSTRAINT_VIOLATION = 19
const UNWILLING_TO_PERFORM = 53

/**
 * What a user's bind amounts to; undefined means that the password is right and nothing speaks against the account.
 *
 * @param preset of this directory
 */
export function bindOutcome(
  answer: BindAnswer,
  { user }: Person,
  preset: Pick<Preset, 'expiryIsProof' | 'refusesUnread'>,
): Outcome | undefined {
  const said = (found: Classified): Outcome => ({
    outcome: 'account_state',
    subject: user.id,
    state: found.state,
    passwordVerified: found.verified,
  })
  switch (answer.code) {
    case SUCCESS: {
      const found = afterSuccess(answer, user.state)
      return found && said(found)
    }
    case INVALID_CREDENTIALS: {
      const sub = subCode(answer)
      if (sub === UNKNOWN_USER) return { outcome: 'unknown_user' }
      if (isNoVerdict(answer)) break
      if (answer.policy?.error === 'password_expired' && !preset.expiryIsProof) {
        return said({ state: user.state ?? 'password_expired', verified: false })
      }
      const found = afterRefusal(answer, sub)
      return found ? said(found) : { outcome: 'wrong_password', subject: user.id }
    }
    case CONSTRAINT_VIOLATION:
    case UNWILLING_TO_PERFORM: {
      if (!preset.refusesUnread) break
      if (LAST_GUESS.test(answer.message)) return { outcome: 'wrong_password', subject: user.id }
      const state = beforePassword(answer, user.state)
      if (state === undefined) break
      return said({ state, verified: false })
    }
  }
  return { outcome: 'unavailable', cause: describe(answer), phase: 'bind', credentialSent: true }
}

/**
 * What somebody who is let in should know.
 *
 * @param wallMs wall clock, in milliseconds since the Unix epoch
 * @param aheadMs a password that expires later than so is not worth a word
 */
export function bindWarnings(
  { policy }: BindAnswer,
  { passwordExpiresAtMs }: Person,
  wallMs: number,
  aheadMs: number,
): readonly Warning[] {
  // It is either: a password that has expired has no time left, but logins.
  if (policy?.graceLogins !== undefined) return [{ code: 'grace_logins', remaining: policy.graceLogins }]
  const expiresAtMs =
    policy?.expiresInSeconds === undefined ? passwordExpiresAtMs : wallMs + policy.expiresInSeconds * 1_000
  if (expiresAtMs === undefined || !(expiresAtMs > wallMs && expiresAtMs - wallMs <= aheadMs)) return []
  return [{ code: 'password_expires', at: new Date(expiresAtMs).toISOString().replace(/\.\d+Z$/, 'Z') }]
}

function afterSuccess({ policy }: BindAnswer, entry: AccountState | undefined): Classified | undefined {
  switch (policy?.error) {
    case 'change_after_reset':
      return { state: 'password_must_change', verified: true }
    case 'account_locked':
      return { state: 'locked', verified: false }
    case 'password_expired':
      if (policy.graceLogins === undefined) return { state: 'password_expired', verified: true }
  }
  // The directory counts what is left after the expiry, and this login was one of them.
  if (entry === 'password_expired' && policy?.graceLogins !== undefined) return undefined
  return entry && { state: entry, verified: true }
}

function afterRefusal({ policy }: BindAnswer, sub: string | undefined): Classified | undefined {
  if (policy?.error === 'password_expired') return { state: 'password_expired', verified: true }
  if (policy?.error === 'account_locked') return { state: 'locked', verified: false }
  return SUB_CODES.get(sub ?? '')
}

function beforePassword(answer: BindAnswer, entry: AccountState | undefined): AccountState | undefined {
  const text = SAID_BEFORE.find(([said]) => said.test(answer.message))?.[1]
  if (text !== undefined) return text
  if (answer.code === CONSTRAINT_VIOLATION) {
    return answer.policy?.error === 'account_locked' || entry === 'locked' ? 'locked' : undefined
  }
  // 389 DS has one word for locked and for inactivated; the result tells them apart.
  if (answer.policy?.error === 'account_locked') return 'disabled'
  return entry === 'disabled' || entry === 'expired' ? entry : undefined
}
