/** What one caller may cost, whoever it is: sizes in bytes, times in milliseconds (security.md S63, S68). */
export interface Limits {
  readonly bodyBytes: number
  /** Nesting of objects and arrays in a body; a flat object is 1. */
  readonly bodyDepth: number
  /** From the connection or the end of the previous request to the end of the header, and for a TLS handshake. */
  readonly headersMs: number
  /** From the first byte of a request to its last; not below `headersMs`. */
  readonly requestMs: number
  /** For the core to answer. A last resort: well above the deadline that an attempt has in the core. */
  readonly answerMs: number
  /** How long an idle connection is kept; not above what proxies use, which is 60 s in nginx. */
  readonly keepAliveMs: number
  /** Open connections; more are closed as they come. */
  readonly connections: number
  /** From `close()` to the cutting of what still runs. */
  readonly drainMs: number
}

export const defaultLimits: Limits = {
  bodyBytes: 16 * 1024,
  bodyDepth: 4,
  headersMs: 10_000,
  requestMs: 15_000,
  answerMs: 30_000,
  keepAliveMs: 60_000,
  connections: 4096,
  drainMs: 8_000,
}
