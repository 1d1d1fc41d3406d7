/**
 * The one name normalisation, for counting and for look-up (lockout.md).
 *
 * Every spelling of a name must meet in one text, or each would have a count of its own; and that text must still be
 * one that a directory finds. RFC 4518 §2 (string preparation) does that, with these choices where it leaves room:
 * - ß stays ß (ẞ joins it) instead of becoming ss: OpenLDAP's caseIgnoreMatch does not find `straße` by `strasse`.
 * - ς, σ and Σ are one letter, written as its place in the word asks, as people write it and directories store it.
 * - ı without a dot is a letter of its own, never an i (CVE-2019-19844); İ is an i, and a dot set above an i is no
 *   difference, so that ALİ is ali.
 */

/** The domains one backend owns, so that `CORP\alice` and `alice@corp.example` are understood. */
export interface Realm {
  /** Down-level name, such as `CORP`. */
  readonly netbios?: string
  /** UPN suffixes; the first is the canonical one. */
  readonly suffixes: readonly string[]
}

export interface Username {
  /** The whole normalised name. With a known domain always `user@canonical-suffix`. The key for counting. */
  readonly text: string
  /** The same with its domain as typed: what a look-up by e-mail address or by the whole name asks for. */
  readonly typed: string
  /** Without a known domain: the same as `text` for a name that carries none. */
  readonly user: string
  /** The canonical suffix, when the name carried a domain that a backend owns. */
  readonly domain?: string
}

/** `problem` is a predicate in one line ("is empty"), shows nothing of the name and is safe to answer. */
export type NormalisedUsername =
  | { readonly ok: true; readonly username: Username }
  | { readonly ok: false; readonly problem: string }

/** Never throws. Idempotent: the `text` of a normalised name normalises to itself. */
export type NormaliseUsername = (raw: string) => NormalisedUsername

const MAX_CODE_POINTS = 256
const MAX_BYTES = 1024
/** Three rounds settle all that was ever tried; a name that does not settle is refused rather than counted apart. */
const MAX_ROUNDS = 8

const PLAIN = /^[\x21-\x7e]*$/
const FORBIDDEN = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u
const IGNORABLE = /\p{Default_Ignorable_Code_Point}+/gu
const BLANKS = /\p{Zs}+/gu
const DOTTED_I = /i\u0307+/g
const SEPARATOR = /[\\@]/

/**
 * Makes the normalisation for the domains of all backends together. `DOMAIN\user` and `user@domain` with a down-level
 * name or a suffix of a realm become `user@canonical-suffix`; any other domain is just a part of the name.
 *
 * @throws {Error} on a realm that cannot work: a domain that is no name, or a down-level name of two realms
 */
export function createUsernameNormaliser(realms: readonly Realm[]): NormaliseUsername {
  const domains = readDomains(realms)

  return function normaliseUsername(raw) {
    if (typeof raw !== 'string') return problem('is not a string')
    const settled = settle(raw)
    if (!settled.ok) return settled
    const { text } = settled
    if (text === '') return problem('is empty')

    const split = splitDomain(text)
    const domain = split && domains.get(split.domain)
    if (split === undefined || domain === undefined)
      return { ok: true, username: { text, typed: text, user: text } }
    const { user } = split
    if (user === '') return problem('has a domain and no name')
    const qualified = `${user}@${domain}`
    if (isTooLong(qualified)) return problem(TOO_LONG)
    return { ok: true, username: { text: qualified, typed: text, user, domain } }
  }
}

const TOO_LONG = `is longer than ${MAX_CODE_POINTS} characters or ${MAX_BYTES} bytes`

type Settled = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly problem: string }

/** All of the normalisation but the domains. May give the empty text. */
function settle(raw: string): Settled {
  // Before any Unicode work: NFKC of a huge name is slow (CVE-2023-46695), and of a short one up to 18 times as long.
  if (isTooLong(raw)) return problem(TOO_LONG)
  if (PLAIN.test(raw)) return { ok: true, text: raw.toLowerCase() }
  if (!raw.isWellFormed()) return problem('is not well-formed Unicode')
  if (FORBIDDEN.test(raw))
    return problem('contains a control, bidirectional control or line separator character')

  // Folding and dropping can bring characters together that compose or fold anew: until nothing changes.
  let text = raw
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const composed = text.normalize('NFKC').replace(IGNORABLE, '')
    // Folding is the slowest part: not on a name that composing made too long.
    if (isTooLong(composed)) return problem(TOO_LONG)
    const next = fold(composed.replace(BLANKS, ' ').trim())
    if (next === text) return { ok: true, text }
    if (isTooLong(next)) return problem(TOO_LONG)
    text = next
  }
  return problem('has no normal form')
}

/** Simple case folding (Unicode CaseFolding.txt, C and S) in lower case; no locale is asked (CVE-2024-38829). */
function fold(text: string): string {
  // Through upper case, so that all small forms of one capital meet. toLowerCase then picks σ or ς by the place.
  return Array.from(text, simpleUpperCase).join('').toLowerCase().replace(DOTTED_I, 'i')
}

function simpleUpperCase(character: string): string {
  if (character === 'ı') return character
  const upper = character.toUpperCase()
  // More than one character (ß → SS) is full case mapping: that one keeps its small form.
  return upper.length === String.fromCodePoint(upper.codePointAt(0) ?? 0).length ? upper : character
}

function isTooLong(text: string): boolean {
  // A UTF-16 unit is at least one byte of UTF-8 and a code point at most two units: most texts need no counting.
  if (text.length > MAX_BYTES || Buffer.byteLength(text) > MAX_BYTES) return true
  return text.length > MAX_CODE_POINTS && Array.from(text).length > MAX_CODE_POINTS
}

/** The two halves of `domain\user` or `user@domain`; nothing for a name with none or more than one separator. */
function splitDomain(text: string): { readonly user: string; readonly domain: string } | undefined {
  const at = text.search(SEPARATOR)
  if (at === -1) return undefined
  const before = text.slice(0, at).trim()
  const after = text.slice(at + 1).trim()
  if (SEPARATOR.test(after)) return undefined
  return text[at] === '\\' ? { domain: before, user: after } : { domain: after, user: before }
}

/** Every name of every realm → the canonical suffix. */
function readDomains(realms: readonly Realm[]): ReadonlyMap<string, string> {
  const domains = new Map<string, string>()
  const read = realms.map(({ netbios, suffixes }) => ({
    netbios: netbios === undefined ? undefined : readDomain(netbios),
    suffixes: suffixes.map(readDomain),
  }))
  for (const { suffixes } of read) {
    for (const suffix of suffixes) {
      const canonical = suffixes[0] ?? suffix
      // Two forests may share a mail suffix: it then stands for itself and either backend may own it.
      domains.set(suffix, (domains.get(suffix) ?? canonical) === canonical ? canonical : suffix)
    }
  }
  for (const { netbios, suffixes } of read) {
    if (netbios === undefined) continue
    const canonical = suffixes[0] ?? netbios
    const taken = domains.get(netbios)
    if (taken !== undefined && taken !== canonical) {
      throw new Error(`The domain ${netbios} belongs to two realms, ${taken} and ${canonical}`)
    }
    domains.set(netbios, canonical)
  }
  return domains
}

function readDomain(raw: string): string {
  const settled = settle(raw)
  if (!settled.ok || settled.text === '' || SEPARATOR.test(settled.text)) {
    throw new Error(`A realm's domain cannot be ${JSON.stringify(raw)}`)
  }
  return settled.text
}

function problem(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem }
}
