/** Who is a person among the entries that a search finds, and where else to look for them. */
import type { LdapOptions } from '../options.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { allOf, anyOf, equals } from '../syntax/filter.ts'
import type { ServiceIdentity } from '../wire/connection.ts'
import { mayHavePeople, parentsOf } from './base.ts'
import { classIn, type FilterParts, has } from './filter-parts.ts'
import type { IsOwn } from './own-account.ts'
import type { RootDse } from './root-dse.ts'
import type { Session } from './session.ts'

/** Where directories keep what people log in with, the likely ones first. */
export const LOGIN_ATTRIBUTES = [
  'uid',
  'sAMAccountName',
  'mail',
  'userPrincipalName',
  'krbPrincipalName',
  'cn',
  'proxyAddresses',
]

const PERSON_CLASSES = [
  'inetOrgPerson',
  'organizationalPerson',
  'person',
  'user',
  'posixAccount',
  'account',
  'krbPrincipalAux',
]

type Filter = Parameters<Session['find']>[1]

export interface Surroundings {
  readonly session: Session
  readonly options: LdapOptions
  readonly base: string
  readonly parts: FilterParts
  readonly rootDse: RootDse | undefined
  readonly method: ServiceIdentity['method']
  readonly isOwn: IsOwn
}

/** By their class, one that the filter asks for included, or where that is hidden by a login name. */
function anyPerson(parts: FilterParts): Filter {
  const classes = [...PERSON_CLASSES, ...classesIn(parts)].map(name => equals('objectClass', name))
  return anyOf([...classes, ...['uid', 'userPrincipalName'].map(has)])
}

/** Classes of a directory's own that make somebody a person. */
function classesIn({ fixed }: FilterParts): readonly string[] {
  return fixed.flatMap(clause => classIn(clause) ?? []).filter(name => !/^top$|group/i.test(name))
}

/** More than the service account and the machines that come first. */
const MOST = 20
/**
 * Those below a base who fit and can be people.
 *
 * @throws {DirectoryFailure} if no answer came
 */
export async function findPeople(
  around: Pick<Surroundings, 'session' | 'isOwn' | 'parts'>,
  base: string,
  filter?: Filter,
): Promise<readonly DirectoryEntry[]> {
  const { parts } = around
  // Without (objectClass=*) where nothing is asked: the class may be hidden.
  const whom = filter === undefined ? anyPerson(parts) : allOf(filter, anyPerson(parts))
  const found = await findOthers(around, base, whom)
  return found.filter(entry => canBePerson(entry, classesIn(parts)))
}

/** Those below a base who fit, the service account and machines left out. */
export async function findOthers(
  { session, isOwn }: Pick<Surroundings, 'session' | 'isOwn'>,
  base: string,
  filter: Filter,
): Promise<readonly DirectoryEntry[]> {
  const others: DirectoryEntry[] = []
  for (const entry of await session.find(base, filter, LOGIN_ATTRIBUTES, MOST)) {
    if (!hasClass(entry, 'computer') && !(await isOwn(entry.dn))) others.push(entry)
  }
  return others
}

/** Where FreeIPA keeps those who left or are to come, copies of entries for old clients, and accounts of programs. */
const NOBODYS_PLACES = /(^|,) *cn=(deleted users|staged users|provisioning|compat|sysaccounts) *(,|$)/i

/** One who does not show their classes may be one, too. */
function canBePerson(entry: DirectoryEntry, more: readonly string[]): boolean {
  if (NOBODYS_PLACES.test(entry.dn)) return false
  const classes = entry.texts('objectClass')
  if (classes.length === 0 || entry.texts('uid').length > 0) return true
  return classes.some(name => isPersonClass(name) || more.some(each => same(each, name)))
}

function hasClass(entry: DirectoryEntry, name: string): boolean {
  return entry.texts('objectClass').some(each => same(each, name))
}

export function isPersonClass(name: string): boolean {
  return PERSON_CLASSES.some(known => same(known, name))
}

/** Below every naming context that is not the base itself; the first place that gives any. */
export async function findAbove(
  { base, rootDse }: Pick<Surroundings, 'base' | 'rootDse'>,
  find: (base: string) => Promise<readonly DirectoryEntry[]>,
): Promise<DirectoryEntry | undefined> {
  const contexts = rootDse?.namingContexts ?? parentsOf(base).slice(-1)
  for (const context of contexts) {
    if (same(context, base) || !mayHavePeople(context)) continue
    const [entry] = await find(context)
    if (entry !== undefined) return entry
  }
  return undefined
}

export function same(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

/** Each once, whatever its case. */
export function unique(texts: readonly string[]): string[] {
  return [...new Map(texts.map(text => [text.toLowerCase(), text])).values()]
}
