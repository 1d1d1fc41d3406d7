import type { ServiceIdentity } from '../wire/connection.ts'
import type { DialOptions } from '../wire/dial.ts'
import type { Endpoint } from '../wire/endpoint.ts'

export interface DirectoryOptions extends DialOptions {
  /** In order; empty where `discover` finds them. */
  readonly endpoints: readonly Endpoint[]
  readonly discover?: Discovery | undefined
  /** `address` or `address:port`; none: the system's. */
  readonly nameServers?: readonly string[]
  /** How often DNS is asked for the servers and their addresses, in milliseconds; half a minute by default. */
  readonly dnsRefreshMs?: number
  readonly service: ServiceIdentity
  readonly operationTimeoutMs: number
  /** Whether a user's bind asks for the password policy's word. */
  readonly asksPolicy: boolean
  readonly pool: {
    readonly search: number
    readonly bind: number
    readonly waiting: number
    readonly idleTimeoutMs: number
    readonly maxAgeMs: number
    /** A connection idle for so long is tried before it is used. */
    readonly validateAfterMs: number
  }
}

/** Servers by DNS SRV. */
export interface Discovery {
  readonly domain: string
  /** What `tls` asks for where the record does not say. */
  readonly security: Endpoint['security']
}
