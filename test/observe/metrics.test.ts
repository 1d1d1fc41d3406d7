import { readFileSync } from 'node:fs'
import t from 'tap'
import type { AttemptEvent } from '../../src/authentication/attempt-event.ts'
import { createMetrics, type Reading } from '../../src/observe/metrics.ts'

const LOCKOUT: Reading['lockout'] = { records: {}, locked: {}, underAttack: false, reachable: true }

const NOTHING: Reading = {
  health: { ready: false, backends: [] },
  inFlight: new Map(),
  held: 0,
  lockout: LOCKOUT,
  configOk: true,
  configLoadedAt: 0,
}

const rejected: AttemptEvent = {
  requestId: 'r-1',
  caller: 'wiki',
  address: '203.0.113.66',
  username: 'alice',
  subject: 'local:0b6f2a3e',
  verdict: 'rejected',
  reason: 'credentials',
  steps: [
    { backend: 'corp', outcome: 'not_applicable', durationMs: 0, detail: 'username_filter' },
    { backend: 'local', outcome: 'wrong_password', durationMs: 60 },
  ],
  durationMs: 70,
  shared: false,
  locked: false,
}

/** The value of each series, by its name and labels. */
async function scrape(metrics: ReturnType<typeof createMetrics>): Promise<Map<string, number>> {
  const { contentType, text } = await metrics.expose()
  t.match(contentType, /^text\/plain; version=0\.0\.4/)
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return new Map(lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]))
}

t.test(
  'an attempt is counted by its verdict, and each backend by what it said and how long it took',
  async t => {
    const metrics = createMetrics(() => NOTHING)
    metrics.onAttempt(rejected)
    metrics.onAttempt({ ...rejected, locked: true })
    metrics.onAttempt({ ...rejected, verdict: 'locked_out', steps: [], durationMs: 1 })
    metrics.onAttempt({ ...rejected, verdict: 'busy', ignored: true, steps: [], durationMs: 1 })
    const series = await scrape(metrics)
    const value = (name: string) => series.get(name)
    t.equal(value('gatehouse_attempts_total{verdict="rejected"}'), 2)
    t.equal(value('gatehouse_attempts_total{verdict="locked_out"}'), 1)
    t.equal(value('gatehouse_attempts_total{verdict="accepted"}'), 0, 'there from the start, for rates')
    t.equal(value('gatehouse_attempt_duration_seconds_bucket{le="0.05",verdict="rejected"}'), 0)
    t.equal(value('gatehouse_attempt_duration_seconds_bucket{le="0.1",verdict="rejected"}'), 2)
    t.equal(value('gatehouse_backend_outcomes_total{backend="local",outcome="wrong_password"}'), 2)
    t.equal(value('gatehouse_backend_outcomes_total{backend="corp",outcome="not_applicable"}'), 2)
    t.equal(value('gatehouse_backend_duration_seconds_count{backend="local"}'), 2)
    t.equal(value('gatehouse_backend_duration_seconds_count{backend="corp"}'), 0, 'it was not asked')
    t.equal(value('gatehouse_locks_set_total'), 1)
    t.equal(value('gatehouse_lockout_refusals_total'), 1)
    t.equal(value('gatehouse_lockout_ignored_total'), 1)
  },
)

t.test('the locks that operators ended are counted, none included', async t => {
  const metrics = createMetrics(() => NOTHING)
  t.equal((await scrape(metrics)).get('gatehouse_lockout_unlocks_total'), 0, 'there from the start')
  metrics.onUnlock(3)
  metrics.onUnlock(0)
  metrics.onUnlock(1)
  t.equal((await scrape(metrics)).get('gatehouse_lockout_unlocks_total'), 4)
})

