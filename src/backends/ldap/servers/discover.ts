import type { SrvRecord } from 'node:dns'
import type { Endpoint } from '../wire/endpoint.ts'
import { reasonOf } from '../wire/failure.ts'

/** A server of a directory, and when it is its turn. */
export interface ListedServer {
  readonly endpoint: Endpoint
  /** Lower comes first. */
  readonly priority: number
  /** Its share among those of the same priority. */
  readonly weight: number
}

/** Of a DNS resolver what is needed here. */
export interface SrvResolver {
  resolveSrv(name: string): Promise<SrvRecord[]>
}

/** Answers that mean: there is no such record. */
const NO_RECORD: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA'])

/** Ports of plain LDAP that have a sister for LDAP over TLS: the directory and Active Directory's global catalogue. */
const TLS_PORTS: ReadonlyMap<number, number> = new Map([
  [389, 636],
  [3268, 3269],
])

export interface DiscoveryRules {
  readonly domain: string
  /** What `tls` asks for where the record does not say; `starttls` never looks for `_ldaps._tcp`. */
  readonly security: Endpoint['security']
  /** Something else than the target says which name its certificate must carry, so that it may be any host. */
  readonly anyTarget: boolean
}

/**
 * The servers of a domain by DNS SRV (RFC 2782): those of `_ldaps._tcp`, or else of `_ldap._tcp`, which is all that Active
 * Directory registers: then 389 stands for 636, unless the connection is to start in clear.
 *
 * Whoever can forge an answer of DNS must not be able to name a host of their own, for which they have a certificate (RFC 4513
 * section 3.1.3): targets outside of the domain do not count.
 *
 * @throws {Error} if DNS gives no answer, or says that there is none
 */
export async function discoverServers(
  { domain, security, anyTarget }: DiscoveryRules,
  resolver: SrvResolver,
): Promise<readonly ListedServer[]> {
  const servicesOf = async (name: string) => {
    const records = await resolve(name, resolver)
    const ours = anyTarget ? records : records.filter(({ name: target }) => isWithin(target, domain))
    const [stranger] = records
    if (ours.length > 0 || stranger === undefined) return ours
    const why = `${stranger.name} is outside of it, and DNS alone vouches for it`
    throw new Error(
      `DNS names no server of ${domain}: ${why}: set tls.servername, or urls instead of discover`,
    )
  }
  if (security !== 'starttls') {
    const overTls = await servicesOf(`_ldaps._tcp.${domain}`)
    if (overTls.length > 0) return overTls.map(record => listed(record, record.port, 'ldaps'))
  }
  const plain = await servicesOf(`_ldap._tcp.${domain}`)
  if (plain.length === 0) {
    const looked =
      security === 'starttls'
        ? 'no SRV record _ldap._tcp'
        : 'neither an SRV record _ldaps._tcp nor _ldap._tcp'
    throw new Error(`DNS names no server for ${domain}: there is ${looked}`)
  }
  return plain.map(record =>
    listed(
      record,
      security === 'ldaps' ? (TLS_PORTS.get(record.port) ?? record.port) : record.port,
      security,
    ),
  )
}

/**
 * In the order in which they are to be tried: by priority, and by chance and weight among equals (RFC 2782, Weight).
 *
 * @param random in [0, 1)
 */
export function inTurn<T extends { readonly priority: number; readonly weight: number }>(
  servers: readonly T[],
  random: () => number,
): T[] {
  // Those without weight stand first, so that they have their small chance.
  const rest = [...servers].sort((a, b) => a.priority - b.priority || a.weight - b.weight)
  const order: T[] = []
  while (rest.length > 0) {
    const equals = rest.filter(({ priority }) => priority === rest[0]?.priority)
    const total = equals.reduce((sum, { weight }) => sum + weight, 0)
    // A whole number from 0 to the sum, both included.
    let left = Math.floor(random() * (total + 1))
    const chosen = equals.findIndex(({ weight }) => {
      left -= weight
      return left <= 0
    })
    order.push(...rest.splice(Math.max(0, chosen), 1))
  }
  return order
}

async function resolve(name: string, resolver: SrvResolver): Promise<SrvRecord[]> {
  try {
    const records = await resolver.resolveSrv(name)
    // A target of `.` says that the service is decidedly not offered; c-ares gives it as an empty name.
    return records.filter(record => record.name !== '.' && record.name !== '')
  } catch (error) {
    if (error instanceof Error && 'code' in error && NO_RECORD.has(error.code)) return []
    throw new Error(`DNS does not say which servers there are: ${reasonOf(error)}`)
  }
}

function isWithin(host: string, domain: string): boolean {
  return `.${fold(host)}`.endsWith(`.${fold(domain)}`)
}

/** As names are compared, without the dot of the root. */
function fold(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

function listed(record: SrvRecord, port: number, security: Endpoint['security']): ListedServer {
  const host = fold(record.name)
  const url = `${security === 'ldaps' ? 'ldaps' : 'ldap'}://${host}:${port}`
  return { endpoint: { url, host, port, security }, priority: record.priority, weight: record.weight }
}
