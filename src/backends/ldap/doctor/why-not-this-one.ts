/** People are found, and this one is not: is it the filter, the base, the domain in the name, or the name? */
import type { Finding } from '../../../plugin.ts'
import { userFilterOf } from '../effective.ts'
import type { LdapOptions } from '../options.ts'
import { isUnder } from '../syntax/dn.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import type { FilterTemplate, Names } from '../syntax/filter.ts'
import { allOf, anyOf, equals } from '../syntax/filter.ts'
import { parentsOf } from './base.ts'
import type { FixedClause } from './filter-parts.ts'
import { fail, warn } from './finding.ts'
import { blameShared, domainOf, isShared, readNames, type TypedDomain } from './names.ts'
import { findAbove, findPeople, LOGIN_ATTRIBUTES, type Surroundings, same, unique } from './people.ts'
import { clauseFor, withClause } from './placeholder.ts'
import { quietly } from './quietly.ts'
import type { Session } from './session.ts'
import { blameBase } from './why-nobody.ts'

export interface Missing {
  /** As it was typed. */
  readonly user: string
  readonly names: Names
  readonly userFilter: FilterTemplate
}

/** Somebody, and the attribute that has the name. */
interface Hit {
  readonly entry: DirectoryEntry
  readonly attribute: string
}

/**
 * A search that a login would not make says nothing about one where it is refused or takes too long: the next one may.
 *
 * @throws what is no failure of the directory: a bug
 */
export async function whyNotThisOne(around: Surroundings, missing: Missing): Promise<Finding> {
  const { base, parts } = around
  const texts = unique([missing.names.username, missing.names.input])
  const check = `user ${missing.user}`
  const attributes = unique([...parts.nameAttributes, ...LOGIN_ATTRIBUTES])
  const isNamed = (attribute: string) => anyOf(texts.map(text => equals(attribute, text)))
  const failed = (detail: string, advice: string) => fail(check, detail, advice)
  const unknown: string[] = []

  const hits: Hit[] = []
  for (const attribute of attributes) {
    const found = await quietly(findPeople(around, base, isNamed(attribute)))
    if (found === undefined) unknown.push(attribute)
    for (const entry of found ?? []) hits.push({ entry, attribute })
  }
  for (const hit of hits) {
    const said = await quietly(blamePlace(around, hit, texts))
    if (said !== undefined) return failed(...said)
  }
  const stray = await quietly(withoutDomain(around, missing))
  if (stray !== undefined) return stray
  const [hit] = hits
  if (hit !== undefined) return failed(...(await blameFilter(around, hit)))

  const searched = attributes.filter(attribute => !unknown.includes(attribute))
  const anyNamed = anyOf((searched.length > 0 ? searched : parts.nameAttributes).map(isNamed))
  const elsewhere = await quietly(
    findAbove(around, where => findPeople(around, where, allOf(parts.people, anyNamed))),
  )
  if (elsewhere !== undefined) return await liesElsewhere(around, check, elsewhere)
  const unsearched =
    unknown.length > 0 ? `; the directory does not look through everybody by ${unknown.join(', ')}` : ''
  const other = await quietly(around.session.find(base, anyNamed))
  const noPerson = other?.[0] === undefined ? '' : ` (${other[0].dn} has it, and is no person)`
  return failed(
    `nobody that the service account can see has this name in ${searched.join(', ')}${noPerson}${unsearched}`,
    'is the name right? If so, may the service account read these attributes of this person?',
  )
}

type Said = readonly [detail: string, advice: string]

/** Where the filter would find them, did it look there, or for more of the name. */
async function blamePlace(
  { session, parts, options }: Surroundings,
  { entry, attribute }: Hit,
  texts: readonly string[],
): Promise<Said | undefined> {
  if ((await session.read(entry.dn, ['1.1'], parts.people)) === undefined) return undefined
  const values = entry.texts(attribute)
  const value = values.find(each => texts.some(text => same(text, each))) ?? values[0] ?? texts.at(-1)
  const clause = clauseFor(attribute, value)
  if (!parts.nameAttributes.some(ours => same(ours, attribute))) {
    const detail = `found by ${attribute}, in which \`user_filter\` does not look (${entry.dn})`
    return [detail, adviseClause(options, clause)]
  }
  // Of several branches it may be the one for other people.
  if (parts.branches.length > 0 || parts.text.toLowerCase().includes(clause.toLowerCase())) return undefined
  const detail = `${attribute} of ${entry.dn} is ${value}, and \`user_filter\` looks there for another part of the name`
  return [detail, `write ${clause} in \`user_filter\``]
}

/** Whoever set only the clause would lose what else the preset's filter says. */
function adviseClause(options: LdapOptions, clause: string): string {
  const whole = withClause(userFilterOf(options) ?? '', clause)
  if (options.user_filter === undefined) {
    return whole === undefined ? 'set `user_filter`' : `set \`user_filter: ${whole}\``
  }
  return `add ${clause} to \`user_filter\`${whole === undefined ? '' : `: ${whole}`}`
}

async function blameFilter({ session, parts }: Surroundings, { entry, attribute }: Hit): Promise<Said> {
  const clause = await quietly(firstRefusing(session, entry.dn, parts.fixed))
  return [
    `there is ${entry.dn}, found by ${attribute}, but it does not match the filter`,
    clause
      ? `\`user_filter\`: the clause ${clause.text} keeps this entry out, which has objectClass ${entry.texts('objectClass').join(', ')}`
      : 'look at `user_filter` and at what the service account may read of this entry',
  ]
}

/** Where others are found, the base is right for them: it may only become wider. */
async function liesElsewhere(around: Surroundings, check: string, { dn }: DirectoryEntry): Promise<Finding> {
  const { base, parts, rootDse } = around
  const people = await quietly(findPeople(around, base, parts.people))
  if (people?.length === 0) return blameBase(base, dn, check)
  const contexts = rootDse?.namingContexts ?? []
  const above = parentsOf(dn).find(parent => isUnder(base, parent))
  const isThere =
    above !== undefined && (contexts.length === 0 || contexts.some(each => isUnder(above, each)))
  const detail = `${dn} lies outside \`base_dn\`, below which there are people`
  return fail(
    check,
    detail,
    isThere
      ? `if whoever else is below ${above} may get in, too, set \`base_dn: ${above}\`, which is above both`
      : 'leave `base_dn`, and add a backend of its own for them if they may get in',
  )
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
    const now = known.length > 0 ? `, which is ${known.join(', ')} now` : ''
    return fail(
      `user ${missing.user}`,
      `the domain ${domain} is in no \`names\`, so the whole is looked for; without it ${entry.dn} is found`,
      `if ${domain} is this directory's, set \`names: ${namesWith(options, typed)}\`${now}`,
    )
  }
  return undefined
}

/** All of `names`, as whoever sets it replaces what was there. */
function namesWith({ names }: LdapOptions, { domain, option }: TypedDomain): string {
  const netbios = option === 'netbios' ? domain : names.netbios
  const suffixes = [...names.upn_suffixes, option === 'upn_suffixes' ? domain : []].flat()
  const set = [
    netbios === undefined ? [] : `netbios: ${netbios}`,
    suffixes.length === 0 ? [] : `upn_suffixes: [${suffixes.join(', ')}]`,
  ]
  return `{ ${set.flat().join(', ')} }`
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
