import { isIPv4 } from 'node:net'
import { createKeyedHash } from '../authentication/keyed-hash.ts'
import type { LockKind } from '../authentication/lockout.ts'

/**
 * Builds the keys that attempts are counted under: 43 characters of a keyed hash, whatever goes in. An account is a name before
 * resolution, or a subject (`<backend id>:<stable id>`) after it.
 */
export interface LockoutKeys {
  /** The profile of an account. */
  account(account: Account): string
  /** One count of an account from everywhere: that of its profile and a word of ours, hashed already. */
  everywhere(profile: string, kind: LockKind, which?: string): string
  /** An account from one source. */
  pair(profile: string, prefix: string): string
  /** The source or subnet, whatever the account. */
  source(kind: 'source' | 'subnet', prefix: string): string
}

export type Account = { readonly name: string } | { readonly subject: string }

const IPV6_GROUPS = /^(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$/
const IPV4_MAPPED = /^(?:0+:){5}ffff:/

/** HMAC-SHA-256 (RFC 2104) under a secret of the installation, so that neither a dump nor a journal tells names. */
export function createLockoutKeys(secret: Uint8Array): LockoutKeys {
  const hash = createKeyedHash(secret)

  function keyOf(...parts: readonly string[]): string {
    let tuple = ''
    // Length-prefixed, so that no two different tuples are the same bytes.
    for (const part of parts) tuple += `${Buffer.byteLength(part)}:${part}`
    return hash(tuple, 'base64url')
  }
  return {
    account: account => keyOf('account', ...partsOf(account)),
    everywhere: (profile, kind, which = '') => `${profile}.${kind}${which && `.${which}`}`,
    pair: (profile, prefix) => keyOf('pair', profile, prefix),
    source: (kind, prefix) => keyOf(kind, prefix),
  }
}

function partsOf(account: Account): readonly [string, string] {
  return 'name' in account ? ['name', account.name] : ['subject', account.subject]
}

/**
 * What counts as one source: an IPv4 address, or an IPv6 /64, within which anybody can have any address.
 *
 * @param address canonical (see `Asker.address`)
 * @throws {TypeError} if it is not, rather than counting it under a key that others share (CVE-2026-30827)
 */
export function sourcePrefix(address: string): string {
  if (isIPv4(address)) return address
  return `${groups(address, 4)}::/64`
}

/**
 * The network around a source, within which hopping is cheap: an IPv4 /24, or an IPv6 /48.
 *
 * @throws {TypeError} as `sourcePrefix`
 */
export function subnetPrefix(address: string): string {
  if (isIPv4(address)) return `${address.split('.', 3).join('.')}.0/24`
  return `${groups(address, 3)}::/48`
}

function groups(address: string, count: number): string {
  if (!IPV6_GROUPS.test(address) || IPV4_MAPPED.test(address)) {
    throw new TypeError(`Not a canonical address: ${JSON.stringify(address)}`)
  }
  return address.split(':', count).join(':')
}
