/** A process of its own: the least that Fastify can do for a login, and still read and answer the same JSON. Says its port. */
import Fastify from 'fastify'

/** What the daemon answers to whoever is locked out, with the same headers. */
const BODY = {
  type: 'urn:gatehouse:error:locked_out',
  title: 'Too many failed logins',
  status: 429,
  code: 'locked_out',
  request_id: '00000000-0000-4000-8000-000000000000',
}
const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-request-id': BODY.request_id,
  'retry-after': '300',
  'content-type': 'application/problem+json; charset=utf-8',
}
const text = { type: 'string' } as const
const schema = {
  body: {
    type: 'object',
    required: ['username', 'password'],
    properties: { username: text, password: text },
  },
  response: {
    429: {
      type: 'object',
      properties: { type: text, title: text, status: { type: 'integer' }, code: text, request_id: text },
    },
  },
}

const app = Fastify()
app.post('/authenticate', { schema }, async (_request, reply) => reply.code(429).headers(HEADERS).send(BODY))
await app.listen({ host: '127.0.0.1', port: 0 })
const at = app.server.address()
process.send?.(typeof at === 'object' ? at?.port : at)
