import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from 'node:tls'
import t from 'tap'
import { type App, startApp } from '../src/app.ts'
import type { Backend } from '../src/authentication/backend.ts'
import { resolvePlugin } from '../src/backends/registry.ts'
import type { Config, LoadedConfig } from '../src/config/config.ts'
import { loadConfig } from '../src/config/load.ts'
import type { BackendPlugin } from '../src/plugin.ts'
import { backend } from './authentication/backends.ts'
import { createCertificateAuthority } from './support/certificate-authority.ts'
import { authenticate } from './support/daemon.ts'
import { createLogRecorder } from './support/log-recorder.ts'
import { startRedis } from './support/redis.ts'

/** The composition: what a configuration becomes, in this process. */

const LISTEN = `
listen: { host: 127.0.0.1, port: 0 }
admin: { host: 127.0.0.1, port: 0 }
timing: { floor: 1ms, jitter: 1ms }
`

async function configure(directory: string, yaml: string): Promise<Config> {
  const file = join(directory, 'gatehouse.yaml')
  writeFileSync(file, `${LISTEN}database: ${join(directory, 'gatehouse.db')}\n${yaml}`)
  return (await loadConfig({ file, env: {}, resolvePlugin })).config
}

function firstAdminOf({ firstAdmin }: App): NonNullable<App['firstAdmin']> {
  if (firstAdmin === undefined) throw new Error('no first admin was made')
  return firstAdmin
}

const LOCAL = 'backends: [{ id: local, type: local }]'

t.test('a database that cannot be used is an outage of the local users, with the way to mend it', async t => {
  const directory = t.testdir({ 'gatehouse.db': 'this is no database'.repeat(100) })
  const log = createLogRecorder()
  const app = await startApp(await configure(directory, LOCAL), log)
  t.teardown(() => app.stop())
  t.match(log.at('error'), [{ fields: { reason: /is not a database: restore it from a backup/ } }])
  t.match(await authenticate(app.publicUrl, { username: 'admin', password: 'x' }), {
    status: 503,
    body: { code: 'backend_unavailable' },
  })
  t.equal((await fetch(`${app.publicUrl}/users/local:1`)).status, 503, 'nobody is said to be gone')
  t.equal((await fetch(`${app.publicUrl}/readyz`)).status, 503)
  t.equal((await fetch(`${app.publicUrl}/livez`)).status, 200, 'and nobody restarts it in a loop')
  t.match(await (await fetch(`${app.adminUrl}/readyz`)).json(), {
    ready: false,
    backends: [{ id: 'local', ok: false, reason: /is not a database/ }],
  })
})

t.test('locks outlive the daemon, and what is written down of them names nobody and no address', async t => {
  const directory = t.testdir()
  const file = join(directory, 'gatehouse.db')
  const from = '203.0.113.77'
  const config = await configure(
    directory,
    `trusted_proxies: [127.0.0.0/8]
${LOCAL}`,
  )
  const guess = async (app: App, username: string) => {
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': from }
    const body = JSON.stringify({ username, password: `wrong ${Math.random()}` })
    return (await fetch(`${app.publicUrl}/authenticate`, { method: 'POST', headers, body })).status
  }
  const first = await startApp(config, createLogRecorder())
  for (const name of ['admin', 'canary-of-the-lockout']) {
    for (let i = 0; i < 5; i++) t.equal(await guess(first, name), 401)
    t.equal(await guess(first, name), 429)
  }
  const written = Buffer.concat(globSync(`${file}*`).map(path => readFileSync(path))).toString('latin1')
  t.match(written, /"what":"record","kind":"pair"/, 'there is something written down')
  t.match(written, /"what":"unresolved"/)
  t.notMatch(written, /canary-of|203\.0\.113/)
  await first.stop()

  const again = await startApp(config, createLogRecorder())
  t.teardown(() => again.stop())
  for (const name of ['admin', 'canary-of-the-lockout']) t.equal(await guess(again, name), 429, name)
})

