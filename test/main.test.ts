import { execFile } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { parseDocument } from 'yaml'
import { startBlackHole } from './support/black-hole.ts'
import { corpPeople } from './support/corp.ts'
import { authenticate, type Daemon, runCommand, startDaemon } from './support/daemon.ts'
import { writeOpenldapExample } from './support/openldap-example.ts'
import { type Slapd, startSlapd } from './support/slapd.ts'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))

/** The daemon as its three users meet it: a process, a YAML file, a real directory. */

const { alice, bob, carol } = corpPeople
const DAVE = { name: 'dave', email: 'dave@partner.example', password: 'two kettles and one dave' }

/** The embedded default, on free ports and with a log to read. */
function writeDefault(directory: string): string {
  const document = parseDocument(readFileSync(new URL('../config/gatehouse.yaml', import.meta.url), 'utf8'))
  document.setIn(['listen', 'port'], 0)
  document.setIn(['admin', 'port'], 0)
  document.setIn(['log', 'format'], 'json')
  const file = join(directory, 'gatehouse.yaml')
  writeFileSync(file, String(document))
  return file
}

async function addDave(config: string, cwd: string): Promise<void> {
  const added = await runCommand(
    ['user', 'add', DAVE.name, '--email', DAVE.email, '--password-stdin', '--config', config],
    { cwd, input: `${DAVE.password}\n` },
  )
  t.equal(added.code, 0, added.stderr)
}

t.test(
  'the first start makes one admin, shows the password once and prints the line that logs in',
  async t => {
    const cwd = t.testdir()
    const config = writeDefault(cwd)
    const daemon = await startDaemon(t, { config, cwd })
    const line = (await daemon.said(/^ {2}(curl .*)$/m))[1]
    const password = (await daemon.said(/^ {2}password {2}(\S+)$/m))[1] ?? ''
    const { stdout } = await promisify(execFile)('sh', ['-c', `${line} --silent`])
    t.match(stdout, /^HTTP\/1\.1 200 /)
    t.match(stdout, /"backend":"local","username":"admin","groups":\["admins"\]/)
    for (let guess = 1; guess <= 5; guess++) {
      t.match(await daemon.authenticate('admin', `wrong ${guess}`), {
        status: 401,
        body: { code: 'invalid_credentials' },
      })
    }
    const locked = await daemon.authenticate('admin', password)
    t.match(locked, { status: 429, body: { code: 'locked_out' } })
    t.match(locked.headers.get('retry-after'), /^(29\d|300)$/)
    t.equal(statSync(join(cwd, 'data/gatehouse.db')).mode & 0o777, 0o600)
    t.equal(await daemon.stop(), 0)
    t.notMatch(JSON.stringify(daemon.lines), password, 'not in the log')

    const again = await startDaemon(t, { config, cwd })
    t.notMatch(again.stderr(), /password/, 'shown once')
    const outlives = { status: 429, body: { code: 'locked_out' } }
    t.match(await again.authenticate('admin', password), outlives, 'a lock outlives the daemon')
    t.equal(await again.stop('SIGINT'), 0)
  },
)

