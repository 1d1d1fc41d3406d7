import type { BackendHealth, ServerHealth } from './backend.ts'
import { readHealth } from './backend-shape.ts'
import type { Link } from './chain.ts'
import type { Clock } from './clock.ts'
import { TIMED_OUT, withDeadline } from './deadline.ts'
import type { Log } from './log.ts'
import { readThrown } from './thrown.ts'

/** Between two rounds of probes, in milliseconds: health checks must not become load. */
const EVERY_MS = 5_000
const PROBE_TIMEOUT_MS = 3_000
const DAY_MS = 86_400_000
/** A certificate that ends sooner is worth a line a day, in milliseconds. */
const CERTIFICATE_WARNING_MS = 30 * DAY_MS

export type BackendReport = BackendHealth & { readonly id: string }

export interface HealthReport {
  /** At least one backend can give verdicts (api.md, Health). A deny list can only refuse, so it makes nothing ready. */
  readonly ready: boolean
  /** In the order of the chain. */
  readonly backends: readonly BackendReport[]
}

export interface HealthWatch {
  /** What the last round saw; not ready before the first. */
  latest(): HealthReport
  /** By backend and server: when its certificate was last said to end soon, in milliseconds since the Unix epoch. */
  readonly warnedAt: ReadonlyMap<string, number>
  /** A round now; those who ask during one share it. */
  check(): Promise<HealthReport>
  /** Also of a round that is under way nothing more is said: what it sees may be our own closing. */
  stop(): void
}

/** What is known before the first round, when one watch takes over from another. */
export interface EarlierHealth {
  /** The other one, as it left things: what changed since is written down, and what did not is not said again. */
  readonly watch: Pick<HealthWatch, 'latest' | 'warnedAt'>
  /** A round over the new links; without it one is begun. */
  readonly now: HealthReport
}

export interface HealthWatchOptions {
  readonly clock: Clock
  readonly log: Log
  readonly earlier?: EarlierHealth
}

/** One round: asks every backend whether it can give verdicts, for at most three seconds. */
export async function probeAll(links: readonly Link[]): Promise<HealthReport> {
  const backends = await Promise.all(links.map(probe))
  return { ready: backends.some(({ ok }, index) => ok && links[index]?.deny === false), backends }
}

/** Probes every backend at once and then every five seconds, and writes down each change. */
export function watchHealth(
  links: readonly Link[],
  { clock, log, earlier }: HealthWatchOptions,
): HealthWatch {
  let latest: HealthReport = earlier?.watch.latest() ?? { ready: false, backends: [] }
  let round: Promise<HealthReport> | undefined
  let stopped = false
  const warnedAt = new Map(earlier?.watch.warnedAt)

  function take(report: HealthReport): HealthReport {
    if (stopped) return latest
    for (const now of report.backends) {
      const before = latest.backends.find(({ id }) => id === now.id)
      reportChange(before, now, log)
      for (const server of now.servers ?? []) warnOfCertificate(now.id, server)
    }
    latest = report
    return report
  }

  function warnOfCertificate(backend: string, { server, certificateExpiresAt: endsAt }: ServerHealth): void {
    const now = clock.wall()
    if (endsAt === undefined || endsAt - now > CERTIFICATE_WARNING_MS) return
    const key = `${backend} ${server}`
    if (now - (warnedAt.get(key) ?? Number.NEGATIVE_INFINITY) < DAY_MS) return
    warnedAt.set(key, now)
    log.warn(
      { backend, server, certificate_expires: new Date(endsAt).toISOString() },
      endsAt > now ? 'the certificate of a server ends soon' : 'the certificate of a server has ended',
    )
  }

  function check(): Promise<HealthReport> {
    round ??= probeAll(links)
      .then(take)
      .finally(() => {
        round = undefined
      })
    return round
  }

  const timer = setInterval(check, EVERY_MS).unref()
  if (earlier === undefined) void check()
  else take(earlier.now)
  return {
    latest: () => latest,
    warnedAt,
    check,
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}

async function probe({ backend }: Link): Promise<BackendReport> {
  const { id } = backend
  try {
    const health = await withDeadline(PROBE_TIMEOUT_MS, signal => backend.probe(signal))
    if (health === TIMED_OUT) return { id, ok: false, reason: `no answer within ${PROBE_TIMEOUT_MS} ms` }
    return { id, ...readHealth(health) }
  } catch (error) {
    return { id, ok: false, reason: readThrown(error).message || 'the probe threw' }
  }
}

function reportChange(before: BackendReport | undefined, now: BackendReport, log: Log): void {
  if (!now.ok && before?.ok !== false) {
    log.warn({ backend: now.id, reason: now.reason }, 'the backend cannot give verdicts')
  } else if (now.ok && before?.ok === false) {
    log.info({ backend: now.id }, 'the backend gives verdicts again')
  }
}
