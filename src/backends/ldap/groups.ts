/** Groups as a directory lists them on a user, and what the configuration makes of them. */
import { canonicalDn, parseDn } from './dn.ts'

export interface Group {
  /** The first value of its DN, such as `Wiki Admins`. */
  readonly name: string
  /** For comparing only. */
  readonly canonicalDn: string
}

/** Whether one of these groups is meant. */
export type GroupMatcher = (groups: readonly Group[]) => boolean

/** @param dn from memberOf; a value that is no DN is its own name, so that no group is ever overlooked */
export function readGroup(dn: string): Group {
  const rdns = parseDn(dn)
  const [first] = rdns ?? []
  const pair = first?.find(({ type }) => type === 'cn') ?? first?.[0]
  return { name: pair?.value ?? dn, canonicalDn: rdns ? canonicalDn(rdns) : dn.toLowerCase() }
}

/**
 * Patterns over groups: one with a `=` in it is matched against the DN, any other against the name. `*` stands for any
 * text, commas included; case does not matter. A literal star is written `\2a`.
 *
 * @throws {Error} on a pattern that looks like a DN and is none
 */
export function matchGroups(patterns: readonly string[]): GroupMatcher {
  const matchers = patterns.map(pattern => {
    if (!pattern.includes('='))
      return (group: Group) => matchesGlob(pattern.toLowerCase(), group.name.toLowerCase())
    const glob = canonicalPattern(pattern)
    if (glob === undefined) throw new Error(`${JSON.stringify(pattern)} is no pattern over DNs`)
    return (group: Group) => matchesGlob(glob, group.canonicalDn)
  })
  return groups => groups.some(group => matchers.some(matches => matches(group)))
}

/** `*` stands for any text. Linear in the text for each piece between two stars. */
export function matchesGlob(pattern: string, text: string): boolean {
  const [head = '', ...rest] = pattern.split('*')
  const tail = rest.pop()
  if (tail === undefined) return text === pattern
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
