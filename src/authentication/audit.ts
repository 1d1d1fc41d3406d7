/** The audit trail as the core sees it: what is answered has been written down before (security.md S75, S83). */
import type { AttemptEvent } from './attempt-event.ts'

/** What is written down beside attempts. `event` is a name of the OWASP vocabulary, or one of ours. */
export interface AuditNote {
  readonly event: string
  readonly [field: string]: unknown
}

export interface Audit {
  /**
   * False while nothing can be written down and the policy is `deny`: then nothing is tried, because its verdict could not be
   * answered. It costs nothing.
   */
  admits(): boolean
  /**
   * Writes an attempt down. Never rejects, and takes two seconds at most.
   *
   * @returns whether its verdict may be answered; false: the caller has to be told of an outage
   */
  record(event: AttemptEvent): Promise<boolean>
  /** The same for anything else, such as what an operator has done. */
  note(fields: AuditNote): Promise<boolean>
}

/** Why no verdict is answered, for operators. */
export const NOT_AUDITED = 'the audit trail cannot be written'

/** `audit.enabled: false` */
export const noAudit: Audit = {
  admits: () => true,
  record: async () => true,
  note: async () => true,
}
