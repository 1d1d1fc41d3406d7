import type { Attempt, Backend } from '../../src/authentication/backend.ts'
import type { Link } from '../../src/authentication/chain.ts'
import type { User } from '../../src/authentication/outcome.ts'
import type { Rules } from '../../src/authentication/rule.ts'

/** Scripted backends, for answers that no real one gives on demand. */

export function user(id: string, rest: Partial<User> = {}): User {
  return { id, username: id, groups: [], roles: [], attributes: {}, ...rest }
}

export type Answering = (attempt: Attempt) => unknown

/** A backend that answers what it is told to, and counts how often it was asked. */
export function backend(
  id: string,
  answer: Answering,
  rest: Partial<Backend> = {},
): Backend & { asked: number } {
  return {
    id,
    asked: 0,
    async authenticate(attempt) {
      this.asked++
      return (await answer(attempt)) as never
    },
    getUser: async () => undefined,
    probe: async () => ({ ok: true }),
    close: async () => {},
    ...rest,
  }
}

/** Verifies like a real one: finds the subject, asks for its place, then gives its outcome. */
export function verifies(subject: string, outcome: unknown): Answering {
  return async ({ mayVerify }) =>
    (await mayVerify(subject)) ? outcome : { outcome: 'not_applicable', reason: 'refused' }
}

export const CONTINUE: Rules = {
  accept: 'stop',
  unknown_user: 'continue',
  wrong_password: 'continue',
  unavailable: 'continue',
}

export function link(of: Backend, rest: Partial<Omit<Link, 'on'>> & { on?: Partial<Rules> } = {}): Link {
  const { on, ...others } = rest
  return {
    backend: of,
    timeoutMs: 1_000,
    maxInFlight: 10,
    deny: false,
    usernameFilter: () => true,
    ...others,
    on: { ...CONTINUE, ...on },
  }
}
