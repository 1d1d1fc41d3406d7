/** Does the directory take the service account? Asked once: a wrong password tried often locks the account. */
import type { Finding } from '../../../plugin.ts'
import type { BindAnswer, Connection, ServiceIdentity } from '../wire/connection.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { BAD_BINDINGS, describe, INVALID_CREDENTIALS, SUCCESS, subCode } from '../wire/result.ts'
import { fail, ok, warn } from './finding.ts'

export type ServiceBind =
  | { readonly bind: 'done' }
  /** The account is refused, and would be by every server of the directory. */
  | { readonly bind: 'refused' }
  /** This server gives no verdict. */
  | { readonly bind: 'failed' }

/** It is the account that is refused, and not the server out of order. */
const REFUSALS: ReadonlySet<number> = new Set([19, 32, 34, 48, 49, 53])

const ENCRYPT =
  'use `ldaps://` in `urls`, or `tls: { starttls: true }`: the server takes no password without encryption or signing'

/** What to change, by result. */
const ADVICE: ReadonlyMap<number, string> = new Map([
  [7, 'the server does not allow this `bind.method`'],
  [8, ENCRYPT],
  [13, ENCRYPT],
  [32, '`bind.dn` names no entry of this directory: correct it'],
  [34, '`bind.dn` is no DN: correct it, such as cn=gatehouse,ou=services,dc=corp,dc=example'],
  [48, 'this account has no password, or anonymous binds are forbidden: give `bind` an account with one'],
  [53, 'the directory forbids this bind: is the account active, and does `bind.method` fit?'],
])

/** What to change, by Active Directory's sub-code. */
const SUB_CODE_ADVICE: ReadonlyMap<string, string> = new Map([
  ['525', 'there is no such account: correct `bind.dn`'],
  [
    '52e',
    '`bind.dn` or `bind.password` is wrong: correct it; a DN, or in Active Directory also svc@corp.example',
  ],
  ['52f', 'the account is restricted: take it out of Protected Users'],
  ['530', 'lift the logon hours of the account'],
  ['531', 'lift the workstation limit of the account'],
  ['532', "the account's password has expired: set a new one that does not expire, and `bind.password`"],
  ['533', 'the account is disabled: enable it'],
  ['701', 'the account has expired: move its end date'],
  ['773', "the account's password must be changed: set one without that flag, and `bind.password`"],
  ['775', 'the account is locked: unlock it, and look for who uses an old password of it'],
  [
    BAD_BINDINGS,
    'LdapEnforceChannelBinding: something between here and the domain controller ends TLS; connect to the controller itself, or set the policy to "when supported"',
  ],
])
const WRONG = '`bind.dn` or `bind.password` is wrong: correct it'

export async function* bindService(
  connection: Connection,
  service: ServiceIdentity,
  { url, asksPolicy }: { readonly url: string; readonly asksPolicy: boolean },
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
      yield fail(check, describe(answer), adviceOn(answer, service))
      return { bind: REFUSALS.has(answer.code) ? 'refused' : 'failed' }
    }
    yield ok(
      check,
      service.method === 'simple'
        ? `bound as ${service.dn}`
        : 'bound by the client certificate (SASL EXTERNAL)',
    )
    yield* warnOfPolicy(check, answer)
    return { bind: 'done' }
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
    yield fail(check, error.explanation?.reason ?? error.message, error.explanation?.advice)
    return { bind: 'failed' }
  }
}

function adviceOn(answer: BindAnswer, { method }: ServiceIdentity): string | undefined {
  if (answer.code !== INVALID_CREDENTIALS) return ADVICE.get(answer.code)
  if (method === 'external') {
    return 'the directory knows no account for this client certificate: map its subject there, or change `tls.cert_file`'
  }
  if (answer.policy?.error === 'account_locked') return SUB_CODE_ADVICE.get('775')
  if (answer.policy?.error === 'password_expired') return SUB_CODE_ADVICE.get('532')
  return SUB_CODE_ADVICE.get(subCode(answer) ?? '') ?? WRONG
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
