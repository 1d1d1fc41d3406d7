/** A `user_filter`, or a `groups.filter`, taken apart: what says who somebody is, and what says which entries are people at all. */
import { AndFilter, EqualityFilter, type Filter, OrFilter, PresenceFilter } from 'ldapts'
import { allOf, anyOf, anything, parseFilter } from '../syntax/filter.ts'

/** A clause that is the same for everybody, such as `(objectClass=person)`. */
export interface FixedClause {
  readonly text: string
  readonly filter: Filter
}

export interface FilterParts {
  readonly text: string
  readonly fixed: readonly FixedClause[]
  /** The clauses together; everybody, if there are none. */
  readonly people: Filter
  /** The attributes that the typed name is looked for in. */
  readonly nameAttributes: readonly string[]
  /** Where it is an alternative of several that each say on their own which entries are people, such as `(|(&…)(&…))`. */
  readonly branches: readonly FilterParts[]
  /** What is left to match without one of the clauses; nothing, if that was the only one. */
  without(clause: FixedClause): readonly Filter[]
}

/** @param template as `user_filter` or `groups.filter` has it; it has been read before, so it is well-formed */
export function takeApart(template: string): FilterParts {
  return partsOf(parseFilter(template))
}

function partsOf(filter: Filter): FilterParts {
  const clauses = clausesOf(filter)
  const fixed = clauses
    .filter(clause => !hasName(clause))
    .map(each => ({ text: each.toString(), filter: each }))
  const branches = clauses.filter(hasName).flatMap(branchesOf)
  const alternatives = branches.length > 0 ? [anyOf(branches.map(({ people }) => people))] : []
  const together = (some: readonly FixedClause[]) => [...some.map(each => each.filter), ...alternatives]
  const all = together(fixed)
  const names = clauses.filter(hasName).flatMap(nameAttributesOf)
  return {
    text: filter.toString(),
    fixed,
    people: all.length === 0 ? anything() : allOf(...all),
    nameAttributes: [...new Map(names.map(name => [name.toLowerCase(), name])).values()],
    branches,
    without: clause => together(fixed.filter(each => each !== clause)),
  }
}

/** Only those that hold more than names: `(|(uid=…)(mail=…))` is one question in two attributes. */
function branchesOf(clause: Filter): readonly FilterParts[] {
  if (!(clause instanceof OrFilter)) return []
  const branches = clause.filters.map(partsOf)
  return branches.some(({ fixed }) => fixed.length > 0) ? branches : []
}

/** Has any value. */
export function has(attribute: string): Filter {
  return new PresenceFilter({ attribute })
}

function clausesOf(filter: Filter): readonly Filter[] {
  return filter instanceof AndFilter ? filter.filters.flatMap(clausesOf) : [filter]
}

/** The class that a clause asks for. */
export function classIn({ text }: FixedClause): string | undefined {
  return /^\(objectClass=([^*()]+)\)$/i.exec(text)?.[1]
}

/** Looks for the name of somebody. */
export function hasName(filter: Filter): boolean {
  return /\{(username|input|mail|dn)\}/.test(filter.toString())
}

function nameAttributesOf(filter: Filter): string[] {
  if (filter instanceof AndFilter || filter instanceof OrFilter)
    return filter.filters.flatMap(nameAttributesOf)
  return filter instanceof EqualityFilter && hasName(filter) ? [filter.attribute] : []
}
