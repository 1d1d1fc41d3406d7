/** People are found, and this one is not: is it the filter, the base, the domain in the name, or the name? */
import type { Finding } from '../../../plugin.ts'
import type { FilterTemplate, Names } from '../syntax/filter.ts'
import { allOf, anyOf } from '../syntax/filter.ts'
import { type FixedClause, named } from './filter-parts.ts'
import { fail, warn } from './finding.ts'
import { blameShared, domainOf, isShared, readNames } from './names.ts'
import { findAbove, LOGIN_ATTRIBUTES, type Surroundings, same, unique } from './people.ts'
import type { Session } from './session.ts'
import { blameBase } from './why-nobody.ts'

export interface Missing {
  /** As it was typed. */
  readonly user: string
  readonly names: Names
  readonly userFilter: FilterTemplate
}

/** @throws {DirectoryFailure} if no answer came */
export async function whyNotThisOne(around: Surroundings, missing: Missing): Promise<Finding> {
  const { session, base, parts } = around
  const names = unique([missing.names.username, missing.names.input])
  const check = `user ${missing.user}`
  const attributes = unique([...parts.nameAttributes, ...LOGIN_ATTRIBUTES])
  const isNamed = (attribute: string) => anyOf(names.map(each => named(attribute, each)))
  const inFilter = (attribute: string) => parts.nameAttributes.some(ours => same(ours, attribute))

  for (const attribute of attributes) {
    const [entry] = await session.find(base, allOf(parts.people, isNamed(attribute)))
    if (entry !== undefined && !inFilter(attribute)) {
      const advice = `add (${attribute}=${placeholderFor(attribute)}) to \`user_filter\``
      return fail(
        check,
        `found by ${attribute}, in which \`user_filter\` does not look (${entry.dn})`,
        advice,
      )
    }
  }
  for (const attribute of attributes) {
    const [entry] = await session.find(base, isNamed(attribute))
    if (entry === undefined) continue
    const clause = await firstRefusing(session, entry.dn, parts.fixed)
    const advice = clause
      ? `\`user_filter\`: the clause ${clause.text} keeps this entry out, which has objectClass ${entry.texts('objectClass').join(', ')}`
      : 'look at `user_filter` and at what the service account may read of this entry'
    return fail(
      check,
      `there is ${entry.dn}, found by ${attribute}, but it does not match the filter`,
      advice,
    )
  }
  const stray = await withoutDomain(around, missing)
  if (stray !== undefined) return stray
  const elsewhere = await findAbove(around, where => session.find(where, anyOf(attributes.map(isNamed))))
  if (elsewhere !== undefined) return blameBase(base, elsewhere, check)
  const where = attributes.join(', ')
  const advice = 'is the name right? If so, may the service account read these attributes of this person?'
  return fail(check, `nobody that the service account can see has this name in ${where}`, advice)
}

/** A domain that no `names` has is a part of the name, and then nobody has it. */
async function withoutDomain(around: Surroundings, missing: Missing): Promise<Finding | undefined> {
  const { session, base, options } = around
  const typed = domainOf(missing.user)
  const names = typed && readNames(typed.user, options)
  // Where the domain is one of ours it has been left out already.
  if (!typed || !names || missing.names.username !== missing.names.input) return undefined
  for (const { filter } of missing.userFilter.forUser(names)) {
    const [entry] = await session.find(base, filter)
    if (entry === undefined) continue
    const { domain, option } = typed
    if (isShared(typed, options)) return blameShared(missing.user, domain, entry.dn)
    const known = [options.names[option] ?? []].flat()
    const value = option === 'netbios' ? domain : `[${[...known, domain].join(', ')}]`
    const now = known.length > 0 ? `, which is ${known.join(', ')} now` : ''
    return fail(
      `user ${missing.user}`,
      `the domain ${domain} is in no \`names\`, so the whole is looked for; without it ${entry.dn} is found`,
      `if ${domain} is this directory's, set \`names: { ${option}: ${value} }\`${now}`,
    )
  }
  return undefined
}

/** A login name may be typed with its domain; an address is looked for only where it can be one. */
function placeholderFor(attribute: string): string {
  if (same(attribute, 'mail')) return '{mail}'
  return same(attribute, 'userPrincipalName') ? '{input}' : '{username}'
}

async function firstRefusing(
  session: Session,
  dn: string,
  clauses: readonly FixedClause[],
): Promise<FixedClause | undefined> {
  for (const clause of clauses) {
    if ((await session.read(dn, ['1.1'], clause.filter)) === undefined) return clause
  }
  return undefined
}

/** A filter may find somebody and still be wrong for most. */
export function manyMatch(user: string, dns: readonly string[]): Finding {
  const advice = 'make `user_filter` find one only: several are refused, and no password is sent'
  return warn(`user ${user}`, `several entries match: ${dns.join(', ')}`, advice)
}