t.test('the OpenLDAP example in front of a real slapd', async t => {
  const cwd = t.testdir()
  const slapd = await startSlapd(t)
  const config = writeOpenldapExample(cwd, slapd)
  await addDave(config, cwd)
  const daemon = await startDaemon(t, { config, cwd })

  await t.test('a directory user, a mail address and a local user log in, in the declared order', async t => {
    const byLdap = await daemon.authenticate(alice.uid, alice.password)
    t.match(byLdap, {
      status: 200,
      body: {
        user: {
          id: /^corp:[0-9a-f-]{36}$/,
          backend: 'corp',
          username: 'alice',
          display_name: 'Alice Liddell',
        },
      },
    })
    t.match(
      await daemon.authenticate(alice.mail ?? '', alice.password),
      {
        body: { user: { id: (byLdap.body.user as { id: string }).id } },
      },
      'her mail address is the same person',
    )
    const byMail = await daemon.authenticate(DAVE.email, DAVE.password)
    const byName = await daemon.authenticate(DAVE.name, DAVE.password)
    t.match(byMail, { status: 200, body: { user: { id: /^local:/, username: 'dave' } } })
    t.strictSame(byMail.body.user, byName.body.user, 'name and address are one person')
    const byNameId = byName.headers.get('x-request-id')
    const { steps: asked } = await daemon.line(({ request_id }) => request_id === byNameId)
    t.match(asked, [
      { backend: 'corp', outcome: 'unknown_user' },
      { backend: 'email', outcome: 'unknown_user' },
      { backend: 'local', outcome: 'accept' },
    ])
  })

  await t.test('an identity can be looked up again, by its id alone', async t => {
    const { body } = await daemon.authenticate(alice.uid, alice.password)
    const { id } = body.user as { id: string }
    const found = await fetch(`${daemon.url}/users/${encodeURIComponent(id)}`)
    t.strictSame(await found.json(), { user: body.user })
    t.equal((await fetch(`${daemon.url}/users/corp:00000000-0000-0000-0000-000000000000`)).status, 404)
    t.equal((await fetch(`${daemon.url}/users/gone:1`)).status, 404)
  })

  await t.test('an empty password sends no bind', async t => {
    const before = (await slapd.binds()).length
    t.match(await daemon.authenticate(bob.uid, ''), { status: 400, body: { code: 'invalid_request' } })
    t.match(await daemon.authenticate(bob.uid, '   '), { status: 400 })
    t.equal((await slapd.binds()).length, before)
  })

  await t.test('filter characters find nobody', async t => {
    const before = (await slapd.binds()).length
    for (const name of ['*', ')(uid=*', 'a*', '*)(objectClass=*', 'alice)(', '\\2a']) {
      t.match(await daemon.authenticate(name, alice.password), { status: 401 }, name)
    }
    t.equal((await slapd.binds()).length, before, 'and bind as nobody')
  })

  await t.test('one wrong password is one bind', async t => {
    const before = (await slapd.binds()).length
    t.match(await daemon.authenticate(bob.uid, 'wrong'), { status: 401 })
    t.match((await slapd.binds()).slice(before), [{ dn: bob.dn, result: 49 }])
    t.equal((await slapd.binds()).length, before + 1)
  })

  await t.test(
    'an outage is 503 for directory users, nothing for local ones, and moves no counter',
    async t => {
      await slapd.stop()
      for (let i = 0; i < 7; i++) {
        const out = await daemon.authenticate(carol.uid, i % 2 ? carol.password : `wrong ${i}`)
        t.match(out, { status: 503, body: { code: 'backend_unavailable' } })
        t.ok(out.headers.get('retry-after'))
      }
      t.match(await daemon.authenticate(DAVE.name, DAVE.password), { status: 200 })
      t.match(await daemon.authenticate(DAVE.email, DAVE.password), { status: 200 })
      t.equal((await fetch(`${daemon.url}/livez`)).status, 200)
      t.equal((await fetch(`${daemon.url}/readyz`)).status, 200, 'local users can still log in')
      const details = await (await fetch(`${daemon.adminUrl}/readyz`)).json()
      t.match(details, {
        backends: [
          { id: 'corp', ok: false, reason: String },
          { id: 'email', ok: true },
          { id: 'local', ok: true },
        ],
      })
      await slapd.start()
      await daemon.line(({ msg }) => msg === 'the backend gives verdicts again')
      t.match(
        await daemon.authenticate(carol.uid, carol.password),
        { status: 200 },
        'carol was never charged',
      )
    },
  )

  await t.test('a thousand wrong guesses at once reach the directory at most five times', async t => {
    const before = (await slapd.binds()).length
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) =>
        daemon.authenticate(i % 2 ? bob.uid : (bob.mail ?? ''), `guess ${i}`),
      ),
    )
    const binds = (await slapd.binds()).slice(before).filter(({ dn }) => dn !== slapd.serviceDn)
    t.ok(binds.length <= 5, `${binds.length} binds`)
    t.ok(binds.every(({ dn, result }) => dn === bob.dn && result === 49))
    t.ok(answers.every(({ status }) => status === 401 || status === 429))
    t.equal(answers.filter(({ status }) => status === 401).length, binds.length)
    t.match(await daemon.authenticate('BOB', bob.password), { status: 429 }, 'however he is spelled')
  })

  await t.test('two hundred right passwords at once all get in', async t => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => daemon.authenticate(carol.uid, carol.password)),
    )
    t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
  })

  t.notMatch(
    JSON.stringify(daemon.lines) + daemon.stderr(),
    /-secret-1|long secret/,
    'no password was logged',
  )
  t.equal(await daemon.stop(), 0)
  t.match(await slapd.log(), /UNBIND/, 'it takes its leave of the directory')
})

t.test('SIGTERM lets what is in flight finish, a second one does not', async t => {
  const hole = await startBlackHole(t)
  const start = async (name: string): Promise<Daemon> => {
    const cwd = t.testdir()
    const unreachable = {
      ldapsUrl: `ldaps://127.0.0.1:${hole.port}`,
      caFile: '/dev/null',
    } as Partial<Slapd> as Slapd
    const config = writeOpenldapExample(
      cwd,
      { ...unreachable, serviceDn: 'cn=x', servicePassword: 'y', baseDn: 'dc=x' },
      [
        [['deadline'], '2s'],
        [['backends', 0, 'connect_timeout'], '1500ms'],
        [['backends', 0, 'timeout'], '1500ms'],
        [['backends', 0, 'tls'], {}],
      ],
    )
    t.comment(name)
    return startDaemon(t, { config, cwd })
  }

  const patient = await start('patient')
  const flying = sendHeaders(patient.url)
  await flying.sent
  const ended = patient.stop()
  t.equal(await flying.status, 503, 'the one in flight gets its answer')
  t.equal(await ended, 0)
  await t.rejects(authenticate(patient.url, { username: 'a', password: 'b' }), 'nobody new is let in')

  const hurried = await start('hurried')
  const cut = sendHeaders(hurried.url)
  await cut.sent
  const startedAt = performance.now()
  hurried.process.kill('SIGTERM')
  await hurried.line(({ event }) => event === 'sys_shutdown')
  t.equal(await hurried.stop(), 1)
  t.ok(performance.now() - startedAt < 1_400, 'at once')
  await t.rejects(cut.status)
})

