/**
 * The composition root: configuration → running daemon. Every room is made here and handed what it needs; nothing
 * below this file knows more than its own part (docs/architecture.md).
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createAuthenticate } from './authentication/authenticate.ts'
import type { Backend } from './authentication/backend.ts'
import { createChain, type Link } from './authentication/chain.ts'
import { systemClock } from './authentication/clock.ts'
import { createGetUser } from './authentication/get-user.ts'
import { watchHealth } from './authentication/health.ts'
import type { LocalUsers } from './authentication/local-users.ts'
import type { Log } from './authentication/log.ts'
import { UnavailableError } from './authentication/outcome.ts'
import { createUsernameNormaliser } from './authentication/username.ts'
import { createUsernameFilter } from './authentication/username-filter.ts'
import type { BackendConfig, ClientConfig, Config } from './config/config.ts'
import type { Client, ClientCredential } from './http/clients.ts'
import type { Readiness } from './http/readiness.ts'
import { createAdminServer, createPublicServer } from './http/server.ts'
import { createLockout } from './lockout/lockout.ts'
import { createAttemptLog } from './observe/attempt-log.ts'
import { createPasswordHasher } from './passwords/hasher.ts'
import { DatabaseError, installationSecret, openDatabase } from './users/database.ts'
import { ensureFirstAdmin, type FirstAdmin } from './users/first-admin.ts'
import { createLocalUsers } from './users/local-users.ts'
import { createUserStore } from './users/store.ts'

export interface App {
  /** Where the public listener is, such as `http://127.0.0.1:8470`. */
  readonly publicUrl: string
  readonly adminUrl: string
  /** Made where there had never been a user; its password is stored nowhere. */
  readonly firstAdmin?: FirstAdmin
  /** Readiness goes red, attempts in flight finish, directories are unbound from. Idempotent. */
  stop(): Promise<void>
}

/** From the deadline of an attempt to the last resort that answers its request anyway, in milliseconds. */
const ANSWER_MARGIN_MS = 5_000
/** What attempts in flight get at the end, in milliseconds: the daemon is gone within ten seconds. */
const LONGEST_DRAIN_MS = 9_000

/**
 * Starts the daemon. A directory or a database that is out does not keep it from starting: it answers 503 for them.
 *
 * @throws Error when the configuration cannot work here (a port in use, an unreadable certificate, a plugin that fails);
 *   what was opened is closed again
 */
export async function startApp(config: Config, log: Log): Promise<App> {
  await using opened = new AsyncDisposableStack()
  const { users, secret, firstAdmin } = await openUsers(config, log, opened)

  const links: Link[] = []
  for (const settings of config.backends.filter(({ enabled }) => enabled)) {
    const backend = await createBackend(settings, users, log)
    opened.defer(() => backend.close())
    links.push(createLink(settings, backend))
  }
  refuseStrayAliases(links)

  const health = watchHealth(links, log)
  opened.defer(health.stop)
  let phase: Readiness['phase'] = 'starting'
  const readiness = () => ({ phase, ready: health.latest().ready })

  const authenticate = createAuthenticate({
    chain: createChain(links, config.deadlineMs, systemClock),
    lockout: createLockout({ settings: config.lockout, secret, clock: systemClock, log }),
    normalise: createUsernameNormaliser(links.flatMap(({ backend }) => backend.realm ?? [])),
    clock: systemClock,
    log,
    onAttempt: createAttemptLog(log, secret),
  })

  const publicServer = createPublicServer({
    authenticate,
    getUser: createGetUser(links, log),
    readiness,
    clients: config.clients.length === 0 ? 'anonymous' : config.clients.map(createClient),
    trustedProxies: config.trustedProxies,
    ...(config.listen.tls !== undefined && { tls: readTls(config.listen.tls) }),
    clock: systemClock,
    limits: {
      answerMs: config.deadlineMs + ANSWER_MARGIN_MS,
      drainMs: Math.min(config.deadlineMs, LONGEST_DRAIN_MS),
    },
    log,
  })
  const adminServer = createAdminServer({
    readiness,
    health: async () => (await health.check()).backends,
    log,
  })
  opened.defer(() => adminServer.close())
  opened.defer(() => publicServer.close())
  await adminServer.listen({ ...config.admin })
  await publicServer.listen({ host: config.listen.host, port: config.listen.port })
  phase = 'serving'
  opened.defer(() => {
    phase = 'stopping'
  })

  const running = opened.move()
  let stopping: Promise<void> | undefined
  return {
    publicUrl: urlOf(publicServer.server.address(), config.listen.tls !== undefined),
    adminUrl: urlOf(adminServer.server.address(), false),
    ...(firstAdmin !== undefined && { firstAdmin }),
    stop() {
      stopping ??= running.disposeAsync()
      return stopping
    },
  }
}

