import { Counter, Gauge, type Registry } from 'prom-client'

export interface AuditReading {
  /** Can it be written? */
  readonly ok: boolean
  readonly waiting: number
  /** Since the start. */
  readonly failed: number
  readonly lost: number
}

/** @param read called whenever somebody asks for the metrics; without a trail there is no series */
export function addAuditMetrics(registers: Registry[], read: () => AuditReading | undefined): void {
  const gauge = (name: string, help: string, value: (reading: AuditReading) => number) =>
    new Gauge({
      name: `gatehouse_audit_${name}`,
      help,
      registers,
      collect() {
        const now = read()
        if (now === undefined) this.remove()
        else this.set(value(now))
      },
    })
  const counter = (name: string, help: string, value: (reading: AuditReading) => number) =>
    new Counter({
      name: `gatehouse_audit_${name}`,
      help,
      registers,
      collect() {
        const now = read()
        this.reset()
        if (now === undefined) this.remove()
        else this.inc(value(now))
      },
    })
  gauge('up', '0 while the audit trail cannot be written.', ({ ok }) => Number(ok))
  gauge('waiting_rows', 'Rows of the audit trail that wait to be written.', ({ waiting }) => waiting)
  counter(
    'failures_total',
    'Rows that were not written in time: the attempt got no verdict, or one without its row.',
    ({ failed }) => failed,
  )
  counter('lost_rows_total', 'Rows that never were written: too many waited.', ({ lost }) => lost)
}
