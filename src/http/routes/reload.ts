import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { SendAdminProblem } from '../problem.ts'

/** Takes the configuration on disk, or says why not. Never rejects. */
export type Reload = () => Promise<
  | { readonly outcome: 'reloaded'; readonly needsRestart: readonly string[] }
  | { readonly outcome: 'refused'; readonly reasons: readonly string[] }
>

const Reloaded = Type.Object({
  needs_restart: Type.Array(Type.String(), {
    description: 'Changed keys that only a restart can apply; everything else is applied',
  }),
})

/** POST /admin/reload of the admin listener: answers when the new configuration serves, or is refused. */
export function reloadRoute(
  app: FastifyInstance,
  { reload, sendProblem }: { readonly reload: Reload; readonly sendProblem: SendAdminProblem },
): void {
  app.post('/admin/reload', { schema: { response: { 200: Reloaded } } }, async (request, reply) => {
    const result = await reload()
    if (result.outcome === 'reloaded') return reply.send({ needs_restart: result.needsRestart })
    return sendProblem(request, reply, 'config_refused', {
      errors: result.reasons.map(detail => ({ detail })),
    })
  })
}
