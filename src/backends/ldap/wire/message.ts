/**
 * What a directory may answer (RFC 4511 section 4 and 5.1), read here and not by ldapts, whose parser can be sent round for ever
 * by a length or a tag where it expects another, and takes a result without a code for success.
 */
import { isUtf8 } from 'node:buffer'
import {
  BOOLEAN,
  type Budget,
  CONTROLS,
  children,
  type Element,
  ENUMERATED,
  expect,
  INTEGER,
  MalformedMessage,
  newBudget,
  OCTETS,
  readInteger,
  readLength,
  SEQUENCE,
  SET,
  writeInteger,
} from './ber.ts'

/** Tag → name of the requests that ldapts sends for us. */
const REQUESTS: ReadonlyMap<number, Operation> = new Map([
  [0x60, 'bind'],
  [0x63, 'search'],
  [0x77, 'extended'],
  [0x42, 'unbind'],
])

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

export type Operation = 'bind' | 'search' | 'extended' | 'unbind'

export interface Request {
  readonly id: number
  readonly operation: Operation
}

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

/** No directory has a longer name, in octets. */
const MAX_DN = 8_192
/** What is shown of a diagnostic message, in octets. */
const MAX_DIAGNOSTIC = 1_000

/**
 * How long the message is that starts in these octets, its header included; undefined if more octets are needed to know.
 *
 * @throws {MalformedMessage} as soon as it can't be a message
 */
export function messageLength(octets: Buffer): number | undefined {
  if (octets.length > 0 && octets[0] !== SEQUENCE) throw new MalformedMessage('this is not LDAP')
  const content = readLength(octets, 1)
  return content && content.offset + content.length
}

/**
 * Reads one whole message from the directory.
 *
 * @throws {MalformedMessage}
 */
export function readResponse(message: Buffer): Response {
  const budget = newBudget()
  const { id, operation, rest } = readEnvelope(message, budget)
  const to = RESPONSES.get(operation.tag)
  if (to === undefined) throw new MalformedMessage(`0x${operation.tag.toString(16)} answers nothing we ask`)
  const controls = readControls(message, rest, budget)
  switch (operation.tag) {
    case ENTRY:
      return { id, to, entry: readEntry(message, operation, budget) }
    case REFERENCE:
      for (const uri of children(message, operation, budget)) expect(uri, OCTETS)
      return { id, to }
    default:
      return { id, to, result: { ...readResult(message, operation, budget), controls } }
  }
}

/**
 * A last word with nothing but its code, for ldapts: what else was in the answer is known already, and its parser can be sent
 * round for ever by what it finds where.
 */
export function writeResult(id: number, to: 'bind' | 'search' | 'extended', code: number): Buffer {
  const tag = { bind: 0x61, search: 0x65, extended: 0x78 }[to]
  const operation = [...writeInteger(ENUMERATED, code), OCTETS, 0, OCTETS, 0]
  const content = [...writeInteger(INTEGER, id), tag, operation.length, ...operation]
  return Buffer.from([SEQUENCE, content.length, ...content])
}

/** Reads the head of a message that ldapts wrote. */
export function readRequest(message: Buffer): Request {
  const { id, operation } = readEnvelope(message, newBudget())
  const name = REQUESTS.get(operation.tag)
  if (name === undefined) throw new MalformedMessage(`0x${operation.tag.toString(16)} is nothing we ask`)
  return { id, operation: name }
}

function readEnvelope(message: Buffer, budget: Budget) {
  const [envelope, ...more] = children(message, { start: 0, end: message.length }, budget)
  const [messageId, operation, ...rest] = envelope
    ? children(message, expect(envelope, SEQUENCE), budget)
    : []
  if (!messageId || !operation || more.length > 0) throw new MalformedMessage('it is no LDAP message')
  return { id: readInteger(message, expect(messageId, INTEGER)), operation, rest }
}

/** LDAPResult (section 4.1.9); what may follow its three fields is of no interest. */
function readResult(message: Buffer, operation: Element, budget: Budget): Omit<WireResult, 'controls'> {
  const [code, matchedDn, diagnostic] = children(message, operation, budget)
  if (!code || !matchedDn || !diagnostic) throw new MalformedMessage('a result is incomplete')
  expect(matchedDn, OCTETS)
  const { start, end } = expect(diagnostic, OCTETS)
  return {
    code: readInteger(message, expect(code, ENUMERATED)),
    message: message.toString('utf8', start, Math.min(end, start + MAX_DIAGNOSTIC)),
  }
}

/** SearchResultEntry (section 4.5.2). */
function readEntry(message: Buffer, operation: Element, budget: Budget): WireEntry {
  const [name, list, ...more] = children(message, operation, budget)
  if (!name || !list || more.length > 0) throw new MalformedMessage('an entry is incomplete')
  const { start, end } = expect(name, OCTETS)
  // It is sent back at the bind, and must be the same octets then.
  if (end - start > MAX_DN || !isUtf8(message.subarray(start, end))) {
    throw new MalformedMessage('a name is too long, or no text')
  }
  const attributes = new Map<string, readonly Buffer[]>()
  for (const attribute of children(message, expect(list, SEQUENCE), budget)) {
    const [type, values, ...others] = children(message, expect(attribute, SEQUENCE), budget)
    if (!type || !values || others.length > 0) throw new MalformedMessage('an attribute is incomplete')
    expect(type, OCTETS)
    const octets = children(message, expect(values, SET), budget).map(value => {
      expect(value, OCTETS)
      return message.subarray(value.start, value.end)
    })
    const name = message.toString('latin1', type.start, type.end).toLowerCase()
    if (attributes.has(name)) throw new MalformedMessage('an attribute is there twice')
    attributes.set(name, octets)
  }
  return { dn: message.toString('utf8', start, end), attributes }
}

/** Controls (section 4.1.11): at most one list of them. */
function readControls(
  message: Buffer,
  rest: readonly Element[],
  budget: Budget,
): ReadonlyMap<string, Buffer> {
  const [controls, ...more] = rest
  if (more.length > 0) throw new MalformedMessage('something follows the controls')
  if (controls === undefined) return NO_CONTROLS
  const found = new Map<string, Buffer>()
  for (const control of children(message, expect(controls, CONTROLS), budget)) {
    const [type, ...fields] = children(message, expect(control, SEQUENCE), budget)
    if (!type) throw new MalformedMessage('a control has no type')
    expect(type, OCTETS)
    const order = fields.map(field => field.tag)
    if (!['', `${BOOLEAN}`, `${OCTETS}`, `${BOOLEAN},${OCTETS}`].includes(order.join())) {
      throw new MalformedMessage('a control has unknown fields')
    }
    const value = fields.find(field => field.tag === OCTETS)
    const octets = value ? message.subarray(value.start, value.end) : Buffer.alloc(0)
    found.set(message.toString('latin1', type.start, type.end), octets)
  }
  return found
}
