import type { Clock } from '../../authentication/clock.ts'
import type { Log } from '../../authentication/log.ts'
import type { AuditReport } from './report.ts'

export interface Alarm {
  /** It is broken, for this reason; may be called for each row. */
  ring(reason: string): void
  /** It is well again. */
  end(): void
  stop(): void
}

/** Between two lines about an outage that goes on, and between two about outages that come and go, in milliseconds. */
const AGAIN_MS = 60_000
const APART_MS = 10_000

/** Says that the audit trail is broken: at once, and again each minute; never a line for each row (security.md S83, S84). */
export function createAlarm({
  onFailure,
  clock,
  log,
  report,
}: {
  readonly onFailure: string
  readonly clock: Clock
  readonly log: Pick<Log, 'warn' | 'error'>
  readonly report: () => AuditReport
}): Alarm {
  let reason: string | undefined
  let told = false
  let lastToldAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined

  function tell(): void {
    told = true
    lastToldAt = clock.now()
    log.error(
      { event: 'audit_broken', reason, on_failure: onFailure, ...report() },
      onFailure === 'deny'
        ? 'the audit trail cannot be written: nobody gets a verdict'
        : 'the audit trail cannot be written: logins go on without it',
    )
    timer = setTimeout(tell, AGAIN_MS).unref()
  }

  return {
    ring(why) {
      const isNew = reason === undefined
      reason = why
      if (!isNew) return
      told = false
      const early = APART_MS - (clock.now() - lastToldAt)
      if (early <= 0) tell()
      else timer = setTimeout(tell, early).unref()
    },
    end() {
      clearTimeout(timer)
      if (told) log.warn({ event: 'audit_restored', ...report() }, 'the audit trail is written again')
      reason = undefined
    },
    stop: () => clearTimeout(timer),
  }
}
