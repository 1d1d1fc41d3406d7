/** A `user_filter` taken apart: what says who somebody is, and what says which entries are people at all. */
import { AndFilter, EqualityFilter, type Filter, OrFilter, PresenceFilter } from 'ldapts'
import { allOf, anything, equals, parseFilter } from '../syntax/filter.ts'

/** A clause that is the same for everybody, such as `(objectClass=person)`. */
export interface FixedClause {
  readonly text: string
  readonly filter: Filter
}

export interface FilterParts {
  readonly fixed: readonly FixedClause[]
  /** The clauses together; everybody, if there are none. */
  readonly people: Filter
  /** The attributes that the typed name is looked for in. */
  readonly nameAttributes: readonly string[]
  /** The same without one of the clauses. */
  without(clause: FixedClause): Filter
}

/** @param template as `user_filter` has it; it has been read before, so it is well-formed */
export function takeApart(template: string): FilterParts {
  const clauses = clausesOf(parseFilter(template))
  const fixed = clauses
    .filter(clause => !hasName(clause))
    .map(filter => ({ text: filter.toString(), filter }))
  const together = (some: readonly FixedClause[]) =>
    some.length === 0 ? anything() : allOf(...some.map(({ filter }) => filter))
  const names = clauses.filter(hasName).flatMap(nameAttributesOf)
  return {
    fixed,
    people: together(fixed),
    nameAttributes: [...new Map(names.map(name => [name.toLowerCase(), name])).values()],
    without: clause => together(fixed.filter(each => each !== clause)),
  }
}

/** Has any value. */
export function has(attribute: string): Filter {
  return new PresenceFilter({ attribute })
}

/** This name in this attribute. */
export function named(attribute: string, name: string): Filter {
  return equals(attribute, name)
}

function clausesOf(filter: Filter): readonly Filter[] {
  return filter instanceof AndFilter ? filter.filters.flatMap(clausesOf) : [filter]
}

function hasName(filter: Filter): boolean {
  return /\{(username|input|mail)\}/.test(filter.toString())
}

function nameAttributesOf(filter: Filter): string[] {
  if (filter instanceof AndFilter || filter instanceof OrFilter)
    return filter.filters.flatMap(nameAttributesOf)
  return filter instanceof EqualityFilter && hasName(filter) ? [filter.attribute] : []
}
