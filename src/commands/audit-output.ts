import type { AuditRow } from '../users/audit-table.ts'
import { visible } from './terminal.ts'

/** A row as machines get it. The hash is over `time` and over the JSON of what follows `hash`, in this order. */
export interface PresentedRow {
  readonly seq: number
  /** RFC 3339 */
  readonly time: string
  readonly hash: string
  readonly [field: string]: unknown
}

export function presentRow({ seq, at, body, hash }: AuditRow): PresentedRow {
  const own = { seq, time: timeOf(at), hash: Buffer.from(hash).toString('hex') }
  // First in the line, and nothing in the body stands for them.
  return { ...own, ...readBody(body), ...own }
}

function readBody(body: string): Readonly<Record<string, unknown>> {
  try {
    const fields: unknown = JSON.parse(body)
    if (typeof fields === 'object' && fields !== null) return { ...fields }
  } catch {
    // Somebody was at it: `verify` says where.
  }
  return { event: 'unreadable' }
}

function timeOf(at: number): string {
  const time = new Date(at)
  return Number.isNaN(time.getTime()) ? String(at) : time.toISOString()
}

const COLUMNS = [
  ['TIME', 24],
  ['EVENT', 25],
  ['WHO', 30],
  ['FROM', 15],
  ['APP', 10],
  ['BACKENDS', 0],
] as const

export function formatHeading(): string {
  return inColumns(COLUMNS.map(([heading]) => heading))
}

/** One row on one line. The next ones are not known yet, so columns are as wide as they usually are. */
export function formatLine(row: AuditRow): string {
  const { time, event, withheld, user, user_hash, subject, source, client, steps, reason } = presentRow(row)
  const named = textOf(user) || (user_hash === undefined ? '' : `user_hash ${textOf(user_hash)}`)
  const asked = formatSteps(steps) || textOf(reason)
  const answered = withheld === true ? `${asked} (answered 503)` : asked
  return inColumns([time, textOf(event), named || textOf(subject), textOf(source), textOf(client), answered])
}

function inColumns(cells: readonly string[]): string {
  const line = cells.map((cell, index) => visible(cell).padEnd(COLUMNS[index]?.[1] ?? 0)).join('  ')
  return `${line.trimEnd()}\n`
}

function formatSteps(steps: unknown): string {
  if (!Array.isArray(steps)) return ''
  return steps
    .filter((step): step is Readonly<Record<string, unknown>> => typeof step === 'object' && step !== null)
    .map(({ backend, outcome, ms }) => `${textOf(backend)} ${textOf(outcome)} ${textOf(ms)} ms`)
    .join(', ')
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

const CSV_COLUMNS = [
  'seq',
  'time',
  'event',
  'verdict',
  'withheld',
  'reason',
  'request_id',
  'client',
  'source',
  'user',
  'user_hash',
  'subject',
  'backends',
  'ms',
  'shared',
  'hash',
] as const

export const CSV_HEADING = `${CSV_COLUMNS.join(',')}\r\n`

/** RFC 4180, safe to open in a spreadsheet. */
export function formatCsv(row: AuditRow): string {
  const presented = presentRow(row)
  const cells: PresentedRow = { ...presented, backends: formatSteps(presented.steps) }
  return `${CSV_COLUMNS.map(column => csvCell(textOf(cells[column]))).join(',')}\r\n`
}

/** A spreadsheet would run what begins like a formula (OWASP, CSV Injection): with an apostrophe before it, it is a text. */
function csvCell(text: string): string {
  const shown = visible(text)
  const tame = /^\s*[=+\-@|%＝＋－＠]/u.test(shown) ? `'${shown}` : shown
  return `"${tame.replaceAll('"', '""')}"`
}
