/** How the audit trail is doing. */
export interface AuditReport {
  /** Rows that wait to be written, those on their way included. */
  readonly waiting: number
  /** Attempts, unlocks and the like that went on without their row, or ended for the want of it; some were written later. */
  readonly failed: number
  /** Rows that never were, because too many waited. */
  readonly lost: number
}
