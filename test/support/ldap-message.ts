import { Ber, BerReader, BerWriter, FilterParser } from 'ldapts'

/** LDAP messages as a server sees them (RFC 4511 §4): what clients send, and the bytes of every answer. */

/** What a client asked. */
export type LdapOperation =
  | { readonly type: 'bind'; readonly dn: string; readonly password: string }
  | { readonly type: 'sasl-bind'; readonly mechanism: string }
  | {
      readonly type: 'search'
      readonly base: string
      readonly scope: 'base' | 'one' | 'sub'
      readonly sizeLimit: number
      /** As RFC 4515 writes it. */
      readonly filter: string
      readonly attributes: readonly string[]
    }
  | { readonly type: 'extended'; readonly oid: string }
  | { readonly type: 'abandon'; readonly messageId: number }
  | { readonly type: 'unbind' }
  | { readonly type: 'other'; readonly tag: number }

export interface LdapRequest {
  readonly id: number
  readonly operation: LdapOperation
  readonly bytes: Buffer
}

export const startTlsOid = '1.3.6.1.4.1.1466.20037'
const noticeOfDisconnectionOid = '1.3.6.1.4.1.1466.20036'

const application = 0x40 | Ber.Constructor
const tags = {
  bindRequest: application | 0,
  bindResponse: application | 1,
  /** Primitive: it has no content. */
  unbindRequest: 0x42,
  searchRequest: application | 3,
  searchEntry: application | 4,
  searchDone: application | 5,
  /** Primitive: a bare message id. */
  abandonRequest: 0x50,
  searchReference: application | 19,
  extendedRequest: application | 23,
  extendedResponse: application | 24,
} as const

/**
 * The whole messages at the start of what arrived, and the rest.
 *
 * @throws Error when the bytes cannot be an LDAP message
 */
export function splitMessages(bytes: Buffer): { messages: Buffer[]; rest: Buffer } {
  const messages: Buffer[] = []
  let rest = bytes
  for (;;) {
    const reader = new BerReader(rest)
    const started = rest.length > 0 && reader.readSequence(Ber.Sequence | Ber.Constructor) !== null
    // Four octets of a length may come out negative: the same octets would be split off for ever.
    if (reader.length < 0) throw new Error('not an LDAP message')
    const end = reader.offset + reader.length
    if (!started || end > rest.length) return { messages, rest }
    messages.push(rest.subarray(0, end))
    rest = rest.subarray(end)
  }
}

/** @throws Error when the bytes are not one request */
export function decodeRequest(bytes: Buffer): LdapRequest {
  const reader = new BerReader(bytes)
  reader.readSequence()
  const id = reader.readInt()
  const tag = reader.peek()
  if (id === null || tag === null) throw new Error('not an LDAP message')
  return { id, operation: decodeOperation(reader, tag), bytes }
}

function decodeOperation(reader: BerReader, tag: number): LdapOperation {
  switch (tag) {
    case tags.bindRequest: {
      reader.readSequence()
      reader.readInt()
      const dn = reader.readString() ?? ''
      if (reader.peek() === Ber.Context)
        return { type: 'bind', dn, password: reader.readString(Ber.Context) ?? '' }
      reader.readSequence()
      return { type: 'sasl-bind', mechanism: reader.readString() ?? '' }
    }
    case tags.searchRequest: {
      reader.readSequence()
      const base = reader.readString() ?? ''
      const scope = (['base', 'one', 'sub'] as const)[reader.readEnumeration() ?? 0] ?? 'sub'
      reader.readEnumeration()
      const sizeLimit = reader.readInt() ?? 0
      reader.readInt()
      reader.readBoolean()
      const filter = FilterParser.parse(reader).toString()
      reader.readSequence()
      const end = reader.offset + reader.length
      const attributes: string[] = []
      while (reader.offset < end) attributes.push(reader.readString() ?? '')
      return { type: 'search', base, scope, sizeLimit, filter, attributes }
    }
    case tags.extendedRequest:
      reader.readSequence()
      return { type: 'extended', oid: reader.readString(Ber.Context) ?? '' }
    case tags.abandonRequest:
      return { type: 'abandon', messageId: reader.readTag(tags.abandonRequest) ?? 0 }
    case tags.unbindRequest:
      return { type: 'unbind' }
    default:
      return { type: 'other', tag }
  }
}

