import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Attribute, Change, Client } from 'ldapts'
import t, { type Test } from 'tap'
import { parseDocument } from 'yaml'
import type { BackendHealth } from '../src/authentication/backend.ts'
import type { CheckResult } from '../src/authentication/checks.ts'
import { systemClock } from '../src/authentication/clock.ts'
import type { LoadedConfig } from '../src/config/config.ts'
import { createReloader, type Reloader, type ReloaderParts } from '../src/reload.ts'
import type { Runtime } from '../src/runtime.ts'
import { backend, link } from './authentication/backends.ts'
import { corpPeople } from './support/corp.ts'
import { type Daemon, startDaemon } from './support/daemon.ts'
import { createLogRecorder } from './support/log-recorder.ts'
import { writeOpenldapExample } from './support/openldap-example.ts'
import { type Slapd, startSlapd } from './support/slapd.ts'

/** The daemon takes another configuration while it serves: a process, files on disk, a real directory. */

const { alice, bob, carol } = corpPeople

interface Scene {
  readonly daemon: Daemon
  /** The configuration file, and the file with the service account's password. */
  readonly file: string
  readonly passwordFile: string
  readonly text: string
  /** Resolves with the next line about a reload that nobody has waited for yet. */
  result(): Promise<Record<string, unknown>>
  ready(): Promise<{ config: { ok: boolean; reason?: string }; backends: { id: string; ok: boolean }[] }>
  metric(series: string): Promise<number>
}

const RESULTS = ['sys_config_reloaded', 'sys_config_refused']

async function serve(
  t: Test,
  slapd: Slapd,
  changes: Parameters<typeof writeOpenldapExample>[2] = [],
  place: (file: string) => string = file => file,
): Promise<Scene> {
  const cwd = t.testdir()
  const written = writeOpenldapExample(cwd, slapd, changes)
  const text = readFileSync(written, 'utf8')
  const file = place(written)
  const daemon = await startDaemon(t, { config: file, cwd })
  let heard = 0
  return {
    daemon,
    file,
    text,
    passwordFile: join(dirname(written), 'service-password'),
    async result() {
      const nth = heard++
      const results = () => daemon.lines.filter(({ event }) => RESULTS.includes(String(event)))
      await daemon.line(() => results().length > nth)
      return results()[nth] ?? {}
    },
    ready: async () => (await fetch(`${daemon.adminUrl}/readyz`)).json() as ReturnType<Scene['ready']>,
    async metric(series) {
      const text = await (await fetch(`${daemon.adminUrl}/metrics`)).text()
      const line = text.split('\n').find(candidate => candidate.startsWith(`${series} `))
      return Number(line?.split(' ').at(-1))
    },
  }
}

