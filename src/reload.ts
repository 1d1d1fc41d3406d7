/**
 * One configuration takes the place of another (config.md, Reload): load and validate in full, build beside the old one,
 * probe, swap one reference, and let the old one finish what it has begun. If anything is wrong, nothing has happened.
 */
import type { Clock } from './authentication/clock.ts'
import { type HealthReport, type HealthWatch, watchHealth } from './authentication/health.ts'
import type { Log } from './authentication/log.ts'
import type { Config, LoadedConfig } from './config/config.ts'
import { isLoopback } from './config/network.ts'
import { ConfigProblems, type Problem } from './config/problem.ts'
import type { ConfigStatus } from './http/readiness.ts'
import type { Runtime } from './runtime.ts'

export type ReloadResult =
  | {
      readonly outcome: 'reloaded'
      /** Changed keys that only a restart can apply, such as `listen`; everything else has been. */
      readonly needsRestart: readonly string[]
    }
  /** What was served is served on. */
  | { readonly outcome: 'refused'; readonly reason: string }

/** Reads the configuration anew; throws `ConfigProblems` for one that is no good. */
export type Load = () => Promise<LoadedConfig>

export interface ReloaderParts {
  readonly load: Load
  readonly open: (config: Config) => Promise<Runtime>
  /** This one is about to serve; must not throw. */
  readonly onSwap: (runtime: Runtime) => void
  readonly clock: Clock
  readonly log: Log
}

export interface Reloader {
  /** What is served now: ask at each use, keep none. */
  current(): Runtime
  health(): HealthWatch
  status(): ConfigStatus
  /** One at a time; those who ask during one get the next, which sees what they changed. Never rejects. */
  reload(): Promise<ReloadResult>
  /** Closes what is served and what still finishes, whatever is in flight there. */
  close(): Promise<void>
}

/** @param first what the daemon started with; it is closed with the rest */
export function createReloader(first: Runtime, { load, open, onSwap, clock, log }: ReloaderParts): Reloader {
  const started = first.config
  let current = first
  let health = watchHealth(first.links, { clock, log, onChange })
  let loadedAt = clock.wall()
  let refusal: string | undefined
  /** The last refusal came from a backend and not from the file: it may pass when things have changed. */
  let worthAnotherTry = false
  let closed = false
  let running: Promise<ReloadResult> | undefined
  let next: Promise<ReloadResult> | undefined
  const retired = new Set<Runtime>()

  function onChange(): void {
    if (worthAnotherTry) void reload()
  }

  function reload(): Promise<ReloadResult> {
    if (running === undefined) {
      running = reloadOnce().finally(() => {
        running = undefined
      })
      return running
    }
    next ??= running.then(() => {
      next = undefined
      return reload()
    })
    return next
  }

  async function reloadOnce(): Promise<ReloadResult> {
    worthAnotherTry = false
    let loaded: LoadedConfig
    try {
      loaded = await load()
    } catch (error) {
      return refuse(error)
    }
    const needsRestart = restartKeys(started, loaded.config)
    let candidate: Runtime | undefined
    try {
      const config = withStarted(started, loaded.config)
      refuseStrangers(config)
      candidate = await open(config)
      const [before, report] = await Promise.all([health.check(), candidate.probe()])
      const worse = whatGotWorse(before, report)
      if (worse !== undefined) {
        worthAnotherTry = true
        throw new Error(worse)
      }
      await refuseBrokenChecks(candidate, report)
      if (closed) throw new Error('the daemon is stopping')
      adopt(candidate, report)
    } catch (error) {
      await candidate?.close()
      return refuse(error)
    }
    announce(loaded, needsRestart)
    return { outcome: 'reloaded', needsRestart }
  }

  /** From one reference to the other, in one step: nobody sees a mixture. */
  function adopt(candidate: Runtime, report: HealthReport): void {
    const old = current
    const before = health.latest()
    health.stop()
    onSwap(candidate)
    current = candidate
    health = watchHealth(candidate.links, { clock, log, onChange, earlier: { before, now: report } })
    loadedAt = clock.wall()
    refusal = undefined
    retired.add(old)
    void old
      .drained()
      .then(() => old.close())
      .catch(error =>
        log.error({ err: error }, 'the backends of the configuration before could not be closed'),
      )
      .finally(() => retired.delete(old))
  }

  function announce({ config, file, warnings }: LoadedConfig, needsRestart: readonly string[]): void {
    for (const { line, message } of warnings) log.warn({ file, line }, message)
    if (needsRestart.length > 0) {
      log.warn(
        { file, keys: needsRestart },
        `${needsRestart.join(', ')}: changed, but only a restart can apply it; everything else is applied`,
      )
    }
    const chain = config.backends.filter(({ enabled }) => enabled).map(({ id }) => id)
    log.info({ event: 'sys_config_reloaded', config: file }, `reloaded, asking ${chain.join(' → ')}`)
  }

  function refuse(error: unknown): ReloadResult {
    const reasons = error instanceof ConfigProblems ? error.problems.flatMap(spell) : [messageOf(error)]
    const [reason = 'unknown'] = reasons
    refusal = reasons.length > 1 ? `${reason} (and ${reasons.length - 1} more)` : reason
    log.error(
      { event: 'sys_config_refused', reason, ...(reasons.length > 1 && { reasons }) },
      'the configuration was not taken; the one before it goes on',
    )
    return { outcome: 'refused', reason: refusal }
  }

  return {
    current: () => current,
    health: () => health,
    status: () => ({
      ok: refusal === undefined,
      loadedAt,
      ...(refusal !== undefined && { reason: refusal }),
    }),
    reload,
    async close() {
      closed = true
      health.stop()
      // A reload under way sees that it is too late, and closes its own.
      await Promise.all([running])
      await Promise.all([current, ...retired].map(runtime => runtime.close()))
    },
  }
}

