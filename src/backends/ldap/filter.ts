/** Search filters (RFC 4515), built from ldapts' filter classes: a name is always a value, never a part of the syntax. */
import {
  AndFilter,
  EqualityFilter,
  type Filter,
  FilterParser,
  NotFilter,
  OrFilter,
  PresenceFilter,
} from 'ldapts'

declare const escapedFilter: unique symbol

/** Text that can stand as a value in a filter and nowhere else: a DN escapes differently (security.md S07). */
export type EscapedFilter = string & { readonly [escapedFilter]: true }

/** What the placeholders of a template stand for. */
export interface Names {
  /** `{username}`: the name without a domain that is ours. */
  readonly username: string
  /** `{input}`: the whole name, normalised, its domain as typed. */
  readonly input: string
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

/** The text is no filter that Gatehouse can use; the message says why, in one line. */
export class FilterTemplateError extends Error {
  override readonly name = 'FilterTemplateError'
}

const PLACEHOLDER = /\{([^{}]*)\}/g
const KNOWN: ReadonlySet<string> = new Set<keyof Names>(['username', 'input'])

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

/** Every one of these. */
export function allOf(...filters: Filter[]): Filter {
  return new AndFilter({ filters })
}

/**
 * Reads a filter with the placeholders `{username}` and `{input}` as values of equality matches.
 *
 * @throws {FilterTemplateError} on anything else
 */
export function parseFilterTemplate(text: string): FilterTemplate {
  for (const [whole, name = ''] of text.matchAll(PLACEHOLDER)) {
    if (!KNOWN.has(name)) {
      throw new FilterTemplateError(`${whole} is no placeholder; there are {username} and {input}`)
    }
  }
  // ldapts' parser reads \c3\a9 as two characters instead of as the two octets of one.
  if (/\\[89a-f][0-9a-f]/i.test(text)) {
    throw new FilterTemplateError('a character beyond ASCII is written as itself, not as \\xx')
  }
  const compact = text.trim().replace(/(\([&|!]?|\))\s+/g, '$1')
  const tree = parse(compact)
  if (!hasPlaceholder(tree)) throw new FilterTemplateError('neither {username} nor {input} occurs in it')
  refuseMisplaced(tree)

  return {
    forUser: names => replaceLeaves(tree, leaf => equals(leaf.attribute, fill(textOf(leaf), names))),
    forAnyone: () => replaceLeaves(tree, ({ attribute }) => new PresenceFilter({ attribute })),
    show: names => compact.replace(PLACEHOLDER, (_, name: keyof Names) => escapeFilter(names[name])),
  }
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

function textOf(leaf: EqualityFilter): string {
  return leaf.value.toString()
}

function fill(text: string, names: Names): string {
  // A function, so that `$&` in a name means nothing; one pass, so that a name with a placeholder in it stays a name.
  return text.replace(PLACEHOLDER, (_, name: keyof Names) => names[name])
}
