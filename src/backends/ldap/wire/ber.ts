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

export interface Element {
  readonly tag: number
  /** Where its content starts and ends. */
  readonly start: number
  readonly end: number
}

/** How many more elements there may be. */
export interface Budget {
  elements: number
}

/** For one message. */
export function newBudget(): Budget {
  return { elements: MAX_ELEMENTS }
}

/**
 * The elements that these octets are, to the last one: for the value of a control.
 *
 * @throws {MalformedMessage}
 */
export function readElements(octets: Buffer): readonly { readonly tag: number; readonly content: Buffer }[] {
  const all = children(octets, { start: 0, end: octets.length }, newBudget())
  return all.map(({ tag, start, end }) => ({ tag, content: octets.subarray(start, end) }))
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

/** A whole number from 0 to 2^31 - 1, with its header. */
export function writeInteger(tag: number, value: number): number[] {
  const octets = Buffer.alloc(4)
  octets.writeInt32BE(value)
  return [tag, octets.length, ...octets]
}

/** @throws {MalformedMessage} unless the element has this tag */
export function expect(element: Element, tag: number): Element {
  if (element.tag === tag) return element
  throw new MalformedMessage(`0x${element.tag.toString(16)} stands where 0x${tag.toString(16)} belongs`)
}

/** @throws {MalformedMessage} for a negative number, and one of more than four octets */
export function readInteger(message: Buffer, { start, end }: Omit<Element, 'tag'>): number {
  const value = readNumber(message.subarray(start, end))
  if (value < 0) throw new MalformedMessage('a number is negative')
  return value
}

/**
 * The elements inside; they fill it to the last octet.
 *
 * @throws {MalformedMessage}
 */
export function children(message: Buffer, { start, end }: Omit<Element, 'tag'>, budget: Budget): Element[] {
  const found: Element[] = []
  let offset = start
  while (offset < end) {
    if (budget.elements-- <= 0) throw new MalformedMessage(`there are more than ${MAX_ELEMENTS} elements`)
    const tag = message[offset]
    const content = readLength(message, offset + 1)
    if (tag === undefined || !content || content.offset + content.length > end) {
      throw new MalformedMessage('an element is longer than what it stands in')
    }
    offset = content.offset + content.length
    found.push({ tag, start: content.offset, end: offset })
  }
  return found
}

/**
 * A definite length of at most four octets; undefined if it isn't all there.
 *
 * @throws {MalformedMessage}
 */
export function readLength(octets: Buffer, offset: number): { offset: number; length: number } | undefined {
  const first = octets[offset]
  if (first === undefined) return undefined
  if (first < 0x80) return { offset: offset + 1, length: first }
  const size = first & 0x7f
  if (size === 0 || size > 4) throw new MalformedMessage('a length is not definite or absurd')
  if (octets.length < offset + 1 + size) return undefined
  return { offset: offset + 1 + size, length: octets.readUIntBE(offset + 1, size) }
}
