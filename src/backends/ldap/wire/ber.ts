/** The Basic Encoding Rules (ITU-T X.690), as far as LDAP uses them (RFC 4511 section 5.1): definite lengths only. */

/** The other side does not speak LDAP, or not as RFC 4511 has it. The connection is of no use any more. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage'
}

export const SEQUENCE = 0x30
export const SET = 0x31
export const INTEGER = 0x02
export const ENUMERATED = 0x0a
export const BOOLEAN = 0x01
export const OCTETS = 0x04
export const CONTROLS = 0xa0

/** Elements in one message: of two octets each, four megabytes of them would keep the process busy for seconds. */
const MAX_ELEMENTS = 100_000

/**
 * The elements that these octets are, to the last one: for the value of a control.
 *
 * @throws {MalformedMessage}
 */
export function readElements(octets: Buffer): readonly { readonly tag: number; readonly content: Buffer }[] {
  const found: { tag: number; content: Buffer }[] = []
  const cursor = newCursor(octets)
  while (cursor.next < octets.length) {
    step(cursor, octets.length)
    found.push({ tag: cursor.tag, content: octets.subarray(cursor.start, cursor.end) })
  }
  return found
}

/**
 * A number of at most four octets, which may be negative.
 *
 * @throws {MalformedMessage}
 */
export function readNumber(octets: Buffer): number {
  if (octets.length < 1 || octets.length > 4) {
    throw new MalformedMessage('a number has no or too many octets')
  }
  return octets.readIntBE(0, octets.length)
}

/** Goes through a message element by element, without an object for each: what is here is about the one it stands at. */
export interface Cursor {
  readonly octets: Buffer
  tag: number
  /** Where its content starts and ends. */
  start: number
  end: number
  /** Where the next one starts: after this one, or in it. */
  next: number
  /** How many more elements there may be. */
  left: number
}

/** Before the first element of one message. */
export function newCursor(octets: Buffer): Cursor {
  return { octets, tag: 0, start: 0, end: 0, next: 0, left: MAX_ELEMENTS }
}

/**
 * Goes to the next element.
 *
 * @param within where what it stands in ends
 * @throws {MalformedMessage} if it isn't all in there, or there is none
 */
export function step(cursor: Cursor, within: number): void {
  if (cursor.left-- <= 0) throw new MalformedMessage(`there are more than ${MAX_ELEMENTS} elements`)
  const { octets, next } = cursor
  let start = next + 2
  if (start > within) throw outgrown()
  let length = octets[next + 1] ?? 0
  if (length >= 0x80) {
    const size = length & 0x7f
    if (size === 0 || size > 4) throw indefinite()
    if (start + size > within) throw outgrown()
    length = octets.readUIntBE(start, size)
    start += size
  }
  const end = start + length
  if (end > within) throw outgrown()
  cursor.tag = octets[next] ?? 0
  cursor.start = start
  cursor.end = end
  cursor.next = end
}

/** @throws {MalformedMessage} unless the element has this tag */
export function expect(cursor: Cursor, tag: number): void {
  if (cursor.tag === tag) return
  throw new MalformedMessage(`0x${cursor.tag.toString(16)} stands where 0x${tag.toString(16)} belongs`)
}

/**
 * Goes to the next element and into it.
 *
 * @returns where it ends
 * @throws {MalformedMessage} unless it is all there, and has this tag
 */
export function enter(cursor: Cursor, within: number, tag: number): number {
  step(cursor, within)
  expect(cursor, tag)
  cursor.next = cursor.start
  return cursor.end
}

/**
 * The number that is the content of an element.
 *
 * @throws {MalformedMessage} for a negative number, and one of more than four octets
 */
export function readInteger(octets: Buffer, start: number, end: number): number {
  const first = octets[start]
  if (end === start + 1 && first !== undefined && first < 0x80) return first
  const value = readNumber(octets.subarray(start, end))
  if (value < 0) throw new MalformedMessage('a number is negative')
  return value
}

/**
 * A definite length of at most four octets, and where its content starts; undefined if it isn't all there.
 *
 * @throws {MalformedMessage}
 */
export function readLength(octets: Buffer, offset: number): { offset: number; length: number } | undefined {
  const first = octets[offset]
  if (first === undefined) return undefined
  if (first < 0x80) return { offset: offset + 1, length: first }
  const size = first & 0x7f
  if (size === 0 || size > 4) throw indefinite()
  if (octets.length < offset + 1 + size) return undefined
  return { offset: offset + 1 + size, length: octets.readUIntBE(offset + 1, size) }
}

function outgrown(): MalformedMessage {
  return new MalformedMessage('an element is longer than what it stands in')
}

function indefinite(): MalformedMessage {
  return new MalformedMessage('a length is not definite or absurd')
}
