import { createKeyedHash } from './keyed-hash.ts'
import type { Secret } from './secret.ts'

/** 16 bits of a keyed hash, 0..65535: enough to tell the same wrong password again, too little to find it by (lockout.md, Rules). */
export type PasswordTag = (password: Secret) => number

/** @param key at least 32 bytes (RFC 2104 section 3) */
export function createPasswordTag(key: Uint8Array): PasswordTag {
  const hash = createKeyedHash(key, 'password tag:')
  return password => {
    const digest = password.octets(octets => hash(octets, 'latin1'))
    return (digest.charCodeAt(0) << 8) | digest.charCodeAt(1)
  }
}
