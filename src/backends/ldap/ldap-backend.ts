/**
 * The login against a directory:
 * name → search as the service account → exactly one entry → place in its lockout → bind as that entry → groups.
 */
import type { Attempt, Backend, BackendServices, Outcome, Realm, User } from '../../plugin.ts'
import { isSendable, type SearchAnswer } from './connection.ts'
import type { Directory } from './directory.ts'
import { isUnder } from './dn.ts'
import { idOctets, isGuid, readEntry } from './entry.ts'
import { DirectoryFailure, reasonOf } from './failure.ts'
import { allOf, equals } from './filter.ts'
import { bindOutcome, describe, SIZE_LIMIT_EXCEEDED, SUCCESS } from './result.ts'
import type { Settings } from './settings.ts'
import { type Person, readPerson, requestedAttributes } from './user.ts'

type Filter = ReturnType<typeof equals>

type Found =
  | { readonly found: 'one'; readonly person: Person }
  | { readonly found: 'none' }
  | { readonly found: 'several'; readonly count: number }

export function createLdapBackend(
  settings: Settings,
  directory: Directory,
  { id: backendId, clock, log }: BackendServices,
): Backend {
  const { options, userFilter, idAttribute } = settings
  const base = options.base_dn
  const attributes = requestedAttributes(settings)
  const octetAttributes = attributes.filter(isGuid)
  const realm = realmOf(settings)
  const ourDomains = new Set([options.names.netbios ?? [], options.names.upn_suffixes].flat().map(foldDomain))

  /** @throws {DirectoryFailure} */
  async function find(filter: Filter, signal: AbortSignal): Promise<Found> {
    const answer = await directory.search(
      { base, scope: 'sub', filter, attributes, octetAttributes, sizeLimit: 2 },
      signal,
    )
    const { code, entries } = answer
    if (code === SIZE_LIMIT_EXCEEDED) return { found: 'several', count: Math.max(2, entries.length) }
    if (code !== SUCCESS) throw new DirectoryFailure(describe(answer), { phase: 'search' })
    const [first] = entries
    if (entries.length > 1) return { found: 'several', count: entries.length }
    return first ? { found: 'one', person: readFound(first) } : { found: 'none' }
  }

  function readFound(raw: SearchAnswer['entries'][number]): Person {
    const entry = readEntry(raw)
    if (!isUnder(entry.dn, base)) {
      log.error({ dn: entry.dn, base }, 'the directory returned an entry from outside of the base')
      throw new DirectoryFailure('the entry is not below base_dn', { phase: 'search' })
    }
    const person = readPerson(entry, settings, clock.wall())
    if (person) return person
    log.error({ dn: entry.dn, idAttribute }, 'an entry shows no id, or not all of its groups')
    const cause = `an entry shows no ${idAttribute} or not all of its groups: may the service account read them?`
    throw new DirectoryFailure(cause, { phase: 'search' })
  }

  async function authenticate(attempt: Attempt): Promise<Outcome> {
    const { username, password, signal } = attempt
    if (username.domain !== undefined && !ourDomains.has(username.domain)) {
      return { outcome: 'not_applicable', reason: 'the name is of another realm' }
    }
    if (!isSendable(password)) return { outcome: 'deny', reason: 'the password is empty or cannot be sent' }
    try {
      const names = { username: username.user, input: username.typed }
      const filter = userFilter.forUser(names)
      const found = await find(filter, signal)
      attempt.log.debug(
        { filter: userFilter.show(names), base, found: found.found },
        'searched the directory',
      )
      switch (found.found) {
        case 'none':
          return { outcome: 'unknown_user' }
        case 'several':
          attempt.log.error({ filter: userFilter.show(names), base }, 'several entries match one name')
          return { outcome: 'ambiguous', count: found.count }
        case 'one':
          return await verify(found.person, attempt)
      }
    } catch (error) {
      if (!(error instanceof DirectoryFailure)) throw error
      const { message: cause, phase, credentialSent } = error
      return { outcome: 'unavailable', cause, phase, credentialSent }
    }
  }

  async function verify({ dn, user, denied }: Person, attempt: Attempt): Promise<Outcome> {
    if (!(await attempt.mayVerify(user.id))) {
      return { outcome: 'not_applicable', reason: 'the password may not be checked now' }
    }
    const answer = await directory.bind(dn, attempt.password, attempt.signal)
    const refusal = bindOutcome(answer, user.id)
    attempt.log.debug({ dn, result: describe(answer) }, 'bound as the user')
    if (refusal) return refusal
    if (user.state) {
      return { outcome: 'account_state', subject: user.id, state: user.state, passwordVerified: true }
    }
    return denied ? { outcome: 'deny', reason: denied } : { outcome: 'accept', user }
  }

  async function getUser(id: string, signal: AbortSignal): Promise<User | undefined> {
    const octets = idOctets(id, idAttribute)
    if (octets === undefined) return undefined
    const found = await find(allOf(equals(idAttribute, octets), userFilter.forAnyone()), signal)
    if (found.found === 'several')
      throw new DirectoryFailure('several entries have this id', { phase: 'lookup' })
    if (found.found === 'none') return undefined
    const { user, denied } = found.person
    return denied && !user.state ? { ...user, state: 'restricted' } : user
  }

  return {
    id: backendId,
    ...(realm && { realm }),
    authenticate,
    getUser,

    async probe(signal) {
      try {
        const filter = userFilter.forAnyone()
        const request = {
          base,
          scope: 'base',
          attributes: ['1.1'],
          octetAttributes: [],
          sizeLimit: 1,
        } as const
        const answer = await directory.search({ ...request, filter }, signal)
        return answer.code === SUCCESS ? { ok: true } : { ok: false, reason: describe(answer) }
      } catch (error) {
        return { ok: false, reason: reasonOf(error) }
      }
    },

    close: () => directory.close(),
  }
}

function realmOf({ options: { names } }: Settings): Realm | undefined {
  if (names.upn_suffixes.length === 0 && names.netbios === undefined) return undefined
  return { suffixes: names.upn_suffixes, ...(names.netbios !== undefined && { netbios: names.netbios }) }
}

/** As the core folds domains, for those that occur. */
function foldDomain(domain: string): string {
  return domain.normalize('NFKC').toLowerCase()
}
