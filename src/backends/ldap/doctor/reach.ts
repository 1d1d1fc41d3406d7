/** The way to one server: DNS → TCP → TLS. */
import { isIP, type LookupFunction } from 'node:net'
import type { Finding } from '../../../plugin.ts'
import { Connection } from '../wire/connection.ts'
import { orAbort } from '../wire/deadline.ts'
import { type DialOptions, dial } from '../wire/dial.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { DirectoryFailure, reasonOf } from '../wire/failure.ts'
import type { TlsSession } from '../wire/tls-failure.ts'
import { fail, ok, warn } from './finding.ts'

export interface ReachOptions extends DialOptions {
  readonly lookup: LookupFunction
  readonly operationTimeoutMs: number
  /** Wall clock, in milliseconds since the Unix epoch. */
  readonly wallMs: number
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
  const { host, port, url, security } = endpoint
  if (isIP(host) === 0) {
    const finding = await findAddresses(host, options, signal)
    yield finding
    if (finding.status === 'fail') return undefined
  }
  const startedAt = performance.now()
  try {
    const stream = await dial(endpoint, options, signal)
    yield ok(`TCP ${host}:${port}`, `connected, in ${Math.round(performance.now() - startedAt)} ms`)
    yield* describeTls(endpoint, stream.tls, options.wallMs)
    return new Connection(stream, options.operationTimeoutMs)
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
    if (error.phase === 'connect') {
      yield fail(`TCP ${host}:${port}`, withoutUrl(error.message, url), adviceOnTcp(error.message, endpoint))
      return undefined
    }
    yield ok(`TCP ${host}:${port}`, 'connected')
    const { explanation } = error
    const startTls = security === 'starttls' && explanation === undefined
    const check = startTls ? `StartTLS ${url}` : `TLS ${url}`
    const refused = 'the server offers no StartTLS: use `ldaps://` in `urls`, without `tls.starttls`'
    const guess = explanation === undefined || /hung up/.test(explanation.reason)
    const advice = startTls
      ? refused
      : joined(explanation?.advice, guess ? adviceOnPort(endpoint) : undefined)
    yield fail(check, explanation?.reason ?? withoutUrl(error.message, url), advice)
    return undefined
  }
}

async function findAddresses(host: string, { lookup, connectTimeoutMs }: ReachOptions, signal: AbortSignal) {
  const check = `DNS ${host}`
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(connectTimeoutMs)])
  try {
    const found = new Promise<string>((resolve, reject) => {
      lookup(host, { all: true }, (error, addresses) => {
        if (error) reject(error)
        else
          resolve(
            [addresses]
              .flat()
              .map(each => (typeof each === 'string' ? each : each.address))
              .join(', '),
          )
      })
    })
    return ok(check, await orAbort(found, inTime, 'connect'))
  } catch (error) {
    const unknown = error instanceof Error && 'code' in error && error.code === 'ENOTFOUND'
    const detail = unknown ? 'this name has no address' : `no address was found: ${reasonOf(error)}`
    const advice = 'correct the name in `urls`, or name a DNS server that knows it in `dns_servers`'
    return fail(check, detail, advice)
  }
}

function* describeTls({ url }: Endpoint, tls: TlsSession | undefined, wallMs: number): Generator<Finding> {
  if (tls === undefined) {
    const detail = 'none: every password sent there is readable on the network'
    yield warn(`TLS ${url}`, detail, 'use `ldaps://` in `urls`, or `tls: { starttls: true }`')
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
}

function adviceOnTcp(message: string, { host, port, security }: Endpoint): string {
  const other =
    security === 'ldaps'
      ? port === 636
        ? ''
        : ', where ldaps:// is on 636'
      : port === 389
        ? ''
        : ', where ldap:// is on 389'
  if (message.includes('ECONNREFUSED')) {
    return `nothing listens on port ${port} there: correct host and port in \`urls\`${other}, or start the server`
  }
  if (/no connection within|ETIMEDOUT/.test(message)) {
    return `a firewall may swallow port ${port}, or ${host} is down; if it is only slow, raise \`connect_timeout\``
  }
  if (/EHOSTUNREACH|ENETUNREACH/.test(message)) return 'there is no route to it from here'
  return `correct host and port in \`urls\`${other}`
}

/** The usual mistake about TLS is the port. */
function adviceOnPort({ port, security }: Endpoint): string | undefined {
  if (security !== 'ldaps' || port === 636) return undefined
  return 'is it the right port? 636 is for ldaps://, and 389 for ldap:// with `tls: { starttls: true }`'
}

function joined(...parts: readonly (string | undefined)[]): string | undefined {
  const said = parts.filter(part => part !== undefined)
  return said.length === 0 ? undefined : said.join('; ')
}

function withoutUrl(message: string, url: string): string {
  return message.startsWith(`${url}: `) ? message.slice(url.length + 2) : message
}
