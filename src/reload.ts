/**
 * One configuration takes the place of another (config.md, Reload): load and validate in full, build beside the old one,
 * probe, swap one reference, and let the old one finish what it has begun. If anything is wrong, nothing has happened.
 */
import { isDeepStrictEqual } from 'node:util'
import type { CheckResult } from './authentication/checks.ts'
import type { Clock } from './authentication/clock.ts'
import { withDeadline } from './authentication/deadline.ts'
import { type HealthReport, type HealthWatch, watchHealth } from './authentication/health.ts'
import type { Log } from './authentication/log.ts'
import type { Config, LoadedConfig } from './config/config.ts'
import { isLoopback } from './config/network.ts'
import { ConfigProblems, type Problem } from './config/problem.ts'
import { restartKeys, withStarted } from './config/restart.ts'
import type { ConfigStatus } from './http/readiness.ts'
import type { Runtime } from './runtime.ts'

export type ReloadResult =
  | {
      readonly outcome: 'reloaded'
      /** Changed keys that only a restart can apply, such as `listen`; everything else has been. */
      readonly needsRestart: readonly string[]
    }
  /** What was served is served on. */
  | {
      readonly outcome: 'refused'
      /** The first one, and how many more there are. */
      readonly reason: string
      readonly reasons: readonly string[]
    }

/** Reads the configuration anew; throws `ConfigProblems` for one that is no good. */
export type Load = () => Promise<LoadedConfig>

export interface ReloaderParts {
  readonly load: Load
  readonly open: (config: Config) => Promise<Runtime>
  /** This one is about to serve. A throw refuses it. */
  readonly onSwap: (runtime: Runtime) => void
  /** After a refusal that may pass by itself, the next try comes so much later, in milliseconds; a minute unless said. */
  readonly retryMs?: number
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

/** A refused service account is tried no more often, either. */
const RETRY_MS = 60_000
/** How long the end waits for a reload that is under way, in milliseconds. */
const LAST_RELOAD_MS = 2_000
const STOPPING = 'the daemon is stopping'

/** @param first what the daemon started with; it is closed with the rest */
export function createReloader(first: Runtime, parts: ReloaderParts): Reloader {
  const { load, open, onSwap, retryMs = RETRY_MS, clock, log } = parts
  const started = first.config
  let current = first
  let health = watchHealth(first.links, { clock, log })
  let loadedAt = clock.wall()
  let refusal: string | undefined
  let needsRestart: readonly string[] = []
  let retry: NodeJS.Timeout | undefined
  let closed = false
  let running: Promise<ReloadResult> | undefined
  let next: Promise<ReloadResult> | undefined
  const retired = new Set<Runtime>()

  function reload(): Promise<ReloadResult> {
    if (closed) return Promise.resolve({ outcome: 'refused', reason: STOPPING, reasons: [STOPPING] })
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
    clearTimeout(retry)
    let loaded: LoadedConfig
    try {
      loaded = await load()
    } catch (error) {
      return refuse(error)
    }
    let candidate: Runtime | undefined
    try {
      const config = withStarted(started, loaded.config)
      refuseOpenDoor(config, current.config)
      candidate = await open(config)
      const [before, report] = await Promise.all([health.check(), candidate.probe()])
      refuseWorse(before, report)
      const [checks, checksBefore] = await Promise.all([candidate.check(), current.check()])
      refuseBrokenChecks(checks, checksBefore, report)
      if (closed) throw new Error(STOPPING)
      adopt(candidate, report)
    } catch (error) {
      await candidate?.close()
      if (error instanceof MayPass && !closed) retry = setTimeout(reload, retryMs).unref()
      return refuse(error)
    }
    needsRestart = restartKeys(started, loaded.config)
    announce(loaded)
    return { outcome: 'reloaded', needsRestart }
  }

  /** From one reference to the other, in one step: nobody sees a mixture. */
  function adopt(candidate: Runtime, report: HealthReport): void {
    const old = current
    onSwap(candidate)
    health.stop()
    current = candidate
    health = watchHealth(candidate.links, { clock, log, earlier: { watch: health, now: report } })
    loadedAt = clock.wall()
    refusal = undefined
    retired.add(old)
    void old
      .drained()
      .then(() => old.close())
      .finally(() => retired.delete(old))
  }

  function announce({ config, file, warnings }: LoadedConfig): void {
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
    return { outcome: 'refused', reason: refusal, reasons }
  }

  return {
    current: () => current,
    health: () => health,
    status: () => ({
      ok: refusal === undefined,
      loadedAt,
      needsRestart,
      ...(refusal !== undefined && { reason: refusal }),
    }),
    reload,
    async close() {
      closed = true
      health.stop()
      clearTimeout(retry)
      // A reload under way sees that it is too late, and closes its own.
      await withDeadline(LAST_RELOAD_MS, async () => running)
      await Promise.all([current, ...retired].map(runtime => runtime.close()))
    },
  }
}

/** A refusal for what a backend does now, and not for what stands in the file: it may pass by itself. */
class MayPass extends Error {}

/** Every backend that could give verdicts, or was not there, and now cannot. One that is out anyway is no worse. */
function refuseWorse(before: HealthReport, now: HealthReport): void {
  const outAlready = new Set(before.backends.filter(({ ok }) => !ok).map(({ id }) => id))
  const worse = now.backends.flatMap(backend =>
    backend.ok || outAlready.has(backend.id) ? [] : [`backend ${backend.id}: ${backend.reason}`],
  )
  if (worse.length > 0) throw new MayPass(worse.join('; '))
}

/**
 * Checks that a configuration breaks refuse it. One that the served configuration fails, too, is not broken by it; a backend
 * that is out can check nobody, which is nobody's fault; and where the served one gave no answer it is not known who broke what.
 */
function refuseBrokenChecks(
  now: readonly CheckResult[],
  before: readonly CheckResult[],
  { backends }: HealthReport,
): void {
  const out = new Set(backends.filter(({ ok }) => !ok).map(({ id }) => id))
  const broken = now.flatMap(({ check, result, reason }) => {
    if (result === 'passed' || (result === 'unknown' && out.has(check.backend))) return []
    const earlier = before.find(each => isDeepStrictEqual(each.check, check))?.result
    if (earlier === 'failed' || (earlier === 'unknown' && result === 'unknown')) return []
    return [{ reason, mayPass: result === 'unknown' || earlier === 'unknown' }]
  })
  if (broken.length === 0) return
  const reason = `checks: ${broken.map(each => each.reason).join('; ')}`
  throw broken.some(({ mayPass }) => mayPass) ? new MayPass(reason) : new Error(reason)
}

/**
 * Nobody may call who could not before because a file was read half-way or lost its `clients`: that takes a word for it, or a
 * restart. The file was validated with its own `listen`; what counts is the one that is open.
 */
function refuseOpenDoor({ listen, clients, allowAnonymousClients }: Config, served: Config): void {
  if (clients.length > 0 || allowAnonymousClients) return
  const open = 'everybody could call; `allow_anonymous_clients: true` says so if it is meant'
  if (served.clients.length > 0) throw new Error(`\`clients\` is gone from the file: ${open}`)
  if (isLoopback(listen.host)) return
  throw new Error(`no \`clients\`, and the daemon listens on ${listen.host} until it is restarted: ${open}`)
}

function spell({ severity, file, line, column, message, hint }: Problem): string[] {
  if (severity !== 'error') return []
  const place = line === undefined ? file : `${file}:${line}:${column}`
  return [`${place}: ${message}${hint === undefined ? '' : ` (${hint})`}`]
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
