/** An entry as the directory sent it, made regular. */
import { isUtf8 } from 'node:buffer'
import type { WireEntry } from '../wire/message.ts'

export interface DirectoryEntry {
  /** Exactly as returned: a bind sends it back octet for octet. */
  readonly dn: string
  /** The values that are text; none for an attribute that is not there. Attribute names in any case. */
  texts(attribute: string): readonly string[]
  /** The first value, as octets. */
  octets(attribute: string): Buffer | undefined
  /** Every value, as octets. */
  allOctets(attribute: string): readonly Buffer[]
  /** The part of a list of values that the directory cut short; undefined where it is whole. */
  range(attribute: string): ValueRange | undefined
}

/** Some of an attribute's values, as Active Directory gives long lists ([MS-ADTS] section 3.1.1.3.1.3.3). */
export interface ValueRange {
  /** What the directory calls it, such as `memberOf;range=0-1499`: its values stand under this name. */
  readonly attribute: string
  /** Position of its first value in the whole list. */
  readonly from: number
  /** Position of the first value that it leaves out; undefined if it has the last one. */
  readonly next: number | undefined
}

const RANGE = /;range=(\d{1,9})-(\d{1,9}|\*)$/

export function readEntry({ dn, attributes }: WireEntry): DirectoryEntry {
  const of = (attribute: string) => attributes.get(inLowerCase(attribute)) ?? NONE
  return {
    dn,
    texts(attribute) {
      const texts: string[] = []
      for (const octets of of(attribute)) {
        const text = readText(octets)
        if (text !== undefined) texts.push(text)
      }
      return texts
    },
    octets: attribute => of(attribute)[0],
    allOctets: of,
    range(attribute) {
      const prefix = `${attribute.toLowerCase()};range=`
      for (const key of attributes.keys()) {
        if (!key.startsWith(prefix)) continue
        const [, from, to] = RANGE.exec(key) ?? []
        // Not to be taken for a whole list, whatever it is.
        if (from === undefined) return { attribute: key, from: Number.NaN, next: Number.NaN }
        return { attribute: key, from: Number(from), next: to === '*' ? undefined : Number(to) + 1 }
      }
      return undefined
    },
  }
}

const NONE: readonly Buffer[] = []
/** Attributes are named by the configuration and by us: there are a few dozen, and each is looked up at every login. */
const lowerCase = new Map<string, string>()
const MOST_NAMES = 1_000

function inLowerCase(attribute: string): string {
  let lower = lowerCase.get(attribute)
  if (lower === undefined) {
    lower = attribute.toLowerCase()
    if (lowerCase.size < MOST_NAMES) lowerCase.set(attribute, lower)
  }
  return lower
}

/** Strict, and nothing is dropped from what it reads: two values that differ must not become one. */
function readText(octets: Buffer): string | undefined {
  return isUtf8(octets) ? octets.toString() : undefined
}

/**
 * The stable id in an attribute: objectGUID as the text that Microsoft's tools show, everything else as it is.
 * Undefined if it isn't there, can't be an id, or there are several.
 */
export function readId(entry: DirectoryEntry, attribute: string): string | undefined {
  if (isGuid(attribute)) {
    const octets = entry.octets(attribute)
    return octets && formatGuid(octets)
  }
  const [id, ...more] = entry.texts(attribute)
  // Of several the directory gives now this one first and now that one.
  return more.length > 0 ? undefined : id || undefined
}

/** The octets by which an id is searched for; undefined for a text that is no id of this kind. */
export function idOctets(id: string, attribute: string): Buffer | undefined {
  if (isGuid(attribute)) return parseGuid(id)
  if (/uuid$/i.test(attribute) && !UUID.test(id)) return undefined
  return id === '' ? undefined : Buffer.from(id)
}

export function isGuid(attribute: string): boolean {
  return attribute.toLowerCase() === 'objectguid'
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** A GUID's first three groups are little-endian numbers, the rest are octets in order ([MS-DTYP] section 2.3.4). */
const GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const

/** Sixteen octets as `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`; undefined for any other number of them. */
export function formatGuid(octets: Buffer): string | undefined {
  if (octets.length !== 16) return undefined
  return reorder(octets)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** The reverse of `formatGuid`, in any case. */
export function parseGuid(text: string): Buffer | undefined {
  return UUID.test(text) ? reorder(Buffer.from(text.replaceAll('-', ''), 'hex')) : undefined
}

function reorder(octets: Buffer): Buffer {
  return Buffer.from(GUID_ORDER.map(from => octets.readUInt8(from)))
}