/** As an editor saves, and as a careful script does. */
function replaceFile(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

async function changeServicePassword(slapd: Slapd, password: string): Promise<void> {
  const client = new Client({ url: slapd.ldapUrl, timeout: 5_000 })
  await client.bind(slapd.adminDn, slapd.adminPassword)
  const modification = new Attribute({ type: 'userPassword', values: [password] })
  await client.modify(slapd.serviceDn, new Change({ operation: 'replace', modification }))
  await client.unbind()
}

function edit(text: string, changes: NonNullable<Parameters<typeof writeOpenldapExample>[2]>): string {
  const document = parseDocument(text)
  for (const [path, value] of changes) document.setIn(path, value)
  return String(document)
}

const withoutDirectory = (text: string) => edit(text, [[['backends', 0, 'enabled'], false]])

t.test('with a directory', async t => {
  const slapd = await startSlapd(t)

  await t.test('SIGHUP takes the file as it is now; lockouts and ids carry over', async t => {
    const { daemon, file, text, result, ready, metric } = await serve(t, slapd)
    const before = await daemon.authenticate(alice.uid, alice.password)
    for (let i = 1; i <= 5; i++) await daemon.authenticate(bob.uid, `wrong ${i}`)
    t.equal((await daemon.authenticate(bob.uid, bob.password)).status, 429)
    t.equal(await metric('gatehouse_locks_set_total'), 1)
    const loadedAt = await metric('gatehouse_config_loaded_timestamp_seconds')

    writeFileSync(file, `${text}\ndeadline: 7s\n`)
    daemon.process.kill('SIGHUP')
    t.match(await result(), { event: 'sys_config_reloaded' })
    const after = await daemon.authenticate(alice.uid, alice.password)
    t.strictSame(after.body.user, before.body.user)
    t.equal((await daemon.authenticate(bob.uid, bob.password)).status, 429, 'still locked')
    t.ok((await metric('gatehouse_config_loaded_timestamp_seconds')) > loadedAt)
    t.match(await ready(), { config: { ok: true }, backends: [{ id: 'corp', ok: true }, {}, {}] })
    t.equal(await daemon.stop(), 0)
  })

  await t.test('a changed file is taken by itself, and one that is no good is not', async t => {
    const { daemon, file, text, result, ready, metric } = await serve(t, slapd)
    t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)
    replaceFile(file, withoutDirectory(text))
    t.match(await result(), { event: 'sys_config_reloaded' })
    t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 401, 'nobody here knows her now')

    writeFileSync(file, text)
    t.match(await result(), { event: 'sys_config_reloaded' })
    t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)

    for (const [how, spoil, reason] of [
      [
        'misspelled',
        () =>
          replaceFile(
            file,
            text.replace('user_filter:', 'user_fitler:').replace('preset: openldap', 'preset: openldab'),
          ),
        /openldap\.yaml:\d+:\d+: .*did you mean `openldap`/,
      ],
      ['cut off', () => writeFileSync(file, text.slice(0, text.indexOf('base_dn:'))), /openldap\.yaml:\d+/],
      ['emptied', () => writeFileSync(file, ''), /there is no backend/],
      ['deleted', () => rmSync(file), /there is no such file/],
    ] as const) {
      spoil()
      t.match(await result(), { event: 'sys_config_refused', level: 'error', reason }, how)
      t.match(await ready(), { config: { ok: false, reason } }, how)
      t.equal(await metric('gatehouse_config_reload_ok'), 0, how)
      t.equal(
        (await daemon.authenticate(alice.uid, alice.password)).status,
        200,
        `${how}: the old one serves`,
      )
    }
    writeFileSync(file, text)
    t.match(await result(), { event: 'sys_config_reloaded' })
    t.equal(await metric('gatehouse_config_reload_ok'), 1)
    t.match(await ready(), { config: { ok: true } })
    t.equal(await daemon.stop(), 0)
  })

  await t.test('a link that is swapped under it, as Kubernetes does', async t => {
    let folder = ''
    const { daemon, text, result } = await serve(t, slapd, [], written => {
      folder = dirname(written)
      const name = basename(written)
      mkdirSync(join(folder, 'v1'))
      mkdirSync(join(folder, 'v2'))
      writeFileSync(join(folder, 'v1', name), readFileSync(written))
      rmSync(written)
      symlinkSync('v1', join(folder, '..data'))
      symlinkSync(join('..data', name), written)
      return written
    })
    t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)
    writeFileSync(join(folder, 'v2', 'openldap.yaml'), withoutDirectory(text))
    symlinkSync('v2', join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
    t.match(await result(), { event: 'sys_config_reloaded' })
    t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 401)
    t.equal(await daemon.stop(), 0)
  })

  await t.test('what only a restart can change is said, and the rest applies', async t => {
    const { daemon, file, text, result } = await serve(t, slapd)
    const moved = edit(withoutDirectory(text), [
      [['listen', 'port'], 1],
      [['database'], 'elsewhere.db'],
      [['lockout', 'memory'], '8MiB'],
    ])
    replaceFile(file, moved)
    t.match(await result(), { event: 'sys_config_reloaded' })
    t.match(await daemon.line(({ keys }) => keys !== undefined), {
      level: 'warn',
      keys: ['listen', 'database', 'audit', 'lockout.memory'],
      msg: /only a restart can apply/,
    })
    t.equal(
      (await daemon.authenticate(alice.uid, alice.password)).status,
      401,
      'on the old port, without corp',
    )
    t.equal(await daemon.stop(), 0)
  })

  await t.test(
    'no request meets two configurations, and none is dropped, however often it changes',
    async t => {
      const { daemon, file, text, result } = await serve(t, slapd, [[['lockout'], { mode: 'off' }]])
      // What the app is told and what the backend gives belong together: a mixture would tell nothing.
      const variants = [
        ['a', 'mail'],
        ['b', 'uid'],
      ].map(([name = '', attribute]) =>
        edit(text, [
          [['clients'], [{ id: 'app', cidr: '127.0.0.1/32', attributes: [name] }]],
          [['backends', 0, 'attributes'], { [name]: attribute }],
        ]),
      )
      writeFileSync(file, variants[0] ?? '')
      t.match(await result(), { event: 'sys_config_reloaded' })
      let going = true
      const answers = new Map<string, number>()
      const call = async ({ uid, mail, password }: (typeof corpPeople)['alice']) => {
        for (let i = 0; going; i++) {
          const right = i % 3 !== 0
          const { status, body } = await daemon.authenticate(uid, right ? password : `wrong ${i}`)
          const told = JSON.stringify((body.user as { attributes: object } | undefined)?.attributes)
          const whole = told === JSON.stringify({ a: mail }) || told === JSON.stringify({ b: uid })
          const sound = right ? status === 200 && whole : status === 401
          const key = sound ? 'as it should be' : `${right} ${status} ${told}`
          answers.set(key, (answers.get(key) ?? 0) + 1)
        }
      }
      const callers = [alice, bob, carol, alice, bob, carol].map(call)
      for (let i = 1; i <= 20; i++) {
        writeFileSync(file, variants[i % 2] ?? '')
        daemon.process.kill('SIGHUP')
        t.match(await result(), { event: 'sys_config_reloaded' })
      }
      going = false
      await Promise.all(callers)
      t.strictSame([...answers.keys()], ['as it should be'])
      t.ok((answers.get('as it should be') ?? 0) > 50, `${answers.get('as it should be')} attempts`)
      t.equal(await daemon.stop(), 0)
    },
  )

  await t.test('POST /admin/reload answers when the new one serves, or says why it does not', async t => {
    const { daemon, file, text } = await serve(t, slapd)
    const token = readFileSync(join(dirname(file), 'gatehouse.db.admin-token'), 'utf8').trim()
    const reload = async (headers: Record<string, string> = { authorization: `Bearer ${token}` }) => {
      const reply = await fetch(`${daemon.adminUrl}/admin/reload`, { method: 'POST', headers })
      return { status: reply.status, body: await reply.json() }
    }
    t.match(await reload({}), { status: 401 })
    t.match(await reload(), { status: 200, body: { needs_restart: [] } })
    writeFileSync(file, `${text}\nnonsense: 1\n`)
    t.match(await reload(), {
      status: 409,
      body: { code: 'config_refused', errors: [{ detail: /openldap\.yaml:\d+:\d+: unknown key/ }] },
    })
    t.equal(await daemon.stop(), 0)
  })

  await t.test(
    'a configuration under which a backend would be out is refused; one that is out anyway is no reason',
    async t => {
      const { daemon, file, text, result } = await serve(t, slapd)
      t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)
      replaceFile(file, text.replace(slapd.baseDn, 'dc=nowhere,dc=example'))
      t.match(await result(), { event: 'sys_config_refused', reason: /^backend corp: / })
      t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)
      t.equal(await daemon.stop(), 0)
    },
  )
})

