/**
 * The audit trail of a running daemon: rows gather while a batch is on its way to the disk, go together in the next one, and
 * whoever waits for a row is told once it is there (security.md S75, S82, S83). The event loop never waits for a disk.
 *
 *   well ── a batch fails, none is answered in time, too many wait, the thread dies ──► broken
 *   broken ── a batch is written (tried again at most each second) ──► well
 *
 * What was not written in time is written when that is possible again, up to a bound; beyond it, how many are missing is.
 */
import type { AttemptEvent } from '../../authentication/attempt-event.ts'
import type { Audit, AuditNote } from '../../authentication/audit.ts'
import type { Clock } from '../../authentication/clock.ts'
import type { Log } from '../../authentication/log.ts'
import { createGathering } from '../gathering.ts'
import { createAlarm } from './alarm.ts'
import type { AuditReport } from './report.ts'
import type { Entry, Head } from './row.ts'
import { entryOf, rowOf, type Waiting } from './waiting.ts'
import type { Answer } from './worker-messages.ts'
import type { StartWriter, Writer } from './writer.ts'

export interface AuditTrailParts {
  readonly startWriter: StartWriter
  /** `deny`: no verdict without its row. `allow_and_alarm`: the verdict stands. */
  readonly onFailure: 'deny' | 'allow_and_alarm'
  readonly describe: (event: AttemptEvent) => AuditNote
  readonly describeNote: (note: AuditNote) => AuditNote
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  readonly limits?: Partial<Limits>
}

interface Limits {
  /** Rows that may wait, those on their way included. */
  readonly mostWaiting: number
  /** How long anybody waits for a row, in milliseconds. */
  readonly waitMs: number
}

export interface AuditTrail extends Audit {
  /** Resolves when the trail is open, or known to be broken: within two seconds. */
  begin(): Promise<void>
  health(): { readonly ok: true } | { readonly ok: false; readonly reason: string }
  report(): AuditReport
  /** Writes what waits, for two seconds at most, and lets go of the file. */
  close(): Promise<void>
}

interface Sent {
  readonly id: number
  readonly rows: readonly Waiting[]
  readonly entries: readonly Entry[]
}

const LIMITS: Limits = { mostWaiting: 10_000, waitMs: 2_000 }
/** Rows of one batch: a transaction of some milliseconds. */
const MOST_AT_ONCE = 1_000
/** A batch waits so long after the one before it for as many rows as there were in the largest of late, in milliseconds. */
const GATHER_MS = 2
/** So it is forgotten, with each batch. */
const FADES = 0.95
const RETRY_MS = 50
const SLOWEST_RETRY_MS = 1_000
const HEAD_EVERY_MS = 3_600_000

