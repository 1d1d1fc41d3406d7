import type { Clock, Log, Secret } from '../../plugin.ts'
import { Connection, type SearchAnswer, type SearchRequest } from './connection.ts'
import { orAbort } from './deadline.ts'
import { type DialOptions, dial } from './dial.ts'
import type { Endpoint } from './endpoint.ts'
import { DirectoryFailure } from './failure.ts'
import { createPool } from './pool.ts'
import { type Answer, describe, SUCCESS } from './result.ts'
import { createServers } from './servers.ts'

/** One directory, however many servers it has. */
export interface Directory {
  /**
   * Searches as the service account; once more if the connection broke under it.
   *
   * @throws {DirectoryFailure}
   */
  search(request: SearchRequest, signal: AbortSignal): Promise<SearchAnswer>
  /**
   * Binds as a user, at most once: a second connection is tried only if nothing was sent on the first.
   *
   * @param dn exactly as the directory returned it
   * @throws {DirectoryFailure}
   */
  bind(dn: string, password: Secret, signal: AbortSignal): Promise<Answer>
  /** Lets go of every connection. */
  close(): Promise<void>
}

export interface DirectoryOptions extends DialOptions {
  readonly endpoints: readonly Endpoint[]
  readonly serviceDn: string
  readonly servicePassword: Secret
  readonly operationTimeoutMs: number
  readonly pool: {
    readonly search: number
    readonly bind: number
    readonly waiting: number
    readonly idleTimeoutMs: number
    readonly maxAgeMs: number
  }
}

/** A broken connection takes all its searches with it, so not too many share one. */
const SEARCHES_PER_CONNECTION = 16
/** A refused service account is not tried more often, lest the directory lock it (chain.md, Retry rules). */
const SERVICE_RETRY_MS = 60_000
/** The account is refused, and not the server out of order: no such entry, no such DN, no password, wrong password. */
const REFUSALS: ReadonlySet<number> = new Set([32, 34, 48, 49])

export function createDirectory(
  options: DirectoryOptions,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Directory {
  const servers = createServers(options.endpoints, { clock, log })
  const pooling = {
    maxWaiting: options.pool.waiting,
    idleTimeoutMs: options.pool.idleTimeoutMs,
    maxAgeMs: options.pool.maxAgeMs,
    clock,
  }
  // A bind changes who a connection is, so those that search never see a user's.
  const searchers = createPool({
    ...pooling,
    open: oneAfterTheOther(openSearcher),
    maxConnections: options.pool.search,
    maxUses: SEARCHES_PER_CONNECTION,
  })
  const binders = createPool({
    ...pooling,
    open: closing => servers.connect(endpoint => open(endpoint, closing)),
    maxConnections: options.pool.bind,
    maxUses: 1,
  })
  let refused: { readonly until: number; readonly reason: string } | undefined

  async function open(endpoint: Endpoint, closing: AbortSignal): Promise<Connection> {
    return new Connection(await dial(endpoint, options, closing), options.operationTimeoutMs)
  }

  async function openSearcher(closing: AbortSignal): Promise<Connection> {
    if (refused && clock.now() < refused.until) {
      throw new DirectoryFailure(refused.reason, { phase: 'service_bind' })
    }
    return servers.connect(async endpoint => {
      const connection = await open(endpoint, closing)
      try {
        await bindService(connection, endpoint, closing)
        return connection
      } catch (error) {
        await connection.close()
        throw error
      }
    })
  }

  async function bindService(connection: Connection, { url }: Endpoint, closing: AbortSignal): Promise<void> {
    const answer = await connection.bind(options.serviceDn, options.servicePassword, closing).catch(error => {
      if (!(error instanceof DirectoryFailure)) throw error
      throw new DirectoryFailure(`${url}: ${error.message}`, { phase: 'service_bind', connectionLost: true })
    })
    if (answer.code === SUCCESS) {
      refused = undefined
      return
    }
    const reason = `the service account cannot bind at ${url}: ${describe(answer)}`
    if (!REFUSALS.has(answer.code)) {
      throw new DirectoryFailure(reason, { phase: 'service_bind', connectionLost: true })
    }
    refused = { until: clock.now() + SERVICE_RETRY_MS, reason }
    log.fatal({ server: url, dn: options.serviceDn, reason }, 'the directory refuses the service account')
    throw new DirectoryFailure(reason, { phase: 'service_bind' })
  }

  return {
    async search(request, signal) {
      const search = () => searchers.use(signal, connection => connection.search(request))
      // The slot stays taken until the directory has answered, also when the attempt has ended.
      return orAbort(search().catch(retryOnce(search)), signal, 'search')
    },

    async bind(dn, password, signal) {
      const bind = () => binders.use(signal, connection => connection.bind(dn, password, signal))
      return bind().catch(retryOnce(bind))
    },

    async close() {
      await Promise.all([searchers.close(), binders.close()])
    },
  }

  /** Only where an operation was under way on a connection that broke: a connection that can't be made stays so. */
  function retryOnce<T>(again: () => Promise<T>): (failure: unknown) => Promise<T> {
    return failure => {
      const broke =
        failure instanceof DirectoryFailure &&
        failure.connectionLost &&
        (failure.phase === 'search' || (failure.phase === 'bind' && !failure.credentialSent))
      if (!broke) throw failure
      return again()
    }
  }
}

/** So that two connections never try a wrong service password at the same time. */
function oneAfterTheOther<A, T>(open: (argument: A) => Promise<T>): (argument: A) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return argument => {
    const next = last.then(() => open(argument))
    last = next.catch(() => {})
    return next
  }
}
