/**
 * The filter finds nobody below `base_dn`: which of the two is wrong, and where in it? Each part is tried by itself, first
 * below the base and then in the whole directory, until one explains it.
 */
import type { Finding } from '../../../plugin.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { allOf, anyOf } from '../syntax/filter.ts'
import { parentsOf } from './base.ts'
import { type FilterParts, type FixedClause, has, named } from './filter-parts.ts'
import { fail, warn } from './finding.ts'
import type { RootDse } from './root-dse.ts'
import type { Session } from './session.ts'

/** Where directories keep what people log in with, the likely ones first. */
const LOGIN_ATTRIBUTES = [
  'uid',
  'sAMAccountName',
  'mail',
  'userPrincipalName',
  'krbPrincipalName',
  'cn',
  'proxyAddresses',
]

export interface Surroundings {
  readonly session: Session
  readonly base: string
  readonly parts: FilterParts
  readonly rootDse: RootDse | undefined
}

/** Nobody at all is found: without a name, everybody that the filter could find. */
export async function* whyNobody(around: Surroundings): AsyncGenerator<Finding> {
  const { session, base, parts } = around
  const check = 'user_filter'
  const people = await session.find(base, parts.people, LOGIN_ATTRIBUTES)
  if (people.length > 0) {
    yield await blameNames(around, people)
    return
  }
  for (const clause of parts.fixed) {
    if ((await session.find(base, clause.filter)).length > 0) continue
    const elsewhere = await findAbove(around, base => session.find(base, parts.people))
    yield elsewhere === undefined ? await blameClause(around, clause) : blameBase(base, elsewhere)
    return
  }
  if (parts.fixed.length > 1) {
    const advice = `take the clauses of \`user_filter\` away one by one: ${parts.fixed.map(({ text }) => text).join(', ')}`
    yield fail(check, `each clause matches some entry below ${base}, but none matches all of them`, advice)
    return
  }
  yield fail(
    check,
    `there is nothing to be found below ${base}`,
    'correct `base_dn`, or let the service account read it',
  )
}

/** People are found, and this one is not. */
export async function* whyNotThisOne(
  around: Surroundings,
  names: readonly string[],
): AsyncGenerator<Finding> {
  const { session, base, parts } = around
  const [name = ''] = names
  const check = `user ${name}`
  const attributes = unique([...parts.nameAttributes, ...LOGIN_ATTRIBUTES])
  const isNamed = (attribute: string) => anyOf(unique(names).map(each => named(attribute, each)))
  const inFilter = (attribute: string) => parts.nameAttributes.some(ours => same(ours, attribute))

  for (const attribute of attributes) {
    const [entry] = await session.find(base, allOf(parts.people, isNamed(attribute)))
    if (entry !== undefined && !inFilter(attribute)) {
      const advice = `add (${attribute}=${attribute === 'mail' || attribute === 'userPrincipalName' ? '{input}' : '{username}'}) to \`user_filter\``
      yield fail(check, `found by ${attribute}, in which \`user_filter\` does not look (${entry.dn})`, advice)
      return
    }
  }
  for (const attribute of attributes) {
    const [entry] = await session.find(base, isNamed(attribute))
    if (entry === undefined) continue
    const clause = await firstRefusing(session, entry, parts.fixed)
    const advice = clause
      ? `\`user_filter\`: the clause ${clause.text} keeps this entry out, which has objectClass ${entry.texts('objectClass').join(', ')}`
      : 'look at `user_filter` and at what the service account may read of this entry'
    yield fail(check, `there is ${entry.dn}, found by ${attribute}, but it does not match the filter`, advice)
    return
  }
  const elsewhere = await findAbove(around, base => session.find(base, anyOf(attributes.map(isNamed))))
  if (elsewhere !== undefined) {
    yield blameBase(base, elsewhere, check)
    return
  }
  const where = attributes.join(', ')
  const advice = 'is the name right? If so, may the service account read these attributes of this person?'
  yield fail(check, `nobody that the service account can see has this name in ${where}`, advice)
}