interface Users {
  readonly users: LocalUsers
  /** The root of this installation's HMAC keys. */
  readonly secret: Uint8Array
  readonly firstAdmin?: FirstAdmin | undefined
}

/** A database that cannot be used is an outage of the local users, not of everybody else (faults.md F26). */
async function openUsers(config: Config, log: Log, opened: AsyncDisposableStack): Promise<Users> {
  try {
    const database = openDatabase(config.database, { log })
    opened.defer(() => void database.close())
    const passwords = createPasswordHasher()
    opened.defer(passwords.close)
    const store = createUserStore({ database, normalise: createUsernameNormaliser([]), clock: systemClock })
    return {
      users: createLocalUsers({ store, passwords, log }),
      secret: installationSecret(database),
      firstAdmin: await ensureFirstAdmin({ store, passwords }),
    }
  } catch (error) {
    if (!(error instanceof DatabaseError || error instanceof UnavailableError)) throw error
    log.error(
      { reason: error.message },
      'there are no local users until the database is mended and this is restarted',
    )
    return { users: usersOutOfOrder(error.message), secret: randomBytes(32) }
  }
}

function usersOutOfOrder(cause: string): LocalUsers {
  const answer = async () =>
    ({ outcome: 'unavailable', cause, phase: 'lookup', credentialSent: false }) as const
  return {
    authenticateByUsername: answer,
    authenticateByEmail: answer,
    getUser() {
      throw new UnavailableError(cause, 'lookup')
    },
    probe: () => ({ ok: false, reason: cause }),
  }
}

async function createBackend(settings: BackendConfig, localUsers: LocalUsers, log: Log): Promise<Backend> {
  const { id, plugin, options, timeoutMs } = settings
  try {
    return await plugin.create(options, {
      id,
      log: log.child({ backend: id }),
      clock: systemClock,
      timeoutMs,
      localUsers,
    })
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

/** An alias backend issues the ids of another one, which must then be there to answer for them. */
function refuseStrayAliases(links: readonly Link[]): void {
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

function createClient(settings: ClientConfig): Client {
  const { id, identity, may, backends, requiredGroups, attributes, rateLimit } = settings
  return {
    id,
    credential: credentialOf(identity),
    may: new Set(may),
    requiredGroups,
    ...(backends !== undefined && { backends: new Set(backends) }),
    ...(attributes !== undefined && { attributes: new Set(attributes) }),
    ...(rateLimit !== undefined && { rateLimit }),
  }
}

function credentialOf(identity: ClientConfig['identity']): ClientCredential {
  switch (identity.by) {
    case 'key':
      return { kind: 'key', sha256: identity.sha256 }
    case 'tls_subject':
      return { kind: 'tls', subject: identity.subject }
    case 'cidr':
      return { kind: 'cidr', cidr: identity.cidr }
  }
}

function readTls({ certFile, keyFile, clientCaFile }: NonNullable<Config['listen']['tls']>) {
  return {
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
    ...(clientCaFile !== undefined && { clientCa: readFileSync(clientCaFile) }),
  }
}

function urlOf(address: AddressInfo | string | null, tls: boolean): string {
  if (address === null || typeof address === 'string') throw new Error('the listener has no address')
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${tls ? 'https' : 'http'}://${host}:${address.port}`
}
