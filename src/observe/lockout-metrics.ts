import { Counter, Gauge, type Registry } from 'prom-client'
import type { AttemptEvent } from '../authentication/attempt-event.ts'
import type { LockKind, LockoutReport } from '../authentication/lockout.ts'

export interface LockoutMetrics {
  readonly onAttempt: (event: AttemptEvent) => void
  /** @param ended how many locks an operator ended */
  readonly onUnlock: (ended: number) => void
}

const KINDS: Readonly<Record<LockKind, null>> = {
  pair: null,
  unfamiliar: null,
  familiar: null,
  source: null,
  subnet: null,
  directory: null,
}

/** @param read called whenever somebody asks for the metrics */
export function addLockoutMetrics(registers: Registry[], read: () => LockoutReport): LockoutMetrics {
  const counter = (name: string, help: string) => new Counter({ name: `gatehouse_${name}`, help, registers })
  const locksSet = counter('locks_set_total', 'Attempts whose failure locked a name, a person or a source.')
  const refusals = counter(
    'lockout_refusals_total',
    'Attempts that were refused because a lock holds; no password was looked at.',
  )
  const ignored = counter(
    'lockout_ignored_total',
    'Attempts that a lock which is only watched would have refused.',
  )
  const unlocks = counter('lockout_unlocks_total', 'Locks that operators ended.')
  addGauges(registers, read)

  return {
    onAttempt(event) {
      if (event.verdict === 'locked_out') refusals.inc()
      if (event.locked) locksSet.inc()
      if (event.ignored) ignored.inc()
    },
    onUnlock: ended => unlocks.inc(ended),
  }
}

function addGauges(registers: Registry[], read: () => LockoutReport): void {
  /** Without a value there is no series. */
  const gauge = (name: string, help: string, value: (reading: LockoutReport) => number | undefined) =>
    new Gauge({
      name: `gatehouse_lockout_${name}`,
      help,
      registers,
      collect() {
        const now = value(read())
        if (now === undefined) this.remove()
        else this.set(now)
      },
    })
  const gauges = (
    name: string,
    help: string,
    label: string,
    values: (reading: LockoutReport) => Readonly<Record<string, number>>,
  ) =>
    new Gauge({
      name: `gatehouse_lockout_${name}`,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset()
        for (const [word, value] of Object.entries(values(read()))) this.set({ [label]: word }, value)
      },
    })

  gauges('records', 'Records of the lockout, by where they are kept.', 'partition', ({ records }) => records)
  gauge('bytes', 'Memory that these records take.', ({ bytes }) => bytes)
  gauge('budget_bytes', 'Memory that they may take.', ({ budgetBytes }) => budgetBytes)
  gauges('locked', 'Locks that hold.', 'kind', ({ locked }) =>
    Object.fromEntries(Object.keys(KINDS).map(kind => [kind, locked[kind as LockKind] ?? 0])),
  )
  gauge(
    'under_attack',
    '1 while the lockout is full of what must be kept, and refuses whom it does not know.',
    ({ underAttack }) => Number(underAttack),
  )
  gauge('store_up', '0 while the shared store of the lockout is away.', ({ reachable }) => Number(reachable))
}
