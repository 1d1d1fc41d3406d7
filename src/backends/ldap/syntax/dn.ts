/** Distinguished names (RFC 4514), as far as a login needs them: comparing, naming groups, patterns over groups. */

declare const escapedDn: unique symbol

/** Text that can stand as a value in a DN and nowhere else: a filter escapes differently (security.md S07). */
export type EscapedDn = string & { readonly [escapedDn]: true }

export interface AttributeValue {
  /** Lower case. */
  readonly type: string
  /** Unescaped. */
  readonly value: string
}

/** One relative distinguished name; more than one pair where the directory joins them with `+`. */
export type Rdn = readonly AttributeValue[]

// `=` and `*` need no escape in a DN. They get one so that a separator or a wildcard in a pattern is never a value.
const SPECIAL = /[\p{Cc}"+,;<>\\=*]|^[ #]| $/gu
const TYPE = /[ ]*([a-z][a-z0-9-]*|\d+(?:\.\d+)*)[ ]*=[ ]*/iy
const UNESCAPED = /^([a-z][a-z0-9-]*)=(.+?),((?:(?:ou|dc|o|cn)=[^,]+)(?:,(?:ou|dc|o|cn)=[^,]+)*)$/is
/** No directory has longer ones. */
const MAX_LENGTH = 8_192
/** Longer than any DN of a directory that escapes nothing, and short enough to be read twice. */
const MAX_UNESCAPED = 1_024
/** Without escapes, without blanks at an edge, one attribute in each part. */
const PLAIN = /^[a-z][a-z0-9-]*=[\w.@-]+(?: [\w.@-]+)*(?:,[a-z][a-z0-9-]*=[\w.@-]+(?: [\w.@-]+)*)*$/i
const VALUE = /(?:[^\\"+,;<>]|\\[0-9a-f]{2}|\\["+,;<>\\ #=])*/iy

/** Escapes a value for a DN, octet by octet as `\xx` (RFC 4514 section 2.4). */
export function escapeDn(value: string): EscapedDn {
  return value.replace(SPECIAL, hexPairs) as EscapedDn
}

/** Reads a DN; undefined for what is none. Quoted and `#hex` values count as none: of a person that is an outage. */
export function parseDn(text: string): readonly Rdn[] | undefined {
  if (text.length > MAX_LENGTH) return undefined
  const rdns: AttributeValue[][] = []
  let rdn: AttributeValue[] = []
  let offset = 0
  while (true) {
    const type = matchAt(TYPE, text, offset)
    const raw = type && matchAt(VALUE, text, type.end)
    const value = raw?.match[0].startsWith('#') ? undefined : raw && unescapeValue(raw.match[0])
    if (!type?.match[1] || !raw || value === undefined) return undefined
    rdn.push({ type: type.match[1].toLowerCase(), value })
    offset = raw.end + 1
    const separator = text[raw.end]
    if (separator === '+') continue
    rdns.push(rdn)
    rdn = []
    if (separator === undefined) return rdns
    if (separator !== ',') return undefined
  }
}

/**
 * Reads a DN of which the first value was written without the escapes that it needs, as LLDAP does with names such as
 * `Sales, EMEA`: it ends where only the branches of a tree follow. For comparing, not for sending.
 */
export function parseUnescapedDn(text: string): readonly Rdn[] | undefined {
  if (text.length > MAX_UNESCAPED) return undefined
  const [, type, value, branches] = UNESCAPED.exec(text) ?? []
  const rest = branches === undefined ? undefined : parseDn(branches)
  if (type === undefined || value === undefined || rest === undefined) return undefined
  return [[{ type: type.toLowerCase(), value: value.trim() }], ...rest]
}

/** One text for every spelling of a DN: lower case, no blanks around, one way to escape. For comparing, not for sending. */
export function canonicalDn(rdns: readonly Rdn[]): string {
  return rdns.map(canonicalRdn).join(',')
}

/** Whether a DN is the base or below it. False for what is no DN, not even an unescaped one. */
export function isUnder(dn: string, base: string): boolean {
  return readBase(base)(dn)
}

/** The same for a base that is read once. */
export function readBase(base: string): (dn: string) => boolean {
  const outer = parseDn(base)?.map(canonicalRdn)
  const below = `,${base}`
  return dn => {
    // Mostly: nothing is escaped, and the base is written as it is here.
    if (outer && dn.endsWith(below) && dn.length <= MAX_LENGTH && PLAIN.test(dn)) return true
    const inner = parseDn(dn) ?? parseUnescapedDn(dn)
    if (!inner || !outer || inner.length < outer.length) return false
    const depth = inner.length - outer.length
    return outer.every((rdn, index) => rdn === canonicalRdn(inner[depth + index] ?? []))
  }
}

function canonicalRdn(rdn: Rdn): string {
  const [first] = rdn
  if (first && rdn.length === 1) return canonicalPair(first)
  return rdn.map(canonicalPair).sort().join('+')
}

function canonicalPair({ type, value }: AttributeValue): string {
  return `${type}=${escapeDn(value.normalize('NFC').toLowerCase())}`
}

function matchAt(pattern: RegExp, text: string, offset: number) {
  pattern.lastIndex = offset
  const match = pattern.exec(text)
  return match ? { match, end: pattern.lastIndex } : undefined
}

/** Escapes are octets of UTF-8: `\c3\a9` is é. Undefined if they make none. Blanks at the end count only if escaped. */
function unescapeValue(raw: string): string | undefined {
  if (!raw.includes('\\')) return trimBlanks(raw)
  const octets: Buffer[] = []
  const tokens = raw.match(/\\[0-9a-f]{2}|\\.|[^\\]+/gis) ?? []
  tokens.forEach((token, index) => {
    if (token[0] !== '\\') octets.push(Buffer.from(index === tokens.length - 1 ? trimBlanks(token) : token))
    else octets.push(token.length === 3 ? Buffer.from(token.slice(1), 'hex') : Buffer.from(token.slice(1)))
  })
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(octets))
  } catch {
    return undefined
  }
}

function trimBlanks(text: string): string {
  let end = text.length
  while (text[end - 1] === ' ') end--
  return text.slice(0, end)
}

function hexPairs(character: string): string {
  return Buffer.from(character)
    .toString('hex')
    .replace(/../g, pair => `\\${pair}`)
}
