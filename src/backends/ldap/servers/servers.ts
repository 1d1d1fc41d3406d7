import type { Clock, Log, ServerHealth } from '../../../plugin.ts'
import type { Connection } from '../wire/connection.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import type { Trial } from './breaker.ts'
import { type DialRate, orCalledOff } from './dial-rate.ts'
import { inTurn } from './discover.ts'
import { createProber } from './prober.ts'
import { race } from './race.ts'
import { createServer, describeServer, isClosed, noteDialled, type Server, tooSlow } from './server.ts'
import type { ServerList } from './server-list.ts'

/** The servers of one directory: which one a new connection goes to, and which ones are out of order. */
export interface Servers {
  /**
   * Makes a connection to the best server that gives one; the next one is dialled beside it when it takes long.
   *
   * @param prepare makes of the winner's connection what is wanted; if it rejects with a lost connection the next server
   *   is tried, with anything else nobody is
   * @param below only servers that rank better than this
   * @throws {DirectoryFailure} at once and without a dial if no server may be used
   */
  connect<T>(
    prepare: (connection: Connection, server: Server) => Promise<T>,
    options: { readonly signal: AbortSignal; readonly below?: number },
  ): Promise<T>
  /** Lower is better; from `OUT_OF_FAVOUR` on it should not be used if that can be helped. */
  rank(server: Server): number
  /** Is there a server in full order? */
  readonly anyClosed: boolean
  failed(server: Server, trial: Trial, failure: DirectoryFailure, said?: 'said'): void
  succeeded(server: Server, trial: Trial): void
  /** It has been silent for a while: finds out whether it is there, sooner if another one could take over. */
  doubt(server: Server): void
  /** What is due by now: probes, and reading the list again. To be called some ten times a second. */
  tick(): void
  report(): readonly ServerHealth[]
  close(): Promise<void>
}

export interface ServersOptions {
  readonly list: ServerList
  /** @throws {DirectoryFailure} */
  dial(endpoint: Endpoint, signal: AbortSignal): Promise<Connection>
  readonly rate: DialRate
  readonly connectTimeoutMs: number
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
  /** Some server has come or gone. */
  onChange(): void
}

/** From this rank on a server is out of order, or no longer one of the directory's. */
export const OUT_OF_FAVOUR = 1_000_000

/** A dial that takes longer than this, or twice as long as the last one there, is given company. */
const PATIENCE_MS = 300
/** Timers are not exact, and a call-off comes a moment after the patience has ended. */
const LATE = 0.9
/** Silence that long after a dial means that the next one goes ahead alone. */
const FRESH_MS = 1_000
/** Those that nobody needed by then, after the start. */
const FIRST_CHECK_MS = 1_000

