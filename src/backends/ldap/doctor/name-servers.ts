/** What DNS says: the servers of a domain, the addresses of a host; and when it says nothing, who should have spoken. */
import type { Finding } from '../../../plugin.ts'
import { discoverServers } from '../servers/discover.ts'
import { createResolver } from '../servers/lookup.ts'
import { readingCompressed } from '../servers/srv-query.ts'
import type { Settings } from '../settings.ts'
import { orAbort } from '../wire/deadline.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { reasonOf } from '../wire/failure.ts'
import { fail, ok } from './finding.ts'
import type { ReachOptions } from './reach.ts'
import { isLate } from './refusal.ts'

/** The servers that `urls` lists, or that `discover` finds. */
export async function* listServers(
  { endpoints, options: { discover, dns_servers, tls, insecure } }: Settings,
  signal: AbortSignal,
): AsyncGenerator<Finding, readonly Endpoint[]> {
  if (discover === undefined) return endpoints
  const check = `DNS SRV ${discover}`
  const security = tls.starttls ? 'starttls' : insecure ? 'none' : 'ldaps'
  try {
    const resolver = readingCompressed(createResolver(dns_servers))
    const rules = { domain: discover, security, anyTarget: tls.servername !== undefined } as const
    const found = await orAbort(discoverServers(rules, resolver), signal, 'connect')
    const inOrder = found.toSorted((one, other) => one.priority - other.priority || other.weight - one.weight)
    const shown = inOrder.map(
      ({ endpoint: { url }, priority, weight }) => `${url} (priority ${priority}, weight ${weight})`,
    )
    yield ok(
      check,
      `${found.length} ${found.length === 1 ? 'server' : 'servers'}, in this order: ${shown.join(', ')}`,
    )
    return inOrder.map(({ endpoint }) => endpoint)
  } catch (error) {
    const advice =
      'correct `discover`, name a DNS server of that domain in `dns_servers`, or list `urls` instead of `discover`'
    yield whySilent(check, error, dns_servers) ?? fail(check, reasonOf(error), advice)
    return []
  }
}

/** The addresses of one host. */
export async function findAddresses(
  host: string,
  { lookup, connectTimeoutMs, nameServers, named }: ReachOptions,
  signal: AbortSignal,
): Promise<Finding> {
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
    const advice = `correct the name in ${named.where}, or name a DNS server that knows it in \`dns_servers\``
    return whySilent(check, error, nameServers) ?? fail(check, detail, advice)
  }
}

/** It is not the name that is wrong, but whoever was asked about it. */
function whySilent(check: string, error: unknown, nameServers: readonly string[]): Finding | undefined {
  const reason = reasonOf(error).replace(/^DNS does not say which servers there are: /, '')
  if (/\b(ESERVFAIL|EREFUSED|SERVFAIL|REFUSED)\b/.test(reason)) {
    const asked = nameServers.length === 0 ? "the system's name servers" : nameServers.join(' and ')
    const advice = 'name a DNS server that knows this name in `dns_servers`'
    return fail(check, `${asked} refused or failed to answer (${reason})`, advice)
  }
  if (
    !/\b(ETIMEOUT|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)\b/.test(reason) &&
    !isLate(reason)
  )
    return undefined
  if (nameServers.length === 0) {
    const advice = "mend the system's DNS (/etc/resolv.conf), or name a DNS server in `dns_servers`"
    return fail(check, `the system's name servers do not answer (${reason})`, advice)
  }
  const [only] = nameServers
  const detail =
    nameServers.length === 1
      ? `the name server ${only} does not answer (${reason})`
      : `none of the name servers ${nameServers.join(', ')} answers (${reason})`
  return fail(check, detail, 'correct `dns_servers`; or is it down, or does a firewall swallow its port?')
}
