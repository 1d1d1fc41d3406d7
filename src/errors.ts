/**
 * The catalogue of every error that a caller can be answered. docs/errors has one page per code, made from this table by
 * scripts/generate-error-docs.ts; a test fails on a code without a page or without a test.
 *
 * A code is a promise to the apps that switch on it: it is never renamed, and a code that is no longer used is never
 * given another meaning.
 */

interface ErrorEntry {
  /** HTTP status; for `invalid_request` the usual one (413 and 431 also occur). */
  readonly status: number
  /** The same for every occurrence (RFC 9457 section 3.1.3). */
  readonly title: string
  /** What it means, in one line. */
  readonly hint: string
  /** What whoever wrote the calling app does about it. */
  readonly developer: string
  /** What whoever runs the daemon does about it. */
  readonly operator: string
  /** At which level a reply with this code is logged; `none` where the core has written it down already. */
  readonly log: 'none' | 'debug' | 'info' | 'warn' | 'error'
  /** A private code never leaves through the public listener. */
  readonly audience: 'public' | 'private'
}

/** Of a login, which the core has written down. */
const REFUSAL = { status: 401, log: 'none', audience: 'public' } as const

export const catalogue = {
  invalid_request: {
    status: 400,
    title: 'The request is malformed',
    hint: 'Something in the request is not as the contract says; `errors` in the reply names the places.',
    developer:
      'Correct the request as `errors` says; the same request will never succeed. The status is 413 if the body is over 16 KiB and 431 if the header is too large.',
    operator:
      'Nothing, unless it begins after an upgrade: then an app and the daemon disagree on the contract.',
    log: 'info',
    audience: 'public',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body is not in a supported format',
    hint: 'Bodies are `application/json` in UTF-8 without compression.',
    developer:
      'Send `Content-Type: application/json` and no `Content-Encoding`. HTML forms are not accepted.',
    operator: 'Nothing.',
    log: 'info',
    audience: 'public',
  },
  request_timeout: {
    status: 408,
    title: 'The request was too slow in coming',
    hint: 'The header or the body did not arrive in time, and the connection was closed.',
    developer: 'Send the request in one go, on a fresh connection.',
    operator:
      'If it happens often, look for a proxy that opens connections in advance, for packet loss, or for somebody holding connections open on purpose.',
    log: 'debug',
    audience: 'public',
  },
  client_unauthenticated: {
    status: 401,
    title: 'The calling app is not known',
    hint: 'No configured client matches the API key, the client certificate or the address of the caller.',
    developer:
      'Send the API key as `Authorization: Bearer <key>`, on `/auth` as `X-Gatehouse-Key`. Never show this to an end user as a failed login.',
    operator:
      'Compare the key, the certificate subject or the address in the log with `clients:` in the configuration. A presented key decides alone: an unknown one is refused even from an address that is listed.',
    log: 'warn',
    audience: 'public',
  },
  client_forbidden: {
    status: 403,
    title: 'The calling app may not do this',
    hint: 'The app is known, but lacks the permission for something it asked for.',
    developer: 'Leave `client.ip` or `include=unusable` away, or ask for the permission.',
    operator: 'Give the app `assert_client_ip` or `reveal_account_state` under `may:`, if it should have it.',
    log: 'warn',
    audience: 'public',
  },
  not_found: {
    status: 404,
    title: 'There is nothing at this path',
    hint: 'The path is not part of the API. A user that does not exist is `user_not_found`.',
    developer: 'Check the base URL and the path. Never take this for a deleted user.',
    operator:
      'Check the path prefix in the reverse proxy. Operator endpoints are on the admin listener only.',
    log: 'debug',
    audience: 'public',
  },
  user_not_found: {
    status: 404,
    title: 'There is no such usable user',
    hint: 'The id is malformed, its user is gone or may not log in, or its backend is not configured (for this app).',
    developer:
      'End the sessions of this user. An outage is never answered this way, so the answer can be trusted.',
    operator:
      'Nothing. If it befalls all users of a backend, its id in the configuration was renamed: never do that.',
    log: 'debug',
    audience: 'public',
  },
  method_not_allowed: {
    status: 405,
    title: 'This path does not have this method',
    hint: 'The path exists; the `Allow` header of the reply lists its methods.',
    developer: 'Use a method of the `Allow` header. Browsers are not callers of this API: there is no CORS.',
    operator: 'Nothing.',
    log: 'debug',
    audience: 'public',
  },
  invalid_credentials: {
    ...REFUSAL,
    title: 'The user name or the password is not right',
    hint: 'This login is refused, and the caller is not told why: the user may as well not exist.',
    developer:
      'Ask the user again. Do not try the same password once more: every failure counts towards a lockout.',
    operator: 'The log has the reason under the request id of the reply.',
  },
  credentials_required: {
    status: 401,
    title: 'A user name and a password are needed',
    hint: 'On `GET /auth` only: the request carries no `Authorization: Basic`, or one that cannot be read; `errors` says why.',
    developer:
      'Browsers ask their user on this answer. Send base64 with padding of the name, a colon and the password in UTF-8.',
    operator: 'Nothing. If nobody can log in, the reverse proxy does not hand on the `Authorization` header.',
    log: 'debug',
    audience: 'public',
  },
  identity_too_large: {
    status: 403,
    title: 'The user does not fit into headers',
    hint: 'On `GET /auth` only: the login is right, but what `Remote-User` and its like would say is over 6 KiB. No group is left out in silence.',
    developer: 'Log in by `POST /authenticate`, whose answer has room for everything.',
    operator: 'Filter the groups of the backend, so that users carry those that apps look at.',
    log: 'warn',
    audience: 'public',
  },
  account_disabled: {
    ...REFUSAL,
    title: 'The account is disabled',
    hint: 'The password is right, but the account was switched off. Told only to apps with `reveal_account_state`.',
    developer: 'Tell the user to ask the help desk.',
    operator: 'Enable the account in its directory, if it should be usable.',
  },
  account_expired: {
    ...REFUSAL,
    title: 'The account has expired',
    hint: 'The password is right, but the account has passed its end date. Told only to apps with `reveal_account_state`.',
    developer: 'Tell the user to ask the help desk.',
    operator: 'Move the end date of the account in its directory, if it should be usable.',
  },
  password_expired: {
    ...REFUSAL,
    title: 'The password has expired',
    hint: 'The password is right, but too old. Told only to apps with `reveal_account_state`.',
    developer: 'Send the user to the place where passwords are changed.',
    operator: 'Nothing: the user has to change the password.',
  },
  password_must_change: {
    ...REFUSAL,
    title: 'The password must be changed first',
    hint: 'The password is right, but was set by somebody else. Told only to apps with `reveal_account_state`.',
    developer: 'Send the user to the place where passwords are changed.',
    operator: 'Nothing: the user has to change the password.',
  },
  logon_hours: {
    ...REFUSAL,
    title: 'The account may not log in at this hour',
    hint: 'The password is right, but the directory limits the hours. Told only to apps with `reveal_account_state`.',
    developer: 'Tell the user to try again within the permitted hours.',
    operator: 'Change the logon hours of the account in its directory, if they are wrong.',
  },
  workstation_not_allowed: {
    ...REFUSAL,
    title: 'The account may not log in from here',
    hint: 'The password is right, but the directory limits the workstations. Told only to apps with `reveal_account_state`.',
    developer: 'Tell the user to ask the help desk.',
    operator:
      'Add the host of the daemon to the workstations of the account in its directory, or lift the limit.',
  },
  locked_out: {
    ...REFUSAL,
    status: 429,
    title: 'Too many failed logins',
    hint: 'Too many failures for this account or from this address; nothing is verified until `Retry-After` is over. With `lockout.disclosure: hidden` the answer is `invalid_credentials` instead.',
    developer:
      'Wait as many seconds as `Retry-After` says. Names that do not exist are locked in the same way.',
    operator:
      'Find the source of the failures in the log: a forgotten device with an old password, or an attack.',
  },
  busy_retry: {
    ...REFUSAL,
    status: 429,
    title: 'Too many attempts for this account at once',
    hint: 'Other attempts for the same account are still under way. Charged to nobody.',
    developer: 'Try again after `Retry-After`.',
    operator:
      'Nothing, unless one app causes it all the time: then it logs in where it should keep a session.',
  },
  rate_limited: {
    status: 429,
    title: 'The calling app sends too many requests',
    hint: 'The app is over its own rate limit, whoever its users are. Nothing was read, counted or verified.',
    developer: 'Wait as many seconds as `Retry-After` says, and spread the requests.',
    operator: 'Raise `rate_limit:` of the app, if its load is real.',
    log: 'debug',
    audience: 'public',
  },
  backend_unavailable: {
    ...REFUSAL,
    status: 503,
    title: 'No verdict is possible at the moment',
    hint: 'A directory or database gave no answer, so nobody can say whether the login is right. Charged to nobody.',
    developer: 'Try again after `Retry-After`. Never show this to an end user as a wrong password.',
    operator: 'The readiness page of the admin listener and the log tell which backend is out, and why.',
  },
  not_ready: {
    status: 503,
    title: 'The service is not ready',
    hint: 'The daemon is starting or stopping, or (on `/readyz`) no backend can give verdicts, or the lockout cannot count.',
    developer: 'Try again after `Retry-After`, or on another replica.',
    operator: 'If it lasts, the readiness page of the admin listener and the log tell why.',
    log: 'debug',
    audience: 'public',
  },
  admin_unauthenticated: {
    status: 401,
    title: 'The admin token is missing or wrong',
    hint: 'What the admin listener does beyond health is for those who can read the admin token, which stands beside the database in a file such as `gatehouse.db.admin-token`.',
    developer: 'Apps have no business there: use the public listener.',
    operator:
      'Run the command as the user that runs the daemon, with the same `--config`. The token is made anew at each start of the daemon.',
    log: 'warn',
    audience: 'private',
  },
  admin_forbidden: {
    status: 403,
    title: 'The request may come from a web page',
    hint: 'The admin listener takes no request with an `Origin` header, and none whose `Host` is not loopback or `admin.host`.',
    developer: 'Browsers are not callers of this API.',
    operator:
      'Call it by the address or the name under `admin.host`. If nobody did this on purpose, a web page open on that machine is trying to reach the daemon.',
    log: 'warn',
    audience: 'private',
  },
  config_refused: {
    status: 409,
    title: 'The configuration on disk was not taken',
    hint: 'The configuration before it is served on; `errors` says what is wrong with the new one.',
    developer: 'This is for operators only.',
    operator:
      'Correct the file at the place that is named, or mend the backend that is named, and reload again. `gatehouse check` finds every mistake of the file at once.',
    log: 'none',
    audience: 'private',
  },
  internal_error: {
    status: 500,
    title: 'The service made a mistake',
    hint: 'A bug. The login was neither accepted nor refused.',
    developer: 'Report it with the request id. Never show this to an end user as a wrong password.',
    operator: 'Find the request id in the log and report the stack that stands there.',
    log: 'error',
    audience: 'public',
  },
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof catalogue

/** The codes that may leave through the public listener. */
export type PublicErrorCode = {
  [C in ErrorCode]: (typeof catalogue)[C]['audience'] extends 'public' ? C : never
}[ErrorCode]

/** The stable URI of an error (RFC 9457 section 3.1.1). It names the error and is not meant to be fetched. */
export function errorType(code: ErrorCode): string {
  return `urn:gatehouse:error:${code}`
}
