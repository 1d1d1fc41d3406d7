/** Values of the attributes that say something about an account. What cannot be read is an outage, never a yes. */
import type { DirectoryEntry } from '../syntax/entry.ts'
import { DirectoryFailure } from '../wire/failure.ts'

/** Hundreds of nanoseconds since 1601 ([MS-DTYP] section 2.3.3); these two mean never ([MS-ADA1] section 2.2). */
const NEVER: ReadonlySet<string> = new Set(['0', '9223372036854775807'])
const EPOCH_1601_MS = -11_644_473_600_000

/** GeneralizedTime (RFC 4517 section 3.3.13). */
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d+))?(Z|[+-]\d\d(?:\d\d)?)$/

/**
 * The one value of an attribute, as text; undefined if the entry has or shows none.
 *
 * @throws {DirectoryFailure} if there are several, or it is no text
 */
export function readText(entry: DirectoryEntry, attribute: string): string | undefined {
  const [value, ...more] = entry.texts(attribute)
  if (more.length > 0) throw unreadable(attribute, 'it has several values')
  if (value === undefined && entry.octets(attribute) !== undefined)
    throw unreadable(attribute, 'it is no text')
  return value
}

/** @throws {DirectoryFailure} if it is no whole number */
export function readInteger(entry: DirectoryEntry, attribute: string): number | undefined {
  const text = readText(entry, attribute)
  if (text === undefined) return undefined
  const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(value)) throw unreadable(attribute, text)
  return value
}

/** @throws {DirectoryFailure} if it is neither TRUE nor FALSE */
export function readBoolean(entry: DirectoryEntry, attribute: string): boolean {
  const text = readText(entry, attribute)?.toUpperCase()
  if (text === undefined || text === 'FALSE') return false
  if (text === 'TRUE') return true
  throw unreadable(attribute, text)
}

/**
 * A time as Active Directory writes it, in milliseconds since the Unix epoch; Infinity for never, undefined for no value.
 *
 * @throws {DirectoryFailure} if it is none
 */
export function readFileTime(entry: DirectoryEntry, attribute: string): number | undefined {
  const text = readText(entry, attribute)
  if (text === undefined) return undefined
  if (!/^\d{1,19}$/.test(text)) throw unreadable(attribute, text)
  return NEVER.has(text) ? Infinity : Number(text) / 10_000 + EPOCH_1601_MS
}

/**
 * A GeneralizedTime in milliseconds since the Unix epoch; undefined for no value.
 *
 * @throws {DirectoryFailure} if it is none
 */
export function readGeneralizedTime(entry: DirectoryEntry, attribute: string): number | undefined {
  const text = readText(entry, attribute)
  if (text === undefined) return undefined
  const time = parseGeneralizedTime(text)
  if (time === undefined) throw unreadable(attribute, text)
  return time
}

/** Milliseconds since the Unix epoch; undefined for a text that is no such time. */
export function parseGeneralizedTime(text: string): number | undefined {
  const found = GENERALIZED_TIME.exec(text)
  if (found === null) return undefined
  const [, year, month, day, hour, minute = '00', second = '00', fraction = '0', zone = 'Z'] = found
  const offset = zone === 'Z' ? 'Z' : `${zone.slice(0, 3)}:${zone.slice(3) || '00'}`
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${offset}`)
  if (Number.isNaN(at)) return undefined
  // The fraction is one of the last unit that is there.
  const unitMs = found[6] !== undefined ? 1_000 : found[5] !== undefined ? 60_000 : 3_600_000
  return at + Math.floor(Number(`0.${fraction}`) * unitMs)
}

function unreadable(attribute: string, why: string): DirectoryFailure {
  const shown = JSON.stringify(why.slice(0, 60))
  return new DirectoryFailure(`the state of an account cannot be read: ${attribute}: ${shown}`, {
    phase: 'search',
  })
}