/** People are there, but nobody has what the filter looks for the name in. */
async function blameNames(
  { session, base, parts }: Surroundings,
  people: readonly DirectoryEntry[],
): Promise<Finding> {
  const wrong = parts.nameAttributes.join(' nor ')
  const shown = LOGIN_ATTRIBUTES.filter(attribute => people.some(entry => entry.texts(attribute).length > 0))
  const present: string[] = []
  for (const attribute of shown.length > 0 ? shown : LOGIN_ATTRIBUTES) {
    if ((await session.find(base, allOf(parts.people, has(attribute)))).length > 0) present.push(attribute)
  }
  const [instead] = present
  const neither = parts.nameAttributes.length > 1 ? `neither ${wrong}` : `no ${wrong}`
  const detail = `people are there (such as ${people[0]?.dn}), but they have ${neither} that the service account can read`
  const advice =
    instead === undefined
      ? `let the service account read ${parts.nameAttributes.join(' and ')}`
      : `in \`user_filter\` look for the name in ${present.join(' or ')}, such as (${instead}={username}); or let the service account read ${parts.nameAttributes.join(' and ')}`
  return fail('user_filter', detail, advice)
}

/** This clause matches nothing below the base: what do the entries have instead that match the others? */
async function blameClause({ session, base, parts }: Surroundings, clause: FixedClause): Promise<Finding> {
  const anyName = anyOf(unique([...parts.nameAttributes, ...LOGIN_ATTRIBUTES]).map(has))
  const others = await session.find(base, allOf(parts.without(clause), anyName))
  const detail = `the clause ${clause.text} matches nothing below \`base_dn\``
  const [someone] = others.filter(isPerson).concat(others)
  if (someone === undefined) {
    return fail('user_filter', detail, `correct or drop ${clause.text}, or correct \`base_dn\``)
  }
  const classes = someone.texts('objectClass')
  const instead = classes.findLast(isPersonClass)
  if (/^\(objectClass=/i.test(clause.text) && instead !== undefined) {
    const advice = `write (objectClass=${instead}) instead: ${someone.dn} has objectClass ${classes.join(', ')}`
    return fail('user_filter', detail, advice)
  }
  const advice = `correct or drop it: without it ${someone.dn} is found; may the service account read the attribute?`
  return fail('user_filter', detail, advice)
}

function blameBase(base: string, elsewhere: DirectoryEntry, check = 'base_dn'): Finding {
  const [parent = base] = parentsOf(elsewhere.dn)
  const detail = `nobody like this is below ${base}, but ${elsewhere.dn} is there`
  return fail(check, detail, `set \`base_dn: ${parent}\`, or an entry above it`)
}

/** In every naming context but the base itself. */
async function findAbove(
  { base, rootDse }: Surroundings,
  find: (base: string) => Promise<readonly DirectoryEntry[]>,
): Promise<DirectoryEntry | undefined> {
  const contexts = rootDse?.namingContexts ?? parentsOf(base).slice(-1)
  for (const context of contexts) {
    if (same(context, base) || context === '' || /^cn=(config|monitor|schema|changelog)\b/i.test(context))
      continue
    const [entry] = await find(context)
    if (entry !== undefined) return entry
  }
  return undefined
}

async function firstRefusing(
  session: Session,
  { dn }: DirectoryEntry,
  clauses: readonly FixedClause[],
): Promise<FixedClause | undefined> {
  for (const clause of clauses) {
    const found = await session.find(dn, clause.filter)
    if (!found.some(entry => same(entry.dn, dn))) return clause
  }
  return undefined
}

/** In Active Directory a computer is a person, too. */
function isPerson(entry: DirectoryEntry): boolean {
  const classes = entry.texts('objectClass')
  return classes.some(isPersonClass) && !classes.some(name => same(name, 'computer'))
}

function isPersonClass(name: string): boolean {
  return /^(inetOrgPerson|organizationalPerson|person|user|posixAccount|account|krbPrincipalAux)$/i.test(name)
}

function same(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

function unique(texts: readonly string[]): string[] {
  return [...new Map(texts.map(text => [text.toLowerCase(), text])).values()]
}

/** A filter may find somebody and still be wrong for most. */
export function manyMatch(name: string, dns: readonly string[]): Finding {
  const advice = 'make `user_filter` find one only: several are refused, and no password is sent'
  return warn(`user ${name}`, `several entries match: ${dns.join(', ')}`, advice)
}
