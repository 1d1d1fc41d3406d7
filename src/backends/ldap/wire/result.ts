/** Results of the directory (RFC 4511 section 4.1.9 and appendix A), and what they are called for operators. */
import { WITHHELD } from '../../../authentication/redaction.ts'
import type { Explanation } from './failure.ts'

/** A result as the directory gave it. */
export interface Answer {
  readonly code: number
  /** The diagnostic message. Only `saidBy` is to be shown. */
  readonly message: string
  /** The message repeats the password that was sent. */
  readonly echoed?: boolean
}

export const SUCCESS = 0
export const SIZE_LIMIT_EXCEEDED = 4
export const ADMIN_LIMIT_EXCEEDED = 11
export const INVALID_CREDENTIALS = 49

const ENCRYPT: Hint = {
  means: 'the directory wants encryption',
  advice: 'use ldaps:// or tls: { starttls: true }',
}

/** What a result means beyond its name, and what an operator can do. */
interface Hint {
  readonly means?: string
  readonly advice?: string
}

/** Name of a result (RFC 4511 section 4.1.9), and the hint where there is one. */
const RESULTS: ReadonlyMap<number, readonly [name: string, hint?: Hint]> = new Map([
  [0, ['success']],
  [1, ['operationsError', { means: 'the connection may have lost its bind' }]],
  [2, ['protocolError']],
  [
    3,
    [
      'timeLimitExceeded',
      { means: 'the directory is overloaded or an attribute of user_filter has no index' },
    ],
  ],
  [4, ['sizeLimitExceeded']],
  [7, ['authMethodNotSupported', { means: 'the directory does not allow this `bind.method`' }]],
  [8, ['strongerAuthRequired', ENCRYPT]],
  [
    10,
    [
      'referral',
      {
        means: 'the answer lies on another server, and referrals are not followed',
        advice: 'correct base_dn',
      },
    ],
  ],
  [11, ['adminLimitExceeded', { means: 'an attribute of user_filter has no index, or a limit is too low' }]],
  [12, ['unavailableCriticalExtension']],
  [13, ['confidentialityRequired', ENCRYPT]],
  [14, ['saslBindInProgress']],
  [19, ['constraintViolation', { means: 'the directory may have locked the account' }]],
  [32, ['noSuchObject', { means: 'base_dn does not exist, or the service account may not see it' }]],
  [34, ['invalidDNSyntax', { advice: 'correct base_dn or bind.dn' }]],
  [48, ['inappropriateAuthentication', { means: 'the entry has no password' }]],
  [49, ['invalidCredentials']],
  [50, ['insufficientAccessRights', { advice: 'the service account needs the right to search' }]],
  [51, ['busy']],
  [52, ['unavailable', { means: 'the server is shutting down or starting' }]],
  [
    53,
    ['unwillingToPerform', { means: 'the directory may forbid this bind, or have the account deactivated' }],
  ],
  [80, ['other']],
])

const NO_HINT: Hint = {}

const ANONYMOUS: Hint = {
  means: 'the directory lets nobody search anonymously',
  advice: 'take out `bind.method: anonymous`, and give `bind` an account',
}

/** What directories say in the text of a result. */
const SAID: readonly (readonly [said: RegExp, hint: Hint])[] = [
  [
    /\b80090346\b/,
    {
      means:
        'the domain controller wants channel binding (LdapEnforceChannelBinding), and something between it and this daemon ' +
        'may be ending TLS',
      advice: 'connect to the domain controller itself, or set the policy to "when supported"',
    },
  ],
  [
    /turn on integrity checking|00002028/,
    {
      means: 'the domain controller requires LDAP signing (LDAPServerIntegrity)',
      advice: 'use ldaps:// or tls: { starttls: true }',
    },
  ],
  // Active Directory, then Samba, then OpenLDAP's `require authc` and `require bind`.
  [/a successful bind must be completed|000004DC/i, ANONYMOUS],
  [/operation unavailable without authentication/i, ANONYMOUS],
  [
    /^(authentication required|must bind first|BIND required|strong\(er\) authentication required)$/i,
    ANONYMOUS,
  ],
]

