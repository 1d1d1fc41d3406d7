import { existsSync } from 'node:fs'
import { systemClock } from '../authentication/clock.ts'
import type { ExplainRequest, Explanation } from '../authentication/explanation.ts'
import type { LocalUsers } from '../authentication/local-users.ts'
import type { Log } from '../authentication/log.ts'
import { UnavailableError } from '../authentication/outcome.ts'
import { createUsernameNormaliser } from '../authentication/username.ts'
import type { Config } from '../config/config.ts'
import { createExplainer } from '../explainer.ts'
import { openLink } from '../links.ts'
import { DatabaseError, openDatabase } from '../users/database.ts'
import { createLocalUsers } from '../users/local-users.ts'
import { usersOutOfOrder } from '../users/out-of-order.ts'
import { createUserStore } from '../users/store.ts'
import { CommandFailure } from './failure.ts'

const BUSY_TIMEOUT_MS = 5_000

/**
 * Looks for a login's person without a daemon: the same backends, and no memory of failures.
 *
 * @throws CommandFailure for a client that is not configured
 */
export async function explainOffline(
  config: Config,
  request: Omit<ExplainRequest, 'caller' | 'password'>,
  client: string | undefined,
  log: Log,
): Promise<Explanation> {
  await using opened = new AsyncDisposableStack()
  const users = openUsersToLook(config.database, log, opened)
  const links = await Promise.all(
    config.backends
      .filter(({ enabled }) => enabled)
      .map(async settings => {
        const link = await openLink(settings, users, log)
        opened.defer(() => link.backend.close())
        return link
      }),
  )
  const normalise = createUsernameNormaliser(links.flatMap(({ backend }) => backend.realm ?? []))
  const { explain, callerOf } = createExplainer(config, { links, normalise, log })
  const caller = callerOf(client)
  if (caller === undefined) throw new CommandFailure(`no client has the id ${JSON.stringify(client)}`)
  return await explain({ ...request, caller })
}

/** The local users for those who only look: no password is ever verified, and no database made where there is none. */
export function openUsersToLook(
  database: string,
  log: Pick<Log, 'warn'>,
  opened: AsyncDisposableStack,
): LocalUsers {
  if (!existsSync(database)) return usersOutOfOrder(`there is no database at ${database} yet`)
  const refuse = () => Promise.reject(new UnavailableError('only a daemon verifies passwords', 'hash'))
  try {
    const open = openDatabase(database, { log, busyTimeoutMs: BUSY_TIMEOUT_MS })
    opened.defer(() => void open.close())
    return createLocalUsers({
      store: createUserStore({ database: open, normalise: createUsernameNormaliser([]), clock: systemClock }),
      passwords: { hash: refuse, verify: refuse },
      log,
    })
  } catch (error) {
    if (!(error instanceof DatabaseError || error instanceof UnavailableError)) throw error
    return usersOutOfOrder(error.message)
  }
}
