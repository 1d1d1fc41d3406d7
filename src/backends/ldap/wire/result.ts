/** Results of the directory (RFC 4511 section 4.1.9 and appendix A), and what they are called for operators. */

/** A result as the directory gave it. */
export interface Answer {
  readonly code: number
  /** The diagnostic message, for operators. */
  readonly message: string
}

export const SUCCESS = 0
export const SIZE_LIMIT_EXCEEDED = 4
export const ADMIN_LIMIT_EXCEEDED = 11
export const INVALID_CREDENTIALS = 49

/** Name of a result (RFC 4511 section 4.1.9) and, where an operator can do something, what. */
const RESULTS: ReadonlyMap<number, readonly [name: string, hint?: string]> = new Map([
  [0, ['success']],
  [1, ['operationsError', 'the connection may have lost its bind']],
  [2, ['protocolError']],
  [3, ['timeLimitExceeded', 'the directory is overloaded or an attribute of user_filter has no index']],
  [4, ['sizeLimitExceeded']],
  [7, ['authMethodNotSupported', 'the directory does not allow this `bind.method`']],
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

/** What Active Directory says in the text of a result, and what to change. */
const SAID: readonly (readonly [said: RegExp, hint: string])[] = [
  [
    /\b80090346\b/,
    'the domain controller wants channel binding (LdapEnforceChannelBinding), and something between it and this daemon ' +
      'may be ending TLS: connect to the domain controller itself, or set the policy to "when supported"',
  ],
  [
    /turn on integrity checking|00002028/,
    'the domain controller requires LDAP signing (LDAPServerIntegrity): use ldaps:// or tls: { starttls: true }',
  ],
  [
    /a successful bind must be completed|000004DC/i,
    'Active Directory lets nobody search anonymously: give `bind` an account',
  ],
]

/** Sub-codes of result 49 that are about an account: what an operator sees when it is the service account's. */
const ACCOUNT_SAID: ReadonlyMap<string, string> = new Map([
  ['525', 'no such account'],
  ['52e', 'the name or the password is wrong'],
  ['52f', 'an account restriction (Protected Users)'],
  ['530', 'not at this hour'],
  ['531', 'not from this workstation'],
  ['532', 'the password has expired'],
  ['533', 'the account is disabled'],
  ['701', 'the account has expired'],
  ['773', 'the password must be changed'],
  ['775', 'the account is locked'],
])

/** Active Directory's sub-code of result 49 ([MS-ERREF] section 2.2), in lower case without leading zeros; undefined without one. */
export function subCode({ code, message }: Answer): string | undefined {
  if (code !== INVALID_CREDENTIALS) return undefined
  return /\bdata ([0-9a-f]+)/i
    .exec(message)?.[1]
    ?.toLowerCase()
    .replace(/^0+(?=.)/, '')
}

/**
 * SEC_E_BAD_BINDINGS: the TLS session is not the one the client meant, seen before anything is checked. It comes as result 49
 * and says nothing about the password.
 */
export const BAD_BINDINGS = '80090346'

/** A result for operators, in one line. */
export function describe(answer: Answer): string {
  const [name, hint] = RESULTS.get(answer.code) ?? ['not a known result']
  const said = answer.message
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 200)
  const known =
    SAID.find(([pattern]) => answer.code !== SUCCESS && pattern.test(answer.message))?.[1] ??
    ACCOUNT_SAID.get(subCode(answer) ?? '')
  return [`result ${answer.code} (${name})`, said && `"${said}"`, known ?? hint].filter(Boolean).join(': ')
}
