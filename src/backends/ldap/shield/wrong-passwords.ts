/** Wrong passwords of a moment ago: a phone with an old one must not send it on and on. */
import { createHmac, randomBytes } from 'node:crypto'
import type { Clock, Secret } from '../../../plugin.ts'

export interface WrongPasswords {
  /**
   * @param setAt changes with the right password: what was wrong before may be right since. Empty where nobody knows: then it
   *   must be sent again soon, however often it is tried
   * @param forMs how long, from when it was last tried, in milliseconds
   */
  remember(subject: string, setAt: string, password: Secret, forMs: number): void
  /** A phone that tries it again and again has it remembered as long as it does. */
  isRemembered(subject: string, setAt: string, password: Secret): boolean
}

/** The oldest go first. */
const MAX_SUBJECTS = 10_000
const MAX_PASSWORDS = 8

interface Wrong {
  readonly hash: string
  readonly forMs: number
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
    return password.octets(octets => hmac.update(`${subject}\0${setAt}\0`).update(octets).digest('base64'))
  }

  function current(subject: string): readonly Wrong[] {
    const now = clock.now()
    return (known.get(subject) ?? []).filter(({ untilMs }) => untilMs > now)
  }

  function keep(subject: string, wrong: Wrong): void {
    const others = current(subject).filter(({ hash }) => hash !== wrong.hash)
    known.delete(subject)
    known.set(subject, [...others, wrong].slice(-MAX_PASSWORDS))
    for (const oldest of known.keys()) {
      if (known.size <= MAX_SUBJECTS && current(oldest).length > 0) break
      known.delete(oldest)
    }
  }

  return {
    remember(subject, setAt, password, forMs) {
      keep(subject, { hash: hash(subject, setAt, password), forMs, untilMs: clock.now() + forMs })
    },
    isRemembered(subject, setAt, password) {
      const wrong = current(subject)
      if (wrong.length === 0) return false
      const wanted = hash(subject, setAt, password)
      const found = wrong.find(({ hash }) => hash === wanted)
      if (found && setAt !== '') keep(subject, { ...found, untilMs: clock.now() + found.forMs })
      return found !== undefined
    },
  }
}
