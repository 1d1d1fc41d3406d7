/** The backend as the chain sees it; a login itself is in login.ts. */
import type { Backend, BackendServices, User } from '../../plugin.ts'
import { createAdmissions } from './admission.ts'
import { createEntryCache } from './entry-cache.ts'
import { noteGroups, noteSearch } from './explanation.ts'
import { createGroupFinder } from './groups/finder.ts'
import { createLogin } from './login.ts'
import { createLockedMemory } from './person/locked-memory.ts'
import { createPersonSearch } from './person-search.ts'
import { createIsOurs, realmOf } from './realm.ts'
import type { Directory } from './servers/directory.ts'
import type { Settings } from './settings.ts'
import { createPolicyLookUp } from './shield/look-up.ts'
import { createPolicies } from './shield/policies.ts'
import { createShield, NO_SHIELD } from './shield/shield.ts'
import { idOctets } from './syntax/entry.ts'
import { allOf, equals } from './syntax/filter.ts'
import { DirectoryFailure, reasonOf } from './wire/failure.ts'
import { describe, SUCCESS } from './wire/result.ts'

const OTHER_REALM = { reason: 'the name is of another realm' }

export function createLdapBackend(
  settings: Settings,
  directory: Directory,
  { id: backendId, clock, log }: BackendServices,
): Backend {
  const { options, userFilter, idAttribute } = settings
  const base = options.base_dn
  const realm = realmOf(options)
  const isOurs = createIsOurs(options)
  const lockedMemory = createLockedMemory(clock)
  const people = createPersonSearch(settings, directory, { clock, log })
  const search: Directory['search'] = (request, signal) => directory.search(request, signal)
  const finder = createGroupFinder(search, settings.groups, { clock, log })
  const admissions = createAdmissions(settings, finder)
  const entryCache = options.entry_cache ? createEntryCache(options.entry_cache, clock) : undefined
  const shield = settings.shield
    ? createShield(createPolicies(createPolicyLookUp(directory), settings.shield, { clock, log }), {
        clock,
        log,
      })
    : NO_SHIELD
  const login = createLogin({
    settings,
    directory,
    people,
    admissions,
    finder,
    lockedMemory,
    entryCache,
    shield,
    clock,
  })

  async function getUser(id: string, signal: AbortSignal): Promise<User | undefined> {
    const octets = idOctets(id, idAttribute)
    if (octets === undefined) return undefined
    const found = await people.find(allOf(equals(idAttribute, octets), userFilter.forAnyone()), signal)
    if (found.found === 'several')
      throw new DirectoryFailure('several entries have this id', { phase: 'lookup' })
    if (found.found === 'none') return undefined
    const { user, refusal } = await admissions(found.person, signal, log)
    return refusal && !user.state ? { ...user, state: 'restricted' } : user
  }

  return {
    id: backendId,
    ...(realm && { realm }),
    getUser,

    authenticate(attempt) {
      if (isOurs(attempt.username)) return login(attempt)
      return Promise.resolve({ outcome: 'not_applicable', ...OTHER_REALM })
    },

    async look(username, signal, note) {
      if (!isOurs(username)) return { found: 'not_applicable', ...OTHER_REALM }
      const started = clock.now()
      const { found, filter } = await people.findByName(username, signal)
      noteSearch(note, base, filter(), found, clock.now() - started)
      if (found.found !== 'one') return found
      const { person } = found
      const looking = clock.now()
      const admitted = await admissions(person, signal, log)
      await noteGroups(note, { person, admitted }, finder, settings, clock.now() - looking, signal)
      const { user, refusal } = admitted
      const state = lockedMemory.isLocked(user.id) ? 'locked' : user.state
      return { found: 'one', user, ...(state && { state }), ...(refusal && { refusal }) }
    },

    async probe(signal) {
      try {
        const request = {
          base,
          scope: 'base',
          attributes: ['1.1'],
          sizeLimit: 1,
        } as const
        const answer = await directory.search({ ...request, filter: userFilter.forAnyone() }, signal)
        const seen = { servers: directory.report() }
        return answer.code === SUCCESS
          ? { ok: true, ...seen }
          : { ok: false, reason: describe(answer), ...seen }
      } catch (error) {
        return { ok: false, reason: reasonOf(error), servers: directory.report() }
      }
    },

    close: () => directory.close(),
  }
}
