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
  /** `{input}`: the whole name, normalised, its domain as typed. `{mail}`: the same, if it can be an address. */
  readonly input: string
}

/** One way to look for a person. */
export interface PersonFilter {
  readonly filter: Filter
  /** As text, for people; written when somebody wants to see it. */
  readonly shown: () => string
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
  /**
   * The filters that find this person, in order: the next one is asked only where the one before it finds nobody. So whoever
   * may write an address into their own entry gets nobody's login name into doubt (CVE-2022-39229).
   */
  forUser(names: Names): readonly PersonFilter[]
  /** The filter that finds everybody this template can find. */
  forAnyone(): Filter
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
 * Reads a filter with the placeholders `{username}`, `{input}` and `{mail}` as values of equality matches. `{mail}` is the whole
 * name where it has an `@`, and is looked at only if nobody is found by the others.
 *
 * @throws {FilterTemplateError} on anything else, and on a filter that can match whatever name is typed
 */
export function parseFilterTemplate(text: string): FilterTemplate {
  const tree = readTemplate(text, ['username', 'input', 'mail'])
  const byName = withoutMail(tree)
  const byMail = byName?.toString() !== tree.toString()
  const forName = byName && prepare(byName)
  const forMail = byMail ? prepare(tree) : undefined
  const anyone = replaceLeaves(tree, ({ attribute }) => new PresenceFilter({ attribute }))
  return {
    forUser({ username, input }) {
      const values = { username, input, mail: input }
      const found: PersonFilter[] = []
      if (forName) found.push(forName(values))
      if (forMail && input.includes('@')) found.push(forMail(values))
      return found
    },
    forAnyone: () => anyone,
  }
}

/**
 * Reads a filter with the placeholders `{dn}` and `{username}` as values of equality matches.
 *
 * @throws {FilterTemplateError} on anything else
 */
export function parseGroupFilterTemplate(text: string): GroupFilterTemplate {
  const tree = readTemplate(text, ['dn', 'username'])
  const fillTree = prepareTree(tree)
  return { forMember: ({ dn, username }) => fillTree({ dn, username }) }
}

function readTemplate(text: string, known: readonly string[]): Filter {
  const words = known.map(name => `{${name}}`)
  const listed = new Intl.ListFormat('en', { style: 'long' }).format(words)
  for (const [whole, name = ''] of text.matchAll(PLACEHOLDER)) {
    if (!known.includes(name)) {
      throw new FilterTemplateError(`${whole} is no placeholder; there are ${listed}`)
    }
  }
  if (/\\7[bd]/i.test(text))
    throw new FilterTemplateError('a brace cannot stand in it, not even as \\7b or \\7d')
  // ldapts' parser reads \c3\a9 as two characters instead of as the two octets of one.
  if (/\\[89a-f][0-9a-f]/i.test(text)) {
    throw new FilterTemplateError('a character beyond ASCII is written as itself, not as \\xx')
  }
  const tree = parse(compact(text))
  if (!hasPlaceholder(tree)) throw new FilterTemplateError(`neither ${words.join(' nor ')} occurs in it`)
  refuseMisplaced(tree)
  if (!isBound(tree))
    throw new FilterTemplateError('a part of (|…) without a placeholder matches for everybody')
  return tree
}

/** Whether every way to match it goes through a placeholder. */
function isBound(filter: Filter): boolean {
  if (filter instanceof AndFilter) return filter.filters.some(isBound)
  if (filter instanceof OrFilter) return filter.filters.every(isBound)
  return hasPlaceholder(filter)
}

/** What is left when `{mail}` matches nothing; undefined if nothing is. */
function withoutMail(filter: Filter): Filter | undefined {
  if (filter instanceof AndFilter) {
    const filters = filter.filters.map(withoutMail)
    return filters.includes(undefined) ? undefined : new AndFilter({ filters: filters as Filter[] })
  }
  if (filter instanceof OrFilter) {
    const filters = filter.filters.flatMap(each => withoutMail(each) ?? [])
    return filters.length === 0 ? undefined : anyOf(filters)
  }
  return filter.toString().includes('{mail}') ? undefined : filter
}

/** The tree with its values, as RFC 4515 writes it. */
function show(filter: Filter, values: Values): string {
  if (filter instanceof AndFilter || filter instanceof OrFilter) {
    const sign = filter instanceof AndFilter ? '&' : '|'
    return `(${sign}${filter.filters.map(each => show(each, values)).join('')})`
  }
  if (!(filter instanceof EqualityFilter && hasPlaceholder(filter))) return filter.toString()
  return `(${filter.attribute}=${escapeFilter(prepareText(filter.value.toString())(values))})`
}

/** Without the blanks between its parts, which ldapts does not skip. */
function compact(text: string): string {
  return text.trim().replace(/(\([&|!]?|\))\s+/g, '$1')
}

function parse(text: string): Filter {
  // ldapts does without the last ones. A parenthesis in a value is written \28 or \29.
  if (text.split('(').length !== text.split(')').length) {
    throw new FilterTemplateError('it is no filter (RFC 4515): a parenthesis is not closed')
  }
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

/** A copy of the tree with every equality match that has a placeholder replaced. */
function replaceLeaves(filter: Filter, replacement: (leaf: EqualityFilter) => Filter): Filter {
  if (filter instanceof AndFilter) {
    return new AndFilter({ filters: filter.filters.map(each => replaceLeaves(each, replacement)) })
  }
  if (filter instanceof OrFilter) {
    return new OrFilter({ filters: filter.filters.map(each => replaceLeaves(each, replacement)) })
  }
  return filter instanceof EqualityFilter && hasPlaceholder(filter) ? replacement(filter) : filter
}

function prepare(tree: Filter): (values: Values) => PersonFilter {
  const fillTree = prepareTree(tree)
  return values => ({
    filter: fillTree(values),
    shown: () => show(tree, values),
  })
}

/** Gives the tree with every placeholder replaced by its value. Parts without any are the same each time. */
function prepareTree(tree: Filter): (values: Values) => Filter {
  if (!hasPlaceholder(tree)) return () => tree
  if (tree instanceof AndFilter) {
    const parts = tree.filters.map(prepareTree)
    return values => new AndFilter({ filters: parts.map(part => part(values)) })
  }
  if (tree instanceof OrFilter) {
    const parts = tree.filters.map(prepareTree)
    return values => new OrFilter({ filters: parts.map(part => part(values)) })
  }
  if (!(tree instanceof EqualityFilter)) return () => tree
  const { attribute } = tree
  const fillText = prepareText(tree.value.toString())
  return values => equals(attribute, fillText(values))
}

/** In one pass, so that a name with a placeholder in it stays a name: every other piece is the name of a placeholder. */
function prepareText(text: string): (values: Values) => string {
  const pieces = text.split(PLACEHOLDER)
  return values => {
    let filled = ''
    for (const [index, piece] of pieces.entries()) filled += index % 2 === 0 ? piece : (values[piece] ?? '')
    return filled
  }
}
