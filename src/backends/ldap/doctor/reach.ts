/** The way to one server: DNS → TCP → TLS. */
import { isIP, type LookupFunction } from 'node:net'
import type { Finding } from '../../../plugin.ts'
import { Connection } from '../wire/connection.ts'
import { type DialOptions, dial } from '../wire/dial.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import type { TlsSession } from '../wire/tls-failure.ts'
import { type TrustedCa, trustedAbove } from '../wire/trusted.ts'
import { fail, ok, warn } from './finding.ts'
import { findAddresses } from './name-servers.ts'
import type { Named } from './named.ts'

export interface ReachOptions extends DialOptions {
  readonly lookup: LookupFunction
  /** Whom `lookup` asks; none: the system. */
  readonly nameServers: readonly string[]
  readonly operationTimeoutMs: number
  /** Wall clock, in milliseconds since the Unix epoch. */
  readonly wallMs: number
  readonly named: Named
  /** Trusted CAs whose end was said already: one is behind several servers. */
  readonly toldOf: Set<string>
}

const DAY_MS = 86_400_000
/** A certificate that ends sooner than so wants renewing, in days. */
const SOON_DAYS = 30
const MOST_NAMES = 8

/** @returns an open connection, not yet bound; undefined if there is none, and the findings say why */
export async function* reach(
  endpoint: Endpoint,
  options: ReachOptions,
  signal: AbortSignal,
): AsyncGenerator<Finding, Connection | undefined> {
  const { host, port, url } = endpoint
  if (isIP(host) === 0) {
    const finding = await findAddresses(host, options, signal)
    yield finding
    if (finding.status === 'fail') return undefined
  }
  const startedAt = performance.now()
  try {
    const session = await dial(endpoint, options, signal)
    let told = false
    try {
      yield ok(`TCP ${host}:${port}`, `connected, in ${Math.round(performance.now() - startedAt)} ms`)
      yield* describeTls(endpoint, session.tls, options)
      told = true
      return new Connection(session, options.operationTimeoutMs)
    } finally {
      // Whoever stops to listen has nobody else who would close it.
      if (!told) session.destroy()
    }
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
    if (error.phase === 'connect') {
      yield fail(
        `TCP ${host}:${port}`,
        withoutUrl(error.message, url),
        adviceOnTcp(error.message, endpoint, options.named),
      )
      return undefined
    }
    yield ok(`TCP ${host}:${port}`, 'connected')
    yield explainTlsFailure(endpoint, error, options.named)
    return undefined
  }
}

function* describeTls(
  { url }: Endpoint,
  tls: TlsSession | undefined,
  { wallMs, ca, caFile, toldOf, named }: ReachOptions,
): Generator<Finding> {
  if (tls === undefined) {
    const detail = 'none: every password sent there is readable on the network'
    yield warn(`TLS ${url}`, detail, named.encrypt)
    return
  }
  const [own] = tls.chain
  const names = own?.names ?? []
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : ''
  const chain = [...new Set(tls.chain.map(({ issuer }) => issuer))].join(' ← ')
  const shown = names.slice(0, MOST_NAMES).join(', ')
  yield ok(
    `TLS ${url}`,
    `${tls.version}, the certificate is for ${shown}${more}, issued by ${chain || 'nobody'}`,
  )

  const first = tls.chain.toSorted((one, other) => one.validToMs - other.validToMs)[0]
  if (first === undefined) return
  const days = Math.floor((first.validToMs - wallMs) / DAY_MS)
  const what = first === own ? 'the certificate' : `the certificate of the CA "${first.subject}"`
  const detail = `${what} expires in ${days} ${days === 1 ? 'day' : 'days'}, on ${new Date(first.validToMs).toISOString()}`
  yield days < SOON_DAYS
    ? warn(`certificate ${url}`, detail, 'renew it on the server: once it has expired nobody can log in')
    : ok(`certificate ${url}`, detail)
  const above = trustedAbove(tls.chain.at(-1)?.issuer ?? '', ca).filter(({ subject }) => !toldOf.has(subject))
  for (const { subject } of above) toldOf.add(subject)
  yield* warnOfTrusted(above, caFile, wallMs)
}

