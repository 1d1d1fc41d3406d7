/** Does the directory take the service account? Asked once: a wrong password tried often locks the account. */
import type { Finding } from '../../../plugin.ts'
import { refusalOf } from '../servers/service.ts'
import type { BindAnswer, Connection, ServiceIdentity } from '../wire/connection.ts'
import { DirectoryFailure, type Explanation } from '../wire/failure.ts'
import {
  BAD_BINDINGS,
  explainResult,
  INVALID_CREDENTIALS,
  nameResult,
  SUCCESS,
  subCode,
} from '../wire/result.ts'
import { fail, ok, warn } from './finding.ts'
import { adviceOnSilence } from './refusal.ts'

export type ServiceBind =
  | { readonly bind: 'done' }
  /** The account is refused, and would be by every server of the directory. */
  | { readonly bind: 'refused' }
  /** This server gives no verdict. */
  | { readonly bind: 'failed' }

/** The server wants encryption: what it means is said with the result. */
const WANT_ENCRYPTION: ReadonlySet<number> = new Set([8, 13])

/** What to change, by result. */
const ADVICE: ReadonlyMap<number, string> = new Map([
  [7, 'the server does not allow this `bind.method`: choose another'],
  [32, '`bind.dn` names no entry of this directory: correct it'],
  [34, '`bind.dn` is no DN: correct it, such as cn=gatehouse,ou=services,dc=corp,dc=example'],
  [48, 'this account has no password, or anonymous binds are forbidden: give `bind` an account with one'],
  [53, 'the directory forbids this bind: is the account active, and does `bind.method` fit?'],
])

const UNREACHED =
  'have this domain controller reach one of the domain of the account, or take it out of the servers that are asked'

/** What to change, by Active Directory's sub-code. */
const SUB_CODE_ADVICE: ReadonlyMap<string, string> = new Map([
  ['525', 'there is no such account: correct `bind.dn`'],
  [
    '52e',
    '`bind.dn` or `bind.password` is wrong: correct it; a DN, or in Active Directory also svc@corp.example',
  ],
  ['52f', 'the account is restricted: take it out of Protected Users'],
  ['51f', UNREACHED],
  ['530', 'lift the logon hours of the account'],
  ['531', 'lift the workstation limit of the account'],
  ['532', "the account's password has expired: set a new one that does not expire, and `bind.password`"],
  ['533', 'the account is disabled: enable it'],
  ['54b', 'mend the trust and the network between the two domains, or give `bind` an account of this domain'],
  [
    '569',
    'give the account the right "Access this computer from the network" on the domain controllers, and take it out of "Deny access…"',
  ],
  ['701', 'the account has expired: move its end date'],
  ['773', "the account's password must be changed: set one without that flag, and `bind.password`"],
  ['80090311', UNREACHED],
  ['775', 'the account is locked: unlock it, and look for who uses an old password of it'],
])
/** The same in the words of the password policy. */
const POLICY_AS_SUB_CODE = {
  account_locked: '775',
  password_expired: '532',
  change_after_reset: '773',
} as const
const WRONG = '`bind.dn` or `bind.password` is wrong: correct it'

export interface BindingAt {
  readonly url: string
  readonly asksPolicy: boolean
  /** How to have the connection encrypted. */
  readonly encrypt: string
}

export async function* bindService(
  connection: Connection,
  service: ServiceIdentity,
  { url, asksPolicy, encrypt }: BindingAt,
  signal: AbortSignal,
): AsyncGenerator<Finding, ServiceBind> {
  const check = `service account at ${url}`
  if (service.method === 'anonymous') {
    yield ok(check, '`bind.method: anonymous`: nobody is bound, searches go as they are')
    return { bind: 'done' }
  }
  try {
    const answer =
      service.method === 'simple'
        ? await connection.bind(service.dn, service.password, signal, { policy: asksPolicy })
        : await connection.bindExternal(signal)
    if (answer.code !== SUCCESS) {
      const { reason, advice } = explainBind(answer, service, encrypt)
      yield fail(check, reason, advice)
      return { bind: refusalOf(answer) === 'account' ? 'refused' : 'failed' }
    }
    if (answer.policy?.error === 'change_after_reset') {
      // It is let in, and then may do nothing else (draft-behera-ldap-password-policy-11 section 8.1.2.1).
      yield fail(check, `bound ${nameOf(service)}, but ${MUST_CHANGE}`, SUB_CODE_ADVICE.get('773'))
      return { bind: 'failed' }
    }
    yield ok(check, `bound ${nameOf(service)}`)
    yield* warnOfPolicy(check, answer)
    return { bind: 'done' }
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
    const reason = error.explanation?.reason ?? error.message
    yield fail(check, reason, error.explanation?.advice ?? adviceOnSilence(reason))
    return { bind: 'failed' }
  }
}

function explainBind(answer: BindAnswer, { method }: ServiceIdentity, encrypt: string): Explanation {
  const sub = subCode(answer)
  if (sub === BAD_BINDINGS) return explainResult(answer)
  if (WANT_ENCRYPTION.has(answer.code)) return { reason: explainResult(answer).reason, advice: encrypt }
  if (answer.code !== INVALID_CREDENTIALS) {
    return { reason: nameResult(answer), advice: ADVICE.get(answer.code) }
  }
  const { reason } = explainResult(answer)
  if (method === 'external') {
    const advice =
      'the directory knows no account for this client certificate: map its subject there, or change `tls.cert_file`'
    return { reason, advice }
  }
  const said = answer.policy?.error
  const known = said === undefined ? sub : POLICY_AS_SUB_CODE[said]
  return { reason, advice: SUB_CODE_ADVICE.get(known ?? '') ?? WRONG }
}

const MUST_CHANGE = 'its password must be changed before anything else: it may not search'

function nameOf(service: ServiceIdentity): string {
  return service.method === 'simple' ? `as ${service.dn}` : 'by the client certificate (SASL EXTERNAL)'
}

function* warnOfPolicy(check: string, { policy }: BindAnswer): Generator<Finding> {
  if (policy?.graceLogins !== undefined) {
    yield warn(
      check,
      `its password has expired: ${policy.graceLogins} logins are left`,
      SUB_CODE_ADVICE.get('532'),
    )
  } else if (policy?.expiresInSeconds !== undefined) {
    const days = Math.floor(policy.expiresInSeconds / 86_400)
    yield warn(check, `its password expires in ${days} days`, 'have it never expire: then nobody can log in')
  }
}
