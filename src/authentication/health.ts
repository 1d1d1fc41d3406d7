import type { BackendHealth } from './backend.ts'
import type { Link } from './chain.ts'
import { TIMED_OUT, withDeadline } from './deadline.ts'
import type { Log } from './log.ts'

/** Between two rounds of probes, in milliseconds: health checks must not become load. */
const EVERY_MS = 5_000
const PROBE_TIMEOUT_MS = 3_000

export type BackendReport = BackendHealth & { readonly id: string }

export interface HealthReport {
  /** At least one backend can give verdicts (api.md, Health). A deny list can only refuse, so it makes nothing ready. */
  readonly ready: boolean
  readonly backends: readonly BackendReport[]
}

export interface HealthWatch {
  /** What the last round saw; not ready before the first. */
  latest(): HealthReport
  /** A round now; those who ask during one share it. */
  check(): Promise<HealthReport>
  stop(): void
}

/** Probes every backend at once and then every five seconds, and writes down each change. */
export function watchHealth(links: readonly Link[], log: Log): HealthWatch {
  let latest: HealthReport = { ready: false, backends: [] }
  let round: Promise<HealthReport> | undefined

  async function probeAll(): Promise<HealthReport> {
    const backends = await Promise.all(links.map(probe))
    for (const [index, now] of backends.entries()) reportChange(latest.backends[index], now, log)
    const ready = backends.some(({ ok }, index) => ok && links[index]?.deny === false)
    latest = { ready, backends }
    return latest
  }

  function check(): Promise<HealthReport> {
    round ??= probeAll().finally(() => {
      round = undefined
    })
    return round
  }

  const timer = setInterval(check, EVERY_MS).unref()
  void check()
  return { latest: () => latest, check, stop: () => clearInterval(timer) }
}

async function probe({ backend }: Link): Promise<BackendReport> {
  const { id } = backend
  try {
    const health = await withDeadline(PROBE_TIMEOUT_MS, signal => backend.probe(signal))
    if (health === TIMED_OUT) return { id, ok: false, reason: `no answer within ${PROBE_TIMEOUT_MS} ms` }
    return health.ok === true ? { id, ok: true } : { id, ok: false, reason: health.reason }
  } catch (error) {
    return { id, ok: false, reason: error instanceof Error ? error.message : 'the probe threw' }
  }
}

function reportChange(before: BackendReport | undefined, now: BackendReport, log: Log): void {
  if (!now.ok && before?.ok !== false) {
    log.warn({ backend: now.id, reason: now.reason }, 'the backend cannot give verdicts')
  } else if (now.ok && before?.ok === false) {
    log.info({ backend: now.id }, 'the backend gives verdicts again')
  }
}