t.test('an alias backend without the one it stands for is refused at the start', async t => {
  const log = createLogRecorder()
  for (const yaml of [
    'backends: [{ id: email, type: email }]',
    'backends: [{ id: email, type: email }, { id: people, type: local }]',
    'backends: [{ id: email, type: email }, { id: local, type: local, enabled: false }]',
    'backends: [{ id: email, type: email, users: email }, { id: local, type: local }]',
  ]) {
    await t.rejects(
      configure(t.testdir(), yaml),
      { message: /:6:\d+: error: no enabled backend of type `local` has the id/ },
      yaml,
    )
  }
  const both = await configure(
    t.testdir(),
    'backends: [{ id: email, type: email }, { id: local, type: local }]',
  )
  const alone = { ...both, backends: both.backends.slice(0, 1) }
  await t.rejects(startApp(alone, log), { message: /issues the ids of "local", and no enabled backend has/ })
  const config = await configure(
    t.testdir(),
    'backends: [{ id: mail, type: email, users: people }, { id: people, type: local }]',
  )
  const app = await startApp(config, log)
  const { username, password } = firstAdminOf(app)
  const answer = await authenticate(app.publicUrl, { username, password: password.reveal() })
  t.match(answer, { status: 200, body: { user: { id: /^people:/, backend: 'people' } } })
  await app.stop()
})

t.test(
  'apps with a key are known by it, may what the configuration says, and nobody else may call',
  async t => {
    const digest = '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae' // of "foo"
    const config = await configure(
      t.testdir(),
      `${LOCAL}
clients:
  - { id: wiki, key_sha256: ${digest}, may: [assert_client_ip], rate_limit: { max: 100, per: 1s } }
`,
    )
    const app = await startApp(config, createLogRecorder())
    t.teardown(() => app.stop())
    const { username, password } = firstAdminOf(app)
    const right = { username, password: password.reveal(), client: { ip: '203.0.113.9' } }
    const key = { authorization: 'Bearer foo' }
    t.match(await authenticate(app.publicUrl, right, key), { status: 200 })
    t.match(await authenticate(app.publicUrl, right), {
      status: 401,
      body: { code: 'client_unauthenticated' },
    })
    t.match(await authenticate(app.publicUrl, right, { authorization: 'Bearer bar' }), { status: 401 })

    const guess = (ip: string, i: number) =>
      authenticate(app.publicUrl, { username, password: `guess ${i}`, client: { ip } }, key)
    for (let i = 0; i < 5; i++) t.match(await guess('203.0.113.66', i), { status: 401 })
    t.match(await guess('203.0.113.66', 5), { status: 429 })
    t.match(
      await authenticate(app.publicUrl, right, key),
      { status: 200 },
      'the owner, from elsewhere, gets in',
    )
  },
)

t.test('a reload takes what can be taken, and says what cannot', async t => {
  const directory = t.testdir()
  let next = await configure(directory, LOCAL)
  const log = createLogRecorder()
  const app = await startApp(next, log, async () => loadedFrom(next))
  t.teardown(() => app.stop())
  const { username, password } = firstAdminOf(app)
  const right = { username, password: password.reveal() }
  const guess = (i: number) => authenticate(app.publicUrl, { username, password: `guess ${i}` })
  for (let i = 0; i < 2; i++) t.match(await guess(i), { status: 401 })

  next = await configure(directory, `${LOCAL}\nlockout: { max_attempts: 3, memory: 8MiB }`)
  t.strictSame(await app.reload(), { outcome: 'reloaded', needsRestart: ['lockout.memory'] })
  t.match(log.at('warn'), [{ fields: { keys: ['lockout.memory'] } }])
  t.match(await guess(2), { status: 401 }, 'the third counts with the two before the reload')
  t.match(await authenticate(app.publicUrl, right), { status: 429 }, 'under the limit of now')

  next = await configure(directory, `${LOCAL}\nlockout: { max_attempts: 3, disclosure: hidden }`)
  t.match(await app.reload(), { outcome: 'reloaded' })
  const hidden = { status: 401, body: { code: 'invalid_credentials' } }
  t.match(await authenticate(app.publicUrl, right), hidden, 'the lock still holds, and no longer shows')

  const digest = '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae' // of "foo"
  next = await configure(directory, `${LOCAL}\nclients: [{ id: wiki, key_sha256: ${digest} }]`)
  t.match(await app.reload(), { outcome: 'reloaded' })
  t.match(await authenticate(app.publicUrl, right), { status: 401, body: { code: 'client_unauthenticated' } })

  const broken = {
    ...next,
    backends: next.backends.map(each => ({ ...each, plugin: failing(each.plugin) })),
  }
  next = broken
  t.match(await app.reload(), { outcome: 'refused', reason: 'backend local: no luck' })
  t.match(await authenticate(app.publicUrl, right), { status: 401 }, 'the one before it serves')
  t.match(await (await fetch(`${app.adminUrl}/readyz`)).json(), {
    ready: true,
    config: { ok: false, reason: 'backend local: no luck' },
  })
})

