import { createPasswordTag } from '../../src/authentication/password-tag.ts'
import { Secret } from '../../src/authentication/secret.ts'

/**
 * Wrong passwords that none was taken for before. The lockout knows the last ones again by 16 bits, and would charge a fresh guess
 * that happens to have the same ones once in a while to nobody: here only as many as were really verified must count.
 *
 * @param secret `lockout.secret` of the daemon that is guessed at
 */
export function createFreshGuesses(secret: string): () => string {
  const tagOf = createPasswordTag(Buffer.from(secret))
  const used = new Set<number>()
  let guesses = 0
  return () => {
    // Nobody remembers so many.
    if (used.size > 30_000) used.clear()
    for (;;) {
      const password = `wrong ${++guesses}`
      const tag = tagOf(new Secret(password))
      if (used.has(tag)) continue
      used.add(tag)
      return password
    }
  }
}
