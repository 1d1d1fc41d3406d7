import { definePlugin, Type } from '../../plugin.ts'

/** The daemon's own users, by username. Whom a name finds and what it costs is decided in users/local-users.ts. */
export const localPlugin = definePlugin({
  type: 'local',
  apiVersion: 1,
  options: Type.Object({}, { description: 'The local users, by username.' }),

  async create(_options, { id, localUsers }) {
    return {
      id,
      authenticate: attempt => localUsers.authenticateByUsername(attempt.username.typed, attempt),
      getUser: async userId => localUsers.getUser(userId),
      probe: async () => localUsers.probe(),
      // The user store is the daemon's and outlives any one chain.
      async close() {},
    }
  },
})
