/** One thing wrong with a request, safe to show and to log: it never repeats what was sent. */
export interface Fault {
  /** JSON pointer into the body (RFC 6901). */
  readonly pointer?: string
  /** Name of a query parameter. */
  readonly parameter?: string
  /** Name of a header field. */
  readonly header?: string
  /** What is wrong, in words. */
  readonly detail: string
}

/** Thrown for a request that is not as the contract says; answered as `invalid_request`. */
export class RequestFault extends Error {
  override readonly name = 'RequestFault'
  readonly faults: readonly Fault[]

  constructor(...faults: Fault[]) {
    super(faults.map(({ detail }) => detail).join('; '))
    this.faults = faults
  }
}
