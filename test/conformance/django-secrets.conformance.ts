/** Django's tests that a crash shows no password, and what its events show. */
import { Buffer } from 'node:buffer'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createFakeCoreServer, canary as sentByFakeCore } from '../http/fake-core.ts'
import { startDaemon } from '../support/daemon.ts'
import { type House, LOCAL, openHouse } from './house.ts'
import { addUser, storeHash } from './local-people.ts'
import { scripted } from './scripted.ts'
import { conforms, differs } from './suite.ts'

const CANARY = 'c4nary of a password'
const BASIC = `Basic ${Buffer.from(`alice:${CANARY}`).toString('base64')}`

/** Also in the encodings in which it may have come. */
function hides(t: Test, text: string, what: string): void {
  for (const form of [
    CANARY,
    encodeURIComponent(CANARY),
    Buffer.from(CANARY).toString('base64').slice(0, 24),
    BASIC,
  ])
    t.notOk(text.includes(form), `${what} shows no password`)
}

const SCRIPTED = { id: 'odd-one', type: 'scripted' }

/** Every way in which code that holds a password can fail, and take it along. */
const LEAKS: Readonly<Record<string, (password: string) => unknown>> = {
  message: password => new Error(`no good: ${password}`),
  cause: password => new Error('no good', { cause: new Error(password) }),
  property: password => Object.assign(new Error('no good'), { password, attempt: { password } }),
  name: password => Object.assign(new Error('no good'), { name: password }),
  several: password => new AggregateError([new Error(password)], 'no good'),
  text: password => password,
  object: password => ({ password }),
}

differs(
  'D14',
  'the event holds no password and no mask of one; the name is shown once a backend knows it, else only its keyed hash, since it may be a password in the wrong box',
  async t => {
    const house = await openHouse(t, { backends: [LOCAL] })
    await addUser(house, 'alice')
    await house.login('alice', CANARY)
    await house.login(CANARY, CANARY)
    const [known, unknown] = house.attempts()
    t.match(known?.fields, { user: 'alice', user_hash: String, verdict: 'rejected' })
    t.notMatch(unknown?.fields, { user: String })
    t.match(unknown?.fields, { user_hash: String, verdict: 'rejected' })
    for (const line of [known, unknown]) t.notOk('password' in (line?.fields ?? {}))
    hides(t, house.log.text(), 'the log')
  },
)

conforms('D20', async t => {
  let leak = LEAKS.message
  const crash = scripted(async ({ password }) => {
    throw leak?.(password.reveal())
  })
  const house = await openHouse(t, { backends: [SCRIPTED] }, { plugins: { scripted: crash } })
  for (const [what, next] of Object.entries(LEAKS)) {
    leak = next
    const reply = await house.login('alice', CANARY)
    t.match(reply, { status: 503, code: 'backend_unavailable' }, what)
    hides(t, reply.text, 'the reply')
    hides(t, house.log.text(), 'the log')
    const report = house.log.at('error').at(-1)
    t.match(report, { message: 'the backend threw', fields: { backend: 'odd-one' } }, what)
    t.ok(report?.fields.err instanceof Error)
  }
  t.match(house.log.text(), /"stack":"[^"]*django-secrets/, 'with its stack')
  hides(t, await house.metrics(), 'the metrics')
})

conforms('D21', async t => {
  const house = await openHouse(t, { backends: [LOCAL] })
  const headers = { authorization: 'Bearer key-of-the-login-form' }
  const bodies = [
    `{"username":"alice","password":"${CANARY}"`,
    `{"username":"alice","password":"${CANARY}",}`,
    `{"username":"alice","password":["${CANARY}"]}`,
    `{"username":"alice","password":{"${CANARY}":1}}`,
    `{"username":["alice"],"password":"${CANARY}"}`,
    `{"username":"alice","${CANARY}":"password"}`,
    `{"username":"alice","password":"${CANARY}","password":"${CANARY}"}`,
    `{"username":"alice","password":"${CANARY}\\ud800"}`,
    `{"username":"\\u0000","password":"${CANARY}"}`,
    `{"username":"alice","password":"${CANARY}\\n"}`,
    `"${CANARY}"`,
    CANARY,
  ]
  for (const body of bodies) {
    const reply = await house.ask('/authenticate', { method: 'POST', headers, body })
    t.equal(reply.status, 400, body)
    hides(t, reply.text, 'the reply')
  }
  for (const authorization of [`${BASIC}x`, BASIC.slice(0, -1), `Basic ${CANARY}`, `Digest ${CANARY}`]) {
    const reply = await house.ask('/auth', { headers: { authorization } })
    t.ok(reply.status === 401 || reply.status === 403)
    hides(t, reply.text, 'the reply')
  }
  hides(t, house.log.text(), 'the log')

  // A bug of ours, of whoever has the credentials in hand: no input is known that makes one.
  const server = createFakeCoreServer(t)
  server.answer = async attempt => {
    throw Object.assign(new Error('a bug'), { attempt, cause: attempt.password })
  }
  t.match((await server.login()).json(), { code: 'internal_error' })
  const report = server.log.at('error')[0]?.fields.err
  t.equal(
    (report as { attempt: { username: string } }).attempt.username,
    'alice',
    'the report has the credentials',
  )
  t.notOk(server.log.text().includes(sentByFakeCore), 'and not the password')
})