/** Whom we trust has an end, too, and a server with a new certificate of the same CA does not help against that. */
function* warnOfTrusted(
  above: readonly TrustedCa[],
  caFile: string | undefined,
  wallMs: number,
): Generator<Finding> {
  for (const { subject, validToMs } of above) {
    const days = Math.floor((validToMs - wallMs) / DAY_MS)
    if (!(days < SOON_DAYS)) continue
    const detail = `the CA "${subject}" in it expires in ${days} ${days === 1 ? 'day' : 'days'}, on ${new Date(validToMs).toISOString()}`
    const advice =
      'put its new certificate into it, beside the old one: once that has expired nobody can log in'
    yield warn(`tls.ca_file ${caFile ?? ''}`.trim(), detail, advice)
  }
}

function adviceOnTcp(message: string, { host, port, security }: Endpoint, { where }: Named): string {
  const other =
    security === 'ldaps'
      ? port === 636
        ? ''
        : ', where ldaps:// is on 636'
      : port === 389
        ? ''
        : ', where ldap:// is on 389'
  if (message.includes('ECONNREFUSED')) {
    return `nothing listens on port ${port} there: correct host and port in ${where}${other}, or start the server`
  }
  if (/no connection within|ETIMEDOUT/.test(message)) {
    return `a firewall may swallow port ${port}, or ${host} is down; if it is only slow, raise \`connect_timeout\``
  }
  if (/EHOSTUNREACH|ENETUNREACH/.test(message)) return 'there is no route to it from here'
  return `correct host and port in ${where}${other}`
}

function explainTlsFailure(
  endpoint: Endpoint,
  { explanation, message }: DirectoryFailure,
  named: Named,
): Finding {
  const { url, security } = endpoint
  const detail = explanation?.reason ?? withoutUrl(message, url)
  if (security === 'starttls' && explanation === undefined) {
    const check = `StartTLS ${url}`
    return /StartTLS was refused/.test(detail)
      ? fail(check, detail, `the server offers no StartTLS: ${named.overTls}`)
      : fail(check, detail, adviceOnStartTlsPort(endpoint, named))
  }
  return fail(`TLS ${url}`, detail, adviceOnTls(endpoint, named, detail, explanation?.advice))
}

/** Where nothing that is known of TLS explains it, the port may. */
function adviceOnTls(
  endpoint: Endpoint,
  named: Named,
  detail: string,
  known: string | undefined,
): string | undefined {
  const foreign = /does not speak TLS/.test(detail)
  const guess = known === undefined || foreign || /hung up/.test(detail)
  const port = guess ? adviceOnPort(endpoint, named) : undefined
  if (port === undefined) return known ?? (/no connection within/.test(detail) ? STALLED : undefined)
  return foreign || known === undefined || PLAIN_PORTS.has(endpoint.port) ? port : `${port}; ${known}`
}

const STALLED =
  'something takes connections there and says nothing: is the server overloaded? `connect_timeout` says how long it is waited for'

/** The usual mistake about TLS is the port. */
function adviceOnPort(endpoint: Endpoint, { byUrl, where }: Named): string | undefined {
  const { port, security, host } = endpoint
  if (security !== 'ldaps' || TLS_PORTS.includes(port)) return undefined
  const instead = PLAIN_PORTS.get(port)
  if (!byUrl) return `is it the right port? 636 is for LDAP over TLS: correct it in ${where}`
  return instead === undefined
    ? 'is it the right port? 636 is for ldaps://, and 389 for ldap:// with `tls: { starttls: true }`'
    : `port ${port} is for ldap://: write \`ldaps://${inUrl(host)}:${instead}\`, or \`ldap://${inUrl(host)}:${port}\` with \`tls: { starttls: true }\``
}

function adviceOnStartTlsPort({ host, port }: Endpoint, { byUrl, overTls }: Named): string {
  if (!byUrl && TLS_PORTS.includes(port)) return `port ${port} is for LDAP over TLS: ${overTls}`
  return TLS_PORTS.includes(port)
    ? `port ${port} is for ldaps://: write \`ldaps://${inUrl(host)}:${port}\` without \`tls.starttls\``
    : 'is it the right port? Nothing there answers in LDAP; StartTLS is on 389, ldap://'
}

/** Ports of Active Directory's global catalogue come after the directory's own. */
const TLS_PORTS: readonly number[] = [636, 3269]
const PLAIN_PORTS: ReadonlyMap<number, number> = new Map([
  [389, 636],
  [3268, 3269],
])

function inUrl(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host
}

function withoutUrl(message: string, url: string): string {
  return message.startsWith(`${url}: `) ? message.slice(url.length + 2) : message
}