/** Sub-codes of result 49 that come of asking for an account: what an operator sees when it is the service account's. */
const ACCOUNT_SAID: ReadonlyMap<string, string> = new Map([
  ['525', 'no such account'],
  ['52e', 'the name or the password is wrong'],
  ['51f', 'no domain controller that knows the account can be reached from this one'],
  ['52f', 'an account restriction (Protected Users)'],
  ['530', 'not at this hour'],
  ['531', 'not from this workstation'],
  ['532', 'the password has expired'],
  ['533', 'the account is disabled'],
  ['54b', 'the domain of the account cannot be reached from this domain controller'],
  ['569', 'the account has no right to log on so'],
  ['80090311', 'no authority that could check the account can be reached from this domain controller'],
  ['701', 'the account has expired'],
  ['773', 'the password must be changed'],
  ['775', 'the account is locked'],
])

/** Active Directory's sub-code of result 49 ([MS-ERREF] section 2.2), in lower case without leading zeros; undefined without one. */
export function subCode({ code, message }: Answer): string | undefined {
  if (code !== INVALID_CREDENTIALS) return undefined
  // Only as Active Directory writes it: elsewhere such words may be anybody's.
  return /\berror, data ([0-9a-f]{1,8})\b/i
    .exec(message)?.[1]
    ?.toLowerCase()
    .replace(/^0+(?=.)/, '')
}

/**
 * SEC_E_BAD_BINDINGS: the TLS session is not the one the client meant, seen before anything is checked. It comes as result 49
 * and says nothing about the password.
 */
export const BAD_BINDINGS = '80090346'

/** The domain controller could not ask the one that knows the account, or did not get that far ([MS-ERREF] section 2.2). */
const NO_VERDICT: ReadonlySet<string> = new Set([BAD_BINDINGS, '80090311', '51f', '54b'])

/** Whether a result 49 is about the server, and says nothing of the account or its password. */
export function isNoVerdict(answer: Answer): boolean {
  return NO_VERDICT.has(subCode(answer) ?? '')
}

/** A result for operators, in one line. */
export function describe(answer: Answer): string {
  const { reason, advice } = explainResult(answer)
  return advice === undefined ? reason : `${reason}: ${advice}`
}

/** The same in two parts: what was said and what it means, and what to do. */
export function explainResult(answer: Answer): Explanation {
  const { means, advice } = hintFor(answer)
  return { reason: [nameResult(answer), means].filter(Boolean).join(': '), advice }
}

/** Characters of a server's own words that are shown. */
const MOST_SAID = 200

/** The directory's own words, for operators: on one line, not too many, and none that repeat a password. */
export function saidBy({ message, echoed }: Answer): string {
  if (echoed) return WITHHELD
  if (message === '') return ''
  return message
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, MOST_SAID)
}

/** A result by its number, its name and the directory's own words, without any guess at what it means. */
export function nameResult(answer: Answer): string {
  const { code } = answer
  const [name] = RESULTS.get(code) ?? ['not a known result']
  const said = saidBy(answer)
  return `result ${code} (${name})${said && `: "${said}"`}`
}

/** Whether the directory says that it answers nobody who is not bound. */
export function refusesAnonymous(answer: Answer): boolean {
  return hintFor(answer) === ANONYMOUS
}

function hintFor(answer: Answer): Hint {
  // As most answers are.
  if (answer.message === '') return RESULTS.get(answer.code)?.[1] ?? NO_HINT
  const said = answer.message.replace(/\p{Cc}+/gu, ' ').trim()
  const known = SAID.find(([pattern]) => answer.code !== SUCCESS && pattern.test(said))?.[1]
  const account = ACCOUNT_SAID.get(subCode(answer) ?? '')
  return known ?? (account === undefined ? RESULTS.get(answer.code)?.[1] : { means: account }) ?? NO_HINT
}