t.test('without its store a closed lockout is not ready, and it is again when the store is back', async t => {
  const redis = await startRedis(t)
  const yaml = (onFailure: string) => `${LOCAL}
lockout:
  store: redis
  redis: { url: '${redis.url}', password: '${redis.password}', prefix: '${onFailure}', timeout: 5s }
  on_store_failure: ${onFailure}
  secret: as long as it must be for the keys of everybody`
  const start = async (onFailure: string) => {
    const app = await startApp(await configure(t.testdir(), yaml(onFailure)), createLogRecorder())
    t.teardown(() => app.stop())
    const readyz = async (url: string) => {
      const reply = await fetch(`${url}/readyz`)
      const body = (await reply.json()) as { readonly lockout_store?: { readonly ok: boolean } }
      return { status: reply.status, body }
    }
    /** Nobody logs in meanwhile. */
    const until = async (ok: boolean) => {
      for (;;) {
        const details = await readyz(app.adminUrl)
        if (details.body.lockout_store?.ok === ok) return { details, shown: await readyz(app.publicUrl) }
        await pause(20)
      }
    }
    const metrics = async () => (await fetch(`${app.adminUrl}/metrics`)).text()
    return { until, metrics }
  }
  const [closed, local] = [await start('closed'), await start('local')]
  t.match(await closed.until(true), {
    shown: { status: 200 },
    details: { status: 200, body: { ready: true } },
  })
  await local.until(true)
  await redis.stop()
  const reason = /^Redis: /
  t.match(await closed.until(false), {
    shown: { status: 503, body: { code: 'not_ready' } },
    details: { status: 503, body: { ready: false, lockout_store: { reason }, backends: [{ ok: true }] } },
  })
  t.match(await closed.metrics(), /^gatehouse_ready 0$/m)
  t.match(await local.until(false), {
    shown: { status: 200 },
    details: { status: 200, body: { ready: true, lockout_store: { reason } } },
  })
  t.match(await local.metrics(), /^gatehouse_ready 1$/m)
  await redis.start()
  t.match(await closed.until(true), { shown: { status: 200 }, details: { body: { ready: true } } })
  t.strictSame((await local.until(true)).details.body.lockout_store, { ok: true })
})