/** An attempt that the daemon has begun to answer: its body was read whole. */
function sendHeaders(url: string): { sent: Promise<void>; status: Promise<number | undefined> } {
  const body = JSON.stringify({ username: 'alice', password: 'x' })
  const outgoing = request(`${url}/authenticate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': body.length, expect: '100-continue' },
  })
  const sent = new Promise<void>((resolve, reject) => {
    outgoing.on('continue', () => outgoing.end(body, resolve)).on('error', reject)
  })
  const status = new Promise<number | undefined>((resolve, reject) => {
    outgoing.on('response', response => resolve(response.resume().statusCode)).on('error', reject)
  })
  status.catch(() => {})
  outgoing.flushHeaders()
  return { sent, status }
}

t.test('what cannot start says why in a line and ends with 1, and wrong usage with 2', async t => {
  const cwd = t.testdir({ 'bad.yaml': 'backends: [{ id: a, type: locall }]\n' })
  const rows: [string[], number, RegExp][] = [
    [['serve', '--config', 'bad.yaml'], 1, /did you mean `local`\?/],
    [['serve', '--config', 'missing.yaml'], 1, /missing\.yaml: error: there is no such file/],
    [['check', '--config', 'bad.yaml'], 1, /bad\.yaml:1:\d+/],
    [['serv'], 2, /unknown command/],
    [['serve', '--nope'], 2, /unknown option/],
    [['user', 'add'], 2, /missing required argument/],
  ]
  for (const [args, code, said] of rows) {
    t.match(await runCommand(args, { cwd }), { code, stderr: said }, args.join(' '))
  }
  const config = writeDefault(cwd)
  const first = await startDaemon(t, { config, cwd })
  for (const [section, url] of [
    ['listen', first.url],
    ['admin', first.adminUrl],
  ] as const) {
    const { host, port } = new URL(url)
    const document = parseDocument(readFileSync(config, 'utf8'))
    document.setIn([section, 'port'], Number(port))
    writeFileSync(join(cwd, 'taken.yaml'), String(document))
    const { code, stderr } = await runCommand(['serve', '--config', 'taken.yaml'], { cwd })
    t.equal(code, 1)
    t.equal(
      stderr,
      `gatehouse: ${section}.port: another process listens on ${host} (EADDRINUSE): stop it, or choose another port\n`,
    )
  }
  await first.stop()
})

t.test(
  'output that cannot be written is told in one line, and a reader who has gone is no failure',
  async t => {
    const cwd = t.testdir()
    const config = writeDefault(cwd)
    const shell = async (command: string) => {
      const script = `gatehouse() { "${process.execPath}" "${MAIN}" "$@"; }; ${command}`
      const child = promisify(execFile)('bash', ['-c', script], { cwd })
      return child.then(
        ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
        ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
      )
    }
    for (const args of [`doctor --config ${config}`, 'config schema', '--help']) {
      const full = await shell(`gatehouse ${args} > /dev/full`)
      t.equal(full.code, 1, args)
      t.match(full.stderr, /^gatehouse: the output cannot be written: ENOSPC.*\n$/, args)
      const gone = await shell(`gatehouse ${args} | true; exit $\{PIPESTATUS[0]}`)
      t.strictSame(gone, { code: 0, stdout: '', stderr: '' }, `${args}, to nobody`)
    }
    t.match(await shell('gatehouse check --config missing.yaml 2> /dev/full'), { code: 1, stdout: '' })
  },
)

t.test('every shipped configuration passes check', async t => {
  for (const name of ['gatehouse', 'openldap', 'active-directory']) {
    const file = new URL(`../config/${name}.yaml`, import.meta.url).pathname
    const checked = await runCommand(['check', '--config', file], { cwd: t.testdir() })
    t.match(checked, { code: 0, stdout: /is valid/ }, checked.stderr)
  }
})

t.test('a reader of the log who goes away takes nobody along', async t => {
  const cwd = t.testdir()
  const daemon = await startDaemon(t, { config: writeDefault(cwd), cwd })
  daemon.process.stdout?.destroy()
  for (let i = 0; i < 4; i++) t.match(await daemon.authenticate(`nobody${i}`, 'wrong'), { status: 401 })
  t.equal(await daemon.stop(), 0)
})