export function createServers(options: ServersOptions): Servers {
  const { list, rate, clock, log, random, onChange } = options
  const servers = new Map<string, Server>()
  const prober = createProber({ ...options, servers: () => servers.values(), update })
  let isOver = false
  let anyClosed = false

  function takeList(): void {
    const listed = new Map(list.current.map(each => [each.endpoint.url, each]))
    for (const [url, server] of servers) {
      if (listed.has(url)) continue
      server.priority = Infinity
      servers.delete(url)
    }
    for (const [url, each] of listed) {
      const server = servers.get(url) ?? createServer(each, random)
      if (!servers.has(url)) server.checkAt = clock.now() + FIRST_CHECK_MS * (1 + random())
      server.priority = each.priority
      server.weight = each.weight
      servers.set(url, server)
    }
    changed()
  }

  function changed(): void {
    anyClosed = [...servers.values()].some(({ breaker }) => breaker.state === 'closed')
    onChange()
  }

  /** Does it, and says so if that put the server in or out of order: once each way. */
  function update(server: Server, change: () => void): void {
    const before = server.breaker.state
    change()
    const { state, failure } = server.breaker
    if (state === before) return
    const fields = { server: server.endpoint.url }
    if (before === 'closed')
      log.warn({ ...fields, reason: failure?.message }, 'a directory server cannot be used')
    else if (state === 'closed') log.info(fields, 'a directory server can be used again')
    changed()
  }

  function failed(server: Server, trial: Trial, failure: DirectoryFailure, said?: 'said'): void {
    if (isOver) return
    update(server, () => server.breaker.failed(trial, failure, clock.now(), said))
    prober.pump()
  }

  function rank({ priority, breaker }: Server): number {
    if (priority === Infinity) return 2 * OUT_OF_FAVOUR
    return breaker.state === 'closed' ? priority : OUT_OF_FAVOUR + priority
  }

  /** Those that may be dialled, the best first: half-open ones last. */
  function candidates(below: number): Server[] {
    const usable = [...servers.values()].filter(
      server => server.breaker.state !== 'open' && rank(server) < below,
    )
    const order = inTurn(usable, random)
    return [...order.filter(isClosed), ...order.filter(server => !isClosed(server))]
  }

  async function dialInTurn(server: Server, signal: AbortSignal): Promise<Connection> {
    // One finds out whether the server is there; the others wait for it instead of running into the same wall.
    while (server.scout && clock.now() - server.heardAt > FRESH_MS) {
      await orCalledOff(server.scout, server.endpoint, signal)
    }
    if (server.breaker.state === 'open' && server.breaker.failure) throw server.breaker.failure
    const { promise, resolve } = Promise.withResolvers<void>()
    server.scout = promise
    try {
      return await dialOne(server, signal)
    } finally {
      if (server.scout === promise) server.scout = undefined
      resolve()
    }
  }

  async function dialOne(server: Server, signal: AbortSignal): Promise<Connection> {
    await orCalledOff(rate.wait(signal), server.endpoint, signal)
    const startedAt = clock.now()
    try {
      const connection = await options.dial(server.endpoint, signal)
      noteDialled(server, connection, startedAt, clock.now())
      update(server, () => server.breaker.succeeded('connect'))
      return connection
    } catch (error) {
      if (!(error instanceof DirectoryFailure)) throw error
      const took = clock.now() - startedAt
      if (!signal.aborted) failed(server, 'connect', error)
      else if (took >= LATE * patience(server)) failed(server, 'connect', tooSlow(server, took))
      throw error
    }
  }

  function refresh(): void {
    void list.refresh().then(isNew => {
      if (isNew && !isOver) takeList()
    })
  }

  async function connect<T>(
    prepare: (connection: Connection, server: Server) => Promise<T>,
    { signal, below = Infinity }: { readonly signal: AbortSignal; readonly below?: number },
  ): Promise<T> {
    if (servers.size === 0) {
      await list.known()
      takeList()
    }
    let left = candidates(below)
    if (left.length === 0) throw nothingLeft(below)
    const failures: DirectoryFailure[] = []
    while (left.length > 0) {
      const finish = await race(left, { run: dialInTurn, patience, discard, signal })
      failures.push(...finish.failures)
      if (finish.winner === undefined) break
      const { entrant, prize } = finish.winner
      try {
        return await prepare(prize, entrant)
      } catch (error) {
        if (!(error instanceof DirectoryFailure && error.connectionLost)) throw error
        failures.push(error)
      }
      left = left.filter(
        server => server !== entrant && !finish.failed.has(server) && server.breaker.state !== 'open',
      )
    }
    throw allOf(failures)
  }

  function nothingLeft(below: number): DirectoryFailure {
    const known = [...servers.values()].sort((a, b) => a.priority - b.priority)
    const failures = known.flatMap(({ breaker }) => (breaker.state === 'open' ? (breaker.failure ?? []) : []))
    if (failures.length === 0 || below !== Infinity) {
      return new DirectoryFailure('there is no better server', { phase: 'connect' })
    }
    return allOf(failures)
  }

  takeList()
  if (list.refreshAt < Infinity) refresh()

  return {
    connect,
    rank,
    get anyClosed() {
      return anyClosed
    },
    failed,
    succeeded(server, trial) {
      server.heardAt = clock.now()
      // By far the most common case, and nothing to be done.
      if (isClosed(server)) server.breaker.succeeded(trial)
      else update(server, () => server.breaker.succeeded(trial))
    },
    doubt(server) {
      const others = [...servers.values()].some(other => other !== server && isClosed(other))
      prober.doubt(server, others)
    },
    tick() {
      if (clock.now() >= list.refreshAt) refresh()
      prober.pump()
    },
    report: () => [...servers.values()].sort((a, b) => a.priority - b.priority).map(describeServer),
    async close() {
      isOver = true
      await prober.close()
    },
  }
}

function patience({ dialMs = 0 }: Server): number {
  return Math.max(PATIENCE_MS, 2 * dialMs)
}

function discard(connection: Connection): void {
  void connection.close()
}

/** What every server said, as one. */
function allOf(failures: readonly DirectoryFailure[]): DirectoryFailure {
  const phase = failures.at(-1)?.phase ?? 'connect'
  const reasons = [...new Set(failures.map(({ message }) => message))].join('; ')
  return new DirectoryFailure(reasons, { phase, connectionLost: true })
}