t.test('attempts in flight finish on the backend they began on, which is closed after the last', async t => {
  const plain = await configure(t.testdir(), LOCAL)
  const made: { closed: Promise<void>; isClosed: boolean; asked: Promise<void>; answer(): void }[] = []
  const create = async (): Promise<Backend> => {
    const [asking, answering, closing] = [0, 1, 2].map(() => Promise.withResolvers<void>())
    if (!asking || !answering || !closing) throw new Error('three were made')
    const one = { closed: closing.promise, isClosed: false, asked: asking.promise, answer: answering.resolve }
    made.push(one)
    const user = { id: `made-${made.length}`, username: 'alice', groups: [], roles: [], attributes: {} }
    return {
      id: 'local',
      async authenticate({ mayVerify }) {
        await mayVerify(user.id)
        asking.resolve()
        await answering.promise
        return one.isClosed
          ? { outcome: 'unavailable', cause: 'closed', phase: 'lookup', credentialSent: false }
          : { outcome: 'accept', user }
      },
      getUser: async () => undefined,
      probe: async () => ({ ok: true }),
      async close() {
        one.isClosed = true
        closing.resolve()
      },
    }
  }
  const config = withBackend(plain, create)
  const app = await startApp(config, createLogRecorder(), async () => loadedFrom(config))
  t.teardown(() => app.stop())
  const login = () => authenticate(app.publicUrl, { username: 'alice', password: 'x' })

  const [before, early] = [made[0], login()]
  await before?.asked
  t.match(await app.reload(), { outcome: 'reloaded' })
  const [after, late] = [made[1], login()]
  await after?.asked
  t.equal(before?.isClosed, false)
  const metrics = await (await fetch(`${app.adminUrl}/metrics`)).text()
  t.match(metrics, /^gatehouse_backend_in_flight\{backend="local"\} 1$/m, 'of what serves now')
  after?.answer()
  t.match(
    await late,
    { status: 200, body: { user: { id: 'local:made-2' } } },
    'the newer one waits for nobody',
  )
  before?.answer()
  t.match(await early, { status: 200, body: { user: { id: 'local:made-1' } } })
  await before?.closed
  t.equal(after?.isClosed, false)
  await app.stop()
  t.equal(after?.isClosed, true)
})

t.test('a listener that is open to everybody is not left without apps by a reload', async t => {
  const directory = t.testdir()
  const started = await configure(directory, `${LOCAL}\nallow_anonymous_clients: true`)
  const open = { ...started, listen: { ...started.listen, host: '0.0.0.0' } }
  let next: Config = { ...open, allowAnonymousClients: false, listen: started.listen }
  const app = await startApp(open, createLogRecorder(), async () => loadedFrom(next))
  t.teardown(() => app.stop())
  t.match(await app.reload(), { outcome: 'refused', reason: /listens on 0\.0\.0\.0 until it is restarted/ })
  next = open
  t.match(await app.reload(), { outcome: 'reloaded', needsRestart: [] })
})

t.test('apps are not let go of by a reload, unless somebody says so', async t => {
  const directory = t.testdir()
  const digest = '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae' // of "foo"
  let next = await configure(directory, `${LOCAL}\nclients: [{ id: wiki, key_sha256: ${digest} }]`)
  const app = await startApp(next, createLogRecorder(), async () => loadedFrom(next))
  t.teardown(() => app.stop())
  const right = { username: 'admin', password: firstAdminOf(app).password.reveal() }
  next = await configure(directory, LOCAL)
  t.match(await app.reload(), { outcome: 'refused', reason: /`clients` is gone from the file/ })
  t.match(await authenticate(app.publicUrl, right), { status: 401, body: { code: 'client_unauthenticated' } })
  next = await configure(directory, `${LOCAL}\nallow_anonymous_clients: true`)
  t.match(await app.reload(), { outcome: 'reloaded' })
  t.match(await authenticate(app.publicUrl, right), { status: 200 })
})

t.test('what backends do when they are closed changes nothing about what is said', async t => {
  const config = await configure(t.testdir(), LOCAL)
  const log = createLogRecorder()
  let next = config
  const app = await startApp(config, log, async () => loadedFrom(next))
  t.teardown(() => app.stop())
  const rude = backend('local', () => ({ outcome: 'unknown_user' }), {
    probe: async () => ({ ok: false, reason: 'its own reason' }),
    close: () => Promise.reject(new Error('cannot close')),
  })
  next = withBackend(config, async () => rude)
  const refused = { outcome: 'refused', reason: 'backend local: its own reason' }
  t.match(await Promise.all([app.reload(), app.reload()]), [refused, refused])
  t.match(await (await fetch(`${app.adminUrl}/readyz`)).json(), { config: { ok: false } })
  t.match(log.at('error').at(-1), { fields: { reason: refused.reason } })
  next = config
  t.match(
    await Promise.all([app.reload(), app.reload(), app.reload()]),
    Array(3).fill({ outcome: 'reloaded' }),
  )
})

