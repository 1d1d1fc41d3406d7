/**
 * What a directory may answer (RFC 4511 section 4 and 5.1), read here and not by ldapts, whose parser can be sent round for ever
 * by a length or a tag where it expects another, and takes a result without a code for success.
 */
import { isUtf8 } from 'node:buffer'
import {
  BOOLEAN,
  CONTROLS,
  type Cursor,
  ENUMERATED,
  enter,
  expect,
  INTEGER,
  MalformedMessage,
  newCursor,
  OCTETS,
  readInteger,
  readLength,
  SEQUENCE,
  SET,
  step,
} from './ber.ts'

/** Tag → what it answers. */
const RESPONSES: ReadonlyMap<number, Operation> = new Map([
  [0x61, 'bind'],
  [0x64, 'search'],
  [0x73, 'search'],
  [0x65, 'search'],
  [0x78, 'extended'],
])
const ENTRY = 0x64
const REFERENCE = 0x73

/** What has an answer. */
export type Operation = 'bind' | 'search' | 'extended'

/** An entry as it stood on the wire (RFC 4511 section 4.5.2). */
export interface WireEntry {
  /** As the directory wrote it. */
  readonly dn: string
  /** By attribute, in lower case: the octets of each value. */
  readonly attributes: ReadonlyMap<string, readonly Buffer[]>
}

/** The last word to an operation (RFC 4511 section 4.1.9). */
export interface WireResult {
  readonly code: number
  /** The diagnostic message. */
  readonly message: string
  /** What came beside it, by OID: the value of each control, empty if it has none. */
  readonly controls: ReadonlyMap<string, Buffer>
}

/** At most one of the two; neither for a reference to another server, which is not followed. */
export interface Response {
  readonly id: number
  readonly to: Operation
  readonly entry?: WireEntry
  readonly result?: WireResult
}

const NO_CONTROLS: ReadonlyMap<string, Buffer> = new Map()
const NOTHING: Buffer = Buffer.alloc(0)

/** No directory has a longer name, in octets. */
const MAX_DN = 8_192
/** What is shown of a diagnostic message, in octets. */
const MAX_DIAGNOSTIC = 1_000

/**
 * How long the message is that starts here, its header included; undefined if more octets are needed to know.
 *
 * @param from where it starts
 * @throws {MalformedMessage} as soon as it can't be a message
 */
export function messageLength(octets: Buffer, from = 0): number | undefined {
  if (octets.length > from && octets[from] !== SEQUENCE) throw new MalformedMessage('this is not LDAP')
  const content = readLength(octets, from + 1)
  return content && content.offset - from + content.length
}

/**
 * Reads one whole message from the directory.
 *
 * @throws {MalformedMessage}
 */
export function readResponse(message: Buffer): Response {
  const cursor = newCursor(message)
  const whole = enter(cursor, message.length, SEQUENCE)
  const isEmpty = cursor.next === message.length
  if (whole !== message.length || isEmpty) throw new MalformedMessage('it is no LDAP message')
  step(cursor, message.length)
  if (cursor.next === message.length) throw new MalformedMessage('it is no LDAP message')
  expect(cursor, INTEGER)
  const id = readInteger(message, cursor.start, cursor.end)
  step(cursor, message.length)
  const { tag, end } = cursor
  const to = RESPONSES.get(tag)
  if (to === undefined) throw new MalformedMessage(`0x${tag.toString(16)} answers nothing we ask`)
  cursor.next = cursor.start
  switch (tag) {
    case ENTRY: {
      const entry = readEntry(cursor, end)
      readControls(cursor)
      return { id, to, entry }
    }
    case REFERENCE:
      while (cursor.next < end) {
        step(cursor, end)
        expect(cursor, OCTETS)
      }
      readControls(cursor)
      return { id, to }
    default: {
      const { code, message: said } = readResult(cursor, end)
      return { id, to, result: { code, message: said, controls: readControls(cursor) } }
    }
  }
}

/** LDAPResult (section 4.1.9); what may follow its three fields is of no interest. */
function readResult(cursor: Cursor, within: number): Omit<WireResult, 'controls'> {
  const { octets, next } = cursor
  let fields = 0
  for (; cursor.next < within; fields++) step(cursor, within)
  if (fields < 3) throw new MalformedMessage('a result is incomplete')
  cursor.next = next
  step(cursor, within)
  expect(cursor, ENUMERATED)
  const code = readInteger(octets, cursor.start, cursor.end)
  step(cursor, within)
  expect(cursor, OCTETS)
  step(cursor, within)
  expect(cursor, OCTETS)
  const { start, end } = cursor
  cursor.next = within
  const message = start === end ? '' : octets.toString('utf8', start, Math.min(end, start + MAX_DIAGNOSTIC))
  return { code, message }
}

/** SearchResultEntry (section 4.5.2). */
function readEntry(cursor: Cursor, within: number): WireEntry {
  const { octets } = cursor
  step(cursor, within)
  expect(cursor, OCTETS)
  const { start, end } = cursor
  // It is sent back at the bind, and must be the same octets then.
  if (end - start > MAX_DN || !isUtf8(octets.subarray(start, end))) {
    throw new MalformedMessage('a name is too long, or no text')
  }
  if (enter(cursor, within, SEQUENCE) !== within) throw new MalformedMessage('an entry is incomplete')
  const attributes = new Map<string, readonly Buffer[]>()
  while (cursor.next < within) readAttribute(cursor, within, attributes)
  return { dn: octets.toString('utf8', start, end), attributes }
}

/** PartialAttribute (section 4.1.7). */
function readAttribute(cursor: Cursor, within: number, attributes: Map<string, readonly Buffer[]>): void {
  const { octets } = cursor
  const end = enter(cursor, within, SEQUENCE)
  step(cursor, end)
  expect(cursor, OCTETS)
  const name = octets.toString('latin1', cursor.start, cursor.end).toLowerCase()
  if (enter(cursor, end, SET) !== end) throw new MalformedMessage('an attribute is incomplete')
  const values: Buffer[] = []
  while (cursor.next < end) {
    step(cursor, end)
    expect(cursor, OCTETS)
    values.push(octets.subarray(cursor.start, cursor.end))
  }
  if (attributes.has(name)) throw new MalformedMessage('an attribute is there twice')
  attributes.set(name, values)
}

/** Controls (section 4.1.11): at most one list of them, to the end of the message. */
function readControls(cursor: Cursor): ReadonlyMap<string, Buffer> {
  const { octets } = cursor
  const within = octets.length
  if (cursor.next === within) return NO_CONTROLS
  if (enter(cursor, within, CONTROLS) !== within) throw new MalformedMessage('something follows the controls')
  const found = new Map<string, Buffer>()
  while (cursor.next < within) {
    const end = enter(cursor, within, SEQUENCE)
    step(cursor, end)
    expect(cursor, OCTETS)
    const type = octets.toString('latin1', cursor.start, cursor.end)
    found.set(type, readControlValue(cursor, end))
  }
  return found
}

/** What is behind the type of a control: whether it is critical, which is of no interest in an answer, and a value, or neither. */
function readControlValue(cursor: Cursor, within: number): Buffer {
  let value = NOTHING
  if (cursor.next < within) {
    step(cursor, within)
    if (cursor.tag === BOOLEAN && cursor.next < within) step(cursor, within)
    if (cursor.tag === OCTETS) value = cursor.octets.subarray(cursor.start, cursor.end)
    else if (cursor.tag !== BOOLEAN) throw new MalformedMessage('a control has unknown fields')
  }
  if (cursor.next !== within) throw new MalformedMessage('a control has unknown fields')
  return value
}
