/** Simple paged results (RFC 2696). ldapts can page by itself, but then sends requests that nobody announced. */
import { BerReader, type BerWriter, Control, PagedResultsControl } from 'ldapts'

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

/** Where the next page goes on; undefined after the last one, and from a server that knows no pages. */
export function readCookie(controls: ReadonlyMap<string, Buffer>): Buffer | undefined {
  const octets = controls.get(PagedResultsControl.type)
  if (octets === undefined) return undefined
  const control = new PagedResultsControl()
  // That it can be read is known: ldapts did, or there would be no answer.
  control.parse(new BerReader(octets))
  return control.value?.cookie?.length ? control.value.cookie : undefined
}
