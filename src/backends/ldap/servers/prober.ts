import type { Clock, Log } from '../../../plugin.ts'
import type { Connection } from '../wire/connection.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { calledOff, type DialRate, orCalledOff } from './dial-rate.ts'
import { isClosed, noteDialled, type Server, tooSlow } from './server.ts'

/** Finds out which servers are there, with connections of its own: no login has to. */
export interface Prober {
  /** Lets the probes go that are due. */
  pump(): void
  /**
   * The server has been silent for a while: is it there?
   *
   * @param others another one could take over, so an answer is wanted soon
   */
  doubt(server: Server, others: boolean): void
  /** Resolves when none is under way any more. */
  close(): Promise<void>
}

export interface ProberOptions {
  servers(): Iterable<Server>
  /** @throws {DirectoryFailure} */
  dial(endpoint: Endpoint, signal: AbortSignal): Promise<Connection>
  readonly rate: DialRate
  readonly connectTimeoutMs: number
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
  /** Runs what changes a server's breaker. */
  update(server: Server, change: () => void): void
}

/** A silent server answers a new connection within four times its last dial, or another one takes over: at least so long. */
const DOUBT_MS = 400
/** From here on twice has to do: the last dial may have been long because many were made at once. */
const LONG_DOUBT_MS = 1_000
/** A server that has just answered is not doubted again before. */
const TRUST_MS = 1_000
/** A server of which nothing was heard is looked at this often; jitter comes on top. */
const CHECK_MS = 30_000
/** A probe may take the whole connect timeout, and its server may come back meanwhile: others leave beside it. */
const MAX_PROBES = 3

export function createProber(options: ProberOptions): Prober {
  const { rate, connectTimeoutMs, clock, log, random, update } = options
  const closed = new AbortController()
  const underWay = new Set<Promise<void>>()

  async function probe(server: Server, timeoutMs: number): Promise<void> {
    server.probes++
    server.breaker.probing(clock.now())
    try {
      await ask(server, timeoutMs)
      update(server, () => server.breaker.reached(clock.now()))
    } catch (error) {
      if (!(error instanceof DirectoryFailure)) throw error
      if (!closed.signal.aborted) update(server, () => server.breaker.missed(error, clock.now()))
    } finally {
      server.probes--
      server.checkAt = clock.now() + CHECK_MS * (1 + random() / 4)
    }
  }

  /** A dial and the cheapest question there is: that it listens does not mean that it answers. */
  async function ask(server: Server, timeoutMs: number): Promise<void> {
    const { endpoint } = server
    await orCalledOff(rate.wait(closed.signal), endpoint, closed.signal)
    const patience = AbortSignal.timeout(timeoutMs)
    const startedAt = clock.now()
    const began = performance.now()
    const took = () => performance.now() - began
    const dialled = options.dial(endpoint, AbortSignal.any([closed.signal, patience]))
    const connection = await dialled.catch(error => {
      throw patience.aborted ? tooSlow(server, took()) : error
    })
    noteDialled(server, connection, startedAt, clock.now())
    const leave = () => run(connection.close())
    closed.signal.addEventListener('abort', leave)
    const alive = await connection.ping(Math.max(DOUBT_MS, timeoutMs - took()))
    closed.signal.removeEventListener('abort', leave)
    leave()
    if (closed.signal.aborted) throw calledOff(endpoint)
    if (!alive) {
      const failure = { phase: 'connect', connectionLost: true } as const
      throw new DirectoryFailure(`${endpoint.url}: it can be connected to, but gives no answer`, failure)
    }
    server.heardAt = clock.now()
  }

  function run(work: Promise<void>): void {
    const done = work
      .catch(error => log.error({ err: error }, 'looking after a directory server went wrong'))
      .finally(() => underWay.delete(done))
    underWay.add(done)
  }

  return {
    pump() {
      if (closed.signal.aborted) return
      const now = clock.now()
      for (const server of options.servers()) {
        const { breaker, probes, heardAt } = server
        if (now >= breaker.probeAt) {
          if (probes < MAX_PROBES) run(probe(server, connectTimeoutMs))
        } else if (isClosed(server) && probes === 0 && now >= server.checkAt) {
          if (now - heardAt >= CHECK_MS) run(probe(server, connectTimeoutMs))
          else server.checkAt = heardAt + CHECK_MS * (1 + random() / 4)
        }
      }
    },

    doubt(server, others) {
      if (server.doubtedUntil > clock.now() || server.breaker.state === 'open' || closed.signal.aborted)
        return
      const { dialMs = 0 } = server
      const wanted = Math.min(4 * dialMs, Math.max(LONG_DOUBT_MS, 2 * dialMs))
      // A timer takes whole milliseconds only.
      const patience = Math.ceil(Math.max(DOUBT_MS, wanted))
      const soon = Math.min(connectTimeoutMs, patience)
      server.doubtedUntil = Infinity
      run(
        probe(server, others ? soon : connectTimeoutMs).finally(() => {
          server.doubtedUntil = clock.now() + TRUST_MS
        }),
      )
    },

    async close() {
      closed.abort()
      while (underWay.size > 0) await Promise.all(underWay)
    },
  }
}
