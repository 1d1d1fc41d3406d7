import { errorCodes, type FastifyReply, type FastifyRequest } from 'fastify'
import { UnavailableError } from '../authentication/outcome.ts'
import { UnsupportedMediaType } from './json-body.ts'
import type { SendAdminProblem, SendProblem } from './problem.ts'
import { RequestFault } from './request-fault.ts'

/** Makes the one place where what was thrown becomes a reply. What is not known here is our own mistake. */
export function createErrorHandler(sendProblem: SendProblem) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    // The body broke off, so nobody is there to be answered; if it was for its framing, that has been said.
    if (request.raw.errored !== null && !request.raw.complete) return reply.hijack()
    if (error instanceof RequestFault) {
      return sendProblem(request, reply, 'invalid_request', { errors: error.faults })
    }
    if (error instanceof UnsupportedMediaType || error instanceof errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE) {
      return sendProblem(request, reply, 'unsupported_media_type')
    }
    if (error instanceof errorCodes.FST_ERR_CTP_BODY_TOO_LARGE) {
      const errors = [{ pointer: '', detail: 'too large' }]
      return sendProblem(request, reply, 'invalid_request', { status: 413, errors })
    }
    if (error instanceof errorCodes.FST_ERR_BAD_URL) {
      const errors = [{ detail: 'the path is not well encoded' }]
      return sendProblem(request, reply, 'invalid_request', { errors })
    }
    return sendProblem(request, reply, 'internal_error', { context: { err: error } })
  }
}

/** When an operator may ask again for what is out, in milliseconds. */
const RETRY_OUTAGE_MS = 5_000

/** Before the other, for operators only, who are told what is out. */
export function createOutageHandler(sendProblem: SendAdminProblem) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    if (!(error instanceof UnavailableError)) throw error
    const errors = [{ detail: error.message }]
    return sendProblem(request, reply, 'backend_unavailable', { retryAfterMs: RETRY_OUTAGE_MS, errors })
  }
}
