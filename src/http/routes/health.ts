import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { SendProblem } from '../problem.ts'
import type { BackendStatus, Readiness } from '../readiness.ts'

const Alive = Type.Object({ status: Type.Literal('ok') })

/** GET /livez: 200 while the process can answer, whatever the directories do (faults.md F40). */
export function livezRoute(app: FastifyInstance): void {
  app.get('/livez', { schema: { response: { 200: Alive } } }, async () => ({ status: 'ok' }))
}

/** GET /readyz of the public listener: no reasons, and it never asks a backend. */
export function readyzRoute(
  app: FastifyInstance,
  { readiness, sendProblem }: { readonly readiness: () => Readiness; readonly sendProblem: SendProblem },
): void {
  app.get('/readyz', { schema: { response: { 200: Alive } } }, async (request, reply) => {
    return isReady(readiness())
      ? { status: 'ok' }
      : sendProblem(request, reply, 'not_ready', { retryAfterMs: 1000 })
  })
}

const Details = Type.Object({
  ready: Type.Boolean(),
  phase: Type.String(),
  backends: Type.Array(
    Type.Object({ id: Type.String(), ok: Type.Boolean(), reason: Type.Optional(Type.String()) }),
  ),
})

/** GET /readyz of the admin listener: the same status, and the reasons. */
export function readyzDetailsRoute(
  app: FastifyInstance,
  {
    readiness,
    health,
  }: { readonly readiness: () => Readiness; readonly health: () => Promise<readonly BackendStatus[]> },
): void {
  app.get('/readyz', { schema: { response: { 200: Details, 503: Details } } }, async (_request, reply) => {
    const now = readiness()
    return reply
      .code(isReady(now) ? 200 : 503)
      .send({ ready: isReady(now), phase: now.phase, backends: await health() })
  })
}

function isReady({ phase, ready }: Readiness): boolean {
  return phase === 'serving' && ready
}
