/**
 * The composition root: configuration → running daemon. Every room is made here and handed what it needs; nothing
 * below this file knows more than its own part (docs/architecture.md).
 */
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createAudit } from './audit.ts'
import { systemClock } from './authentication/clock.ts'
import type { LocalUsers } from './authentication/local-users.ts'
import type { Log } from './authentication/log.ts'
import { UnavailableError } from './authentication/outcome.ts'
import { createPasswordTag } from './authentication/password-tag.ts'
import { createRefusedAccounts } from './authentication/refused-accounts.ts'
import { createRelease } from './authentication/release.ts'
import { createUserHash } from './authentication/user-hash.ts'
import { createUsernameNormaliser } from './authentication/username.ts'
import type { Config } from './config/config.ts'
import { adminTokenFile, createAdminToken, publishAdminToken } from './http/admin-token.ts'
import { listenAt } from './http/listen.ts'
import type { Readiness } from './http/readiness.ts'
import { createAdminServer, createPublicServer, renewTls } from './http/server.ts'
import { createGuessMemory } from './lockout/guess-memory.ts'
import { createLockout } from './lockout/lockout.ts'
import { openLockoutStore } from './lockout-store.ts'
import { createAttemptLog } from './observe/attempt-log.ts'
import { watchEventLoop } from './observe/loop-watch.ts'
import { createMetrics } from './observe/metrics.ts'
import { createSprayWatch } from './observe/spray-watch.ts'
import { createPasswordHasher } from './passwords/hasher.ts'
import { createReloader, type Load, type ReloadResult } from './reload.ts'
import { openRuntime, type Runtime } from './runtime.ts'
import { DatabaseError, installationSecret, openDatabase } from './users/database.ts'
import { type FirstAdmin, prepareFirstAdmin } from './users/first-admin.ts'
import { createLocalUsers } from './users/local-users.ts'
import { usersOutOfOrder } from './users/out-of-order.ts'
import { createUserStore } from './users/store.ts'

export interface App {
  /** Where the public listener is, such as `http://127.0.0.1:8470`. */
  readonly publicUrl: string
  readonly adminUrl: string
  /** Made where there had never been a user; its password is stored nowhere. */
  readonly firstAdmin?: FirstAdmin
  /** Reads the configuration anew and takes it, or says why not. Never rejects. */
  reload(): Promise<ReloadResult>
  /** Readiness goes red, attempts in flight finish, directories are unbound from. Idempotent. */
  stop(): Promise<void>
}

/** The last resort that answers a request, in milliseconds: above every deadline that an attempt may be given. */
const ANSWER_MS = 35_000
/** What attempts in flight get at the end, in milliseconds: the daemon is gone within ten seconds. */
const DRAIN_MS = 9_000

/**
 * Starts the daemon. A directory or a database that is out does not keep it from starting: it answers 503 for them.
 *
 * @param load reads the configuration again, for `reload`
 * @throws Error when the configuration cannot work here (a port in use, an unreadable certificate, a plugin that fails);
 *   what was opened is closed again
 */
