/** Whose request it is, by address (api.md, Who may call). Addresses only, never names (CVE-2024-10963). */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { RequestFault } from './request-fault.ts'

type Address = ipaddr.IPv4 | ipaddr.IPv6
export type AddressRange = readonly [Address, number]

/** More hops than any real network has; it bounds the work on one header. */
const MAX_FORWARDED = 32

/**
 * The one text for an address, so that it can be compared and counted: dotted IPv4, or IPv6 as eight groups without
 * `::`. An IPv4-mapped IPv6 address is its IPv4 address (CVE-2026-30827).
 *
 * @returns undefined for anything but a plain address: no port, no brackets, no zone, no octal
 */
export function canonicalAddress(text: string): string | undefined {
  // ipaddr.js alone would take `1`, `0x7f.1` and `010.0.0.1`; what is IPv4 for Node has only one spelling.
  const version = isIP(text)
  if (version === 4) return text
  return version === 0 || text.includes('%') ? undefined : ipaddr.process(spellOut(text)).toNormalizedString()
}

/** ipaddr.js takes `::192.0.2.1`, an address of its own (RFC 4291 section 2.5.5.1), for the mapped `::ffff:192.0.2.1`. */
function spellOut(text: string): string {
  return text.replace(/^::(?=\d+\.)/, '0::')
}

/**
 * Reads `address/prefix` or a single address; host bits beyond the prefix are ignored.
 *
 * @throws Error if it is neither
 */
export function parseRange(text: string): AddressRange {
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  if (isIP(address) === 0 || address.includes('%')) throw new Error(`not an address or a range: ${text}`)
  const whole = slash < 0 ? `${text}/${isIP(text) === 4 ? 32 : 128}` : text
  const [network, prefix] = ipaddr.parseCIDR(spellOut(whole))
  if (network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress() && prefix >= 96) {
    return [network.toIPv4Address(), prefix - 96]
  }
  return [network, prefix]
}

/** Whether the address, in its canonical text, lies in the range. */
export function inRange(address: string, [network, prefix]: AddressRange): boolean {
  if (network instanceof ipaddr.IPv4) {
    if (address.includes(':')) return false
    // Asked at each request, and ipaddr.js takes its time to read an address.
    return prefix === 0 || (readIPv4(address) ^ readIPv4(network.toString())) >>> (32 - prefix) === 0
  }
  const parsed = ipaddr.parse(address)
  return parsed.kind() === network.kind() && parsed.match(network, prefix)
}

/** A dotted IPv4 address as a number of 32 bits. */
function readIPv4(address: string): number {
  let [number, part] = [0, 0]
  for (let at = 0; at < address.length; at++) {
    const digit = address.charCodeAt(at) - 0x30
    if (digit >= 0) part = part * 10 + digit
    else {
      number = (number << 8) | part
      part = 0
    }
  }
  return (number << 8) | part
}

/**
 * Where a request comes from, in canonical text: the TCP peer, unless that is a trusted proxy. Then `X-Forwarded-For`
 * is walked from right to left to the first address that is no trusted proxy: everything left of it is hearsay.
 *
 * @param peer the socket's remote address
 * @param forwardedFor all `X-Forwarded-For` lines joined by commas
 * @throws RequestFault if the peer is trusted and an element is not an address (CVE-2024-47070)
 */
export function callerAddress(
  peer: string | undefined,
  forwardedFor: string | undefined,
  trustedProxies: readonly AddressRange[],
): string {
  // A link-local peer carries the interface as its zone.
  const address = canonicalAddress(peer?.split('%', 1)[0] ?? '')
  if (address === undefined) throw new RequestFault({ detail: 'the connection has no address' })
  if (forwardedFor === undefined) return address
  const isTrusted = (hop: string) => trustedProxies.some(range => inRange(hop, range))
  if (!isTrusted(address)) return address
  const hops = readForwardedFor(forwardedFor)
  return hops.findLast(hop => !isTrusted(hop)) ?? hops[0] ?? address
}

function readForwardedFor(value: string): string[] {
  const elements = value.split(',', MAX_FORWARDED + 1)
  if (elements.length > MAX_FORWARDED) {
    throw new RequestFault({ header: 'X-Forwarded-For', detail: `more than ${MAX_FORWARDED} addresses` })
  }
  return elements.map(element => {
    const hop = canonicalAddress(element.trim())
    if (hop === undefined) throw new RequestFault({ header: 'X-Forwarded-For', detail: 'not an address' })
    return hop
  })
}