/** LDAPResult (RFC 4511 §4.1.9), with the controls that ride on it. */
export interface LdapResult {
  /** 0 by default: success. */
  readonly code?: number
  readonly matchedDn?: string
  readonly diagnosticMessage?: string
  readonly referrals?: readonly string[]
  readonly controls?: readonly { readonly oid: string; readonly value?: Buffer }[]
}

/** An attribute's values; text goes out as UTF-8. */
export type LdapAttributes = Readonly<Record<string, string | Buffer | readonly (string | Buffer)[]>>

export function bindResponse(id: number, result: LdapResult = {}): Buffer {
  return message(id, tags.bindResponse, writer => writeResult(writer, result), result.controls)
}

export function searchDone(id: number, result: LdapResult = {}): Buffer {
  return message(id, tags.searchDone, writer => writeResult(writer, result), result.controls)
}

export function searchEntry(id: number, dn: string, attributes: LdapAttributes): Buffer {
  return message(id, tags.searchEntry, writer => {
    writer.writeString(dn)
    writer.startSequence()
    for (const [type, values] of Object.entries(attributes)) {
      writer.startSequence()
      writer.writeString(type)
      writer.startSequence(Ber.Set | Ber.Constructor)
      for (const value of [values].flat()) writer.writeBuffer(Buffer.from(value), Ber.OctetString)
      writer.endSequence()
      writer.endSequence()
    }
    writer.endSequence()
  })
}

/** SearchResultReference: what Active Directory sends three of for a search from the domain's root. */
export function searchReference(id: number, uris: readonly string[]): Buffer {
  return message(id, tags.searchReference, writer => writer.writeStringArray([...uris]))
}

export function extendedResponse(id: number, result: LdapResult & { readonly oid?: string } = {}): Buffer {
  return message(
    id,
    tags.extendedResponse,
    writer => {
      writeResult(writer, result)
      if (result.oid !== undefined) writer.writeString(result.oid, Ber.Context | 10)
    },
    result.controls,
  )
}

/** RFC 4511 §4.4.1; 52 is what Active Directory sends when it shuts down. */
export function noticeOfDisconnection(code = 52): Buffer {
  return extendedResponse(0, { code, oid: noticeOfDisconnectionOid })
}

function message(
  id: number,
  tag: number,
  writeBody: (writer: BerWriter) => void,
  controls: LdapResult['controls'] = [],
): Buffer {
  const writer = new BerWriter()
  writer.startSequence()
  writer.writeInt(id)
  writer.startSequence(tag)
  writeBody(writer)
  writer.endSequence()
  if (controls.length > 0) {
    writer.startSequence(Ber.Context | Ber.Constructor)
    for (const { oid, value } of controls) {
      writer.startSequence()
      writer.writeString(oid)
      if (value !== undefined) writer.writeBuffer(value, Ber.OctetString)
      writer.endSequence()
    }
    writer.endSequence()
  }
  writer.endSequence()
  return Buffer.from(writer.buffer)
}

function writeResult(writer: BerWriter, result: LdapResult): void {
  writer.writeEnumeration(result.code ?? 0)
  writer.writeString(result.matchedDn ?? '')
  writer.writeString(result.diagnosticMessage ?? '')
  if (result.referrals !== undefined) {
    writer.startSequence(Ber.Context | Ber.Constructor | 3)
    writer.writeStringArray([...result.referrals])
    writer.endSequence()
  }
}