t.test('a list of CAs that is replaced is trusted from then on', async t => {
  const [slapd, other] = await Promise.all([startSlapd(t), startSlapd(t)])
  const caFile = join(dirname(slapd.caFile), 'trusted.pem')
  writeFileSync(caFile, readFileSync(other.caFile))
  const { daemon, result } = await serve(t, slapd, [[['backends', 0, 'tls'], { ca_file: caFile }]])
  t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 503, 'signed by somebody else')
  replaceFile(caFile, readFileSync(slapd.caFile, 'utf8'))
  t.match(await result(), { event: 'sys_config_reloaded' })
  t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)
  t.equal(await daemon.stop(), 0)
})

t.test('checks hold a configuration to what its operator expects', async t => {
  const slapd = await startSlapd(t)
  const checks = (expect: object, user = alice.uid): Parameters<typeof edit>[1] => [
    [['checks'], [{ user, backend: 'corp', expect }]],
  ]
  const { daemon, file, text, result } = await serve(t, slapd, checks({ groups: ['nobody-is-here'] }))
  t.match(
    await daemon.line(({ msg }) => msg === 'a check of the configuration fails'),
    { level: 'error', backend: 'corp', reason: /^alice at corp: not in the group nobody-is-here/ },
    'at the start it is said, and the daemon serves',
  )
  t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)

  for (const [expect, user, reason] of [
    [
      { groups: ['nobody-is-here'], roles: ['king'] },
      'alice',
      /not in the group nobody-is-here, without the role king/,
    ],
    [{ found: false }, 'ALICE', /^checks: ALICE at corp: found, and should not be/],
    [{}, 'mallory', /^checks: mallory at corp: not found/],
  ] as const) {
    replaceFile(file, edit(text, [...checks(expect, user), [['deadline'], '7s']]))
    t.match(await result(), { event: 'sys_config_refused', reason }, user)
  }
  const binds = (await slapd.binds()).filter(({ dn }) => dn !== slapd.serviceDn).length
  t.equal(binds, 1, 'nobody was bound as for that')
  replaceFile(file, edit(text, checks({ found: false }, 'mallory')))
  t.match(await result(), { event: 'sys_config_reloaded' })
  replaceFile(file, edit(text, checks({ groups: ['staff'] })))
  t.match(await result(), { event: 'sys_config_reloaded' })

  await slapd.stop()
  await daemon.line(({ msg }) => msg === 'the backend cannot give verdicts')
  daemon.process.kill('SIGHUP')
  t.match(await result(), { event: 'sys_config_reloaded' }, 'while it is out nobody can be looked for')
  t.equal(await daemon.stop(), 0)
})

