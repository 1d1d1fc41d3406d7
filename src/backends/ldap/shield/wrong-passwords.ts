/** Wrong passwords of a moment ago: a phone with an old one must not send it on and on. */
import { createHmac, randomBytes } from 'node:crypto'
import type { Clock, Secret } from '../../../plugin.ts'

export interface WrongPasswords {
  /**
   * @param setAt changes with the right password: what was wrong before may be right since
   * @param forMs how long, from the answer on, in milliseconds
   */
  remember(subject: string, setAt: string, password: Secret, forMs: number): void
  isRemembered(subject: string, setAt: string, password: Secret): boolean
}

/** The oldest go first. */
const MAX_SUBJECTS = 10_000
const MAX_PASSWORDS = 8

interface Wrong {
  readonly hash: string
  readonly untilMs: number
}

/** Keeps keyed hashes, in memory only, under a key that ends with the process. */
export function createWrongPasswords(clock: Clock): WrongPasswords {
  const key = randomBytes(32)
  /** Oldest first, the subjects by their newest. */
  const known = new Map<string, readonly Wrong[]>()

  function hash(subject: string, setAt: string, password: Secret): string {
    const hmac = createHmac('sha256', key)
    // Neither an id nor a time has a NUL in it.
    return hmac.update(`${subject}\0${setAt}\0${password.reveal()}`).digest('base64')
  }

  function current(subject: string): readonly Wrong[] {
    const now = clock.now()
    return (known.get(subject) ?? []).filter(({ untilMs }) => untilMs > now)
  }

  return {
    remember(subject, setAt, password, forMs) {
      const wrong = { hash: hash(subject, setAt, password), untilMs: clock.now() + forMs }
      const others = current(subject).filter(other => other.hash !== wrong.hash)
      known.delete(subject)
      known.set(subject, [...others, wrong].slice(-MAX_PASSWORDS))
      for (const oldest of known.keys()) {
        if (known.size <= MAX_SUBJECTS && current(oldest).length > 0) break
        known.delete(oldest)
      }
    },
    isRemembered(subject, setAt, password) {
      const wrong = current(subject)
      if (wrong.length === 0) return false
      const wanted = hash(subject, setAt, password)
      return wrong.some(({ hash }) => hash === wanted)
    },
  }
}
