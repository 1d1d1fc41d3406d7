/** From the configured backends to the links of the chain, for whoever runs a chain: the daemon, and `explain` without one. */
import type { Backend } from './authentication/backend.ts'
import type { Link } from './authentication/chain.ts'
import { systemClock } from './authentication/clock.ts'
import type { LocalUsers } from './authentication/local-users.ts'
import type { Log } from './authentication/log.ts'
import { createUsernameFilter } from './authentication/username-filter.ts'
import type { BackendConfig } from './config/config.ts'

/**
 * One backend in its place, not yet connected to anything.
 *
 * @throws Error that names the backend, when its plugin cannot make it
 */
export async function openLink(settings: BackendConfig, localUsers: LocalUsers, log: Log): Promise<Link> {
  const { id, plugin, options, timeoutMs } = settings
  try {
    const services = {
      id,
      log: log.child({ backend: id }),
      clock: systemClock,
      timeoutMs,
      localUsers,
    }
    return createLink(settings, await plugin.create(options, services))
  } catch (error) {
    throw new Error(`backend ${id}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

function createLink(settings: BackendConfig, backend: Backend): Link {
  const { on, timeoutMs, maxInFlight, deny, usernameFilter } = settings
  return {
    backend,
    on: {
      accept: on.accept,
      unknown_user: on.unknownUser,
      wrong_password: on.wrongPassword,
      unavailable: on.unavailable,
    },
    timeoutMs,
    maxInFlight,
    deny,
    usernameFilter: createUsernameFilter(usernameFilter),
  }
}

/**
 * An alias backend issues the ids of another one, which must then be there to answer for them.
 *
 * @throws Error that names the backend
 */
export function refuseStrayAliases(links: readonly Link[]): void {
  const issuers = new Set(
    links
      .filter(({ backend, deny }) => backend.issuer === undefined && !deny)
      .map(({ backend }) => backend.id),
  )
  for (const { backend } of links) {
    if (backend.issuer !== undefined && !issuers.has(backend.issuer)) {
      throw new Error(
        `backend ${backend.id}: it issues the ids of "${backend.issuer}", and no enabled backend has that id`,
      )
    }
  }
}
