/** Search filters (RFC 4515), built from ldapts' filter classes: a name is always a value, never a part of the syntax. */
import {
  AndFilter,
  EqualityFilter,
  ExtensibleFilter,
  type Filter,
  FilterParser,
  NotFilter,
  OrFilter,
  PresenceFilter,
} from 'ldapts'

declare const escapedFilter: unique symbol

/** Text that can stand as a value in a filter and nowhere else: a DN escapes differently (security.md S07). */
export type EscapedFilter = string & { readonly [escapedFilter]: true }

/** What the placeholders of a `user_filter` stand for. */
export interface Names {
  /** `{username}`: the name without a domain that is ours. */
  readonly username: string
  /** `{input}`: the whole name, normalised, its domain as typed. */
  readonly input: string
}

/** What the placeholders of a `groups.filter` stand for. */
export interface MemberNames {
  /** `{dn}`: as the directory returned it. */
  readonly dn: string
  /** `{username}`: the login name as the directory has it. */
  readonly username: string
}

/** A `user_filter`, read once. */
export interface FilterTemplate {
  /** The filter that finds this person. */
  forUser(names: Names): Filter
  /** The filter that finds everybody this template can find. */
  forAnyone(): Filter
  /** `forUser` as text, for people. */
  show(names: Names): string
}

/** A `groups.filter`, read once. */
export interface GroupFilterTemplate {
  /** The filter that finds the groups of this person. */
  forMember(names: MemberNames): Filter
}

/** The text is no filter that Gatehouse can use; the message says why, in one line. */
export class FilterTemplateError extends Error {
  override readonly name = 'FilterTemplateError'
}

const PLACEHOLDER = /\{([^{}]*)\}/g
type Values = Readonly<Record<string, string>>

/** Escapes a value for a filter: every octet that is not plain text becomes `\xx` (RFC 4515 section 3). */
export function escapeFilter(value: string | Buffer): EscapedFilter {
  const octets = Buffer.isBuffer(value) ? value : Buffer.from(value)
  let escaped = ''
  for (const octet of octets) {
    const plain = octet >= 0x20 && octet < 0x7f && !'*()\\'.includes(String.fromCharCode(octet))
    escaped += plain ? String.fromCharCode(octet) : `\\${octet.toString(16).padStart(2, '0')}`
  }
  return escaped as EscapedFilter
}

/** `(attribute=value)` on the octets of the value. */
export function equals(attribute: string, value: string | Buffer): Filter {
  return new EqualityFilter({ attribute, value: Buffer.isBuffer(value) ? value : Buffer.from(value) })
}

/** `(attribute:rule:=value)`: a match by another rule than the attribute's own (RFC 4511 section 4.5.1.7.7). */
export function matchesRule(attribute: string, rule: string, value: string): Filter {
  return new ExtensibleFilter({ matchType: attribute, rule, value })
}

/** `(objectClass=*)`: every entry. */
export function anything(): Filter {
  return new PresenceFilter({ attribute: 'objectClass' })
}

/** Every one of these. */
export function allOf(...filters: Filter[]): Filter {
  return new AndFilter({ filters })
}

/** At least one of these. */
export function anyOf(filters: Filter[]): Filter {
  const [only] = filters
  return only && filters.length === 1 ? only : new OrFilter({ filters })
}

/**
 * Reads a filter that is the same for everybody.
 *
 * @throws {FilterTemplateError} on what is no filter
 */
export function parseFilter(text: string): Filter {
  return parse(compact(text))
}

/**
 * Reads a filter with the placeholders `{username}` and `{input}` as values of equality matches.
 *
 * @throws {FilterTemplateError} on anything else
 */
export function parseFilterTemplate(text: string): FilterTemplate {
  const { tree, shown } = readTemplate(text, ['username', 'input'])
  return {
    forUser: ({ username, input }) => fillTree(tree, { username, input }),
    forAnyone: () => replaceLeaves(tree, ({ attribute }) => new PresenceFilter({ attribute })),
    show: ({ username, input }) =>
      shown.replace(PLACEHOLDER, (_, name: keyof Names) => escapeFilter({ username, input }[name])),
  }
}

/**
 * Reads a filter with the placeholders `{dn}` and `{username}` as values of equality matches.
 *
 * @throws {FilterTemplateError} on anything else
 */
export function parseGroupFilterTemplate(text: string): GroupFilterTemplate {
  const { tree } = readTemplate(text, ['dn', 'username'])
  return { forMember: ({ dn, username }) => fillTree(tree, { dn, username }) }
}

function readTemplate(text: string, known: readonly [string, string]): { tree: Filter; shown: string } {
  const words = known.map(name => `{${name}}`)
  for (const [whole, name = ''] of text.matchAll(PLACEHOLDER)) {
    if (!known.includes(name)) {
      throw new FilterTemplateError(`${whole} is no placeholder; there are ${words.join(' and ')}`)
    }
  }
  // ldapts' parser reads \c3\a9 as two characters instead of as the two octets of one.
  if (/\\[89a-f][0-9a-f]/i.test(text)) {
    throw new FilterTemplateError('a character beyond ASCII is written as itself, not as \\xx')
  }
  const shown = compact(text)
  const tree = parse(shown)
  if (!hasPlaceholder(tree)) throw new FilterTemplateError(`neither ${words.join(' nor ')} occurs in it`)
  refuseMisplaced(tree)
  return { tree, shown }
}

/** Without the blanks between its parts, which ldapts does not skip. */
function compact(text: string): string {
  return text.trim().replace(/(\([&|!]?|\))\s+/g, '$1')
}

function parse(text: string): Filter {
  try {
    return FilterParser.parseString(text)
  } catch (error) {
    throw new FilterTemplateError(
      `it is no filter (RFC 4515): ${error instanceof Error ? error.message : error}`,
    )
  }
}

function refuseMisplaced(filter: Filter): void {
  if (filter instanceof AndFilter || filter instanceof OrFilter) {
    for (const inner of filter.filters) refuseMisplaced(inner)
  } else if (!(filter instanceof EqualityFilter) && hasPlaceholder(filter)) {
    throw new FilterTemplateError(
      filter instanceof NotFilter
        ? 'a placeholder cannot stand inside (!…)'
        : 'a placeholder can only be the value of an equality match such as (uid={username}), without wildcards',
    )
  }
}

function hasPlaceholder(filter: Filter): boolean {
  return filter.toString().search(PLACEHOLDER) !== -1
}

/** A copy of the tree in which every equality match with a placeholder is replaced. */
function replaceLeaves(filter: Filter, replacement: (leaf: EqualityFilter) => Filter): Filter {
  if (filter instanceof AndFilter) {
    return new AndFilter({ filters: filter.filters.map(each => replaceLeaves(each, replacement)) })
  }
  if (filter instanceof OrFilter) {
    return new OrFilter({ filters: filter.filters.map(each => replaceLeaves(each, replacement)) })
  }
  return filter instanceof EqualityFilter && hasPlaceholder(filter) ? replacement(filter) : filter
}

/** The tree with every placeholder replaced by its value. */
function fillTree(tree: Filter, values: Values): Filter {
  return replaceLeaves(tree, leaf => equals(leaf.attribute, fill(leaf.value.toString(), values)))
}

function fill(text: string, values: Values): string {
  // A function, so that `$&` in a name means nothing; one pass, so that a name with a placeholder in it stays a name.
  return text.replace(PLACEHOLDER, (_, name: string) => values[name] ?? '')
}
