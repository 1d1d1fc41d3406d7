/**
 * The one name normalisation, for counting and for look-up (lockout.md).
 *
 * Every spelling of a name must meet in one text, or each would have a count of its own; and that text must still be
 * one that a directory finds. RFC 4518 §2 (string preparation) does that, with these choices where it leaves room:
 * - ß stays ß (ẞ joins it) instead of becoming ss: OpenLDAP's caseIgnoreMatch does not find `straße` by `strasse`.
 * - ς, σ and Σ are one letter, written as its place in the word asks, as people write it and directories store it.
 * - ı without a dot is a letter of its own, never an i (CVE-2019-19844); İ is an i, and a dot set above an i is no
 *   difference, so that ALİ is ali.
 * - The iota below a letter stays the mark that it is and becomes no ι: ᾴ has no capital in one character, so it and Ά with the mark
 *   would part.
 */

/** The domains one backend owns, so that `CORP\alice` and `alice@corp.example` are understood. */
export interface Realm {
  /** Down-level name, such as `CORP`. */
  readonly netbios?: string
  /** UPN suffixes; the first that no other realm has is the canonical one, else the down-level name. */
  readonly suffixes: readonly string[]
}

export interface Username {
  /** The whole normalised name. With a known domain always `user@canonical-domain`. The key for counting. */
  readonly text: string
  /** The same with its domain as typed: what a look-up by e-mail address or by the whole name asks for. */
  readonly typed: string
  /** Without a domain that is one realm's own; else the same as `text`. */
  readonly user: string
  /** The domain as typed, when some backend owns it: whoever does not own it is not asked. */
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
 * name or a suffix of a realm become `user@canonical-domain`; any other domain is just a part of the name.
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
    if (split === undefined || domain === undefined) return named({ text, typed: text, user: text })
    if (split.user === '') return problem('has a domain and no name')
    const qualified = `${split.user}@${domain.canonical}`
    if (isTooLong(qualified)) return problem(TOO_LONG)
    const user = domain.shared ? qualified : split.user
    return named({ text: qualified, typed: text, user, domain: split.domain })
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
  const upper = Array.from(text, simpleUpperCase).join('')
  // Composed: there is an İ and no small one, so a mark in between would keep the dot of one of the two.
  return upper.normalize('NFC').toLowerCase().replace(DOTTED_I, 'i')
}

function simpleUpperCase(character: string): string {
  if (character === 'ı' || character === '\u0345') return character
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

/** What a domain that somebody typed means. */
interface Domain {
  /** What the name counts under: one for all names of a realm. */
  readonly canonical: string
  /** A suffix of several realms says which of them as little as a mail address does: the name is looked for as a whole. */
  readonly shared: boolean
}

/** By each name of each realm. */
function readDomains(realms: readonly Realm[]): ReadonlyMap<string, Domain> {
  const groups = groupRealms(realms)
  const owners = Map.groupBy(
    groups.flatMap(({ suffixes }) => [...suffixes]),
    suffix => suffix,
  )
  const isShared = (suffix: string) => (owners.get(suffix)?.length ?? 0) > 1
  const ownSuffix = ({ suffixes }: RealmGroup) => [...suffixes].find(suffix => !isShared(suffix))
  const domains = new Map<string, Domain>()
  for (const group of groups) {
    for (const suffix of group.suffixes) {
      const shared = isShared(suffix)
      domains.set(suffix, { canonical: shared ? suffix : (ownSuffix(group) ?? suffix), shared })
    }
  }
  for (const group of groups) {
    const { netbios } = group
    if (netbios === undefined) continue
    const canonical = ownSuffix(group) ?? netbios
    const taken = domains.get(netbios)
    if (taken !== undefined && taken.canonical !== canonical) {
      throw new Error(`The domain ${netbios} belongs to two realms, ${taken.canonical} and ${canonical}`)
    }
    domains.set(netbios, { canonical, shared: false })
  }
  return domains
}

interface RealmGroup {
  readonly netbios: string | undefined
  readonly suffixes: Set<string>
}

/** Realms of one domain are one: those with the same down-level name, or without one and with the same suffixes. */
function groupRealms(realms: readonly Realm[]): readonly RealmGroup[] {
  const groups = new Map<string, RealmGroup>()
  for (const realm of realms) {
    const netbios = realm.netbios === undefined ? undefined : normaliseDomain(realm.netbios)
    const suffixes = new Set(realm.suffixes.map(normaliseDomain))
    const key = netbios === undefined ? [...suffixes].sort().join('@') : `\\${netbios}`
    const known = groups.get(key)
    if (known === undefined) {
      groups.set(key, { netbios, suffixes })
      continue
    }
    const common = [...suffixes].some(suffix => known.suffixes.has(suffix))
    if (known.suffixes.size > 0 && suffixes.size > 0 && !common) {
      const [one] = known.suffixes
      const [other] = suffixes
      throw new Error(`The domain ${netbios} belongs to two realms, ${one} and ${other}`)
    }
    for (const suffix of suffixes) known.suffixes.add(suffix)
  }
  return [...groups.values()]
}

/**
 * A domain as typed names are compared with it.
 *
 * @throws {Error} on what can be no domain in a name
 */
export function normaliseDomain(raw: string): string {
  const settled = settle(raw)
  if (!settled.ok || settled.text === '' || SEPARATOR.test(settled.text)) {
    throw new Error(`A realm's domain cannot be ${JSON.stringify(raw)}`)
  }
  return settled.text
}

/** Frozen: one name goes to all backends, and to the lockout. */
function named(username: Username): NormalisedUsername {
  return { ok: true, username: Object.freeze(username) }
}

function problem(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem }
}