conforms('D22', async t => {
  const folder = t.testdir({
    'crash.mjs': `
      const leaks = { ${Object.entries(LEAKS)
        .map(([name, leak]) => `${name}: ${leak}`)
        .join(',\n')} }
      export const plugin = {
        type: 'crash', apiVersion: 1, options: { type: 'object', properties: {} },
        create: async (_options, { id }) => ({
          id,
          async authenticate({ username, password, log }) {
            log.error({ password }, 'about to crash')
            throw leaks[username.text](password.reveal())
          },
          getUser: async () => undefined, probe: async () => ({ ok: true }), close: async () => {},
        }),
      }`,
  })
  const config = {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    database: join(folder, 'gatehouse.db'),
    log: { format: 'json', level: 'debug' },
    plugins: ['./crash.mjs'],
    backends: [{ id: 'odd-one', type: './crash.mjs' }],
  }
  writeFileSync(join(folder, 'gatehouse.yaml'), JSON.stringify(config))
  const daemon = await startDaemon(t, { config: 'gatehouse.yaml', cwd: folder })
  for (const name of Object.keys(LEAKS)) {
    const reply = await daemon.authenticate(name, CANARY)
    t.equal(reply.status, 503, name)
    hides(t, reply.text, 'the reply')
    const authorization = `Basic ${Buffer.from(`${name}:${CANARY}`).toString('base64')}`
    const asked = await fetch(`${daemon.url}/auth`, { headers: { authorization } })
    t.equal(asked.status, 503)
    hides(t, await asked.text(), 'the reply')
  }
  const metrics = await (await fetch(`${daemon.adminUrl}/metrics`)).text()
  t.equal(await daemon.stop(), 0)
  const reports = daemon.lines.filter(line => line.backend === 'odd-one' && line.msg === 'the backend threw')
  t.equal(reports.length, 2 * Object.keys(LEAKS).length, 'each was reported, under the id of its backend')
  t.equal(daemon.lines.filter(line => line.password === '[secret]').length, reports.length)
  hides(t, JSON.stringify(daemon.lines), 'the log')
  hides(t, daemon.stderr(), 'standard error')
  hides(t, metrics, 'the metrics')
  hides(t, readFileSync(join(folder, 'gatehouse.db'), 'latin1'), 'the database')
})

/** Passwords are set on the command line only; an app can do no more than check one. */
conforms('D23', async t => {
  const house = await openHouse(t, { backends: [LOCAL], lockout: { mode: 'off' } })
  await addUser(house, 'alice')
  const run = async (args: readonly string[], code: number, input = CANARY) => {
    const done = await house.command([...args, '--password-stdin'], input)
    t.equal(done.code, code, args.join(' '))
    hides(t, done.stdout + done.stderr, args.join(' '))
    return done
  }
  await run(['user', 'add', 'bob', '--name', CANARY], 1)
  await run(['user', 'passwd', 'alice'], 1, CANARY.slice(0, 14))
  await run(['user', 'passwd', 'alice'], 1, `${CANARY}\0`)
  await run(['user', 'passwd', 'alice'], 1, CANARY.repeat(100))
  await run(['user', 'passwd', 'nobody'], 1)
  await run(['user', 'passwd', 'alice', '--no-such-option'], 2)
  await run(['user', 'passwd', 'alice', '--json'], 0)
  await run(['hash'], 0)

  storeHash(house, 'alice', `$argon2id$${CANARY}`)
  t.equal((await house.login('alice', CANARY)).status, 401)
  const { stdout } = await house.command(['user', 'show', 'alice', '--json'])
  hides(t, stdout + house.log.text(), 'what is stored in its place')

  await breakDatabase(house)
  await run(['user', 'passwd', 'alice'], 1)
  await run(['user', 'add', 'carol'], 1)
})

async function breakDatabase(house: House): Promise<void> {
  await house.app.stop()
  writeFileSync(join(house.folder, 'gatehouse.db'), 'no database')
}
