import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type App, startApp } from '../src/app.ts'
import { resolvePlugin } from '../src/backends/registry.ts'
import type { Config } from '../src/config/config.ts'
import { loadConfig } from '../src/config/load.ts'
import { authenticate } from './support/daemon.ts'
import { createLogRecorder } from './support/log-recorder.ts'

/** The composition: what a configuration becomes, in this process. */

const LISTEN = `
listen: { host: 127.0.0.1, port: 0 }
admin: { host: 127.0.0.1, port: 0 }
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
      { message: /:5:\d+: error: no enabled backend of type `local` has the id/ },
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
