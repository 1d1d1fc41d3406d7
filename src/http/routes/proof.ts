import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { Secret } from '../../authentication/secret.ts'
import { proveToken } from '../admin-proof.ts'

const Query = Type.Object(
  { nonce: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$', description: '256 random bits in base64url' }) },
  { additionalProperties: false },
)

/** GET /admin/proof of the admin listener: that this is the daemon whose token the asker has. */
export function proofRoute(app: FastifyInstance, token: Secret): void {
  app.get<{ Querystring: Static<typeof Query> }>(
    '/admin/proof',
    { schema: { querystring: Query, response: { 200: Type.Object({ proof: Type.String() }) } } },
    async ({ query, raw }) => {
      // From the socket: a header is whatever the asker says.
      const { localAddress: address = '', localPort: port = 0 } = raw.socket
      return { proof: proveToken(token, query.nonce, { address, port }) }
    },
  )
}