/** The first backend that could give verdicts, or was not there, and now cannot. One that is out anyway is no worse. */
function whatGotWorse(before: HealthReport, now: HealthReport): string | undefined {
  const outAlready = new Set(before.backends.filter(({ ok }) => !ok).map(({ id }) => id))
  const worse = now.backends.flatMap(backend =>
    backend.ok || outAlready.has(backend.id) ? [] : [`backend ${backend.id}: ${backend.reason}`],
  )
  return worse.length > 0 ? worse.join('; ') : undefined
}

/** A backend that is out anyway can check nobody, and that is not this configuration's fault. */
async function refuseBrokenChecks(candidate: Runtime, { backends }: HealthReport): Promise<void> {
  const out = new Set(backends.filter(({ ok }) => !ok).map(({ id }) => id))
  const broken = (await candidate.check()).filter(
    ({ check, result }) => result === 'failed' || (result === 'unknown' && !out.has(check.backend)),
  )
  if (broken.length > 0) throw new Error(`checks: ${broken.map(({ reason }) => reason).join('; ')}`)
}

/** Sockets, files and the size of the table exist once. */
function restartKeys(started: Config, wanted: Config): string[] {
  const keys = (['listen', 'admin', 'database', 'log'] as const).filter(
    key => JSON.stringify(started[key]) !== JSON.stringify(wanted[key]),
  )
  const table = started.lockout.maxEntries !== wanted.lockout.maxEntries ? ['lockout.max_entries'] : []
  return [...keys, ...table]
}

function withStarted(started: Config, wanted: Config): Config {
  const { listen, admin, database, log, lockout } = started
  const { maxEntries } = lockout
  return { ...wanted, listen, admin, database, log, lockout: { ...wanted.lockout, maxEntries } }
}

/** The file was validated with its own `listen`; what counts is the one that is open. */
function refuseStrangers({ listen, clients, allowAnonymousClients }: Config): void {
  if (clients.length > 0 || allowAnonymousClients || isLoopback(listen.host)) return
  throw new Error(
    `no \`clients\`, and the daemon listens on ${listen.host} until it is restarted: everybody could call`,
  )
}

function spell({ severity, file, line, column, message, hint }: Problem): string[] {
  if (severity !== 'error') return []
  const place = line === undefined ? file : `${file}:${line}:${column}`
  return [`${place}: ${message}${hint === undefined ? '' : ` (${hint})`}`]
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
