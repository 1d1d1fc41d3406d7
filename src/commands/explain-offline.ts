import type { Link } from '../authentication/chain.ts'
import { systemClock } from '../authentication/clock.ts'
import type { ExplainRequest, Explanation } from '../authentication/explanation.ts'
import type { Log } from '../authentication/log.ts'
import { createRefusedAccounts } from '../authentication/refused-accounts.ts'
import { createUsernameNormaliser } from '../authentication/username.ts'
import type { Config } from '../config/config.ts'
import { createExplainer } from '../explainer.ts'
import { closeBackend, openLink } from '../links.ts'
import { openUsersToLook } from '../users/users-to-look.ts'
import { CommandFailure } from './failure.ts'

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
  const parts = { users, refusedAccounts: createRefusedAccounts(systemClock), log }
  const links: Link[] = []
  for (const settings of config.backends.filter(({ enabled }) => enabled)) {
    const link = await openLink(settings, parts)
    opened.defer(() => closeBackend(link.backend, log))
    links.push(link)
  }
  const normalise = createUsernameNormaliser(links.flatMap(({ backend }) => backend.realm ?? []))
  const { explain, callerOf } = createExplainer(config, { links, normalise, log })
  const caller = callerOf(client)
  if (caller === undefined) throw new CommandFailure(`no client has the id ${JSON.stringify(client)}`)
  return await explain({ ...request, caller })
}
