import type { ChainVerdict } from './chain.ts'
import type { Charge } from './lockout.ts'

/** What the chain has learned of who was guessed at. */
interface Learned {
  /** Whose password was found wrong. */
  readonly wrongSubjects: readonly string[]
  /** At least one backend does not know the name. */
  readonly unknown: boolean
  readonly unavailable: boolean
  /** Who decided. */
  readonly subject?: string
}

/** Who pays for an attempt: the last column of the chain's table. */
export function chargeFor(
  verdict: ChainVerdict,
  { wrongSubjects, unknown, unavailable, subject }: Learned,
): Charge {
  const subjects = wrongSubjects
  const wrong = subjects.length > 0
  switch (verdict.verdict) {
    case 'accepted':
      // Another backend's subject of the same name was guessed at on the way: that one pays, the source does not.
      return {
        name: false,
        subjects: subjects.filter(wrongSubject => wrongSubject !== subject),
        source: false,
        ...(subject !== undefined && { accepted: subject }),
      }
    case 'rejected': {
      const byName = (unknown || wrong) && !unavailable
      const bySource = verdict.reason === 'ambiguous' || verdict.reason === 'deny'
      return { name: byName, subjects, source: wrong || byName || bySource }
    }
    case 'account_state': {
      const guessed = !verdict.passwordVerified
      return { name: guessed && verdict.state !== 'locked', subjects, source: guessed || wrong }
    }
    case 'locked_out':
    case 'busy':
    case 'unavailable':
      return { name: false, subjects, source: wrong }
  }
}
