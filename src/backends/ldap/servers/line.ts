import type { Clock, Secret } from '../../../plugin.ts'
import type {
  BindAnswer,
  Connection,
  SearchAnswer,
  SearchRequest,
  ServiceIdentity,
} from '../wire/connection.ts'
import { DirectoryFailure, reasonOf } from '../wire/failure.ts'
import { type Answer, describe } from '../wire/result.ts'
import type { Trial } from './breaker.ts'
import type { Server } from './server.ts'
import type { Servers } from './servers.ts'

/** A connection and the server it leads to, which learns of everything that goes well or wrong here. */
export interface Line {
  readonly server: Server
  /** Of the other end. */
  readonly address: string | undefined
  /** False once it has ended, by itself or by an error. */
  readonly usable: boolean
  /** Operations under way. */
  readonly pending: number
  /** When it was opened, answered last or, with something under way, was first asked since; in monotonic milliseconds. */
  readonly heardAt: number
  /** Searches are asked again elsewhere if it breaks; a user's bind is not. */
  readonly repeatable: boolean
  /**
   * @throws {DirectoryFailure} also where the server says that it is out of order
   */
  search(request: SearchRequest, signal: AbortSignal): Promise<SearchAnswer>
  /** @throws {DirectoryFailure} */
  bind(dn: string, password: Secret, signal: AbortSignal, policy: boolean): Promise<BindAnswer>
  /** Makes it a service account's. An anonymous one is told nothing, because every connection starts so. */
  bindService(identity: ServiceIdentity, signal: AbortSignal): Promise<BindAnswer>
  /** Whether it still leads somewhere; within half a second. */
  try(): Promise<boolean>
  /** Ends it at once, and whatever is under way on it. */
  giveUp(reason: string): void
  close(): Promise<void>
}

/** What `Connection` is made of and cannot do itself. */
export interface Dialled {
  readonly connection: Connection
  readonly address: string | undefined
  giveUp(reason: Error): void
}

/** A sign of life comes within a round trip or two, also across continents. */
const TRY_MS = 500
/** A bind that its attempt has given up before says nothing about the server. */
const SILENCE_MS = 1_000

const BUSY = 51
const UNAVAILABLE = 52
const UNWILLING = 53
const OTHER = 80
const SUCCESS: BindAnswer = { code: 0, message: '' }

/** Does the server say that it can serve nobody now? 53 says so only when it shuts down: else it is about what was asked. */
export function isOutOfOrder({ code, message }: Answer): boolean {
  return (
    code === BUSY || code === UNAVAILABLE || code === OTHER || (code === UNWILLING && /shut/i.test(message))
  )
}

export function createLine(
  { connection, address, giveUp }: Dialled,
  server: Server,
  { servers, clock, repeatable }: { servers: Servers; clock: Clock; repeatable: boolean },
): Line {
  const { url } = server.endpoint
  let pending = 0
  let heardAt = clock.now()
  let counted = false

  /** A connection takes all its operations with it: to the server's breaker that is one failure. */
  function broke(trial: Trial, error: unknown): void {
    if (!(error instanceof DirectoryFailure) || counted) return
    const { phase, message } = error
    counted = true
    servers.failed(server, trial, new DirectoryFailure(`${url}: ${message}`, { phase, connectionLost: true }))
  }

  function begin(): void {
    if (pending++ === 0) heardAt = clock.now()
  }

  async function ask<T>(work: () => Promise<T>): Promise<T> {
    begin()
    try {
      const answer = await work()
      heardAt = clock.now()
      return answer
    } finally {
      pending--
    }
  }

  return {
    server,
    address,
    repeatable,
    get usable() {
      return connection.usable
    },
    get pending() {
      return pending
    },
    get heardAt() {
      return heardAt
    },

    async search(request, signal) {
      begin()
      let answer: SearchAnswer
      try {
        answer = await connection.search(request, signal)
        heardAt = clock.now()
      } catch (error) {
        broke('search', error)
        throw error
      } finally {
        pending--
      }
      if (isOutOfOrder(answer)) {
        const said = new DirectoryFailure(describe(answer), { phase: 'search', connectionLost: true })
        servers.failed(server, 'search', new DirectoryFailure(`${url}: ${said.message}`, said), 'said')
        throw said
      }
      servers.succeeded(server, 'search')
      return answer
    },

    async bind(dn, password, signal, policy) {
      const startedAt = clock.now()
      try {
        const answer = await ask(() => connection.bind(dn, password, signal, { policy }))
        // 53 and 80 may be about this one user, who must not be able to put the server out of order for all others.
        if (answer.code === BUSY || answer.code === UNAVAILABLE) {
          const cause = `${url}: ${describe(answer)}`
          servers.failed(server, 'bind', new DirectoryFailure(cause, { phase: 'bind', connectionLost: true }))
        } else {
          servers.succeeded(server, 'bind')
        }
        return answer
      } catch (error) {
        const sent = error instanceof DirectoryFailure && error.credentialSent
        if (sent && (!signal.aborted || clock.now() - startedAt >= SILENCE_MS)) broke('bind', error)
        throw error
      }
    },

    async bindService(identity, signal) {
      switch (identity.method) {
        case 'anonymous':
          return SUCCESS
        case 'external':
          return ask(() => connection.bindExternal(signal))
        case 'simple':
          return ask(() => connection.bind(identity.dn, identity.password, signal))
      }
    },

    async try() {
      const triedAt = clock.now()
      const alive = await ask(() => connection.ping(TRY_MS)).catch(() => false)
      if (alive) server.heardAt = heardAt
      // All that have been silent as long have met the same fate.
      else server.lostAt = Math.max(server.lostAt, triedAt)
      return alive
    },

    giveUp(reason) {
      // It is known already what the server is like.
      counted = true
      giveUp(new Error(reasonOf(reason)))
    },

    close: () => connection.close(),
  }
}
