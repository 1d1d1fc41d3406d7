import {
  type Attempt,
  type BackendPlugin,
  definePlugin,
  type Outcome,
  Type,
  type User,
} from '../../src/plugin.ts'

/** A backend that answers as it is told, for answers that no real one gives on demand. */
export function scripted(
  authenticate: (attempt: Attempt) => Promise<Outcome>,
  getUser: (id: string) => Promise<User | undefined> = async () => undefined,
): BackendPlugin {
  return definePlugin({
    type: 'scripted',
    apiVersion: 1,
    options: Type.Object({}),
    create: async (_options, { id }) => ({
      id,
      authenticate,
      getUser,
      probe: async () => ({ ok: true }),
      async close() {},
    }),
  })
}
