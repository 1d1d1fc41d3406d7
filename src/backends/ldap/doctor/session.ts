import { type DirectoryEntry, readEntry } from '../syntax/entry.ts'
import { anything } from '../syntax/filter.ts'
import type { SearchAnswer, SearchRequest } from '../wire/connection.ts'
import { orAbort } from '../wire/deadline.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { type Answer, describe, SIZE_LIMIT_EXCEEDED, SUCCESS } from '../wire/result.ts'

type Filter = SearchRequest['filter']

const NO_SUCH_OBJECT = 32

/** The directory answered, but not with what was asked for. */
export class SearchRefused extends DirectoryFailure {
  readonly answer: Answer

  constructor(answer: Answer) {
    super(describe(answer), { phase: 'search' })
    this.answer = answer
  }
}

/** A connection bound as the service account, for looking around. */
export interface Session {
  /** @throws {DirectoryFailure} if no answer came */
  search(request: SearchRequest): Promise<SearchAnswer>
  /**
   * The same below a base, whatever the answer.
   *
   * @throws {DirectoryFailure} if no answer came
   */
  ask(
    base: string,
    filter: Filter,
    attributes: readonly string[],
    sizeLimit: number,
  ): Promise<Answer & { readonly entries: readonly DirectoryEntry[] }>
  /**
   * Some entries below a base.
   *
   * @param attributes besides `objectClass`
   * @param most enough to tell one from several, unless given
   * @throws {DirectoryFailure} for anything but a clean answer; a base that does not exist has no entries
   */
  find(
    base: string,
    filter: Filter,
    attributes?: readonly string[],
    most?: number,
  ): Promise<readonly DirectoryEntry[]>
  /**
   * The entry itself; undefined if there is none, or it is not to be seen.
   *
   * @param filter that it has to match
   * @throws {DirectoryFailure} for anything but a clean answer
   */
  read(dn: string, attributes: readonly string[], filter?: Filter): Promise<DirectoryEntry | undefined>
}

const SOME = 3

export function createSession(
  connection: { search(request: SearchRequest): Promise<SearchAnswer> },
  signal: AbortSignal,
): Session {
  const search = (request: SearchRequest) => orAbort(connection.search(request), signal, 'search')

  async function look(request: SearchRequest) {
    const { entries, ...answer } = await search(request)
    return { ...answer, entries: entries.map(readEntry) }
  }

  async function entries(request: SearchRequest): Promise<readonly DirectoryEntry[]> {
    const answer = await look(request)
    if (answer.code === NO_SUCH_OBJECT) return []
    if (answer.code !== SUCCESS && answer.code !== SIZE_LIMIT_EXCEEDED) throw new SearchRefused(answer)
    return answer.entries
  }

  return {
    search,
    ask: (base, filter, attributes, sizeLimit) => look({ base, scope: 'sub', filter, attributes, sizeLimit }),
    find: (base, filter, attributes = [], most = SOME) =>
      entries({ base, scope: 'sub', filter, attributes: ['objectClass', ...attributes], sizeLimit: most }),
    async read(dn, attributes, filter = anything()) {
      const [entry] = await entries({ base: dn, scope: 'base', filter, attributes, sizeLimit: 1 })
      return entry
    },
  }
}
