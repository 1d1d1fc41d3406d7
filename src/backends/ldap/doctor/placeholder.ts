import { AndFilter, EqualityFilter, type Filter, OrFilter } from 'ldapts'
import { anyOf, parseFilter } from '../syntax/filter.ts'
import { hasName } from './filter-parts.ts'
import { same } from './people.ts'

/**
 * The clause that looks for a name in an attribute, such as `(mail={mail})`.
 *
 * @param value that somebody has there; undefined where none can be read
 */
export function clauseFor(attribute: string, value: string | undefined): string {
  return `(${attribute}=${placeholderFor(attribute, value)})`
}

/** A name with its domain, of which `{username}` may be the first part only. */
const WHOLE = /[@\\]/
/** Where directories have whole names. */
const WHOLE_ATTRIBUTES = ['userPrincipalName', 'krbPrincipalName', 'mail']

/** An address is looked for only where the name can be one. */
function placeholderFor(attribute: string, value: string | undefined): string {
  const isWhole =
    value === undefined ? WHOLE_ATTRIBUTES.some(each => same(each, attribute)) : WHOLE.test(value)
  if (!isWhole) return '{username}'
  return same(attribute, 'mail') ? '{mail}' : '{input}'
}

/**
 * The same filter with one more clause that finds the name.
 *
 * @param template as `user_filter` has it
 * @param clause with a placeholder
 * @returns undefined where there is more than one place for it
 */
export function withClause(template: string, clause: string): string | undefined {
  return widen(parseFilter(template), parseFilter(clause))?.toString()
}

function widen(filter: Filter, added: Filter): Filter | undefined {
  if (filter instanceof AndFilter) {
    const [place, ...others] = filter.filters.filter(hasName)
    const wider = place && others.length === 0 ? widen(place, added) : undefined
    return wider && new AndFilter({ filters: filter.filters.map(each => (each === place ? wider : each)) })
  }
  if (filter instanceof OrFilter) {
    const areNames = filter.filters.every(each => each instanceof EqualityFilter)
    return areNames ? new OrFilter({ filters: [...filter.filters, added] }) : undefined
  }
  return filter instanceof EqualityFilter ? anyOf([filter, added]) : undefined
}
