/** Simple paged results (RFC 2696). ldapts can page by itself, but then sends requests that nobody announced. */
import { type BerWriter, Control, PagedResultsControl } from 'ldapts'
import { INTEGER, MalformedMessage, OCTETS, readElements, SEQUENCE } from './ber.ts'
import type { SearchAnswer, SearchRequest } from './connection.ts'
import { DirectoryFailure } from './failure.ts'
import type { WireEntry } from './message.ts'
import { SIZE_LIMIT_EXCEEDED, SUCCESS } from './result.ts'

/** Asks for one page. Not critical: a server that knows no pages gives everything at once. */
export class PageControl extends Control {
  readonly #size: number
  readonly #cookie: Buffer | undefined

  /**
   * @param size entries of one page
   * @param cookie from the page before; undefined for the first
   */
  constructor(size: number, cookie: Buffer | undefined) {
    super(PagedResultsControl.type)
    this.#size = size
    this.#cookie = cookie
  }

  protected override writeControl(writer: BerWriter): void {
    const value = { size: this.#size, ...(this.#cookie && { cookie: this.#cookie }) }
    new PagedResultsControl({ value }).writeControl(writer)
  }
}

export interface Page extends SearchAnswer {
  /** Where the next one goes on; undefined after the last. */
  readonly cookie?: Buffer
}

/**
 * All pages of a search, one after the other.
 *
 * @param ask for one of them
 * @param signal asks for no further page
 * @throws {DirectoryFailure} also where there is no end to them
 */
export async function searchInPages(
  request: SearchRequest,
  ask: (request: SearchRequest, page: PageControl) => Promise<Page>,
  signal: AbortSignal | undefined,
): Promise<SearchAnswer> {
  const { sizeLimit, pageSize = 1 } = request
  const entries: WireEntry[] = []
  let cookie: Buffer | undefined
  // A server may give pages that are not full, but not for ever.
  const maxPages = Math.ceil(sizeLimit / pageSize) + 100
  for (let page = 0; page < maxPages; page++) {
    if (signal?.aborted)
      throw new DirectoryFailure('the time for the attempt was used up', { phase: 'search' })
    const answer = await ask({ ...request, sizeLimit: 0 }, new PageControl(pageSize, cookie))
    entries.push(...answer.entries)
    if (entries.length > sizeLimit) {
      return { code: SIZE_LIMIT_EXCEEDED, message: '', entries: entries.slice(0, sizeLimit) }
    }
    cookie = answer.cookie
    if (answer.code !== SUCCESS || cookie === undefined) return { ...answer, entries }
  }
  throw new DirectoryFailure('the directory gives page after page without an end', { phase: 'search' })
}

/**
 * Where the next page goes on; undefined after the last one, and from a server that knows no pages.
 *
 * @throws {MalformedMessage}
 */
export function readCookie(controls: ReadonlyMap<string, Buffer>): Buffer | undefined {
  const octets = controls.get(PagedResultsControl.type)
  if (octets === undefined) return undefined
  const [value, ...more] = readElements(octets)
  const [size, cookie, ...rest] = value?.tag === SEQUENCE ? readElements(value.content) : []
  if (size?.tag !== INTEGER || cookie?.tag !== OCTETS || more.length + rest.length > 0) {
    throw new MalformedMessage('the control of a page cannot be read')
  }
  return cookie.content.length > 0 ? cookie.content : undefined
}
