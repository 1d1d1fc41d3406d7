import type { AttemptEvent } from '../authentication/attempt-event.ts'
import type { Log } from '../authentication/log.ts'
import { createUserHash } from '../authentication/user-hash.ts'

/** Event names of the OWASP logging vocabulary, and one of ours for outages (security.md S76). */
type EventName =
  | 'authn_login_success'
  | 'authn_login_fail'
  | 'authn_login_fail_max'
  | 'authn_login_lock'
  | 'authn_login_unavailable'
  | 'excess_rate_limit_exceeded'
  | 'input_validation_fail'
  | 'sys_crash'

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
    const name = eventName(event)
    const fields = {
      event: name,
      request_id: event.requestId,
      client: event.caller,
      source: event.address,
      ...(username !== undefined && { user_hash: hash(username) }),
      ...(username !== undefined && subject !== undefined && { user: username }),
      ...(subject !== undefined && { subject }),
      verdict: event.verdict,
      ...(event.reason !== undefined && { reason: event.reason }),
      steps: event.steps.map(({ backend, outcome, durationMs, detail }) => ({
        backend,
        outcome,
        ms: round(durationMs),
        ...(detail !== undefined && { detail }),
      })),
      ms: round(event.durationMs),
      ...(event.shared && { shared: true }),
      ...(event.ignored && { ignored: true }),
    }
    log[levelOf(event)](fields, MESSAGES[name])
  }
}

function eventName({ verdict, locked }: AttemptEvent): EventName {
  if (locked) return 'authn_login_lock'
  switch (verdict) {
    case 'accepted':
      return 'authn_login_success'
    case 'rejected':
    case 'account_state':
      return 'authn_login_fail'
    case 'locked_out':
      return 'authn_login_fail_max'
    case 'busy':
      return 'excess_rate_limit_exceeded'
    case 'unavailable':
      return 'authn_login_unavailable'
    case 'invalid':
      return 'input_validation_fail'
    case 'error':
      return 'sys_crash'
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

function round(durationMs: number): number {
  return Math.round(durationMs * 100) / 100
}
