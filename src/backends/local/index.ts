import {
  definePlugin,
  type Finding,
  type LocalUsers,
  type Look,
  stateInWords,
  Type,
  UnavailableError,
  type User,
  type Username,
} from '../../plugin.ts'

/** The daemon's own users, by username. Whom a name finds and what it costs is decided in users/local-users.ts. */
export const localPlugin = definePlugin({
  type: 'local',
  apiVersion: 1,
  options: Type.Object({}, { description: 'The local users, by username.' }),

  async *examine(_options, { localUsers }, { user, username }) {
    const count = countUsers(localUsers)
    yield count
    if (user !== undefined && count.status !== 'fail') yield findUser(localUsers, user, username)
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

/** Somebody who was asked for. */
function findUser(localUsers: LocalUsers, user: string, username: Username | undefined): Finding {
  const check = `user ${user}`
  const found = localUsers.findByUsername(username?.typed ?? user)
  if (found === undefined) {
    const advice = 'is the name right? `gatehouse user list` shows them'
    return { status: 'fail', check, detail: 'no local user has this name', advice, user: 'missing' }
  }
  const detail = `id ${found.id}, name ${found.username}`
  if (found.state === undefined) return { status: 'ok', check, detail, user: 'found' }
  const advice = `\`gatehouse user enable ${found.username}\` lets them in again`
  return { status: 'warn', check, detail: `${detail}, ${stateInWords(found.state)}`, advice, user: 'found' }
}
