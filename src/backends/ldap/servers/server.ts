import type { ServerHealth } from '../../../plugin.ts'
import type { Connection } from '../wire/connection.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { type Breaker, createBreaker } from './breaker.ts'
import type { ListedServer } from './discover.ts'

/** What is known of one server. It is written by this room only. */
export interface Server {
  readonly endpoint: Endpoint
  readonly breaker: Breaker
  /** Lower comes first; Infinity once it is no longer one of the directory's servers. */
  priority: number
  weight: number
  /** When anything was last heard from it, in monotonic milliseconds. */
  heardAt: number
  /** When a connection to it was last found dead that had been silent for a while. */
  lostAt: number
  /** How long its last dial took, in milliseconds. */
  dialMs: number | undefined
  /** Milliseconds since the Unix epoch. */
  certificateExpiresAt: number | undefined
  /** The one dial that goes ahead while it is not known whether the server is there. Never rejects. */
  scout: Promise<void> | undefined
  probes: number
  /** Nobody need ask before whether it is still there, in monotonic milliseconds. */
  doubtedUntil: number
  /** When it is to be looked at although nothing asks for it, in monotonic milliseconds. */
  checkAt: number
}

export function createServer(listed: ListedServer, random: () => number): Server {
  return {
    endpoint: listed.endpoint,
    breaker: createBreaker(random),
    priority: listed.priority,
    weight: listed.weight,
    heardAt: -Infinity,
    lostAt: -Infinity,
    dialMs: undefined,
    certificateExpiresAt: undefined,
    scout: undefined,
    probes: 0,
    doubtedUntil: -Infinity,
    checkAt: Infinity,
  }
}

/** A connection was made. */
export function noteDialled(server: Server, connection: Connection, startedAt: number, now: number): void {
  server.dialMs = now - startedAt
  server.heardAt = now
  server.certificateExpiresAt = connection.certificateExpiresAt ?? server.certificateExpiresAt
}

export function isClosed({ breaker }: Server): boolean {
  return breaker.state === 'closed'
}

/** @param took in milliseconds */
export function tooSlow({ endpoint }: Server, took: number): DirectoryFailure {
  const cause = `${endpoint.url}: no connection within ${Math.round(took)} ms`
  return new DirectoryFailure(cause, { phase: 'connect', connectionLost: true })
}

/** For health. */
export function describeServer({ endpoint, breaker, heardAt, certificateExpiresAt }: Server): ServerHealth {
  const server = endpoint.url
  const expiry = certificateExpiresAt === undefined ? {} : { certificateExpiresAt }
  if (breaker.state !== 'closed') {
    const state = breaker.state === 'open' ? 'not used' : 'used only for want of a better one'
    return { server, ok: false, reason: `${state}: ${breaker.failure?.message}`, ...expiry }
  }
  if (heardAt === -Infinity) return { server, ok: false, reason: 'not tried yet', ...expiry }
  return { server, ok: true, ...expiry }
}
