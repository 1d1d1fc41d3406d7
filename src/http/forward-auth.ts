/** How a reverse proxy that asks for each request differs from an app that asks for a login (docs/forward-auth.md). */
import type { FastifyRequest } from 'fastify'
import { catalogue, type PublicErrorCode } from '../errors.ts'
import { callerAddress } from './address.ts'
import { BASIC_CHALLENGE } from './basic.ts'
import { certificateSubject } from './clients.ts'
import type { ProblemDetails, SendProblem } from './problem.ts'
import type { Arrival, Callers } from './security.ts'

/** `Authorization` is taken by the end user's name and password. */
const KEY_HEADER = 'x-gatehouse-key'

/**
 * The proxy is the app here: its own key, certificate or address counts. An end user is who it says comes from, if it is a
 * trusted proxy.
 */
export function arriveByProxy({ raw, headers }: FastifyRequest, { trustedProxies }: Callers): Arrival {
  const key = headers[KEY_HEADER]
  const forwardedFor = headers['x-forwarded-for'] as string | undefined
  return {
    presented: {
      authorization: key === undefined ? undefined : `Bearer ${key}`,
      certificateSubject: certificateSubject(raw.socket),
      address: callerAddress(raw.socket.remoteAddress, undefined, []),
    },
    address: callerAddress(raw.socket.remoteAddress, forwardedFor, trustedProxies),
  }
}

/**
 * Proxies let through on 2xx, hand 401 and 403 to the end user and take the rest for a failure of ours (nginx
 * ngx_http_auth_request_module). So 401 is what another password can mend, 403 what it cannot, and 5xx no verdict.
 */
export function asForwardAuth(sendProblem: SendProblem): SendProblem {
  return (request, reply, code, details = {}) =>
    sendProblem(request, reply, code, {
      ...details,
      status: statusFor(code),
      challenge: BASIC_CHALLENGE,
    })
}

function statusFor(code: PublicErrorCode): NonNullable<ProblemDetails['status']> {
  switch (code) {
    // A browser would ask its user for a password that cannot help: it is the proxy that is not known.
    case 'client_unauthenticated':
      return 403
    case 'locked_out':
      return 401
    case 'busy_retry':
    case 'rate_limited':
      return 503
  }
  const { status } = catalogue[code]
  return status === 401 || status >= 500 ? (status as 401 | 500 | 503) : 403
}