t.test('a rotated service password is picked up, and a refused one is not tried again and again', async t => {
  const slapd = await startSlapd(t)
  // Connections of a second: a service account is as good as its last bind.
  const fresh = [[['backends', 0, 'pool'], { max_age: '1s', search: 1, bind: 1 }]] as const
  const { daemon, passwordFile, result } = await serve(t, slapd, fresh)
  t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)

  await changeServicePassword(slapd, 'rotated-secret-2')
  await daemon.line(({ msg }) => msg === 'the directory refuses the service account')
  const refused = await daemon.authenticate(alice.uid, alice.password)
  t.equal(refused.status, 503, 'an outage, and no wrong password of hers')
  replaceFile(passwordFile, 'rotated-secret-2\n')
  t.match(await result(), { event: 'sys_config_reloaded' })
  t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200, 'without a restart')

  const bindsBefore = (await slapd.binds()).length
  for (let i = 0; i < 3; i++) {
    if (i === 0) replaceFile(passwordFile, 'rotated-secret-3\n')
    else daemon.process.kill('SIGHUP')
    t.match(await result(), { event: 'sys_config_refused', reason: /service account cannot bind/ })
  }
  t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200, 'the old password still holds')
  const wrong = (await slapd.binds()).slice(bindsBefore).filter(({ result }) => result === 49)
  t.equal(wrong.length, 1, 'however often it is read, a refused account is tried once a minute')
  t.notMatch(JSON.stringify(daemon.lines), /rotated-secret/, 'no password was logged')
  t.equal(await daemon.stop(), 0)
})

t.test('while the directory is down the process is well, says why it is not ready, and reloads', async t => {
  const slapd = await startSlapd(t)
  const { daemon, ready, result, metric } = await serve(t, slapd)
  t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)
  t.match(await ready(), {
    backends: [
      {
        id: 'corp',
        ok: true,
        servers: [{ server: slapd.ldapsUrl, ok: true, certificate_expires: /^20\d\d-.*Z$/ }],
      },
    ],
  })
  const labels = `{backend="corp",server="${slapd.ldapsUrl}"}`
  t.ok((await metric(`gatehouse_server_certificate_expiry_timestamp_seconds${labels}`)) > Date.now() / 1000)
  t.equal(await metric(`gatehouse_server_up${labels}`), 1)

  await slapd.stop()
  for (let i = 0; i < 3; i++) {
    t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 503)
    t.equal((await fetch(`${daemon.url}/livez`)).status, 200)
    t.equal((await fetch(`${daemon.adminUrl}/livez`)).status, 200)
  }
  t.match(await ready(), {
    backends: [{ id: 'corp', ok: false, reason: String, servers: [{ ok: false, reason: String }] }, {}, {}],
  })
  t.equal(await metric(`gatehouse_server_up${labels}`), 0)
  t.equal(await metric('gatehouse_backend_up{backend="corp"}'), 0)
  t.ok((await metric('gatehouse_attempts_total{verdict="unavailable"}')) >= 3)
  daemon.process.kill('SIGHUP')
  t.match(await result(), { event: 'sys_config_reloaded' }, 'it was out before')
  await slapd.start()
  await daemon.line(({ msg }) => msg === 'the backend gives verdicts again')
  t.equal((await daemon.authenticate(alice.uid, alice.password)).status, 200)
  t.equal(await daemon.stop(), 0)
})

/** A configuration of one backend that is what `probe` says, and of these checks. */
function fakeRuntime(health: BackendHealth, checks: CheckResult[] = []): Runtime & { closed: boolean } {
  const config = { listen: { host: '127.0.0.1' }, clients: [], backends: [], lockout: {} }
  const runtime = {
    config,
    links: [link(backend('corp', () => ({}), { probe: async () => health }))],
    closed: false,
    probe: async () => ({ ready: health.ok, backends: [{ id: 'corp', ...health }] }),
    check: async () => checks,
    drained: async () => {},
    async close() {
      runtime.closed = true
    },
  }
  return runtime as unknown as Runtime & { closed: boolean }
}

