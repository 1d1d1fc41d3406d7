import type { LocalUsers } from '../authentication/local-users.ts'
import { UnavailableError } from '../authentication/outcome.ts'

/** The users of a database that cannot be used: an outage, and this is why. */
export function usersOutOfOrder(cause: string): LocalUsers {
  const refuse = () => {
    throw new UnavailableError(cause, 'lookup')
  }
  const answer = async () =>
    ({ outcome: 'unavailable', cause, phase: 'lookup', credentialSent: false }) as const
  return {
    authenticateByUsername: answer,
    authenticateByEmail: answer,
    findByUsername: refuse,
    findByEmail: refuse,
    count: refuse,
    getUser: refuse,
    probe: () => ({ ok: false, reason: cause }),
  }
}
