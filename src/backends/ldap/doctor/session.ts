import { type DirectoryEntry, readEntry } from '../syntax/entry.ts'
import { anything } from '../syntax/filter.ts'
import type { SearchAnswer, SearchRequest } from '../wire/connection.ts'
import { orAbort } from '../wire/deadline.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { describe, SIZE_LIMIT_EXCEEDED, SUCCESS } from '../wire/result.ts'

type Filter = SearchRequest['filter']

const NO_SUCH_OBJECT = 32

/** A connection bound as the service account, for looking around. */
export interface Session {
  /** @throws {DirectoryFailure} if no answer came */
  search(request: SearchRequest): Promise<SearchAnswer>
  /**
   * Some entries below a base.
   *
   * @param attributes besides `objectClass`
   * @throws {DirectoryFailure} for anything but a clean answer; a base that does not exist has no entries
   */
  find(base: string, filter: Filter, attributes?: readonly string[]): Promise<readonly DirectoryEntry[]>
  /** The entry itself; undefined if there is none, or it is not to be seen. */
  read(dn: string, attributes: readonly string[]): Promise<DirectoryEntry | undefined>
}

/** Enough to tell one from several. */
const SOME = 3

export function createSession(
  connection: { search(request: SearchRequest): Promise<SearchAnswer> },
  signal: AbortSignal,
): Session {
  const search = (request: SearchRequest) => orAbort(connection.search(request), signal, 'search')

  async function entries(request: SearchRequest): Promise<readonly DirectoryEntry[]> {
    const answer = await search(request)
    if (answer.code === NO_SUCH_OBJECT) return []
    if (answer.code !== SUCCESS && answer.code !== SIZE_LIMIT_EXCEEDED) {
      throw new DirectoryFailure(describe(answer), { phase: 'search' })
    }
    return answer.entries.map(readEntry)
  }

  return {
    search,
    find: (base, filter, attributes = []) =>
      entries({
        base,
        scope: 'sub',
        filter,
        attributes: ['objectClass', ...attributes],
        sizeLimit: SOME,
      }),
    async read(dn, attributes) {
      const request = { base: dn, scope: 'base', filter: anything(), sizeLimit: 1 } as const
      const [entry] = await entries({ ...request, attributes })
      return entry
    },
  }
}
