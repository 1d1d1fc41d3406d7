import type { FastifyInstance } from 'fastify'
import { takeBasic } from '../basic.ts'
import { presentIdentity } from '../identity-headers.ts'
import { login } from '../login.ts'
import type { Patience } from '../patience.ts'
import type { SendProblem } from '../problem.ts'
import { visitorOf } from '../security.ts'

/**
 * GET /auth: a reverse proxy asks before each request whether to let it through (docs/forward-auth.md).
 *
 * Its query is whatever the end user asked the app behind the proxy for, and says nothing here.
 */
export function authRoute(
  app: FastifyInstance,
  { sendProblem, patience }: { readonly sendProblem: SendProblem; readonly patience: Patience },
): void {
  app.get('/auth', async (request, reply) => {
    const basic = takeBasic(request.raw)
    if (basic.read === 'absent') return sendProblem(request, reply, 'credentials_required')
    if (basic.read === 'unreadable') {
      const errors = [{ header: 'authorization', detail: basic.problem }]
      return sendProblem(request, reply, 'credentials_required', { errors })
    }
    const visitor = visitorOf(request)
    const attempt = { requestId: request.id, ...basic.credentials, address: visitor.address }
    const answer = await login(visitor, patience, attempt)
    if ('code' in answer) {
      // A name or a password that cannot be one: whoever typed it is asked again, like after any other that is wrong.
      const code = answer.code === 'invalid_request' ? 'invalid_credentials' : answer.code
      return sendProblem(request, reply, code, code === answer.code ? answer.details : {})
    }
    const headers = presentIdentity(answer.user)
    if (headers === undefined) {
      return sendProblem(request, reply, 'identity_too_large', { context: { user: answer.user.id } })
    }
    return reply.headers(headers).send()
  })
}
