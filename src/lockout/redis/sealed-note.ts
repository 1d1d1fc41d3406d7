import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { LockNote } from '../../authentication/lockout.ts'

/** Who came by, as it may lie on a machine that is not ours: not to be read, and not to be changed without a trace. */
export interface NoteSeal {
  seal(note: LockNote): string
  /** Undefined for what another secret sealed, or nobody. */
  open(sealed: string): LockNote | undefined
}

/** AES-256-GCM (NIST SP 800-38D): a random nonce, the tag, the text. */
const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** @param secret of this installation; the key is derived from it (HKDF, RFC 5869), for this use alone */
export function createNoteSeal(secret: Uint8Array): NoteSeal {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'gatehouse lockout note', 32))
  return {
    seal(note) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
      const text = Buffer.concat([cipher.update(JSON.stringify(note), 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url')
    },
    open(sealed) {
      const bytes = Buffer.from(sealed, 'base64url')
      try {
        const nonce = bytes.subarray(0, NONCE_BYTES)
        const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
        decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
        const text = Buffer.concat([
          decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)),
          decipher.final(),
        ])
        return JSON.parse(text.toString('utf8'))
      } catch {
        return undefined
      }
    },
  }
}
