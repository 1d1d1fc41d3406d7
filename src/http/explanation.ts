/** An explanation as JSON: what the admin listener answers, and what `gatehouse explain --json` prints. */
import type { Explanation } from '../authentication/explanation.ts'
import { presentUser } from './identity.ts'
import { presentLockout } from './locks.ts'

export type PresentedExplanation = ReturnType<typeof presentExplanation>
export type PresentedStep = PresentedExplanation['steps'][number]

export function presentExplanation(explanation: Explanation) {
  const { mode, given, username, address, lockout, lockoutAfter, steps, conclusion, durationMs } = explanation
  const { verdict, reason, backend, rule, user, warnings } = conclusion
  return {
    mode,
    given,
    ...(username && {
      username: {
        text: username.text,
        user: username.user,
        ...(username.domain !== undefined && { domain: username.domain }),
      },
    }),
    address,
    ...(lockout && { lockout: presentLockout(lockout) }),
    ...(lockoutAfter && { lockout_after: presentLockout(lockoutAfter) }),
    steps: steps.map(step => ({
      backend: step.backend,
      type: step.type,
      outcome: step.outcome,
      ...(step.detail !== undefined && { detail: step.detail }),
      ...(step.state !== undefined && { state: step.state }),
      facts: step.facts.map(({ what, value, durationMs: ms }) => ({
        what,
        value,
        ...(ms !== undefined && { ms: round(ms) }),
      })),
      ...(step.user && { user: { ...presentUser(step.user), state: step.user.state } }),
      ...(step.rule !== undefined && { rule: step.rule, next: step.next }),
      ...(step.durationMs !== undefined && { ms: round(step.durationMs) }),
    })),
    verdict,
    reason,
    ...(backend !== undefined && { backend }),
    ...(rule !== undefined && { rule }),
    ...(user && { user: presentUser(user) }),
    ...(warnings && { warnings }),
    ms: round(durationMs),
  }
}

function round(durationMs: number): number {
  return Math.round(durationMs * 100) / 100
}
