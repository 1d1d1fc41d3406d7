/** What a Prometheus server may know (docs/metrics.md): counts, times and states, and never who. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { AttemptEvent } from '../authentication/attempt-event.ts'
import type { HealthReport } from '../authentication/health.ts'
import type { LockoutReport } from '../authentication/lockout.ts'
import type { StepOutcome } from '../authentication/rule.ts'
import { type AuditReading, addAuditMetrics } from './audit-metrics.ts'
import { addLockoutMetrics, type LockoutMetrics } from './lockout-metrics.ts'
import type { SprayKind } from './spray-watch.ts'

/** What is looked at when somebody asks; nothing is probed for it. */
export interface Reading {
  readonly health: HealthReport
  /** Attempts that each backend works on now, by its id. */
  readonly inFlight: ReadonlyMap<string, number>
  /** Failures whose answers wait for their time. */
  readonly held: number
  readonly lockout: LockoutReport
  /** Undefined: there is no audit trail. */
  readonly audit?: AuditReading
  /** Did the last load of the configuration pass? */
  readonly configOk: boolean
  /** When the configuration that is served was loaded, in milliseconds since the Unix epoch. */
  readonly configLoadedAt: number
}

export interface Metrics {
  /** Counts one attempt. It is on the way of every login: no look-up by label values, no throw. */
  readonly onAttempt: (event: AttemptEvent) => void
  readonly onUnlock: LockoutMetrics['onUnlock']
  readonly onSpray: (by: SprayKind) => void
  readonly onLoopBlock: () => void
  /** Everything, in Prometheus' text format. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>
}

/** In seconds. From a rejection out of memory to the longest deadline that the configuration allows. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

const VERDICTS: Readonly<Record<AttemptEvent['verdict'], null>> = {
  accepted: null,
  rejected: null,
  account_state: null,
  locked_out: null,
  busy: null,
  unavailable: null,
  invalid: null,
  error: null,
}

const OUTCOMES: Readonly<Record<StepOutcome, null>> = {
  accept: null,
  unknown_user: null,
  wrong_password: null,
  account_state: null,
  ambiguous: null,
  deny: null,
  unavailable: null,
  not_applicable: null,
  subject_locked: null,
  busy: null,
}

interface BackendSeries {
  readonly outcomes: Readonly<Record<StepOutcome, Counter.Internal>>
  readonly duration: Histogram.Internal<string>
}

/** @param read called whenever somebody asks for the metrics */
export function createMetrics(read: () => Reading): Metrics {
  const register = new Registry()
  const registers = [register]
  collectDefaultMetrics({ register })

  const attempts = new Counter({
    name: 'gatehouse_attempts_total',
    help: 'Attempts, by what was answered.',
    labelNames: ['verdict'],
    registers,
  })
  const attemptDuration = new Histogram({
    name: 'gatehouse_attempt_duration_seconds',
    help: 'From the name to the verdict, by what was answered.',
    labelNames: ['verdict'],
    buckets: BUCKETS,
    registers,
  })
  const lockout = addLockoutMetrics(registers, () => read().lockout)
  addAuditMetrics(registers, () => read().audit)
  const sprays = new Counter({
    name: 'gatehouse_sprays_total',
    help: 'Sources, or passwords, that failed on ten accounts or more.',
    labelNames: ['by'],
    registers,
  })
  for (const by of ['source', 'password'] satisfies SprayKind[]) sprays.inc({ by }, 0)
  const blocks = new Counter({
    name: 'gatehouse_event_loop_blocks_total',
    help: 'Seconds in which the event loop stood still for more than 200 ms.',
    registers,
  })
  const outcomes = new Counter({
    name: 'gatehouse_backend_outcomes_total',
    help: 'What each backend answered.',
    labelNames: ['backend', 'outcome'],
    registers,
  })
  const duration = new Histogram({
    name: 'gatehouse_backend_duration_seconds',
    help: 'How long each backend took for its part of an attempt.',
    labelNames: ['backend'],
    buckets: BUCKETS,
    registers,
  })
  const verdicts = mapKeys(VERDICTS, verdict => {
    attempts.inc({ verdict }, 0)
    attemptDuration.zero({ verdict })
    return { count: attempts.labels(verdict), duration: attemptDuration.labels(verdict) }
  })
  const backends = new Map<string, BackendSeries>()
  addGauges(registers, read)

  /** From the first sight of a backend on, with all its outcomes at zero, so that a first one is seen as a change. */
  function seriesOf(backend: string): BackendSeries {
    const known = backends.get(backend)
    if (known !== undefined) return known
    duration.zero({ backend })
    const series = {
      outcomes: mapKeys(OUTCOMES, outcome => {
        outcomes.inc({ backend, outcome }, 0)
        return outcomes.labels(backend, outcome)
      }),
      duration: duration.labels(backend),
    }
    backends.set(backend, series)
    return series
  }

  return {
    onAttempt(event) {
      const { verdict, durationMs, steps, shared } = event
      verdicts[verdict].count.inc()
      verdicts[verdict].duration.observe(durationMs / 1000)
      lockout.onAttempt(event)
      // What backends did for several attempts at once they did once.
      if (shared) return
      for (const { backend, outcome, durationMs: stepMs } of steps) {
        const series = seriesOf(backend)
        series.outcomes[outcome].inc()
        if (outcome !== 'not_applicable') series.duration.observe(stepMs / 1000)
      }
    },
    onUnlock: lockout.onUnlock,
    onSpray: by => sprays.inc({ by }),
    onLoopBlock: () => blocks.inc(),
    async expose() {
      for (const { id } of read().health.backends) seriesOf(id)
      return { contentType: register.contentType, text: await register.metrics() }
    },
  }
}

/** What is a state and not a count: written anew at each reading, so that what is gone from the configuration is gone. */
function addGauges(registers: Registry[], read: () => Reading): void {
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    write: (gauge: Gauge<L>, reading: Reading) => void,
  ) =>
    new Gauge({
      name: `gatehouse_${name}`,
      help,
      labelNames: [...labelNames],
      registers,
      collect() {
        this.reset()
        write(this, read())
      },
    })

