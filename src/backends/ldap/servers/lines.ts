import type { Clock, Log, ServerHealth } from '../../../plugin.ts'
import { Connection } from '../wire/connection.ts'
import { dial } from '../wire/dial.ts'
import type { Session } from '../wire/session.ts'
import { createDialRate } from './dial-rate.ts'
import type { DirectoryOptions } from './directory-options.ts'
import { discoverServers } from './discover.ts'
import { createLine, type Line } from './line.ts'
import { createAddresses, createResolver } from './lookup.ts'
import type { Trust } from './members.ts'
import { createRelocation } from './relocation.ts'
import { discoveredList, fixedList, type ServerList } from './server-list.ts'
import { createServers, type Servers } from './servers.ts'
import { readingCompressed } from './srv-query.ts'

/** All connections of one directory that do work, and the servers they lead to. */
export interface Lines {
  /**
   * @param prepare run before anybody uses it; if it rejects the line is closed
   * @throws {DirectoryFailure}
   */
  open(request: LineRequest): Promise<Line>
  trust(line: Line, now: number): Trust
  rank(line: Line): number
  readonly failed: Servers['failed']
  report(): readonly ServerHealth[]
  close(): Promise<void>
}

export interface LineRequest {
  readonly repeatable: boolean
  readonly signal: AbortSignal
  readonly below: number
  readonly prepare?: (line: Line) => Promise<void>
}

const TICK_MS = 100
/** An operation that waits so long on a server that says nothing else either makes one wonder. */
const SILENCE_MS = 300
/** If then the server is found not to be there, a user's bind has had this long: it cannot be asked again elsewhere. */
const BIND_SILENCE_MS = 1_000
/** Node shows no TTL of some records: what is new is in use within this and the TTL (spec: faults.md, F21). */
const DNS_REFRESH_MS = 30_000
/** A connection to a server's old address is worse than one to its new one, and better than one to the next server. */
const LEFT_RANK = 0.5
/** A pool of one or two may still replace what broke. */
const LEAST_DIALS_PER_SECOND = 4

export function createLines(
  options: DirectoryOptions,
  {
    clock,
    log,
    random,
    onChange,
  }: {
    readonly clock: Clock
    readonly log: Log
    readonly random: () => number
    /** Trust or ranks have changed. */
    readonly onChange: () => void
  },
): Lines {
  const { lookup, ask } = createAddresses(options.nameServers ?? [])
  const sessions = new WeakMap<Connection, Session>()
  const lines = new Set<Line>()
  const servers: Servers = createServers({
    list: createList(options, { clock, log, random }),
    async dial(endpoint, signal) {
      const session = await dial(endpoint, { ...options, lookup }, signal)
      const connection = new Connection(session, options.operationTimeoutMs)
      sessions.set(connection, session)
      return connection
    },
    rate: createDialRate(Math.max(LEAST_DIALS_PER_SECOND, options.pool.search + options.pool.bind), clock),
    connectTimeoutMs: options.connectTimeoutMs,
    clock,
    log,
    random,
    // At the first time there is nothing here yet that could have changed.
    onChange: () => setImmediate(changed),
  })
  const relocation = createRelocation({
    lines: () => lines,
    ask,
    refreshMs: options.dnsRefreshMs ?? DNS_REFRESH_MS,
    clock,
    log,
    random,
    onChange: changed,
  })
  const ticker = setInterval(tick, TICK_MS).unref()

  function changed(): void {
    for (const line of lines) {
      // Whether those that nobody uses still lead somewhere is known before anybody wants them.
      if (line.usable && line.pending === 0 && isDoubtful(line)) void line.try()
    }
    onChange()
  }

  function isDoubtful({ server: { breaker }, heardAt }: Line): boolean {
    return breaker.state === 'open' && heardAt < breaker.since
  }

  function tick(): void {
    servers.tick()
    relocation.tick()
    const now = clock.now()
    for (const line of lines) {
      if (!line.usable) lines.delete(line)
      else if (line.pending > 0) watch(line, now)
    }
  }

  /** So that an operation need not wait for its whole time-out on a server that is gone while there is another one. */
  function watch(line: Line, now: number): void {
    const { server, heardAt, repeatable } = line
    if (now - Math.max(heardAt, server.heardAt) >= SILENCE_MS) servers.doubt(server)
    const patience = repeatable ? SILENCE_MS : BIND_SILENCE_MS
    if (now - heardAt >= patience && isDoubtful(line) && servers.anyClosed) {
      line.giveUp('the server gives no sign of life, also to a new connection')
    }
  }

  return {
    open: ({ repeatable, signal, below, prepare }) =>
      servers.connect(
        async (connection, server) => {
          const session = sessions.get(connection)
          const giveUp = (reason: Error) => session?.fail(reason)
          const address = session?.remoteAddress
          const line = createLine({ connection, address, giveUp }, server, { servers, clock, repeatable })
          lines.add(line)
          try {
            await prepare?.(line)
            return line
          } catch (error) {
            lines.delete(line)
            await line.close()
            throw error
          }
        },
        { signal, below },
      ),

    trust(line, now) {
      const { server, heardAt, pending } = line
      // Connections to a server that is out of order are spared as long as there is another one.
      if (server.breaker.state !== 'closed' && servers.anyClosed) return 'not_now'
      const isStale = pending === 0 && now - heardAt >= options.pool.validateAfterMs
      if (isStale && server.lostAt > heardAt) return 'lost'
      if (isDoubtful(line)) return pending > 0 ? 'not_now' : 'once_tried'
      return isStale ? 'once_tried' : 'now'
    },

    rank: line => servers.rank(line.server) + (relocation.hasLeft(line) ? LEFT_RANK : 0),
    failed: servers.failed,
    report: servers.report,

    async close() {
      clearInterval(ticker)
      await servers.close()
    },
  }
}

function createList(
  { endpoints, discover, nameServers = [], servername, dnsRefreshMs = DNS_REFRESH_MS }: DirectoryOptions,
  { clock, log, random }: { readonly clock: Clock; readonly log: Log; readonly random: () => number },
): ServerList {
  if (discover === undefined) return fixedList(endpoints)
  const { domain, security } = discover
  return discoveredList({
    // A new resolver each time reads the system's name servers anew.
    discover: () =>
      discoverServers(
        { domain, security, anyTarget: servername !== undefined },
        readingCompressed(createResolver(nameServers)),
      ),
    clock,
    log,
    random,
    refreshMs: dnsRefreshMs,
  })
}