t.test('whether the audit trail is well, and nothing of it where there is none', async t => {
  const metrics = createMetrics(() => ({ ...NOTHING, audit: { ok: false, waiting: 3, failed: 7, lost: 1 } }))
  const audit = (series: Map<string, number>) =>
    Object.fromEntries([...series].filter(([name]) => name.startsWith('gatehouse_audit')))
  const shown = {
    gatehouse_audit_up: 0,
    gatehouse_audit_waiting_rows: 3,
    gatehouse_audit_failures_total: 7,
    gatehouse_audit_lost_rows_total: 1,
  }
  t.strictSame(audit(await scrape(metrics)), shown)
  t.strictSame(audit(await scrape(metrics)), shown, 'looking adds nothing')
  t.strictSame(audit(await scrape(createMetrics(() => NOTHING))), {})
})

t.test('how full the lockout is, what it holds, and whether it is well', async t => {
  let lockout: Reading['lockout'] = {
    records: { resolved: 7, unresolved: 3 },
    bytes: 1_000,
    budgetBytes: 4_000,
    locked: { pair: 2, subnet: 1 },
    underAttack: true,
    reachable: true,
  }
  const metrics = createMetrics(() => ({ ...NOTHING, lockout }))
  const shown = async () =>
    Object.fromEntries(
      [...(await scrape(metrics))].filter(([name]) => /^gatehouse_lockout_(?!.*_total)/.test(name)),
    )
  t.strictSame(await shown(), {
    'gatehouse_lockout_records{partition="resolved"}': 7,
    'gatehouse_lockout_records{partition="unresolved"}': 3,
    gatehouse_lockout_bytes: 1_000,
    gatehouse_lockout_budget_bytes: 4_000,
    'gatehouse_lockout_locked{kind="pair"}': 2,
    'gatehouse_lockout_locked{kind="unfamiliar"}': 0,
    'gatehouse_lockout_locked{kind="familiar"}': 0,
    'gatehouse_lockout_locked{kind="source"}': 0,
    'gatehouse_lockout_locked{kind="subnet"}': 1,
    'gatehouse_lockout_locked{kind="directory"}': 0,
    gatehouse_lockout_under_attack: 1,
    gatehouse_lockout_store_up: 1,
  })
  lockout = { ...LOCKOUT, reachable: false }
  const shared = await shown()
  t.match(shared, { gatehouse_lockout_store_up: 0, gatehouse_lockout_under_attack: 0 })
  t.notOk(
    Object.keys(shared).some(name => /bytes|records/.test(name)),
    'memory that is not ours is not told',
  )
})

t.test('one verification for several attempts is several attempts and one verification', async t => {
  const metrics = createMetrics(() => NOTHING)
  metrics.onAttempt(rejected)
  metrics.onAttempt({ ...rejected, shared: true })
  const series = await scrape(metrics)
  t.equal(series.get('gatehouse_attempts_total{verdict="rejected"}'), 2)
  t.equal(series.get('gatehouse_backend_outcomes_total{backend="local",outcome="wrong_password"}'), 1)
})

t.test('states are those of the moment: what left the configuration leaves the metrics', async t => {
  const dc = (n: number) => `ldaps://dc${n}.corp.example:636`
  let reading: Reading = {
    health: {
      ready: true,
      backends: [
        {
          id: 'corp',
          ok: true,
          servers: [
            { server: dc(1), ok: false, reason: 'refused', certificateExpiresAt: 1_800_000_000_500 },
            { server: dc(2), ok: true },
          ],
        },
        { id: 'partner', ok: false, reason: 'out' },
      ],
    },
    inFlight: new Map([
      ['corp', 3],
      ['partner', 0],
    ]),
    held: 4,
    lockout: LOCKOUT,
    configOk: false,
    configLoadedAt: 1_700_000_000_000,
  }
  const metrics = createMetrics(() => reading)
  const before = await scrape(metrics)
  const expected: [string, number][] = [
    ['gatehouse_ready', 1],
    ['gatehouse_held_replies', 4],
    ['gatehouse_backend_up{backend="corp"}', 1],
    ['gatehouse_backend_up{backend="partner"}', 0],
    ['gatehouse_backend_in_flight{backend="corp"}', 3],
    [`gatehouse_server_up{backend="corp",server="${dc(1)}"}`, 0],
    [`gatehouse_server_up{backend="corp",server="${dc(2)}"}`, 1],
    [
      `gatehouse_server_certificate_expiry_timestamp_seconds{backend="corp",server="${dc(1)}"}`,
      1_800_000_000.5,
    ],
    ['gatehouse_config_reload_ok', 0],
    ['gatehouse_config_loaded_timestamp_seconds', 1_700_000_000],
    ['gatehouse_backend_outcomes_total{backend="partner",outcome="unavailable"}', 0],
  ]
  for (const [name, value] of expected) t.equal(before.get(name), value, name)

  reading = { ...reading, health: { ready: false, backends: [] }, inFlight: new Map(), configOk: true }
  const after = await scrape(metrics)
  t.equal(after.get('gatehouse_ready'), 0)
  t.equal(after.get('gatehouse_config_reload_ok'), 1)
  const left = [...after.keys()].filter(name =>
    /^gatehouse_(server_|backend_up|backend_in_flight)/.test(name),
  )
  t.strictSame(left, [])
})

