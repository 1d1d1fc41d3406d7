import {
  definePlugin,
  type Finding,
  type LocalUsers,
  type Look,
  Type,
  UnavailableError,
  type User,
} from '../../plugin.ts'

/** The daemon's own users, by username. Whom a name finds and what it costs is decided in users/local-users.ts. */
export const localPlugin = definePlugin({
  type: 'local',
  apiVersion: 1,
  options: Type.Object({}, { description: 'The local users, by username.' }),

  async *examine(_options, { localUsers }) {
    yield countUsers(localUsers)
  },

  async create(_options, { id, localUsers }) {
    return {
      id,
      authenticate(attempt) {
        const { typed } = attempt.username
        attempt.note?.({ what: 'looked for', value: `username ${typed}` })
        return localUsers.authenticateByUsername(typed, attempt)
      },
      async look({ typed }, _signal, note) {
        note({ what: 'looked for', value: `username ${typed}` })
        return lookOf(localUsers.findByUsername(typed))
      },
      getUser: async userId => localUsers.getUser(userId),
      probe: async () => localUsers.probe(),
      // The user store is the daemon's and outlives any one chain.
      async close() {},
    }
  },
})

function lookOf(user: User | undefined): Look {
  if (user === undefined) return { found: 'none' }
  return { found: 'one', user, ...(user.state && { state: user.state }) }
}

function countUsers(localUsers: LocalUsers): Finding {
  const check = 'local users'
  try {
    const { all } = localUsers.count()
    if (all > 0) return { status: 'ok', check, detail: `${all} in the database` }
    return {
      status: 'warn',
      check,
      detail: 'there are none, so nobody can log in here',
      advice: 'add one with `gatehouse user add`; the first start of the daemon makes `admin`',
    }
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error
    return { status: 'fail', check, detail: error.message, advice: 'mend or restore the database' }
  }
}
