import { createHmac } from 'node:crypto'
import { isIPv4 } from 'node:net'

/** Builds the keys that attempts are counted under. Each is 43 characters, whatever goes in. */
export interface LockoutKeys {
  /** The account by its name before resolution, from one source. */
  name(name: string, prefix: string): string
  /** The account by its subject, `<backend id>:<stable id>`, from one source. */
  subject(subject: string, prefix: string): string
  source(prefix: string): string
}

const IPV6_GROUPS = /^(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$/
const IPV4_MAPPED = /^(?:0+:){5}ffff:/

/** HMAC-SHA-256 (RFC 2104) under a secret of the installation, so that neither a dump nor a journal tells names. */
export function createLockoutKeys(secret: Uint8Array): LockoutKeys {
  function keyOf(...parts: readonly string[]): string {
    let tuple = ''
    // Length-prefixed, so that no two different tuples are the same bytes.
    for (const part of parts) tuple += `${Buffer.byteLength(part)}:${part}`
    return createHmac('sha256', secret).update(tuple).digest('base64url')
  }
  return {
    name: (name, prefix) => keyOf('name', name, prefix),
    subject: (subject, prefix) => keyOf('subject', subject, prefix),
    source: prefix => keyOf('source', prefix),
  }
}

/**
 * What counts as one source: an IPv4 address, or an IPv6 /64, within which anybody can have any address.
 *
 * @param address canonical (see `Asker.address`)
 * @throws {TypeError} if it is not, rather than counting it under a key that others share (CVE-2026-30827)
 */
export function sourcePrefix(address: string): string {
  if (isIPv4(address)) return address
  if (!IPV6_GROUPS.test(address) || IPV4_MAPPED.test(address)) {
    throw new TypeError(`Not a canonical address: ${JSON.stringify(address)}`)
  }
  return `${address.split(':', 4).join(':')}::/64`
}
