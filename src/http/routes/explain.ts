import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { Caller } from '../../authentication/caller.ts'
import type { Explain } from '../../authentication/explanation.ts'
import { Secret } from '../../authentication/secret.ts'
import { canonicalAddress } from '../address.ts'
import { presentExplanation } from '../explanation.ts'
import { requireJson } from '../json-body.ts'
import type { Patience } from '../patience.ts'
import { RequestFault } from '../request-fault.ts'

/** How logins are explained under one configuration; a reload swaps it whole. */
export interface Explainer {
  readonly explain: Explain
  /** The operator, seeing through the eyes of this client or, without one, of an app that may everything. */
  callerOf(client: string | undefined): Caller | undefined
}

const Body = Type.Object(
  {
    username: Type.String({ minLength: 1, description: 'As typed; 1 to 256 code points' }),
    password: Type.Optional(
      Type.String({ minLength: 1, description: 'Really tried, and counted like any attempt' }),
    ),
    client: Type.Optional(Type.String({ minLength: 1, description: 'Id of the app to see it for' })),
    from: Type.Optional(Type.String({ description: 'The end user’s address; 127.0.0.1 without it' })),
  },
  { additionalProperties: false },
)

/** POST /admin/explain of the admin listener: one login, step by step. */
export function explainRoute(
  app: FastifyInstance,
  { explainer, patience }: { readonly explainer: () => Explainer; readonly patience: Patience },
): void {
  app.post<{ Body: Static<typeof Body> }>(
    '/admin/explain',
    {
      schema: { body: Body, querystring: Type.Object({}, { additionalProperties: false }) },
      onRequest: (request, _reply, done) => {
        requireJson(request)
        done()
      },
    },
    async (request, reply) => {
      const { username, client, from = '127.0.0.1' } = request.body
      const password = request.body.password === undefined ? undefined : new Secret(request.body.password)
      // From here on the password exists for this request only inside the Secret.
      request.body.password = ''
      const { explain, callerOf } = explainer()
      const caller = callerOf(client)
      if (caller === undefined)
        throw new RequestFault({ pointer: '/client', detail: 'no client has this id' })
      const address = canonicalAddress(from)
      if (address === undefined) throw new RequestFault({ pointer: '/from', detail: 'not an address' })
      const explanation = await patience.wait(() =>
        explain({ requestId: request.id, username, ...(password && { password }), address, caller }),
      )
      return reply.send(presentExplanation(explanation))
    },
  )
}
