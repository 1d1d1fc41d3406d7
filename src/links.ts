/** From the configured backends to the links of the chain, for whoever runs a chain: the daemon, and `explain` without one. */
import type { Backend } from './authentication/backend.ts'
import { asBackend } from './authentication/backend-shape.ts'
import type { Link } from './authentication/chain.ts'
import { systemClock } from './authentication/clock.ts'
import { TIMED_OUT, withDeadline } from './authentication/deadline.ts'
import type { LocalUsers } from './authentication/local-users.ts'
import type { Log } from './authentication/log.ts'
import type { RefusedAccounts } from './authentication/refused-accounts.ts'
import { readThrown } from './authentication/thrown.ts'
import { createUsernameFilter } from './authentication/username-filter.ts'
import type { BackendConfig } from './config/config.ts'
import type { BackendServices } from './plugin.ts'

/** What backends are given, whichever configuration they are of. */
export interface LinkParts {
  readonly users: LocalUsers
  readonly refusedAccounts: RefusedAccounts
  readonly log: Log
}

/** A plugin that hangs must not stop a start, a reload or the end for ever, in milliseconds. */
const CREATE_MS = 10_000
const CLOSE_MS = 5_000

/**
 * One backend in its place, not yet connected to anything.
 *
 * @throws Error that names the backend, when its plugin cannot make it, or not within ten seconds
 */
export async function openLink(settings: BackendConfig, parts: LinkParts): Promise<Link> {
  const { id, plugin, options } = settings
  let late = false
  try {
    const backend = await withDeadline(CREATE_MS, async () => {
      const made = await plugin.create(options, servicesFor(settings, parts))
      if (late) await closeBackend(made, parts.log)
      return made
    })
    if (backend !== TIMED_OUT) return createLink(settings, asBackend(backend, id))
    late = true
    throw new Error(`its plugin has not made it within ${CREATE_MS / 1000} s`)
  } catch (thrown) {
    const cause = readThrown(thrown)
    throw new Error(`backend ${id}: ${cause.message}`, { cause })
  }
}

export function servicesFor({ id, timeoutMs }: BackendConfig, parts: LinkParts): BackendServices {
  const { users: localUsers, refusedAccounts, log } = parts
  return { id, log: log.child({ backend: id }), clock: systemClock, timeoutMs, localUsers, refusedAccounts }
}

/** Never rejects, and never takes longer than five seconds. */
export async function closeBackend(backend: Backend, log: Log): Promise<void> {
  const { id } = backend
  try {
    const done = await withDeadline(CLOSE_MS, async () => backend.close())
    if (done === TIMED_OUT) log.error({ backend: id }, 'the backend does not close')
  } catch (error) {
    log.error({ backend: id, err: readThrown(error) }, 'the backend threw while it closed')
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
