import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { Secret } from '../../authentication/secret.ts'
import { proveToken } from '../admin-proof.ts'

const Query = Type.Object(
  { nonce: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$', description: '256 random bits in base64url' }) },
  { additionalProperties: false },
)

/** GET /proof of the admin listener: that this is the daemon whose token the asker has. */
export function proofRoute(app: FastifyInstance, token: Secret): void {
  app.get<{ Querystring: Static<typeof Query> }>(
    '/proof',
    { schema: { querystring: Query, response: { 200: Type.Object({ proof: Type.String() }) } } },
    async ({ query, raw }) => ({ proof: proveToken(token, query.nonce, raw.socket.localPort ?? 0) }),
  )
}
