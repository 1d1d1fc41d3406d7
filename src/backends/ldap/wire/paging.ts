/** Simple paged results (RFC 2696). */
import { INTEGER, MalformedMessage, OCTETS, readElements, SEQUENCE } from './ber.ts'
import type { SearchAnswer, SearchRequest } from './connection.ts'
import { DirectoryFailure } from './failure.ts'
import type { WireEntry } from './message.ts'
import { encodeControl, encodePage } from './request.ts'
import { SIZE_LIMIT_EXCEEDED, SUCCESS } from './result.ts'

const PAGED_RESULTS = '1.2.840.113556.1.4.319'

/**
 * Asks for one page. Not critical: a server that knows no pages gives everything at once.
 *
 * @param size entries of one page
 * @param cookie from the page before; undefined for the first
 * @returns the control, encoded
 */
export function pageControl(size: number, cookie: Buffer | undefined): Buffer {
  return encodeControl(PAGED_RESULTS, encodePage(size, cookie ?? Buffer.alloc(0)))
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
  ask: (request: SearchRequest, page: Buffer) => Promise<Page>,
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
    const answer = await ask({ ...request, sizeLimit: 0 }, pageControl(pageSize, cookie))
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
  const octets = controls.get(PAGED_RESULTS)
  if (octets === undefined) return undefined
  const [value, ...more] = readElements(octets)
  const [size, cookie, ...rest] = value?.tag === SEQUENCE ? readElements(value.content) : []
  if (size?.tag !== INTEGER || cookie?.tag !== OCTETS || more.length + rest.length > 0) {
    throw new MalformedMessage('the control of a page cannot be read')
  }
  return cookie.content.length > 0 ? cookie.content : undefined
}
