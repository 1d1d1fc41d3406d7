/** Who gets past the door: everything that is decided before a body is read (security.md S67). */
import type { FastifyRequest, onRequestHookHandler, preHandlerHookHandler } from 'fastify'
import type { Log } from '../authentication/log.ts'
import { type AddressRange, callerAddress, parseRange } from './address.ts'
import {
  type Client,
  certificateSubject,
  createIdentify,
  type Identify,
  type KnownClient,
  type Presented,
} from './clients.ts'
import type { SendProblem } from './problem.ts'
import { createThrottles, type Throttle } from './rate-limit.ts'
import type { Readiness } from './readiness.ts'
import type { Service } from './service.ts'

export interface CallerOptions {
  /** `anonymous` lets everybody in who can connect: for loopback, or where the configuration allows it. */
  readonly clients: readonly Client[] | 'anonymous'
  /** Addresses and ranges of proxies whose `X-Forwarded-For` counts. */
  readonly trustedProxies: readonly string[]
}

/** Who may call, ready for the door. */
export interface Callers {
  readonly anonymous: boolean
  readonly identify: Identify
  readonly trustedProxies: readonly AddressRange[]
  readonly throttles: ReadonlyMap<string, Throttle>
}

/** @throws Error for clients or proxies that cannot be (`createIdentify`, `parseRange`) */
export function createCallers({ clients, trustedProxies }: CallerOptions, log: Log): Callers {
  const anonymous = clients === 'anonymous'
  return {
    anonymous,
    identify: createIdentify(clients),
    trustedProxies: trustedProxies.map(parseRange),
    throttles: createThrottles(anonymous ? [] : clients, log),
  }
}

export interface DoorOptions {
  /** The service of now; what it gives may change between two requests. */
  readonly service: () => Service
  readonly readiness: () => Readiness
  /** `arriveAsApp` unless said. */
  readonly arrive?: (request: FastifyRequest, callers: Callers) => Arrival
  /** Whether `X-Request-Id` is the app's own word: false where it may be an end user's. Yes unless said. */
  readonly takesRequestId?: boolean
}

/** What a request says about who sends it. */
export interface Arrival {
  /** By this the app is known. */
  readonly presented: Presented
  /** Where the user comes from, if the app says nothing else; canonical. */
  readonly address: string
}

/** Who came in, and whom to ask for this request: both of one configuration. */
export interface Visitor {
  readonly client: KnownClient
  /** Of the arrival. */
  readonly address: string
  readonly service: Service
}

/** The key under which Fastify keeps the visitor of a request. */
export const VISITOR = 'visitor'

/** Of a request that came through the door. */
export function visitorOf(request: FastifyRequest): Visitor {
  return request.getDecorator<Visitor>(VISITOR)
}

/** What a known app may choose as its request id: nothing that would need escaping anywhere. */
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/

/** The hooks that stand before a route. */
export interface Door {
  /** ready → address → app → rate, before the body is read. */
  readonly enter: onRequestHookHandler
  /** After the body: a reload meanwhile decides anew, so that no request is answered by a mixture of two configurations. */
  readonly enterAgain: preHandlerHookHandler
}

export function createDoor(
  { service, readiness, arrive = arriveAsApp, takesRequestId = true }: DoorOptions,
  sendProblem: SendProblem,
): Door {
  return {
    enter(request, reply, done) {
      if (readiness().phase !== 'serving') {
        sendProblem(request, reply, 'not_ready', { retryAfterMs: 1000 })
        return
      }
      const now = service()
      const { presented, address } = arrive(request, now.callers)
      const client = now.callers.identify(presented)
      if (client === undefined) {
        sendProblem(request, reply, 'client_unauthenticated', { context: describe(presented) })
        return
      }

      const inbound = takesRequestId && request.headers['x-request-id']
      if (!now.callers.anonymous && typeof inbound === 'string' && REQUEST_ID.test(inbound)) {
        request.id = inbound
        reply.header('x-request-id', inbound)
      }
      request.setDecorator<Visitor>(VISITOR, { client, address, service: now })

      const throttle = now.callers.throttles.get(client.id)
      if (throttle === undefined) {
        done()
        return
      }
      throttle().then(retryAfterMs => {
        if (retryAfterMs === undefined) done()
        else sendProblem(request, reply, 'rate_limited', { retryAfterMs, context: { client: client.id } })
      }, done)
    },

    enterAgain(request, reply, done) {
      const now = service()
      if (visitorOf(request).service === now) {
        done()
        return
      }
      const { presented, address } = arrive(request, now.callers)
      const client = now.callers.identify(presented)
      if (client === undefined) {
        sendProblem(request, reply, 'client_unauthenticated', { context: describe(presented) })
        return
      }
      request.setDecorator<Visitor>(VISITOR, { client, address, service: now })
      done()
    },
  }
}

function arriveAsApp({ raw, headers }: FastifyRequest, { trustedProxies }: Callers): Arrival {
  // Node has joined the lines of this header by commas.
  const forwardedFor = headers['x-forwarded-for'] as string | undefined
  const address = callerAddress(raw.socket.remoteAddress, forwardedFor, trustedProxies)
  const presented = {
    authorization: headers.authorization,
    certificateSubject: certificateSubject(raw.socket),
    address,
  }
  return { presented, address }
}

function describe({ address, certificateSubject, authorization }: Presented): object {
  return { address, certificate_subject: certificateSubject, key_presented: authorization !== undefined }
}