function reloader(t: Test, parts: Partial<ReloaderParts>, first = fakeRuntime({ ok: true })): Reloader {
  const load = async () => ({ file: 'f', config: first.config, warnings: [] }) as unknown as LoadedConfig
  const common = { load, open: async () => first, onSwap() {}, clock: systemClock, log: createLogRecorder() }
  const made = createReloader(first, { ...common, ...parts })
  t.teardown(() => made.close())
  return made
}

t.test('what a backend was refused for may pass, so it is tried again by itself', async t => {
  const opened: ReturnType<typeof fakeRuntime>[] = []
  const up = Promise.withResolvers<void>()
  // The retry alone keeps no process alive.
  const alive = setInterval(() => {}, 60_000)
  t.teardown(() => clearInterval(alive))
  const { reload, current, status } = reloader(t, {
    retryMs: 1,
    async open() {
      opened.push(fakeRuntime(opened.length < 2 ? { ok: false, reason: 'starting' } : { ok: true }))
      return opened.at(-1) as Runtime
    },
    onSwap: () => up.resolve(),
  })
  t.match(await reload(), { outcome: 'refused', reason: 'backend corp: starting' })
  await up.promise
  t.equal(opened.length, 3)
  t.strictSame([opened[0]?.closed, opened[1]?.closed, current() === opened[2]], [true, true, true])
  t.match(status(), { ok: true })
})

t.test('a configuration is not refused for a check that the served one fails as well', async t => {
  const check = { user: 'probe', backend: 'corp', expect: { found: true, groups: [], roles: [] } }
  const failed: CheckResult = { check, result: 'failed', reason: 'probe at corp: not found' }
  const other: CheckResult = {
    ...failed,
    check: { ...check, user: 'other' },
    reason: 'other at corp: not found',
  }
  const unknown: CheckResult = { ...other, result: 'unknown', reason: 'other at corp: no answer' }
  for (const [now, expected] of [
    [[failed], { outcome: 'reloaded' }],
    [[failed, other], { outcome: 'refused', reason: 'checks: other at corp: not found' }],
    [[failed, unknown], { outcome: 'refused', reason: 'checks: other at corp: no answer' }],
  ] as const) {
    const served = fakeRuntime({ ok: true }, [failed])
    const { reload } = reloader(t, { open: async () => fakeRuntime({ ok: true }, [...now]) }, served)
    t.match(await reload(), expected)
  }
  for (const [now, outcome] of [
    [other, 'refused'],
    [unknown, 'reloaded'],
  ] as const) {
    const mute = fakeRuntime({ ok: true }, [unknown])
    const { reload } = reloader(t, { open: async () => fakeRuntime({ ok: true }, [now]) }, mute)
    t.match(await reload(), { outcome }, `${now.result}, and the served one gave no answer`)
  }
})

t.test('a check that the served configuration had no answer to is looked at again by itself', async t => {
  const check = { user: 'probe', backend: 'corp', expect: { found: false, groups: [], roles: [] } }
  const failed: CheckResult = { check, result: 'failed', reason: 'probe at corp: found, and should not be' }
  const served = fakeRuntime({ ok: true })
  const answers: CheckResult['result'][] = ['unknown', 'failed']
  Object.assign(served, { check: async () => [{ ...failed, result: answers.shift() }] })
  const adopted = Promise.withResolvers<void>()
  const alive = setInterval(() => {}, 60_000)
  t.teardown(() => clearInterval(alive))
  const { reload } = reloader(
    t,
    { retryMs: 1, open: async () => fakeRuntime({ ok: true }, [failed]), onSwap: () => adopted.resolve() },
    served,
  )
  t.match(await reload(), { outcome: 'refused', reason: 'checks: probe at corp: found, and should not be' })
  await adopted.promise
  t.same(answers, [], 'it fails there, too')
})

t.test('at the end a reload under way takes nothing any more, and none begins', async t => {
  const loading = Promise.withResolvers<void>()
  const log = createLogRecorder()
  const candidate = fakeRuntime({ ok: true })
  let loads = 0
  const { reload, close, current } = reloader(t, {
    log,
    async load() {
      loads++
      await loading.promise
      return { file: 'f', config: candidate.config, warnings: [] } as unknown as LoadedConfig
    },
    open: async () => candidate,
  })
  const [running, queued] = [reload(), reload()]
  const closing = close()
  loading.resolve()
  await closing
  t.match(
    await Promise.all([running, queued, reload()]),
    Array(3).fill({ outcome: 'refused', reason: /stopping/ }),
  )
  t.equal(loads, 1)
  t.equal(candidate.closed, true)
  t.not(current(), candidate)
})
