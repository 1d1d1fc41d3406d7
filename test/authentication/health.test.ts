import t from 'tap'
import type { BackendHealth } from '../../src/authentication/backend.ts'
import type { Link } from '../../src/authentication/chain.ts'
import { probeAll, watchHealth } from '../../src/authentication/health.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

const DAY_MS = 86_400_000

function linkTo(id: string, health: () => BackendHealth | Promise<BackendHealth>): Link {
  return {
    backend: {
      id,
      authenticate: async () => ({ outcome: 'unknown_user' }),
      getUser: async () => undefined,
      probe: async () => health(),
      close: async () => {},
    },
    on: { accept: 'stop', unknown_user: 'continue', wrong_password: 'continue', unavailable: 'continue' },
    timeoutMs: 1_000,
    maxInFlight: 1,
    deny: false,
    usernameFilter: () => true,
  }
}

t.test('what a backend says of its servers is in the report, in sickness and in health', async t => {
  const servers = [{ server: 'ldaps://dc1:636', ok: false, reason: 'refused', certificateExpiresAt: 1 }]
  const links = [
    linkTo('up', () => ({ ok: true, servers })),
    linkTo('down', () => ({ ok: false, reason: 'out', servers })),
    linkTo('plain', () => ({ ok: true })),
  ]
  t.strictSame(await probeAll(links), {
    ready: true,
    backends: [
      { id: 'up', ok: true, servers },
      { id: 'down', ok: false, reason: 'out', servers },
      { id: 'plain', ok: true },
    ],
  })
})

t.test('a certificate that ends within 30 days is a warning once a day, for each server', async t => {
  const clock = createFakeClock()
  const log = createLogRecorder()
  const endsAt = clock.wall() + 31 * DAY_MS
  const servers = ['ldaps://dc1:636', 'ldaps://dc2:636'].map(server => {
    return { server, ok: true, certificateExpiresAt: endsAt }
  })
  const health = watchHealth([linkTo('corp', () => ({ ok: true, servers }))], { clock, log })
  t.teardown(health.stop)
  const warned = async () => {
    const before = log.at('warn').length
    await health.check()
    return log
      .at('warn')
      .slice(before)
      .map(({ fields, message }) => `${fields.server} ${message}`)
  }
  t.strictSame(await warned(), [], 'not before')
  clock.advance(DAY_MS)
  const soon = servers.map(({ server }) => `${server} the certificate of a server ends soon`)
  t.strictSame(await warned(), soon)
  t.strictSame(await warned(), [], 'not at each probe')
  clock.advance(DAY_MS - 1)
  t.strictSame(await warned(), [])
  clock.advance(1)
  t.strictSame(await warned(), soon, 'the next day')
  clock.advance(30 * DAY_MS)
  t.strictSame(
    await warned(),
    servers.map(({ server }) => `${server} the certificate of a server has ended`),
  )
  t.match(log.at('warn')[0], {
    fields: { backend: 'corp', certificate_expires: new Date(endsAt).toISOString() },
  })
})

t.test('a watch that takes over from another says what changed, and nothing twice', async t => {
  const log = createLogRecorder()
  const clock = createFakeClock()
  const before = {
    ready: false,
    backends: [
      { id: 'mended', ok: false, reason: 'a wrong password' },
      { id: 'out', ok: false, reason: 'refused' },
      { id: 'gone', ok: true },
    ],
  } as const
  let up = true
  const links = [
    linkTo('new', () => ({ ok: true })),
    linkTo('out', () => ({ ok: false, reason: 'refused' })),
    linkTo('mended', () => (up ? { ok: true } : { ok: false, reason: 'again' })),
  ]
  const now = await probeAll(links)
  const watch = { latest: () => before, warnedAt: new Map() }
  const health = watchHealth(links, { clock, log, earlier: { watch, now } })
  t.teardown(health.stop)
  t.strictSame(health.latest(), now, 'it knows at once')
  t.strictSame(
    log.lines.map(({ fields, message }) => `${fields.backend} ${message}`),
    ['mended the backend gives verdicts again'],
  )
  await health.check()
  t.equal(log.lines.length, 1)
  up = false
  await health.check()
  t.match(log.lines.at(-1), { level: 'warn', fields: { backend: 'mended', reason: 'again' } })
})

t.test('after its end a watch says nothing, not even of the round that is under way', async t => {
  const log = createLogRecorder()
  const answer = Promise.withResolvers<BackendHealth>()
  const health = watchHealth([linkTo('corp', () => answer.promise)], { clock: createFakeClock(), log })
  const round = health.check()
  health.stop()
  answer.resolve({ ok: false, reason: 'the backend is closed' })
  await round
  t.strictSame(log.lines, [])
})

t.test('a certificate that ends soon is said once a day, however often watches change', async t => {
  const log = createLogRecorder()
  const clock = createFakeClock()
  const servers = [{ server: 'ldaps://dc1', ok: true, certificateExpiresAt: clock.wall() + 86_400_000 }]
  const links = [linkTo('corp', () => ({ ok: true, servers }))]
  const now = await probeAll(links)
  let watch = watchHealth(links, { clock, log })
  await watch.check()
  for (let reloads = 0; reloads < 3; reloads++) {
    watch.stop()
    watch = watchHealth(links, { clock, log, earlier: { watch, now } })
  }
  t.teardown(watch.stop)
  t.equal(log.lines.length, 1)
})
