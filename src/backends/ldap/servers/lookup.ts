import { lookup as systemLookup } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

export interface Address {
  readonly address: string
  readonly family: 4 | 6
}

/** The addresses of hosts. One question per host is under way at a time, whoever asks. */
export interface Addresses {
  /** For sockets. While DNS is out the last good addresses hold. */
  readonly lookup: LookupFunction
  /**
   * What DNS says now.
   *
   * @throws {Error} if it says nothing, or that there are none
   */
  ask(host: string): Promise<readonly Address[]>
}

/** A name server that says nothing is asked twice, so long each time. */
const NAME_SERVER_TIMEOUT_MS = 1_000
/** IPv4 is here: how long IPv6 is waited for (RFC 8305 section 3). */
const RESOLUTION_DELAY_MS = 50
/** After this the addresses that held last time have to do. */
const PATIENCE_MS = 500

/** A resolver that reads the system's list of name servers anew, or asks the given ones. */
export function createResolver(nameServers: readonly string[]): Resolver {
  const resolver = new Resolver({ timeout: NAME_SERVER_TIMEOUT_MS, tries: 2 })
  if (nameServers.length > 0) resolver.setServers(nameServers)
  return resolver
}

/** Is this an address, with or without a port, as `dns_servers` wants it? Names are none: who would resolve them? */
export function isNameServer(text: string): boolean {
  try {
    createResolver([text])
    return true
  } catch {
    return false
  }
}

/**
 * One question per host at a time, because each the system is asked takes one of the few threads that files need, too, for as
 * long as DNS is out.
 *
 * @param nameServers `address` or `address:port`; none: the system's way, its hosts file included
 */
export function createAddresses(nameServers: readonly string[]): Addresses {
  const lastGood = new Map<string, readonly Address[]>()
  const underWay = new Map<string, Promise<readonly Address[]>>()

  function ask(host: string): Promise<readonly Address[]> {
    const asked = underWay.get(host)
    if (asked) return asked
    const own = nameServers.length > 0 && !/(^|\.)localhost$/i.test(host)
    const question = (own ? askNameServers(host, nameServers) : askSystem(host))
      .then(addresses => {
        lastGood.set(host, addresses)
        return addresses
      })
      .finally(() => underWay.delete(host))
    underWay.set(host, question)
    return question
  }

  async function find(host: string): Promise<readonly Address[]> {
    const question = ask(host)
    const known = lastGood.get(host)
    if (known === undefined) return question
    const tired = new AbortController()
    try {
      return await Promise.race([
        question.catch(() => known),
        pause(PATIENCE_MS, known, { signal: tired.signal }),
      ])
    } finally {
      tired.abort()
    }
  }

  return {
    ask,
    lookup(host, { all, family }, tell) {
      find(host).then(
        found => {
          const wanted = family === 4 || family === 6 ? found.filter(each => each.family === family) : found
          const [first] = wanted
          if (first === undefined) tell(noAddress(host), '')
          else if (all) tell(null, [...wanted])
          else tell(null, first.address, first.family)
        },
        error => tell(error, ''),
      )
    },
  }
}

function askSystem(host: string): Promise<readonly Address[]> {
  return new Promise((resolve, reject) => {
    systemLookup(host, { all: true }, (error, addresses) => {
      if (error) reject(error)
      else resolve(addresses as Address[])
    })
  })
}

async function askNameServers(host: string, nameServers: readonly string[]): Promise<readonly Address[]> {
  const resolver = createResolver(nameServers)
  const answers: Address[] = []
  const keep = (family: 4 | 6) => (addresses: readonly string[]) => {
    answers.push(...addresses.map(address => ({ address, family })))
  }
  const four = resolver.resolve4(host).then(keep(4))
  const six = resolver.resolve6(host).then(keep(6))
  const both = Promise.allSettled([four, six])
  // A name server that swallows one of the two questions must not hold up the other's answer.
  await Promise.race([both, four.then(() => pause(RESOLUTION_DELAY_MS))]).catch(() => both)
  if (answers.length > 0) return answers
  const failed = (await both).find(({ status }) => status === 'rejected')
  throw failed?.status === 'rejected' ? failed.reason : noAddress(host)
}

function noAddress(host: string): Error {
  return Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' })
}
