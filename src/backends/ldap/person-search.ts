import type { Filter } from 'ldapts'
import type { Clock, Log, Username } from '../../plugin.ts'
import { type Person, readPerson, requestedAttributes } from './person/user.ts'
import type { Directory } from './servers/directory.ts'
import type { Settings } from './settings.ts'
import { readBase } from './syntax/dn.ts'
import { readEntry } from './syntax/entry.ts'
import type { SearchAnswer } from './wire/connection.ts'
import { DirectoryFailure } from './wire/failure.ts'
import { describe, SIZE_LIMIT_EXCEEDED, SUCCESS } from './wire/result.ts'

export type Found =
  | { readonly found: 'one'; readonly person: Person }
  | { readonly found: 'none' }
  | { readonly found: 'several'; readonly count: number }

/** Finds the one entry below `base_dn` that fits. Each throws {DirectoryFailure}, also on an entry that does not show who it is. */
export interface PersonSearch {
  find(filter: Filter, signal: AbortSignal): Promise<Found>
  /** @returns with it, as text when it is wanted, the filter that found them, or found nobody last */
  findByName(
    username: Username,
    signal: AbortSignal,
  ): Promise<{ readonly found: Found; readonly filter: () => string }>
}

export function createPersonSearch(
  settings: Settings,
  directory: Directory,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): PersonSearch {
  const { idAttribute } = settings
  const base = settings.options.base_dn
  const isUnder = readBase(base)
  const attributes = requestedAttributes(settings)
  const request = { base, scope: 'sub', attributes, sizeLimit: 2 } as const

  function readFound(raw: SearchAnswer['entries'][number]): Person {
    const entry = readEntry(raw)
    if (!isUnder(entry.dn)) {
      log.error({ dn: entry.dn, base }, 'the directory returned an entry from outside of the base')
      throw new DirectoryFailure('the entry is not below base_dn', { phase: 'search' })
    }
    const person = readPerson(entry, settings, clock.wall())
    if (person) return person
    log.error({ dn: entry.dn, idAttribute }, 'an entry shows no id, or groups that are not text')
    const cause = `an entry shows no ${idAttribute}, or groups that are not text: may the service account read them?`
    throw new DirectoryFailure(cause, { phase: 'search' })
  }

  async function find(filter: Filter, signal: AbortSignal): Promise<Found> {
    const answer = await directory.search({ ...request, filter }, signal)
    const { code, entries } = answer
    if (code === SIZE_LIMIT_EXCEEDED) return { found: 'several', count: Math.max(2, entries.length) }
    if (code !== SUCCESS) throw new DirectoryFailure(describe(answer), { phase: 'search' })
    const [first] = entries
    if (entries.length > 1) return { found: 'several', count: entries.length }
    return first ? { found: 'one', person: readFound(first) } : { found: 'none' }
  }

  return {
    find,
    async findByName({ user: username, typed: input }, signal) {
      let last = { found: { found: 'none' } as Found, filter: () => 'none: the name is no mail address' }
      for (const way of settings.userFilter.forUser({ username, input })) {
        last = { found: await find(way.filter, signal), filter: way.shown }
        if (last.found.found !== 'none') break
      }
      return last
    },
  }
}
