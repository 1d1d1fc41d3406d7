import { createKeyedHash } from './keyed-hash.ts'

/** Sixteen hex digits for a normalised name. */
export type HashUser = (name: string) => string

/**
 * How a name is written down where it may be a password in the wrong box: the same for the same name, so that it can be
 * followed through the log, and telling nothing to whoever has not the secret (security.md S79).
 *
 * @param secret the installation's
 */
export function createUserHash(secret: Uint8Array): HashUser {
  const hash = createKeyedHash(secret, 'user_hash:')
  return name => hash(name, 'hex').slice(0, 16)
}
