/** What every way in does with one attempt: the same strength, throttling and pace on each (security.md S72). */
import type { AuthenticationRequest } from '../authentication/verdict.ts'
import type { Patience } from './patience.ts'
import { answerLogin, type LoginAnswer } from './reply.ts'
import type { Visitor } from './security.ts'

/** `caller` is the visitor. */
export type LoginAttempt = Omit<AuthenticationRequest, 'caller' | 'explain'>

/**
 * Asks the core, and says what this visitor may be told.
 *
 * Nobody aborts this when the caller hangs up: an attempt that has begun is finished and counted (chain.md).
 */
export async function login(
  { client, service }: Visitor,
  patience: Patience,
  attempt: LoginAttempt,
): Promise<LoginAnswer> {
  const verdict = await patience.wait(() => service.authenticate({ ...attempt, caller: client }))
  return answerLogin(verdict, {
    state: client.may.has('reveal_account_state'),
    lockout: service.lockoutDisclosure === 'shown',
  })
}
