import { RETRY_UNAVAILABLE_MS } from './authenticate.ts'
import type { Backend } from './backend.ts'
import { admits, type Caller, showTo } from './caller.ts'
import type { Link } from './chain.ts'
import { TIMED_OUT, withDeadline } from './deadline.ts'
import type { Log } from './log.ts'
import { UnavailableError } from './outcome.ts'
import { readUser } from './outcome-shape.ts'
import { readThrown } from './thrown.ts'
import type { GetUser, Lookup } from './verdict.ts'

/**
 * The seed's `get_user`: the backend named in `<backend id>:<stable id>` is the only one asked, and only if it is still
 * configured. Users whose account may not log in are found too, with their `state`; the caller decides who may see that.
 */
export function createGetUser(links: readonly Link[], log: Log): GetUser {
  const issuers = new Map(links.filter(({ deny }) => !deny).map(link => [link.backend.id, link]))

  return async function getUser(id, caller) {
    const colon = id.indexOf(':')
    const [issuer, stableId] = [id.slice(0, colon), id.slice(colon + 1)]
    const link = colon > 0 && stableId !== '' ? issuers.get(issuer) : undefined
    // An alias backend issues no ids of its own, so none can name it.
    if (link === undefined || link.backend.issuer !== undefined) return { lookup: 'not_found' }
    if (!mayUse(caller, link.backend, links)) return { lookup: 'not_found' }
    return lookUp(link, stableId, caller)
  }

  async function lookUp({ backend, timeoutMs }: Link, stableId: string, caller: Caller): Promise<Lookup> {
    try {
      const found = await withDeadline(timeoutMs, signal => backend.getUser(stableId, signal))
      if (found === TIMED_OUT) return unavailable(backend, new UnavailableError('timed out', 'lookup'))
      if (found === undefined) return { lookup: 'not_found' }
      const user = readUser(found)
      if (user?.id !== stableId) return unavailable(backend, new Error('answered with another user'))
      const identity = Object.freeze({ ...user, id: `${backend.id}:${user.id}`, backend: backend.id })
      return admits(caller, identity)
        ? { lookup: 'found', user: showTo(caller, identity) }
        : { lookup: 'not_found' }
    } catch (error) {
      return unavailable(backend, error)
    }
  }

  function unavailable({ id }: Backend, thrown: unknown): Lookup {
    const error = readThrown(thrown)
    const level = error instanceof UnavailableError ? 'warn' : 'error'
    log[level]({ backend: id, err: error }, 'a user could not be looked up')
    return { lookup: 'unavailable', retryAfterMs: RETRY_UNAVAILABLE_MS }
  }
}

/** An app that may use an alias backend may look up the users that it finds. */
function mayUse({ backends }: Caller, issuer: Backend, links: readonly Link[]): boolean {
  if (backends === undefined || backends.has(issuer.id)) return true
  return links.some(({ backend }) => backend.issuer === issuer.id && backends.has(backend.id))
}