export async function startApp(config: Config, log: Log, load: Load = nothingToLoad): Promise<App> {
  await using opened = new AsyncDisposableStack()
  const { users, secret, databaseOpens, ensureAdmin } = await openUsers(config, log, opened)

  const hashUser = createUserHash(secret)
  const audit = createAudit(config, { hashUser, log })
  let started = false
  opened.defer(async () => {
    if (started) void audit.note({ event: 'sys_shutdown' })
    await audit.close()
  })
  // Its thread starts while everything else is made.
  const auditBegun = audit.begin()
  const counts = await openLockoutStore(config, { databaseOpens, log })
  opened.defer(() => counts.close())
  const guesses = createGuessMemory()
  const countSecret = config.lockout.secret ? Buffer.from(config.lockout.secret.reveal()) : secret
  const attemptLog = createAttemptLog(log, secret)
  const metrics = createMetrics(() => {
    const { ok: configOk, loadedAt: configLoadedAt } = reloader.status()
    const inFlight = reloader.current().chain.inFlight()
    const health = { ...reloader.health().latest(), ready: isReady() }
    const trail = config.audit.enabled && { audit: { ...audit.report(), ok: audit.health().ok } }
    const held = release.held()
    return { health, inFlight, held, lockout: counts.report(), configOk, configLoadedAt, ...trail }
  })
  const watchSprays = createSprayWatch({ clock: systemClock, log, onSpray: metrics.onSpray })
  const refusedAccounts = createRefusedAccounts(systemClock)
  const release = createRelease({ clock: systemClock })
  const open = (next: Config) =>
    openRuntime(next, {
      users,
      refusedAccounts,
      lockoutFor: settings =>
        watchSprays(
          createLockout({ settings, secret: countSecret, clock: systemClock, log, store: counts, guesses }),
        ),
      audit,
      onAttempt(event) {
        metrics.onAttempt(event)
        attemptLog(event)
      },
      passwordTag: createPasswordTag(countSecret),
      release,
      onUnlock: metrics.onUnlock,
      hashUser,
      log,
    })
  const first = await open(config)
  const onSwap = ({ tls }: Runtime) => {
    if (tls) renewTls(publicServer, tls)
    void audit.note({ event: 'sys_config_reload' })
  }
  const reloader = createReloader(first, { load, open, onSwap, clock: systemClock, log })
  opened.defer(() => reloader.close())
  let phase: Readiness['phase'] = 'starting'
  // Without its store a `closed` lockout lets nobody in, and neither does an audit trail with `deny` that is out.
  const isReady = () =>
    reloader.health().latest().ready &&
    (config.lockout.onStoreFailure === 'local' || counts.health().ok) &&
    audit.admits()
  const readiness = () => ({ phase, ready: isReady() })

  const publicServer = createPublicServer({
    service: () => reloader.current().service,
    readiness,
    ...(first.tls && { tls: first.tls }),
    clock: systemClock,
    limits: { answerMs: ANSWER_MS, drainMs: DRAIN_MS },
    log,
  })
  const token = createAdminToken()
  const adminServer = createAdminServer({
    host: config.admin.host,
    operators: {
      token,
      explainer: () => reloader.current().explainer,
      lockDesk: () => reloader.current().lockDesk,
      reload: reloader.reload,
      clock: systemClock,
    },
    limits: { answerMs: ANSWER_MS, drainMs: DRAIN_MS },
    readiness,
    health: async () => (await reloader.health().check()).backends,
    lockoutStore: counts.health,
    audit: audit.health,
    config: reloader.status,
    metrics: metrics.expose,
    log,
  })
  // At the same time: each may take its whole time to finish what runs.
  opened.defer(async () => {
    await Promise.all([publicServer.close(), adminServer.close()])
  })
  await auditBegun
  await listenAt('admin', adminServer, config.admin)
  await listenAt('listen', publicServer, config.listen)
  // Only now: a second daemon that finds the ports taken must not take the first one's token away.
  opened.defer(publishAdminToken(adminTokenFile(config.database), token, log))
  // Its password is shown once: not by a start that fails.
  const firstAdmin = await ensureAdmin()
  opened.defer(watchEventLoop({ log, onBlock: metrics.onLoopBlock }))
  phase = 'serving'
  void audit.note({ event: 'sys_startup' })
  started = true
  void reportChecks(reloader.current(), log)
  opened.defer(() => {
    phase = 'stopping'
    release.flush()
  })

  const running = opened.move()
  let stopping: Promise<void> | undefined
  return {
    publicUrl: urlOf(publicServer.server.address(), config.listen.tls !== undefined),
    adminUrl: urlOf(adminServer.server.address(), false),
    ...(firstAdmin !== undefined && { firstAdmin }),
    reload: reloader.reload,
    stop() {
      stopping ??= running.disposeAsync()
      return stopping
    },
  }
}

/** At the start nothing is refused for them: an outage must not keep the daemon down. */
async function reportChecks(runtime: Runtime, log: Log): Promise<void> {
  for (const { check, result, reason } of await runtime.check()) {
    const fields = { backend: check.backend, reason }
    if (result === 'failed') log.error(fields, 'a check of the configuration fails')
    if (result === 'unknown') log.warn(fields, 'a check of the configuration could not be made')
  }
}

async function nothingToLoad(): Promise<never> {
  throw new Error('this configuration is not from a file')
}

interface Users {
  readonly users: LocalUsers
  /** The root of this installation's HMAC keys. */
  readonly secret: Uint8Array
  readonly databaseOpens: boolean
  /** Makes the first user where there has never been one. */
  ensureAdmin(): Promise<FirstAdmin | undefined>
}

/** A database that cannot be used is an outage of the local users, not of everybody else (faults.md F26). */
async function openUsers(config: Config, log: Log, opened: AsyncDisposableStack): Promise<Users> {
  try {
    const database = openDatabase(config.database, { log })
    opened.defer(() => void database.close())
    const passwords = createPasswordHasher()
    opened.defer(passwords.close)
    const store = createUserStore({ database, normalise: createUsernameNormaliser([]), clock: systemClock })
    const makeAdmin = prepareFirstAdmin({ store, passwords })
    return {
      users: createLocalUsers({ store, passwords, log }),
      secret: installationSecret(database),
      databaseOpens: true,
      ensureAdmin: () => makeAdmin().catch(error => void tellOutOfOrder(error, log)),
    }
  } catch (error) {
    const reason = tellOutOfOrder(error, log)
    return {
      users: usersOutOfOrder(reason),
      secret: randomBytes(32),
      databaseOpens: false,
      ensureAdmin: async () => undefined,
    }
  }
}

/** @throws the error itself if it is none of the database's */
function tellOutOfOrder(error: unknown, log: Log): string {
  if (!(error instanceof DatabaseError || error instanceof UnavailableError)) throw error
  const { message: reason } = error
  log.error({ reason }, 'there are no local users until the database is mended and this is restarted')
  return reason
}

function urlOf(address: AddressInfo | string | null, tls: boolean): string {
  if (address === null || typeof address === 'string') throw new Error('the listener has no address')
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${tls ? 'https' : 'http'}://${host}:${address.port}`
}
