import { createHmac } from 'node:crypto'
import type { Secret } from './secret.ts'

/** 16 bits of a keyed hash, 0..65535: enough to tell the same wrong password again, too little to find it by (lockout.md, Rules). */
export type PasswordTag = (password: Secret) => number

/** @param key at least 32 bytes (RFC 2104 section 3) */
export function createPasswordTag(key: Uint8Array): PasswordTag {
  return password =>
    password.octets(octets =>
      createHmac('sha256', key).update('password tag:').update(octets).digest().readUInt16BE(),
    )
}
