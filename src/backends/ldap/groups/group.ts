/** Groups as a directory names them, and what the configuration makes of them. */
import type { Nesting } from '../presets/preset.ts'
import { canonicalDn, parseDn, parseUnescapedDn } from '../syntax/dn.ts'

export interface Group {
  /** The first value of its DN, such as `Wiki Admins`; its SID where nothing more is known. */
  readonly name: string
  /** For comparing only; without a DN its SID in lower case. */
  readonly canonicalDn: string
  /** Exactly as the directory returned it; undefined for one of which only the SID is known. */
  readonly dn?: string
  /** `S-1-…`, where it was asked for. */
  readonly sid?: string
}

/** A group that the directory knows by name. */
export interface NamedGroup extends Group {
  readonly dn: string
}

/** All groups of one person. */
export interface FoundGroups {
  readonly groups: readonly Group[]
  /** How they were found. */
  readonly way: Exclude<Nesting, 'auto'>
}

/** Whether one of these groups is meant. */
export type GroupMatcher = (groups: readonly Group[]) => boolean

/** @param dn from memberOf; a value that is no DN is its own name, so that no group is ever overlooked */
export function readGroup(dn: string, sid?: string): NamedGroup {
  const rdns = parseDn(dn) ?? parseUnescapedDn(dn)
  const [first] = rdns ?? []
  const pair = first?.find(({ type }) => type === 'cn') ?? first?.[0]
  const canonical = rdns ? canonicalDn(rdns) : dn.toLowerCase()
  return { name: pair?.value ?? dn, canonicalDn: canonical, dn, ...(sid !== undefined && { sid }) }
}

/** A group of which nothing but its SID is known, as of another domain. */
export function unnamedGroup(sid: string): Group {
  return { name: sid, canonicalDn: sid.toLowerCase(), sid }
}

/** Whether a pattern is about SIDs, such as `S-1-5-21-1-2-3-512` or `S-1-5-21-*-512`. */
export function isSidPattern(pattern: string): boolean {
  return SID_PATTERN.test(pattern)
}

const SID_PATTERN = /^S-1-[0-9*-]+$/i

/**
 * Patterns over groups: one with a `=` in it is matched against the DN, one that starts with `S-1-` against the SID, any
 * other against the name. `*` stands for any text, commas included; case does not matter. A literal star is written `\2a`, and a
 * `=` in a name `\3d`.
 *
 * @throws {Error} on a pattern that is blank, or looks like a DN and is none, or none of a group
 */
export function matchGroups(patterns: readonly string[]): GroupMatcher {
  const matchers = patterns.map(matchGroup)
  return groups => groups.some(group => matchers.some(matches => matches(group)))
}

function matchGroup(pattern: string): (group: Group) => boolean {
  if (pattern.trim() === '') throw new Error('a blank pattern names no group')
  // Never a name: whoever may create a group could call it so.
  if (isSidPattern(pattern)) {
    const pieces = pattern.toLowerCase().split('*')
    return ({ sid }) => sid !== undefined && matchesPieces(pieces, sid.toLowerCase())
  }
  if (!pattern.includes('=')) {
    const pieces = pattern.split('*').map(piece => foldName(unescapeHex(piece)))
    return ({ name }) => matchesPieces(pieces, foldName(name))
  }
  const glob = canonicalPattern(pattern)
  if (glob === undefined) throw new Error(`${JSON.stringify(pattern)} is no pattern over DNs`)
  const pieces = glob.split('*')
  if (pieces.length === 1 && parseDn(pattern)?.length === 1) {
    throw new Error(
      `no group has the DN ${JSON.stringify(pattern)}: write the name alone, or \`${pattern},*\``,
    )
  }
  return group => matchesPieces(pieces, group.canonicalDn)
}

function foldName(name: string): string {
  return name.normalize('NFC').toLowerCase()
}

/** `\2a` → `*`, octet by octet as in a DN. */
function unescapeHex(text: string): string {
  return text.replace(/(?:\\[0-9a-f]{2})+/gi, octets =>
    Buffer.from(octets.replaceAll('\\', ''), 'hex').toString(),
  )
}

/**
 * Whether the text is these pieces with any text between them. Linear in the text for each piece.
 *
 * @param pieces at least one
 */
export function matchesPieces(pieces: readonly string[], text: string): boolean {
  const [head = '', ...rest] = pieces
  const tail = rest.pop()
  if (tail === undefined) return text === head
  if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false
  let from = head.length
  for (const piece of rest) {
    const at = text.indexOf(piece, from)
    if (at === -1) return false
    from = at + piece.length
  }
  return from + tail.length <= text.length
}

/** The pattern in the spelling of `canonicalDn`, in which a star in a value is escaped and one outside is a wildcard. */
function canonicalPattern(pattern: string): string | undefined {
  const rdns = pattern.match(/(?:[^\\,]|\\.)+/gs) ?? []
  const parts = rdns.map(rdn => {
    if (rdn.trim() === '*') return '*'
    // NUL can't stand in a DN unescaped, so it can stand for the wildcard while the rest is parsed.
    const parsed = parseDn(rdn.replace(/\\.|\*/gs, token => (token === '*' ? '\0' : token)))
    return parsed && canonicalDn(parsed).replaceAll('\\00', '*')
  })
  return parts.includes(undefined) ? undefined : parts.join(',')
}
