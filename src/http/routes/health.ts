import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { SendProblem } from '../problem.ts'
import type { BackendStatus, ConfigStatus, Readiness, StoreStatus } from '../readiness.ts'

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
  config: Type.Object({
    ok: Type.Boolean({ description: 'Did the last load pass? If not, the one before it is served' }),
    reason: Type.Optional(Type.String()),
    loaded_at: Type.String({ description: 'RFC 3339, of the configuration that is served' }),
    needs_restart: Type.Array(Type.String(), {
      description: 'Keys that are not as in the file, because only a restart can apply them',
    }),
  }),
  lockout_store: Type.Object(
    { ok: Type.Boolean(), reason: Type.Optional(Type.String()) },
    { description: 'Are counts kept where the configuration says?' },
  ),
  audit: Type.Optional(
    Type.Object(
      { ok: Type.Boolean(), reason: Type.Optional(Type.String()) },
      { description: 'Can the audit trail be written?' },
    ),
  ),
  backends: Type.Array(
    Type.Object({
      id: Type.String(),
      ok: Type.Boolean(),
      reason: Type.Optional(Type.String()),
      servers: Type.Optional(
        Type.Array(
          Type.Object({
            server: Type.String(),
            ok: Type.Boolean(),
            reason: Type.Optional(Type.String()),
            certificate_expires: Type.Optional(Type.String({ description: 'RFC 3339' })),
          }),
        ),
      ),
    }),
  ),
})

/** GET /readyz of the admin listener: the same status, and the reasons. */
export function readyzDetailsRoute(
  app: FastifyInstance,
  {
    readiness,
    health,
    lockoutStore,
    audit,
    config,
  }: {
    readonly readiness: () => Readiness
    readonly health: () => Promise<readonly BackendStatus[]>
    readonly lockoutStore: () => StoreStatus
    readonly audit?: () => StoreStatus
    readonly config: () => ConfigStatus
  },
): void {
  app.get('/readyz', { schema: { response: { 200: Details, 503: Details } } }, async (_request, reply) => {
    const backends = (await health()).map(presentBackend)
    const now = readiness()
    const { loadedAt, needsRestart, ...load } = config()
    return reply.code(isReady(now) ? 200 : 503).send({
      ready: isReady(now),
      phase: now.phase,
      config: { ...load, loaded_at: rfc3339(loadedAt), needs_restart: needsRestart },
      lockout_store: lockoutStore(),
      ...(audit && { audit: audit() }),
      backends,
    })
  })
}

function presentBackend({ servers, ...backend }: BackendStatus) {
  if (servers === undefined) return backend
  return {
    ...backend,
    servers: servers.map(({ certificateExpiresAt, ...server }) => ({
      ...server,
      ...(certificateExpiresAt !== undefined && { certificate_expires: rfc3339(certificateExpiresAt) }),
    })),
  }
}

function rfc3339(wallMs: number): string {
  return new Date(wallMs).toISOString()
}

function isReady({ phase, ready }: Readiness): boolean {
  return phase === 'serving' && ready
}
