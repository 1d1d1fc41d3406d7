/**
 * The grammar of what a directory may answer (RFC 4511 section 4 and 5.1), checked before ldapts reads it: a length that
 * points past its element would send its parser round for ever, and a result without a code would pass for success.
 */

/** Tag → name of the requests that ldapts sends for us. */
const REQUESTS: ReadonlyMap<number, Operation> = new Map([
  [0x60, 'bind'],
  [0x63, 'search'],
  [0x77, 'extended'],
  [0x42, 'unbind'],
])

/** Tag → what it answers, and whether it is the last word. */
const RESPONSES: ReadonlyMap<number, { readonly to: Operation; readonly final: boolean }> = new Map([
  [0x61, { to: 'bind', final: true }],
  [0x64, { to: 'search', final: false }],
  [0x73, { to: 'search', final: false }],
  [0x65, { to: 'search', final: true }],
  [0x78, { to: 'extended', final: true }],
])

export type Operation = 'bind' | 'search' | 'extended' | 'unbind'

export interface Request {
  readonly id: number
  readonly operation: Operation
}

export interface Response {
  readonly id: number
  readonly to: Operation
  /** On the last word to an operation only. */
  readonly resultCode: number | undefined
  /** What came beside it, by OID: the value of each control, empty if it has none. */
  readonly controls: ReadonlyMap<string, Buffer>
}

/** The other side does not speak LDAP, or not as RFC 4511 has it. The connection is of no use any more. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage'
}

const SEQUENCE = 0x30
const SET = 0x31
const INTEGER = 0x02
const ENUMERATED = 0x0a
const BOOLEAN = 0x01
const OCTETS = 0x04
const CONTROLS = 0xa0
const NO_CONTROLS: ReadonlyMap<string, Buffer> = new Map()

interface Element {
  readonly tag: number
  /** Where its content starts and ends. */
  readonly start: number
  readonly end: number
}

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
  const { id, operation, rest } = readEnvelope(message)
  const kind = RESPONSES.get(operation.tag)
  if (kind === undefined) throw new MalformedMessage(`0x${operation.tag.toString(16)} answers nothing we ask`)
  const resultCode = kind.final ? readResult(message, operation) : undefined
  if (operation.tag === 0x64) checkEntry(message, operation)
  if (operation.tag === 0x73) checkAll(message, operation, OCTETS)
  return { id, to: kind.to, resultCode, controls: readControls(message, rest) }
}

/** Reads the head of a message that ldapts wrote. */
export function readRequest(message: Buffer): Request {
  const { id, operation } = readEnvelope(message)
  const name = REQUESTS.get(operation.tag)
  if (name === undefined) throw new MalformedMessage(`0x${operation.tag.toString(16)} is nothing we ask`)
  return { id, operation: name }
}

function readEnvelope(message: Buffer) {
  const [envelope, ...more] = children(message, { start: 0, end: message.length })
  const [messageId, operation, ...rest] = envelope ? children(message, expect(envelope, SEQUENCE)) : []
  if (!messageId || !operation || more.length > 0) throw new MalformedMessage('it is no LDAP message')
  return { id: readInteger(message, expect(messageId, INTEGER)), operation, rest }
}

/** LDAPResult (section 4.1.9); what may follow its three fields is of no interest. */
function readResult(message: Buffer, operation: Element): number {
  const [code, matchedDn, diagnostic] = children(message, operation)
  if (!code || !matchedDn || !diagnostic) throw new MalformedMessage('a result is incomplete')
  expect(matchedDn, OCTETS)
  expect(diagnostic, OCTETS)
  return readInteger(message, expect(code, ENUMERATED))
}

/** SearchResultEntry (section 4.5.2). */
function checkEntry(message: Buffer, operation: Element): void {
  const [name, attributes, ...more] = children(message, operation)
  if (!name || !attributes || more.length > 0) throw new MalformedMessage('an entry is incomplete')
  expect(name, OCTETS)
  for (const attribute of children(message, expect(attributes, SEQUENCE))) {
    const [type, values, ...others] = children(message, expect(attribute, SEQUENCE))
    if (!type || !values || others.length > 0) throw new MalformedMessage('an attribute is incomplete')
    expect(type, OCTETS)
    // ldapts would take its value for the entry's name, and whoever may write it could be bound as somebody else.
    if (message.toString('latin1', type.start, type.end) === 'dn') {
      throw new MalformedMessage('an attribute is called dn')
    }
    checkAll(message, expect(values, SET), OCTETS)
  }
}

/** Controls (section 4.1.11): at most one list of them. */
function readControls(message: Buffer, rest: readonly Element[]): ReadonlyMap<string, Buffer> {
  const [controls, ...more] = rest
  if (more.length > 0) throw new MalformedMessage('something follows the controls')
  if (controls === undefined) return NO_CONTROLS
  const found = new Map<string, Buffer>()
  for (const control of children(message, expect(controls, CONTROLS))) {
    const [type, ...fields] = children(message, expect(control, SEQUENCE))
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

function checkAll(message: Buffer, element: Element, tag: number): void {
  for (const child of children(message, element)) expect(child, tag)
}

function expect(element: Element, tag: number): Element {
  if (element.tag === tag) return element
  throw new MalformedMessage(`0x${element.tag.toString(16)} stands where 0x${tag.toString(16)} belongs`)
}

function readInteger(message: Buffer, { start, end }: Element): number {
  const length = end - start
  if (length < 1 || length > 4) throw new MalformedMessage('a number has no or too many octets')
  const value = message.readIntBE(start, length)
  if (value < 0) throw new MalformedMessage('a number is negative')
  return value
}

/** The elements inside; they fill it to the last octet. */
function children(message: Buffer, { start, end }: { start: number; end: number }): Element[] {
  const found: Element[] = []
  let offset = start
  while (offset < end) {
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

/** A definite length of at most four octets (section 5.1); undefined if it isn't all there. */
function readLength(octets: Buffer, offset: number): { offset: number; length: number } | undefined {
  const first = octets[offset]
  if (first === undefined) return undefined
  if (first < 0x80) return { offset: offset + 1, length: first }
  const size = first & 0x7f
  if (size === 0 || size > 4) throw new MalformedMessage('a length is not definite or absurd')
  if (octets.length < offset + 1 + size) return undefined
  return { offset: offset + 1 + size, length: octets.readUIntBE(offset + 1, size) }
}
