import type { BackendHealth } from './backend.ts'
import type { Link } from './chain.ts'
import type { Clock } from './clock.ts'
import { TIMED_OUT, withDeadline } from './deadline.ts'

/** How old an answer about a backend may be, in milliseconds: health checks must not become load. */
const FRESH_FOR_MS = 2_000
const PROBE_TIMEOUT_MS = 3_000

export interface HealthReport {
  /** At least one backend can give verdicts (api.md, Health). */
  readonly ready: boolean
  readonly backends: readonly (BackendHealth & { readonly id: string })[]
}

/** Asks every backend whether it can give verdicts now; callers within two seconds share one answer. */
export function createHealthCheck(links: readonly Link[], clock: Clock): () => Promise<HealthReport> {
  let report: Promise<HealthReport> | undefined
  let askedAt = Number.NEGATIVE_INFINITY

  return () => {
    if (report === undefined || clock.now() - askedAt > FRESH_FOR_MS) {
      askedAt = clock.now()
      report = probeAll(links)
    }
    return report
  }
}

async function probeAll(links: readonly Link[]): Promise<HealthReport> {
  const backends = await Promise.all(links.map(probe))
  // A deny list can only refuse, so it alone makes nothing ready.
  const ready = backends.some(({ ok }, index) => ok && links[index]?.deny === false)
  return { ready, backends }
}

async function probe({ backend }: Link): Promise<HealthReport['backends'][number]> {
  const { id } = backend
  try {
    const health = await withDeadline(PROBE_TIMEOUT_MS, signal => backend.probe(signal))
    if (health === TIMED_OUT) return { id, ok: false, reason: `no answer within ${PROBE_TIMEOUT_MS} ms` }
    return health.ok === true ? { id, ok: true } : { id, ok: false, reason: health.reason }
  } catch (error) {
    return { id, ok: false, reason: error instanceof Error ? error.message : 'the probe threw' }
  }
}