  gauge(
    'ready',
    '1 while at least one backend can give verdicts, and they can be counted and written down.',
    [],
    (ready, { health }) => ready.set(Number(health.ready)),
  )
  gauge(
    'backend_up',
    '1 while the backend can give verdicts, as last probed.',
    ['backend'],
    (up, { health }) => {
      for (const { id, ok } of health.backends) {
        up.set({ backend: id }, Number(ok))
      }
    },
  )
  gauge('backend_in_flight', 'Attempts that the backend works on now.', ['backend'], (busy, { inFlight }) => {
    for (const [backend, count] of inFlight) busy.set({ backend }, count)
  })
  gauge('held_replies', 'Failures whose answers wait for their time.', [], (waiting, { held }) =>
    waiting.set(held),
  )
  gauge(
    'server_up',
    '1 while this server of the backend is in use, as last seen.',
    ['backend', 'server'],
    (up, { health }) => {
      for (const { id, servers = [] } of health.backends) {
        for (const { server, ok } of servers) up.set({ backend: id, server }, Number(ok))
      }
    },
  )
  gauge(
    'server_certificate_expiry_timestamp_seconds',
    'When the certificate of this server ends, in Unix time.',
    ['backend', 'server'],
    (ends, { health }) => {
      for (const { id, servers = [] } of health.backends) {
        for (const { server, certificateExpiresAt: at } of servers) {
          if (at !== undefined) ends.set({ backend: id, server }, at / 1000)
        }
      }
    },
  )
  gauge('config_reload_ok', '0 while the configuration on disk was refused.', [], (ok, { configOk }) =>
    ok.set(Number(configOk)),
  )
  gauge(
    'config_loaded_timestamp_seconds',
    'When the configuration that is served was loaded, in Unix time.',
    [],
    (at, { configLoadedAt }) => at.set(configLoadedAt / 1000),
  )
}

function mapKeys<K extends string, V>(keys: Readonly<Record<K, null>>, value: (key: K) => V): Record<K, V> {
  const names = Object.keys(keys) as K[]
  return Object.fromEntries(names.map(key => [key, value(key)])) as Record<K, V>
}
