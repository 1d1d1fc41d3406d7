/** One attempt in the words of the log and of the audit trail. */
import type { AttemptEvent } from '../authentication/attempt-event.ts'

/** Event names of the OWASP logging vocabulary, and one of ours for outages (security.md S76). */
export type EventName =
  | 'authn_login_success'
  | 'authn_login_fail'
  | 'authn_login_fail_max'
  | 'authn_login_lock'
  | 'authn_login_unavailable'
  | 'excess_rate_limit_exceeded'
  | 'input_validation_fail'
  | 'sys_crash'

export function eventName({ verdict, locked }: AttemptEvent): EventName {
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

/** How a name is shown; nothing for what cannot be a name. */
export interface ShownName {
  readonly user_hash?: string | undefined
  readonly user?: string | undefined
}

/**
 * Always the same fields in the same order, so that writing them is quick; what is undefined is left out in JSON.
 *
 * @param name how it is shown here
 * @param details whether to tell what backends said
 */
export function attemptFields(event: AttemptEvent, { user_hash, user }: ShownName, details: boolean) {
  const { subject, reason, verdict, shared, ignored } = event
  const steps = event.steps.map(({ backend, outcome, durationMs, detail }) => {
    const ms = round(durationMs)
    return details ? { backend, outcome, ms, detail } : { backend, outcome, ms }
  })
  return {
    event: eventName(event),
    request_id: event.requestId,
    client: event.caller,
    source: event.address,
    user_hash,
    user,
    subject,
    verdict,
    reason,
    steps,
    ms: round(event.durationMs),
    shared: shared || undefined,
    ignored,
  }
}

function round(durationMs: number): number {
  return Math.round(durationMs * 100) / 100
}
