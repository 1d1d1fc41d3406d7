import type { AttemptEvent } from '../authentication/attempt-event.ts'
import type { Log } from '../authentication/log.ts'
import { createUserHash } from '../authentication/user-hash.ts'
import { attemptFields, type EventName, eventName } from './attempt-fields.ts'

/**
 * Writes one structured event per attempt. The name is shown only once a backend knew it: what a stranger typed may be
 * a password in the wrong box, so it is logged as a keyed hash that is the same for the same name (security.md S79).
 *
 * @param secret the installation's secret, the key of those hashes
 */
export function createAttemptLog(log: Log, secret: Uint8Array): (event: AttemptEvent) => void {
  const hash = createUserHash(secret)
  return event => {
    const { username, subject } = event
    const [level, message] = [levelOf(event), MESSAGES[eventName(event)]]
    // In a flood most are left out: their hashes and fields would be for nobody.
    if (log.leavesOut?.(level, message)) return
    const name = {
      user_hash: username === undefined ? undefined : hash(username),
      user: subject === undefined ? undefined : username,
    }
    log[level](attemptFields(event, name, true), message)
  }
}

const MESSAGES: Record<EventName, string> = {
  authn_login_success: 'logged in',
  authn_login_fail: 'refused',
  authn_login_fail_max: 'refused: locked out here',
  authn_login_lock: 'refused, and locked out from now on',
  authn_login_unavailable: 'no verdict: a backend is out',
  excess_rate_limit_exceeded: 'too many attempts at once',
  input_validation_fail: 'not a name or not a password',
  sys_crash: 'the attempt ended in a bug of ours',
}

/** Two principals behind one name is a mistake in the directory or the filter: somebody has to mend it (chain.md). */
function levelOf({ verdict, reason, locked }: AttemptEvent): 'info' | 'warn' | 'error' {
  if (verdict === 'error' || reason === 'ambiguous') return 'error'
  return locked || verdict === 'unavailable' || verdict === 'locked_out' ? 'warn' : 'info'
}