t.test('no series tells who tried, from where or through which app', async t => {
  const metrics = createMetrics(() => NOTHING)
  for (let i = 0; i < 100; i++) {
    metrics.onAttempt({
      ...rejected,
      username: `user-${i}`,
      subject: `local:${i}`,
      address: `203.0.113.${i}`,
      caller: `app-${i}`,
      requestId: `request-${i}`,
      reason: `reason-${i}`,
    })
  }
  const { text } = await metrics.expose()
  t.notMatch(text, /user-|203\.0\.113|app-\d|request-|reason-|local:\d/)
  const first = (await scrape(metrics)).size
  metrics.onAttempt({ ...rejected, username: 'one more' })
  t.equal((await scrape(metrics)).size, first, 'the same number of series')
})

t.test('docs/metrics.md lists what there is, and nothing else', async t => {
  const metrics = createMetrics(() => ({
    ...NOTHING,
    health: {
      ready: true,
      backends: [{ id: 'b', ok: true, servers: [{ server: 's', ok: true, certificateExpiresAt: 0 }] }],
    },
    inFlight: new Map([['b', 0]]),
    lockout: { ...LOCKOUT, records: { p: 0 }, bytes: 0, budgetBytes: 0 },
  }))
  const { text } = await metrics.expose()
  const helps = [...text.matchAll(/^# HELP (gatehouse_\w+) (.*)$/gm)]
  const there = helps.map(([, name = '', help = '']) => {
    const type = new RegExp(`^# TYPE ${name} (\\w+)$`, 'm').exec(text)?.[1] ?? ''
    const series = new RegExp(`^${name}(?:_count)?(?:\\{(.*)\\})? `, 'm').exec(text)?.[1] ?? ''
    return { name, type, labels: [...series.matchAll(/(\w+)="/g)].map(([, label]) => label), help }
  })
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  const told = [...page.matchAll(/^\| `(gatehouse_\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$/gm)].map(
    ([, name = '', type = '', labels = '', help = '']) => {
      return { name, type, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label), help }
    },
  )
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
  t.strictSame(told.sort(byName), there.sort(byName))
  for (const usual of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_eventloop_lag_p99_seconds',
  ]) {
    t.match(text, new RegExp(`^# HELP ${usual} `, 'm'))
  }
  const words = (label: string, values: RegExp) =>
    [...new Set([...text.matchAll(values)].map(([, value]) => value))].sort().join() ===
    [...(new RegExp(`^- \`${label}\` is one of ([^.]*)\\.`, 'm').exec(page)?.[1] ?? '').matchAll(/`(\w+)`/g)]
      .map(([, value]) => value)
      .sort()
      .join()
  t.ok(words('verdict', /verdict="(\w+)"/g), 'every verdict')
  t.ok(words('outcome', /outcome="(\w+)"/g), 'every outcome')
  t.ok(words('kind', /gatehouse_lockout_locked{kind="(\w+)"/g), 'every kind of lock')
})
