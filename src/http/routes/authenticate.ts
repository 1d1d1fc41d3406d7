import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { Secret } from '../../authentication/secret.ts'
import { canonicalAddress } from '../address.ts'
import { presentUser, UserSchema } from '../identity.ts'
import { requireJson } from '../json-body.ts'
import { login } from '../login.ts'
import type { Patience } from '../patience.ts'
import type { SendProblem } from '../problem.ts'
import { RequestFault } from '../request-fault.ts'
import { visitorOf } from '../security.ts'

/** Types only: what a name and a password may be is the core's to say, for every way in. */
const Body = Type.Object(
  {
    username: Type.String({ minLength: 1, description: '1 to 256 code points and at most 1024 bytes' }),
    password: Type.String({ minLength: 1, description: '1 to 1024 bytes, used exactly as received' }),
    client: Type.Optional(
      Type.Object(
        {
          ip: Type.Optional(Type.String({ description: 'The end user’s address; needs `assert_client_ip`' })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

const Accepted = Type.Object({
  user: UserSchema,
  warnings: Type.Array(
    Type.Object({
      code: Type.String(),
      at: Type.Optional(Type.String({ description: 'RFC 3339' })),
      remaining: Type.Optional(Type.Integer()),
    }),
  ),
})

/** POST /authenticate. */
export function authenticateRoute(
  app: FastifyInstance,
  { sendProblem, patience }: { readonly sendProblem: SendProblem; readonly patience: Patience },
): void {
  app.post<{ Body: Static<typeof Body> }>(
    '/authenticate',
    {
      schema: {
        body: Body,
        querystring: Type.Object({}, { additionalProperties: false }),
        response: { 200: Accepted },
      },
      onRequest: (request, _reply, done) => {
        requireJson(request)
        done()
      },
    },
    async (request, reply) => {
      const { username, client: endUser } = request.body
      const password = new Secret(request.body.password)
      // From here on the password exists for this request only inside the Secret.
      request.body.password = ''

      const visitor = visitorOf(request)
      const { client, address } = visitor
      if (endUser?.ip !== undefined && !client.may.has('assert_client_ip')) {
        return sendProblem(request, reply, 'client_forbidden', {
          context: { client: client.id, lacks: 'assert_client_ip' },
        })
      }

      const answer = await login(visitor, patience, {
        requestId: request.id,
        username,
        password,
        address: endUser?.ip === undefined ? address : readEndUserAddress(endUser.ip),
      })
      if ('code' in answer) return sendProblem(request, reply, answer.code, answer.details)
      return reply.send({ user: presentUser(answer.user), warnings: answer.warnings })
    },
  )
}

function readEndUserAddress(ip: string): string {
  const address = canonicalAddress(ip)
  if (address === undefined) throw new RequestFault({ pointer: '/client/ip', detail: 'not an address' })
  return address
}