export function createAuditTrail(parts: AuditTrailParts): AuditTrail {
  const { startWriter, onFailure, describe, describeNote, clock, log } = parts
  const { mostWaiting, waitMs } = { ...LIMITS, ...parts.limits }
  const stands = onFailure === 'allow_and_alarm'
  const alarm = createAlarm({ onFailure, clock, log, report })
  let queue: Waiting[] = []
  let sent: Sent | undefined
  /** Whether `sent` waits for its next try, and not for an answer. */
  let retry: NodeJS.Timeout | undefined
  let writer: Writer | undefined
  let nextId = 1
  let largest = 1
  const gathering = createGathering(GATHER_MS, clock, sendAll)
  let failuresInARow = 0
  let broken: string | undefined
  let impatience: NodeJS.Timeout | undefined
  let [failed, lost] = [0, 0]
  let untold: { count: number; from: number; to: number } | undefined
  let head: Head | undefined
  let headToldAt = Number.NEGATIVE_INFINITY
  let closed = false
  let onQuiet: (() => void) | undefined
  let onBegun: (() => void) | undefined

  function report(): AuditReport {
    return { waiting: queue.length + (sent?.rows.length ?? 0), failed, lost }
  }

  function write(note: AuditNote): Promise<boolean> {
    const { waiting } = report()
    if (closed || waiting >= mostWaiting) {
      lose()
      if (!closed) breakDown(`${waiting} rows wait already`)
      return Promise.resolve(stands)
    }
    const row = rowOf(note, clock)
    queue.push(row)
    if (broken !== undefined) {
      giveUpOn(row)
      send()
      return Promise.resolve(stands)
    }
    return new Promise(resolve => {
      row.tell = resolve
      impatience ??= setTimeout(lookForTheLate, waitMs)
      send()
    })
  }

  function lose(): void {
    failed++
    lost++
    const now = clock.wall()
    untold ??= { count: 0, from: now, to: now }
    untold.count++
    untold.to = now
  }

  function giveUpOn(row: Waiting): void {
    failed++
    // Who has been told of an outage anyway hears nothing else than what the row says.
    row.withheld = !stands && row.note.verdict !== 'unavailable'
    row.tell?.(stands)
    row.tell = undefined
  }

  /** Sends what has gathered, unless something is on its way. Who is alone waits for nobody. */
  function send(): void {
    if (sent !== undefined) return
    if (queue.length === 0) onQuiet?.()
    else if (closed || queue.length >= Math.floor(largest)) gathering.now()
    else gathering.soon()
  }

  function sendAll(): void {
    const rows = queue.length <= MOST_AT_ONCE ? queue : queue.slice(0, MOST_AT_ONCE)
    queue = rows === queue ? [] : queue.slice(MOST_AT_ONCE)
    largest = Math.max(rows.length, largest * FADES)
    sent = { id: nextId++, rows, entries: rows.map(entryOf) }
    hand(sent, false)
  }

  function hand({ id, entries }: Sent, again: boolean): void {
    try {
      writer ??= startWriter({ onAnswer, onEnd })
      writer.write({ id, entries, again })
    } catch (error) {
      onFailedBatch(`no thread could be started for the audit trail: ${String(error)}`)
    }
  }

  function onAnswer(answer: Answer): void {
    if (answer.id !== sent?.id) return
    if (answer.written) onWritten(sent, answer.head)
    else onFailedBatch(answer.reason)
  }

  function onEnd(reason: string): void {
    writer = undefined
    if (sent !== undefined && retry === undefined) onFailedBatch(reason)
    else log.warn({ reason }, 'the audit trail gets a new thread')
  }

  function onWritten({ rows }: Sent, newHead: Head): void {
    sent = undefined
    failuresInARow = 0
    head = newHead
    for (const { note, tell, withheld, saysSo } of rows) {
      tell?.(true)
      if (withheld && !saysSo) correct(note)
    }
    onBegun?.()
    if (broken !== undefined) recover()
    if (clock.now() - headToldAt >= HEAD_EVERY_MS) tellHead()
    send()
  }

  /** The row before says a verdict that nobody was given: it was on its way when they were told of an outage. */
  function correct({ request_id }: AuditNote): void {
    queue.push(rowOf({ event: 'audit_withheld', request_id }, clock))
  }

  function onFailedBatch(reason: string): void {
    breakDown(reason)
    const delay = Math.min(SLOWEST_RETRY_MS, RETRY_MS * 2 ** failuresInARow++)
    retry = setTimeout(() => {
      retry = undefined
      if (sent !== undefined) hand(sent, true)
    }, delay).unref()
  }

  function breakDown(reason: string): void {
    if (broken === undefined) {
      for (const row of [...(sent?.rows ?? []), ...queue]) if (row.tell !== undefined) giveUpOn(row)
    }
    broken = reason
    alarm.ring(reason)
    onBegun?.()
  }

  function recover(): void {
    broken = undefined
    if (untold !== undefined) {
      const { count, from, to } = untold
      untold = undefined
      queue.push(rowOf({ event: 'audit_gap', lost: count, from: rfc3339(from), to: rfc3339(to) }, clock))
    }
    alarm.end()
  }

  function lookForTheLate(): void {
    impatience = undefined
    const oldest =
      sent?.rows.find(({ tell }) => tell !== undefined) ?? queue.find(({ tell }) => tell !== undefined)
    if (oldest === undefined) return
    const left = waitMs - (clock.now() - oldest.since)
    if (left <= 0) breakDown(`nothing was written within ${waitMs} ms`)
    else impatience = setTimeout(lookForTheLate, left)
  }

  /** To the log, which goes elsewhere: with it `audit verify` can tell later that nothing is gone. */
  function tellHead(): void {
    if (head === undefined) return
    headToldAt = clock.now()
    log.info({ event: 'audit_head', head: `${head.seq}:${head.hash}` }, 'the audit trail is at this row')
  }

  /** Resolves when nothing is on its way and nothing waits. */
  async function quiet(): Promise<void> {
    if (sent === undefined && queue.length === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    onQuiet = resolve
    const late = setTimeout(resolve, waitMs)
    await promise
    clearTimeout(late)
    onQuiet = undefined
  }

  return {
    admits: () => stands || broken === undefined,
    record: event => write(describe(event)),
    note: note => write(describeNote(note)),
    async begin() {
      const { promise, resolve } = Promise.withResolvers<void>()
      onBegun = resolve
      const late = setTimeout(() => breakDown(`it could not be opened within ${waitMs} ms`), waitMs)
      sent = { id: nextId++, rows: [], entries: [] }
      hand(sent, false)
      await promise
      clearTimeout(late)
      onBegun = undefined
    },
    health: () => (broken === undefined ? { ok: true } : { ok: false, reason: broken }),
    report,
    async close() {
      if (closed) return
      closed = true
      send()
      await quiet()
      clearTimeout(retry)
      clearTimeout(impatience)
      alarm.stop()
      const { waiting } = report()
      if (waiting > 0)
        log.error({ waiting, reason: broken }, 'the last rows of the audit trail could not be written')
      tellHead()
      await writer?.close()
    },
  }
}

function rfc3339(wallMs: number): string {
  return new Date(wallMs).toISOString()
}
