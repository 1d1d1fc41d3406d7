import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { MAX_STABLE_ID } from '../../authentication/outcome-shape.ts'
import { presentUser, UserSchema } from '../identity.ts'
import type { Patience } from '../patience.ts'
import type { SendProblem } from '../problem.ts'
import { answerLookup } from '../reply.ts'
import { visitorOf } from '../security.ts'

/** The longest id that can have been given out: a backend's, a colon, and that of a person. */
const MAX_ID_LENGTH = 64 + 1 + MAX_STABLE_ID

const Query = Type.Object(
  { include: Type.Optional(Type.Literal('unusable')) },
  { additionalProperties: false },
)

const Found = Type.Object({
  user: UserSchema,
  usable: Type.Optional(Type.Boolean({ description: 'Only with `include=unusable`' })),
  state: Type.Optional(Type.String({ description: 'Why the account may not log in' })),
})

/** GET /users/{id}: the seed's `get_user`. */
export function usersRoute(
  app: FastifyInstance,
  { sendProblem, patience }: { readonly sendProblem: SendProblem; readonly patience: Patience },
): void {
  app.get<{ Params: { readonly id: string }; Querystring: Static<typeof Query> }>(
    '/users/:id',
    { schema: { querystring: Query, response: { 200: Found } } },
    async (request, reply) => {
      const { client, service } = visitorOf(request)
      const showUnusable = request.query.include === 'unusable'
      if (showUnusable && !client.may.has('reveal_account_state')) {
        return sendProblem(request, reply, 'client_forbidden', {
          context: { client: client.id, lacks: 'reveal_account_state' },
        })
      }
      const { id } = request.params
      if (id.length > MAX_ID_LENGTH) return sendProblem(request, reply, 'user_not_found')

      const answer = answerLookup(await patience.wait(() => service.getUser(id, client)), showUnusable)
      if ('code' in answer) return sendProblem(request, reply, answer.code, answer.details)
      const { user } = answer
      return reply.send({
        user: presentUser(user),
        ...(showUnusable && { usable: user.state === undefined, state: user.state }),
      })
    },
  )
}
