import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** Does a listener on this host serve only this machine? A name other than `localhost` may be anything. */
export function isLoopback(host: string): boolean {
  const version = isIP(host)
  return version === 0
    ? host.toLowerCase() === 'localhost'
    : loopback.check(host, version === 6 ? 'ipv6' : 'ipv4')
}

/** Does a listener on this host take a port from every other listener? */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** `address/prefix` of a network; a lone address is a network of one. Undefined for anything else. */
export function parseCidr(text: string): string | undefined {
  const [address = '', prefix, ...rest] = text.split('/')
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  if (bits < 0 || rest.length > 0 || address.includes('%')) return undefined
  if (prefix === undefined) return `${address}/${bits}`
  return /^(0|[1-9][0-9]{0,2})$/.test(prefix) && Number(prefix) <= bits ? text : undefined
}

/** `address/prefix` of what `parseCidr` knows as a network; any other text as it is. */
export function canonicalCidr(text: string): string {
  return parseCidr(text) ?? text
}
