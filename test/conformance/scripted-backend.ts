/** A backend that answers as a test tells it to, for what no real one says on demand. */
import type { Attempt, Outcome } from '../../src/plugin.ts'
import { type BackendPlugin, definePlugin, Type } from '../../src/plugin.ts'

/**
 * @param type the word in YAML
 * @param answer may be anything, as an author of a plugin may get it wrong
 */
export function scriptedBackend(type: string, answer: (attempt: Attempt) => unknown): BackendPlugin {
  return definePlugin({
    type,
    apiVersion: 1,
    options: Type.Object({}),
    async create(_options, { id }) {
      return {
        id,
        authenticate: async attempt => (await answer(attempt)) as Outcome,
        getUser: async () => undefined,
        probe: async () => ({ ok: true }),
        async close() {},
      }
    },
  })
}
