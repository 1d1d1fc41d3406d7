/** Who gets past the door: everything that is decided before a body is read (security.md S67). */
import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Log } from '../authentication/log.ts'
import { callerAddress, parseRange } from './address.ts'
import { type Client, certificateSubject, createIdentify, type KnownClient } from './clients.ts'
import type { SendProblem } from './problem.ts'
import { createThrottles } from './rate-limit.ts'
import type { Readiness } from './readiness.ts'

export interface DoorOptions {
  readonly clients: readonly Client[] | 'anonymous'
  /** Addresses and ranges of proxies whose `X-Forwarded-For` counts. */
  readonly trustedProxies: readonly string[]
  readonly readiness: () => Readiness
  readonly log: Log
}

/** Who came in. */
export interface Visitor {
  readonly client: KnownClient
  /** `callerAddress` */
  readonly address: string
}

/** The key under which Fastify keeps the visitor of a request. */
export const VISITOR = 'visitor'

/** Of a request that came through the door. */
export function visitorOf(request: FastifyRequest): Visitor {
  return request.getDecorator<Visitor>(VISITOR)
}

/** What a known app may choose as its request id: nothing that would need escaping anywhere. */
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/

/**
 * Makes the hook: ready → address → app → rate.
 *
 * @throws Error for clients or proxies that cannot be (`createIdentify`, `parseRange`)
 */
export function createDoor(options: DoorOptions, sendProblem: SendProblem): onRequestHookHandler {
  const { clients, readiness, log } = options
  const identify = createIdentify(clients)
  const trustedProxies = options.trustedProxies.map(parseRange)
  const throttles = createThrottles(clients === 'anonymous' ? [] : clients, log)

  return function door(request, reply, done) {
    if (readiness().phase !== 'serving') {
      sendProblem(request, reply, 'not_ready', { retryAfterMs: 1000 })
      return
    }

    const { socket } = request.raw
    const presented = {
      authorization: request.headers.authorization,
      certificateSubject: certificateSubject(socket),
      // Node has joined the lines of this header by commas.
      address: callerAddress(
        socket.remoteAddress,
        request.headers['x-forwarded-for'] as string,
        trustedProxies,
      ),
    }
    const client = identify(presented)
    if (client === undefined) {
      const context = {
        address: presented.address,
        certificate_subject: presented.certificateSubject,
        key_presented: presented.authorization !== undefined,
      }
      sendProblem(request, reply, 'client_unauthenticated', { context })
      return
    }

    const inbound = request.headers['x-request-id']
    if (clients !== 'anonymous' && typeof inbound === 'string' && REQUEST_ID.test(inbound)) {
      request.id = inbound
      reply.header('x-request-id', inbound)
    }
    request.setDecorator<Visitor>(VISITOR, { client, address: presented.address })

    const throttle = throttles.get(client.id)
    if (throttle === undefined) {
      done()
      return
    }
    throttle().then(retryAfterMs => {
      if (retryAfterMs === undefined) done()
      else sendProblem(request, reply, 'rate_limited', { retryAfterMs, context: { client: client.id } })
    }, done)
  }
}
