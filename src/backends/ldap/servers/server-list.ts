import type { Clock, Log } from '../../../plugin.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { DirectoryFailure, reasonOf } from '../wire/failure.ts'
import type { ListedServer } from './discover.ts'

/** Which servers there are, as far as known. */
export interface ServerList {
  readonly current: readonly ListedServer[]
  /** When it should be read again, in monotonic milliseconds. */
  readonly refreshAt: number
  /** Reads it again; never rejects. True if it has changed. Those who ask while it is being read share that. */
  refresh(): Promise<boolean>
  /**
   * Resolves when some list is known.
   *
   * @throws {DirectoryFailure} if there is none: what DNS said last
   */
  known(): void | Promise<void>
}

/** As they stand in the configuration, the first first. */
export function fixedList(endpoints: readonly Endpoint[]): ServerList {
  const current = endpoints.map((endpoint, priority) => ({ endpoint, priority, weight: 0 }))
  return { current, refreshAt: Infinity, refresh: async () => false, known() {} }
}

/** While DNS is out and an old list holds. */
const RETRY_MS = 5_000
/** While DNS is out and nothing is known yet. */
const FIRST_RETRY_MS = 1_000

export interface DiscoveredListOptions {
  /** @throws {Error} if there is no answer */
  discover(): Promise<readonly ListedServer[]>
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly refreshMs: number
}

/** As somebody else says, asked again and again; what was good last holds until there is something better. */
export function discoveredList(options: DiscoveredListOptions): ServerList {
  const { clock, log, refreshMs } = options
  let current: readonly ListedServer[] = []
  let refreshAt = -Infinity
  let failure: string | undefined
  let underWay: Promise<boolean> | undefined

  /** Somewhere in the upper fifth, so that many daemons do not ask at once. */
  const after = (ms: number) => clock.now() + ms * (0.8 + options.random() * 0.2)

  async function read(): Promise<boolean> {
    try {
      const found = await options.discover()
      if (failure !== undefined)
        log.info({ servers: urls(found) }, 'DNS names the servers of the directory again')
      failure = undefined
      refreshAt = after(refreshMs)
      const changed = fingerprint(found) !== fingerprint(current)
      if (changed && current.length > 0) {
        log.info({ before: urls(current), servers: urls(found) }, 'DNS names other servers of the directory')
      }
      current = found
      return changed
    } catch (error) {
      const reason = reasonOf(error)
      if (failure === undefined) log.warn({ reason, servers: urls(current) }, 'DNS does not name the servers')
      failure = reason
      refreshAt = after(current.length > 0 ? Math.min(RETRY_MS, refreshMs) : FIRST_RETRY_MS)
      return false
    }
  }

  function refresh(): Promise<boolean> {
    underWay ??= read().finally(() => {
      underWay = undefined
    })
    return underWay
  }

  return {
    get current() {
      return current
    },
    get refreshAt() {
      return refreshAt
    },
    refresh,
    known() {
      if (current.length > 0) return
      const reading = underWay ?? (clock.now() >= refreshAt ? refresh() : undefined)
      return Promise.resolve(reading).then(() => {
        if (current.length > 0) return
        throw new DirectoryFailure(failure ?? 'no server is known', {
          phase: 'connect',
          connectionLost: true,
        })
      })
    },
  }
}

function urls(servers: readonly ListedServer[]): string[] {
  return servers.map(({ endpoint }) => endpoint.url)
}

function fingerprint(servers: readonly ListedServer[]): string {
  return servers
    .map(({ endpoint, priority, weight }) => `${endpoint.url} ${endpoint.security} ${priority} ${weight}`)
    .sort()
    .join()
}
