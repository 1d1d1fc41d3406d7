/** Who is a person among the entries that a search finds, and where else to look for them. */
import type { LdapOptions } from '../options.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { anyOf, equals } from '../syntax/filter.ts'
import type { ServiceIdentity } from '../wire/connection.ts'
import { mayHavePeople, parentsOf } from './base.ts'
import { type FilterParts, has } from './filter-parts.ts'
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

export interface Surroundings {
  readonly session: Session
  readonly options: LdapOptions
  readonly base: string
  readonly parts: FilterParts
  readonly rootDse: RootDse | undefined
  readonly method: ServiceIdentity['method']
  readonly isOwn: IsOwn
}

/** Entries of people, whatever the configuration says of them: by their class, or where that is hidden by a login name. */
export const anyPerson = anyOf([
  ...PERSON_CLASSES.map(name => equals('objectClass', name)),
  ...['uid', 'userPrincipalName'].map(has),
])

/** More than the service account and the machines that come first. */
const MOST = 20

type Filter = Parameters<Session['find']>[1]

/**
 * Those below a base who fit and can be people.
 *
 * @throws {DirectoryFailure} if no answer came
 */
export async function findPeople(
  around: Pick<Surroundings, 'session' | 'isOwn'>,
  base: string,
  filter: Filter,
): Promise<readonly DirectoryEntry[]> {
  return (await findOthers(around, base, filter)).filter(canBePerson)
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
function canBePerson(entry: DirectoryEntry): boolean {
  if (NOBODYS_PLACES.test(entry.dn)) return false
  const classes = entry.texts('objectClass')
  return classes.length === 0 || classes.some(isPersonClass) || entry.texts('uid').length > 0
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
