/** What a directory is asked (RFC 4511 section 4), as octets: one whole message each. */
import type { Filter } from 'ldapts'
import type { Secret } from '../../../plugin.ts'
import { CONTROLS, ENUMERATED, INTEGER, OCTETS, SEQUENCE } from './ber.ts'
import { writeFilter } from './filter-octets.ts'
import {
  clear,
  newOutput,
  take,
  wrap,
  writeBoolean,
  writeInteger,
  writeOctets,
  writeRaw,
  writeText,
  written,
} from './output.ts'

/** A search as it is sent, in one page or for one. */
export interface AskedSearch {
  readonly base: string
  readonly scope: 'base' | 'sub'
  readonly filter: Filter
  readonly attributes: readonly string[]
  readonly sizeLimit: number
}

const BIND = 0x60
const UNBIND = 0x42
const SEARCH = 0x63
const EXTENDED = 0x77
const EXTENDED_NAME = 0x80
const SIMPLE = 0x80
const SASL = 0xa3
const VERSION = 3
const NEVER = 0
const SCOPES = { base: 0, sub: 2 } as const

/** Writing is over before anybody else's begins. */
const output = newOutput()
const attributeLists = new WeakMap<readonly string[], Buffer>()

/**
 * A simple bind (section 4.2). It holds the password: to be cleared once it has gone out.
 *
 * @param control encoded
 */
export function bindRequest(id: number, dn: string, password: Secret, control?: Buffer): Buffer {
  startMessage(control)
  const before = written(output)
  password.octets(octets => writeOctets(output, SIMPLE, octets))
  writeText(output, OCTETS, dn)
  writeInteger(output, INTEGER, VERSION)
  wrap(output, BIND, before)
  return endMessage(id)
}

/** A bind by SASL EXTERNAL (section 4.2, RFC 4422 appendix A): as whom the certificate says. */
export function externalBindRequest(id: number): Buffer {
  startMessage()
  const before = written(output)
  writeText(output, OCTETS, '')
  writeText(output, OCTETS, 'EXTERNAL')
  wrap(output, SASL, before)
  writeText(output, OCTETS, '')
  writeInteger(output, INTEGER, VERSION)
  wrap(output, BIND, before)
  return endMessage(id)
}

/**
 * A search (section 4.5.1); aliases are never followed.
 *
 * @param timeLimit in seconds
 * @param control encoded
 */
export function searchRequest(
  id: number,
  { base, scope, filter, attributes, sizeLimit }: AskedSearch,
  timeLimit: number,
  control?: Buffer,
): Buffer {
  startMessage(control)
  const before = written(output)
  writeAttributes(attributes)
  writeFilter(output, filter)
  writeBoolean(output, false)
  writeInteger(output, INTEGER, timeLimit)
  writeInteger(output, INTEGER, sizeLimit)
  writeInteger(output, ENUMERATED, NEVER)
  writeInteger(output, ENUMERATED, SCOPES[scope])
  writeText(output, OCTETS, base)
  wrap(output, SEARCH, before)
  return endMessage(id)
}

/** An extended request without a value (section 4.12). */
export function extendedRequest(id: number, oid: string): Buffer {
  startMessage()
  const before = written(output)
  writeText(output, EXTENDED_NAME, oid)
  wrap(output, EXTENDED, before)
  return endMessage(id)
}

/** Good-bye (section 4.3). */
export function unbindRequest(id: number): Buffer {
  startMessage()
  wrap(output, UNBIND, written(output))
  return endMessage(id)
}

/** A control (section 4.1.11) for a request. Never critical: a server that doesn't know it does without. */
export function encodeControl(oid: string, value?: Buffer): Buffer {
  clear(output)
  if (value) writeOctets(output, OCTETS, value)
  writeBoolean(output, false)
  writeText(output, OCTETS, oid)
  wrap(output, SEQUENCE, 0)
  return take(output)
}

/** The value of the control that asks for a page (RFC 2696 section 2). */
export function encodePage(size: number, cookie: Buffer): Buffer {
  clear(output)
  writeOctets(output, OCTETS, cookie)
  writeInteger(output, INTEGER, size)
  wrap(output, SEQUENCE, 0)
  return take(output)
}

/** What stands last comes first. */
function startMessage(control?: Buffer): void {
  // What could not be written to its end has left something.
  clear(output)
  if (!control) return
  writeRaw(output, control)
  wrap(output, CONTROLS, 0)
}

function endMessage(id: number): Buffer {
  writeInteger(output, INTEGER, id)
  wrap(output, SEQUENCE, 0)
  return take(output)
}

/** The same list stands in every search of its kind. */
function writeAttributes(attributes: readonly string[]): void {
  const known = attributeLists.get(attributes)
  if (known) {
    writeRaw(output, known)
    return
  }
  const before = written(output)
  for (const attribute of attributes.toReversed()) writeText(output, OCTETS, attribute)
  wrap(output, SEQUENCE, before)
  const length = written(output) - before
  attributeLists.set(attributes, Buffer.from(output.octets.subarray(output.at, output.at + length)))
}
