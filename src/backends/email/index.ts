import {
  definePlugin,
  type Finding,
  type LocalUsers,
  stateInWords,
  Type,
  UnavailableError,
  type Username,
} from '../../plugin.ts'

/**
 * The daemon's own users, by e-mail address: another way to find the same people. It issues the ids of the `local`
 * backend, so that a name and an address share one account and one lockout (chain.md, Identity), and none of its own.
 */
export const emailPlugin = definePlugin({
  type: 'email',
  apiVersion: 1,
  options: Type.Object(
    {
      users: Type.Optional(
        Type.String({
          default: 'local',
          minLength: 1,
          description: 'The id of the backend of type `local` whose ids the users get.',
        }),
      ),
    },
    { description: 'The local users, by e-mail address.' },
  ),

  check: (backends, chain) =>
    backends.flatMap(({ options: { users = 'local' } }, backend) =>
      chain.some(({ id, type, deny }) => id === users && type === 'local' && !deny)
        ? []
        : [
            {
              backend,
              pointer: '/users',
              message: `no enabled backend of type \`local\` has the id \`${users}\``,
              hint: 'this one finds its users, so add it: `- { id: local, type: local }`',
              severity: 'error' as const,
            },
          ],
    ),

  async *examine({ users = 'local' }, { localUsers }, { user, username }) {
    const check = `users of \`${users}\` by e-mail address`
    try {
      const { withEmail } = localUsers.count()
      const none = 'nobody has an address, so nobody can log in here'
      yield withEmail > 0
        ? { status: 'ok', check, detail: `${withEmail} with an address` }
        : { status: 'warn', check, detail: none, advice: 'give one with `gatehouse user add … --email`' }
      if (user !== undefined) yield findUser(localUsers, user, username)
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      yield { status: 'fail', check, detail: error.message, advice: 'mend or restore the database' }
    }
  },

  async create({ users = 'local' }, { id, localUsers }) {
    return {
      id,
      issuer: users,
      authenticate(attempt) {
        const { typed } = attempt.username
        attempt.note?.({ what: 'looked for', value: `address ${typed}` })
        return localUsers.authenticateByEmail(typed, attempt)
      },
      async look({ typed }, _signal, note) {
        note({ what: 'looked for', value: `address ${typed}` })
        const user = localUsers.findByEmail(typed)
        if (user === undefined) return { found: 'none' }
        return { found: 'one', user, ...(user.state && { state: user.state }) }
      },
      getUser: async () => undefined,
      probe: async () => localUsers.probe(),
      // The user store is the daemon's and outlives any one chain.
      async close() {},
    }
  },
})

/** Somebody who was asked for. */
function findUser(localUsers: LocalUsers, user: string, username: Username | undefined): Finding {
  const check = `user ${user}`
  const found = localUsers.findByEmail(username?.typed ?? user)
  if (found === undefined) {
    const advice = 'is the address right? `gatehouse user list` shows them'
    return { status: 'fail', check, detail: 'no local user has this address', advice, user: 'missing' }
  }
  const detail = `id ${found.id}, name ${found.username}`
  if (found.state === undefined) return { status: 'ok', check, detail, user: 'found' }
  const advice = `\`gatehouse user enable ${found.username}\` lets them in again`
  return { status: 'warn', check, detail: `${detail}, ${stateInWords(found.state)}`, advice, user: 'found' }
}
