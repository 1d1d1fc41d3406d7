import { messageOf, withoutArguments } from './connection.ts'

/** Why a server cannot be used, as far as it can be told. */
export type RedisFaultKind =
  | 'no_such_name'
  | 'refused'
  | 'unreachable'
  | 'timeout'
  | 'untrusted_certificate'
  | 'certificate_of_another'
  | 'certificate_out_of_date'
  | 'client_certificate'
  | 'no_tls'
  | 'hung_up'
  | 'wrong_password'
  | 'password_missing'
  | 'no_password_there'
  | 'not_allowed'
  | 'no_such_database'
  | 'protected'
  | 'too_old'
  | 'loading'
  | 'too_many_clients'
  | 'read_only'
  | 'out_of_memory'
  | 'cannot_save'
  | 'cluster'
  | 'other'

export interface RedisFault {
  readonly kind: RedisFaultKind
  /** What was said, without anything that we have sent. */
  readonly message: string
}

/** By the code of the error, or by what the server said. The first that matches. */
const SIGNS: readonly (readonly [sign: RegExp, kind: RedisFaultKind])[] = [
  [/^(ENOTFOUND|EAI_AGAIN)$/, 'no_such_name'],
  [/^ECONNREFUSED$/, 'refused'],
  [/^(EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/, 'unreachable'],
  [/^ETIMEDOUT$|^Connection timeout$/, 'timeout'],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'certificate_of_another'],
  [/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/, 'certificate_out_of_date'],
  [/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|^CERT_UNTRUSTED$/, 'untrusted_certificate'],
  [/^ERR_SSL_.*CERTIFICATE_REQUIRED$/, 'client_certificate'],
  [/^EPROTO$|^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/, 'no_tls'],
  [/^(ECONNRESET|EPIPE)$|^Socket closed unexpectedly$/, 'hung_up'],
  [/^WRONGPASS/, 'wrong_password'],
  [/without any password configured/, 'no_password_there'],
  [/^NOAUTH/, 'password_missing'],
  [/NOPERM|no permission|ACL failure|can't run this command/, 'not_allowed'],
  [/DB index is out of range|SELECT is not allowed/, 'no_such_database'],
  [/^DENIED/, 'protected'],
  [/unknown command .?HELLO/i, 'too_old'],
  [/^LOADING/, 'loading'],
  [/max number of clients/, 'too_many_clients'],
  [/READONLY/, 'read_only'],
  [/OOM /, 'out_of_memory'],
  [/MISCONF/, 'cannot_save'],
  [/^(MOVED|ASK|CLUSTERDOWN|CROSSSLOT)/, 'cluster'],
]

export function faultOf(told: unknown): RedisFault {
  const error = withoutArguments(told)
  const message = messageOf(error)
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const known = SIGNS.find(([sign]) => sign.test(code) || sign.test(message))
  return { kind: known?.[1] ?? 'other', message }
}
