import type { Clock, Log, RefusedAccounts, Secret, ServerHealth } from '../../../plugin.ts'
import type { BindAnswer, SearchAnswer, SearchRequest } from '../wire/connection.ts'
import { orAbort } from '../wire/deadline.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import type { DirectoryOptions } from './directory-options.ts'
import type { Line } from './line.ts'
import { createLines } from './lines.ts'
import { createPool, type Pool } from './pool.ts'
import { createService } from './service.ts'

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
  bind(dn: string, password: Secret, signal: AbortSignal): Promise<BindAnswer>
  /** Lets go of every connection. */
  close(): Promise<void>
  /** Every server as last seen, for health. */
  report(): readonly ServerHealth[]
}

/** A broken connection takes all its searches with it, so not too many share one. */
const SEARCHES_PER_CONNECTION = 16

export function createDirectory(
  options: DirectoryOptions,
  {
    clock,
    log,
    refusedAccounts,
    random = Math.random,
  }: {
    readonly clock: Clock
    readonly log: Log
    readonly refusedAccounts: RefusedAccounts
    readonly random?: () => number
  },
): Directory {
  const { pool, asksPolicy } = options
  const pools: Pool<Line>[] = []
  const lines = createLines(options, {
    clock,
    log,
    random,
    onChange() {
      for (const each of pools) each.review()
    },
  })
  const { signIn, mayTry } = createService(options, { refusedAccounts, log })
  const pooling = {
    trust: lines.trust,
    rank: lines.rank,
    try: (line: Line) => line.try(),
    maxWaiting: pool.waiting,
    idleTimeoutMs: pool.idleTimeoutMs,
    maxAgeMs: pool.maxAgeMs,
    clock,
    random,
  }
  // A bind changes who a connection is, so those that search never see a user's.
  const searchers = createPool<Line>({
    ...pooling,
    async open(closing, below) {
      mayTry()
      return lines.open({
        repeatable: true,
        signal: closing,
        below,
        prepare: line => signIn(line, lines.failed, closing),
      })
    },
    maxConnections: pool.search,
    maxUses: SEARCHES_PER_CONNECTION,
  })
  const binders = createPool<Line>({
    ...pooling,
    open: (closing, below) => lines.open({ repeatable: false, signal: closing, below }),
    maxConnections: pool.bind,
    maxUses: 1,
  })
  pools.push(searchers, binders)

  return {
    search(request, signal) {
      const searched = onceMore(() => searchers.use(signal, line => line.search(request, signal)))
      // The slot stays taken until the directory has answered, also when the attempt has ended.
      return orAbort(searched, signal, 'search')
    },

    bind(dn, password, signal) {
      return onceMore(() => binders.use(signal, line => line.bind(dn, password, signal, asksPolicy)))
    },

    async close() {
      await Promise.all([lines.close(), ...pools.map(each => each.close())])
    },

    report: lines.report,
  }
}

/** Only where an operation was under way on a connection that broke: a connection that can't be made stays so. */
async function onceMore<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (failure) {
    const broke =
      failure instanceof DirectoryFailure &&
      failure.connectionLost &&
      (failure.phase === 'search' || (failure.phase === 'bind' && !failure.credentialSent))
    if (!broke) throw failure
    return work()
  }
}
