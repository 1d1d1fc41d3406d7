import type { Clock, Log } from '../../plugin.ts'
import type { Endpoint } from './endpoint.ts'
import { DirectoryFailure } from './failure.ts'

/** The servers of one directory: which one a new connection goes to. */
export interface Servers {
  /**
   * Tries them in order until a connection is made. One that has just failed comes last.
   *
   * @throws {DirectoryFailure} of the last one tried, with what every one said; anything else that `open` throws at once
   */
  connect<T>(open: (endpoint: Endpoint) => Promise<T>): Promise<T>
}

/** So long a server that failed is not asked first. */
const SKIP_MS = 5_000

export function createServers(
  endpoints: readonly Endpoint[],
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Servers {
  /** When each server that is out of order failed last, by URL. */
  const failedAt = new Map<string, number>()

  function inOrder(): Endpoint[] {
    const now = clock.now()
    const isOut = ({ url }: Endpoint) => now - (failedAt.get(url) ?? -Infinity) < SKIP_MS
    const healthy = endpoints.filter(endpoint => !isOut(endpoint))
    return healthy.length > 0 ? healthy : [...endpoints]
  }

  /** Said once when it fails and once when it is back, not at every login in between. */
  function failed({ url }: Endpoint, reason: string): void {
    if (!failedAt.has(url)) log.warn({ server: url, reason }, 'a directory server cannot be used')
    failedAt.set(url, clock.now())
  }

  function worked({ url }: Endpoint): void {
    if (failedAt.delete(url)) log.info({ server: url }, 'a directory server can be used again')
  }

  return {
    async connect(open) {
      const failures: DirectoryFailure[] = []
      for (const endpoint of inOrder()) {
        try {
          const connection = await open(endpoint)
          worked(endpoint)
          return connection
        } catch (error) {
          if (!(error instanceof DirectoryFailure && error.connectionLost)) throw error
          failed(endpoint, error.message)
          failures.push(error)
        }
      }
      const phase = failures.at(-1)?.phase ?? 'connect'
      const reasons = failures.map(({ message }) => message).join('; ')
      throw new DirectoryFailure(reasons, { phase, connectionLost: true })
    },
  }
}