t.test('a start that fails makes no first user, whose password nobody would see', async t => {
  const directory = t.testdir({ taken: {}, fresh: {} })
  const taken = await startApp(await configure(join(directory, 'taken'), LOCAL), createLogRecorder())
  const config = await configure(join(directory, 'fresh'), LOCAL)
  const { port } = new URL(taken.publicUrl)
  const clash = { ...config, listen: { ...config.listen, port: Number(port) } }
  await t.rejects(startApp(clash, createLogRecorder()), { code: 'EADDRINUSE' })
  await taken.stop()
  const app = await startApp(config, createLogRecorder())
  t.equal(firstAdminOf(app).username, 'admin')
  await app.stop()
})

t.test('those who ask for a reload during one get the next, together', async t => {
  const config = await configure(t.testdir(), LOCAL)
  let loads = 0
  const app = await startApp(config, createLogRecorder(), async () => {
    loads++
    return loadedFrom(config)
  })
  t.teardown(() => app.stop())
  const results = await Promise.all(Array.from({ length: 10 }, () => app.reload()))
  t.ok(results.every(({ outcome }) => outcome === 'reloaded'))
  t.equal(loads, 2)
  const withoutFile = await startApp(await configure(t.testdir(), LOCAL), createLogRecorder())
  t.teardown(() => withoutFile.stop())
  t.match(await withoutFile.reload(), { outcome: 'refused', reason: /not from a file/ })
})

t.test('a renewed certificate is shown from the reload on, and one that cannot be is not taken', async t => {
  const directory = t.testdir()
  const authority = await createCertificateAuthority(join(directory, 'ca'))
  const [one, two] = [await authority.issue(), await authority.issue()]
  const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const install = (cert: string, key: string) => {
    copyFileSync(cert, certFile)
    copyFileSync(key, keyFile)
  }
  install(one.certFile, one.keyFile)
  const config = await configure(directory, LOCAL)
  const secure = { ...config, listen: { ...config.listen, tls: { certFile, keyFile } } }
  const app = await startApp(secure, createLogRecorder(), async () => loadedFrom(secure))
  t.teardown(() => app.stop())
  const serial = (file: string) => new X509Certificate(readFileSync(file)).serialNumber
  t.equal(await shownBy(app), serial(one.certFile))
  install(two.certFile, two.keyFile)
  t.match(await app.reload(), { outcome: 'reloaded' })
  t.equal(await shownBy(app), serial(two.certFile))
  install(one.certFile, two.keyFile)
  t.match(await app.reload(), { outcome: 'refused', reason: /^listen\.tls: / })
  t.equal(await shownBy(app), serial(two.certFile))
})

function loadedFrom(config: Config): LoadedConfig {
  return { file: 'gatehouse.yaml', config, warnings: [], effective: {}, origins: new Map() }
}

function withBackend(config: Config, create: () => Promise<Backend>): Config {
  const backends = config.backends.map(each => ({ ...each, plugin: { ...each.plugin, create } }))
  return { ...config, backends }
}

function failing(plugin: BackendPlugin): BackendPlugin {
  return { ...plugin, create: () => Promise.reject(new Error('no luck')) }
}

/** The serial number of the certificate that a new connection sees. */
async function shownBy({ publicUrl }: App): Promise<string> {
  const socket = connect({
    host: '127.0.0.1',
    port: Number(new URL(publicUrl).port),
    rejectUnauthorized: false,
  })
  await once(socket, 'secureConnect')
  const { serialNumber } = socket.getPeerCertificate()
  socket.destroy()
  return serialNumber
}

t.test('nothing is left open when the start fails half-way', async t => {
  const directory = t.testdir()
  const first = await startApp(await configure(directory, LOCAL), createLogRecorder())
  const { port } = new URL(first.publicUrl)
  mkdirSync(join(directory, 'second'))
  const config = await configure(join(directory, 'second'), LOCAL)
  const taken = { ...config, listen: { ...config.listen, port: Number(port) } }
  await t.rejects(startApp(taken, createLogRecorder()), { code: 'EADDRINUSE' })
  await first.stop()
  const again = await startApp(taken, createLogRecorder())
  t.equal(again.publicUrl, first.publicUrl)
  await Promise.all([again.stop(), again.stop()])
  await t.rejects(fetch(`${again.publicUrl}/livez`))
})
