import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ResolvePlugin } from '../../src/config/backends.ts'
import type { LoadedConfig } from '../../src/config/config.ts'
import { configFile } from '../../src/config/config-file.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigProblems, type Problem } from '../../src/config/problem.ts'
import { formatProblems } from '../../src/config/report.ts'
import { showConfig } from '../../src/config/show.ts'
import { definePlugin, Secret, Type } from '../../src/plugin.ts'
import { resolveStandIn, standInPlugins } from './stand-in-plugins.ts'

const create = () => Promise.reject(new Error('nobody makes a backend here'))

const LOCAL = 'backends:\n  - { id: local, type: local }\n'

interface World {
  readonly env?: NodeJS.ProcessEnv
  readonly files?: Readonly<Record<string, string | { readonly text: string; readonly mode: number }>>
  readonly resolvePlugin?: ResolvePlugin
}

/** Loads a text as the file `gatehouse.yaml`, in a world of its own. */
function load(text: string, { env = {}, files = {}, resolvePlugin = resolveStandIn }: World = {}) {
  return loadConfig({
    file: 'gatehouse.yaml',
    env,
    resolvePlugin,
    readFile: async path => {
      const found = path === 'gatehouse.yaml' ? text : files[path]
      if (found === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
      const { text: content, mode } = typeof found === 'string' ? { text: found, mode: 0o100600 } : found
      return { bytes: Buffer.from(content), mode }
    },
  })
}

async function problemsOf(work: Promise<LoadedConfig>): Promise<readonly Problem[]> {
  try {
    return (await work).warnings
  } catch (error) {
    if (error instanceof ConfigProblems) return error.problems
    throw error
  }
}

/** `t.match` lets a list be longer than its pattern. */
function matchEach(t: Test, problems: readonly Problem[], patterns: readonly object[]): void {
  t.equal(problems.length, patterns.length, problems.map(({ message }) => message).join('; '))
  t.match(problems, patterns)
}

function directory(lines: string): string {
  return `backends:\n  - id: corp\n    type: directory\n    urls: [ldaps://dc1]\n    base_dn: dc=corp\n${lines}`
}

t.test('a plugin knows better defaults for `on`, and the file knows best', async t => {
  const on = () => ({ wrong_password: 'stop', unavailable: 'stop' }) as const
  const plugin = definePlugin({ type: 'local', apiVersion: 1, options: Type.Object({}), create, on })
  const resolvePlugin = async () => plugin
  const { config, effective, origins } = await load(
    'backends:\n  - { id: local, type: local, on: { unavailable: continue } }\n',
    { resolvePlugin },
  )
  const expected = { accept: 'stop', unknownUser: 'continue', wrongPassword: 'stop', unavailable: 'continue' }
  t.match(config.backends, [{ on: expected }])
  t.match(effective, { backends: [{ on: { wrong_password: 'stop', unavailable: 'continue' } }] })
  t.match(origins.get('/backends/0/on/wrong_password'), { from: 'default' })

  const broken = definePlugin({
    ...plugin,
    on: () => {
      throw new TypeError('a bug')
    },
  })
  const problems = await problemsOf(load(LOCAL, { resolvePlugin: async () => broken }))
  matchEach(t, problems, [{ line: 2, message: 'the check of this plugin failed with TypeError' }])
})

t.test('a file with one backend gets every default, in milliseconds', async t => {
  const { config } = await load(LOCAL)
  t.match(config, {
    listen: { host: '127.0.0.1', port: 8470 },
    admin: { host: '127.0.0.1', port: 8471 },
    database: 'data/gatehouse.db',
    deadlineMs: 8_000,
    trustedProxies: [],
    allowAnonymousClients: false,
    clients: [],
    plugins: [],
    lockout: {
      maxAttempts: 5,
      windowMs: 900_000,
      durationMs: 300_000,
      source: { maxAttempts: 50, windowMs: 600_000, durationMs: 600_000 },
    },
    log: { level: 'info', format: 'auto', maxPerSecond: 200 },
  })
  t.match(config.backends, [
    {
      id: 'local',
      type: 'local',
      options: {},
      enabled: true,
      deny: false,
      usernameFilter: [],
      timeoutMs: 5_000,
      maxInFlight: 256,
      on: { accept: 'stop', unknownUser: 'continue', wrongPassword: 'continue', unavailable: 'continue' },
    },
  ])
  t.equal(config.backends[0]?.plugin, standInPlugins[2])
})

t.test('the configuration is frozen all the way down, the plugin left alone', async t => {
  const { config } = await load(directory('    attributes: { department: ou }\n'))
  const visit = (value: unknown, path: string) => {
    if (typeof value !== 'object' || value === null || path.endsWith('/plugin')) return
    t.ok(Object.isFrozen(value), path || 'the whole')
    for (const [key, inner] of Object.entries(value)) visit(inner, `${path}/${key}`)
  }
  visit(config, '')
  t.notOk(Object.isFrozen(config.backends[0]?.plugin))
})

t.test('options reach a backend converted: durations, sizes, secrets, defaults, unions', async t => {
  const { config } = await load(
    directory(
      `    bind: { dn: cn=svc, password: "\${PW}" }\n    cache: 64MiB\n    pool: { kind: elastic }\n`,
    ),
    { env: { PW: 'correct horse' } },
  )
  const options = config.backends[0]?.options as Record<string, unknown> & { bind: { password: Secret } }
  t.match(options, { connect_timeout: 2_000, cache: 64 * 1024 ** 2, pool: { kind: 'elastic', idle: 60_000 } })
  t.match(options, { tls: { starttls: false, min_version: 'TLSv1.2' } })
  t.ok(options.bind.password instanceof Secret)
  t.equal(options.bind.password.reveal(), 'correct horse')
})

t.test('clients and proxies come out canonical', async t => {
  const { config } = await load(
    `trusted_proxies: [192.0.2.7, "2001:db8::/32"]
listen: { tls: { cert_file: c.pem, key_file: k.pem, client_ca_file: ca.pem } }
clients:
  - { id: a, key_sha256: ${'AB'.repeat(32)}, may: [assert_client_ip], backends: [local], rate_limit: { max: 5, per: 2s } }
  - { id: b, key_sha256_file: digest }
  - { id: c, tls_subject: CN=c, required_groups: [staff] }
  - { id: d, cidr: "2001:db8::1" }
${LOCAL}`,
    { files: { digest: `${'cd'.repeat(32)}\n` } },
  )
  t.strictSame(config.trustedProxies, ['192.0.2.7/32', '2001:db8::/32'])
  t.match(config.listen.tls, { certFile: 'c.pem', keyFile: 'k.pem', clientCaFile: 'ca.pem' })
  t.strictSame(config.clients, [
    {
      id: 'a',
      identity: { by: 'key', sha256: 'ab'.repeat(32) },
      may: ['assert_client_ip'],
      backends: ['local'],
      requiredGroups: [],
      rateLimit: { max: 5, perMs: 2_000 },
    },
    { id: 'b', identity: { by: 'key', sha256: 'cd'.repeat(32) }, may: [], requiredGroups: [] },
    { id: 'c', identity: { by: 'tls_subject', subject: 'CN=c' }, may: [], requiredGroups: ['staff'] },
    { id: 'd', identity: { by: 'cidr', cidr: '2001:db8::1/128' }, may: [], requiredGroups: [] },
  ])
})

t.test('a secret file loses exactly one trailing newline, and its content is never expanded', async t => {
  const bind = '    bind: { dn: cn=svc, password_file: pw }\n'
  for (const [text, secret] of [
    ['plain', 'plain'],
    ['unix\n', 'unix'],
    ['windows\r\n', 'windows'],
    ['two\n\n', 'two\n'],
    [' blanks \n', ' blanks '],
    [`\${HOME}`, `\${HOME}`],
    ['\u{FEFF}marked', 'marked'],
  ] as const) {
    const { config } = await load(directory(bind), { files: { pw: text } })
    const options = config.backends[0]?.options as { bind: { password: Secret } }
    t.equal(options.bind.password.reveal(), secret)
  }
})

t.test('a secret that everybody may read is a warning, one in the file itself too', async t => {
  const file = { pw: { text: 'x', mode: 0o100604 } }
  const [readable] = await problemsOf(
    load(directory('    bind: { dn: x, password_file: pw }\n'), { files: file }),
  )
  t.match(readable, {
    severity: 'warning',
    line: 6,
    message: 'every user of this machine may read this secret',
  })
  const [inline] = await problemsOf(load(directory('    bind: { dn: x, password: hunter2 }\n')))
  t.match(inline, { severity: 'warning', line: 6, column: 30, excerpt: /password: \[secret\]/ })
  const quiet = await problemsOf(
    load(directory(`    bind: { dn: x, password: "\${PW}" }\n`), { env: { PW: 'x' } }),
  )
  t.strictSame(quiet, [], 'a variable is no warning')
})

t.test(
  'files on disk: permissions, a missing one, a folder, one too large, a pipe, one that is no text',
  async t => {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-config-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'gatehouse.yaml')
    const secret = join(folder, 'secret')
    const run = () => problemsOf(loadConfig({ file, env: {}, resolvePlugin: resolveStandIn }))
    matchEach(t, await run(), [{ file, message: 'there is no such file', line: undefined }])
    writeFileSync(file, directory(`    bind: { dn: x, password_file: ${secret} }\n`))
    matchEach(t, await run(), [{ line: 6, message: 'there is no such file' }])
    writeFileSync(secret, 'x', { mode: 0o600 })
    t.strictSame(await run(), [])
    chmodSync(secret, 0o644)
    matchEach(t, await run(), [{ severity: 'warning' }])
    writeFileSync(secret, Buffer.from([0xff, 0xfe]))
    matchEach(t, await run(), [{ severity: 'error', message: 'the file is not UTF-8 text' }])
    writeFileSync(secret, Buffer.alloc(1024 ** 2 + 1, 'x'))
    matchEach(t, await run(), [{ severity: 'error', message: 'the file is larger than 1 MiB' }])
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    writeFileSync(file, directory(`    bind: { dn: x, password_file: ${pipe} }\n`))
    matchEach(t, await run(), [{ severity: 'error', message: 'this is not a regular file' }])
    writeFileSync(file, directory(`    bind: { dn: x, password_file: ${folder} }\n`))
    matchEach(t, await run(), [{ severity: 'error', message: 'this is not a regular file' }])
  },
)

t.test('a file that cannot be read says what helps against that', async t => {
  const refused = (code: string, unreadable: string) =>
    problemsOf(
      loadConfig({
        file: 'gatehouse.yaml',
        env: {},
        resolvePlugin: resolveStandIn,
        readFile: async path => {
          if (path === unreadable) throw Object.assign(new Error(code), { code })
          return { bytes: Buffer.from(directory('    bind: { dn: x, password_file: pw }\n')), mode: 0o600 }
        },
      }),
    )
  const rows: [code: string, secret: RegExp | undefined, config: RegExp][] = [
    ['ENOENT', /^relative paths start in the working directory$/, /--config/],
    ['EACCES', /^run this as the user that runs the daemon, or let/, /^run this as the user/],
    ['EPERM', /^run this as the user that runs the daemon, or let/, /^run this as the user/],
    ['EFBIG', undefined, /--config/],
    ['EIO', undefined, /--config/],
  ]
  for (const [code, secret, config] of rows) {
    const [ofSecret] = await refused(code, 'pw')
    if (secret) t.match(ofSecret?.hint, secret, code)
    else t.equal(ofSecret?.hint, undefined, code)
    t.match((await refused(code, 'gatehouse.yaml'))[0]?.hint, config, code)
  }
})

t.test(`variables: the type that is wanted, once, with $\${ for a literal \${`, async t => {
  const text = `listen:\n  port: \${PORT}\nallow_anonymous_clients: \${YES}\ndatabase: "\${DIR}/$\${PORT}.db"\n`
  const { config } = await load(text + LOCAL, { env: { PORT: '0', YES: 'true', DIR: `/var/\${PORT}` } })
  t.equal(config.listen.port, 0)
  t.equal(config.allowAnonymousClients, true)
  t.equal(config.database, `/var/\${PORT}/\${PORT}.db`, 'what a variable holds is not expanded again')
})

t.test('an undefined variable is told at its own column, each of them', async t => {
  const problems = await problemsOf(load(`database: /srv/\${ONE}/x/\${TWO}.db\n${LOCAL}`))
  matchEach(t, problems, [
    { line: 1, column: 16, message: 'the environment variable ONE is not set' },
    { line: 1, column: 25, message: 'the environment variable TWO is not set' },
  ])
})

t.test('the type of a backend may come from a variable', async t => {
  const text = `backends:\n  - id: local\n    type: \${TYPE}\n`
  t.match((await load(text, { env: { TYPE: 'local' } })).config.backends, [{ type: 'local' }])
  matchEach(t, await problemsOf(load(text)), [
    { line: 3, message: 'the environment variable TYPE is not set' },
  ])
})

t.test('origins tell file, default, environment and secret file apart; show prints them, masked', async t => {
  const loaded = await load(
    `deadline: 9s\nlisten:\n  port: \${PORT}\n${directory('    bind: { dn: cn=svc, password_file: pw }\n')}`,
    { env: { PORT: '1' }, files: { pw: 'hunter2' } },
  )
  t.strictSame(loaded.origins.get('/deadline'), { from: 'file', line: 1 })
  t.strictSame(loaded.origins.get('/listen/port'), { from: 'environment', names: ['PORT'], line: 3 })
  t.strictSame(loaded.origins.get('/admin/port'), { from: 'default' })
  const path = '/backends/0/bind/password'
  t.strictSame(loaded.origins.get(path), { from: 'secret_file', path: 'pw', line: 9 })
  const shown = showConfig(loaded)
  t.match(shown, 'deadline: 9s # gatehouse.yaml:1\n')
  t.match(shown, '  port: 1 # environment PORT, gatehouse.yaml:3\n')
  t.match(shown, 'password: "[secret]" # secret file pw, gatehouse.yaml:9\n')
  t.match(shown, 'trusted_proxies: [] # default\n')
  t.notMatch(shown, 'hunter2')
})

t.test('what config show prints is a valid file with the same meaning', async t => {
  const first = await load(`lockout: { window: 20m }\n${directory('    attributes: { "a: b": c }\n')}`)
  const second = await load(showConfig(first))
  t.strictSame(second.effective, first.effective)
})

t.test('the words of a plugin land at the line of its option', async t => {
  const check = (pointer: string) =>
    definePlugin({
      type: 'probe',
      apiVersion: 1,
      options: Type.Object({ a: Type.Optional(Type.Array(Type.String())), b: Type.String({ default: 'x' }) }),
      check: backends =>
        backends.map((_, backend) => ({ backend, pointer, message: 'no', severity: 'error' as const })),
      create: async () => Promise.reject(new Error('never')),
    })
  const text =
    'backends:\n  - id: off\n    type: probe\n    enabled: false\n  - id: one\n    type: probe\n    a:\n      - x\n      - y\n'
  const at = async (pointer: string) => {
    const problems = await problemsOf(load(text, { resolvePlugin: async () => check(pointer) }))
    return problems.map(({ line, message }) => `${line} ${message}`)
  }
  t.strictSame(await at('/a/1'), ['9 no'], 'the element, of the enabled backend only')
  t.strictSame(await at('/a'), ['8 no'])
  t.strictSame(await at('/b'), ['5 no'], 'a default has no line: the backend')
  t.strictSame(await at(''), ['5 no'])
})

t.test('a plugin that fails, lies or clashes stops the start with its name and line', async t => {
  const text = 'plugins: [./broken.ts]\nbackends:\n  - id: x\n    type: ./broken.ts\n'
  matchEach(t, await problemsOf(load(text)), [
    { line: 4, message: 'this plugin cannot be loaded: Cannot find module' },
  ])
  const bad = definePlugin({
    type: 'local',
    apiVersion: 1,
    options: Type.Object({ timeout: Type.Optional(Type.String()) }),
    check: () => {
      throw new TypeError('hunter2')
    },
    create: async () => Promise.reject(new Error('never')),
  })
  matchEach(t, await problemsOf(load(LOCAL, { resolvePlugin: async () => bad })), [
    { message: /option `timeout` is a key/ },
  ])
  const throws = { ...bad, options: Type.Object({}) }
  const problems = await problemsOf(load(LOCAL, { resolvePlugin: async () => throws }))
  matchEach(t, problems, [{ line: 2, message: 'the check of this plugin failed with TypeError' }])
})

t.test('only listed plugins are loaded', async t => {
  const asked: string[] = []
  const resolvePlugin: ResolvePlugin = (type, declared) => {
    asked.push(type)
    return resolveStandIn(type, declared)
  }
  const text = (plugins: string) =>
    `plugins: ${plugins}\nbackends:\n  - { id: x, type: ./x.ts }\n  - { id: y, type: "npm:y" }\n`
  t.equal((await problemsOf(load(text('[./z.ts]'), { resolvePlugin }))).length, 2)
  t.strictSame(asked, [], 'nothing was even looked for')
  t.strictSame(await problemsOf(load(text('[./x.ts, "npm:y"]'), { resolvePlugin })), [])
  t.strictSame(asked, ['./x.ts', 'npm:y'])
})

t.test('the path of a secret may hold a variable; one that is not set is told once', async t => {
  const text = directory(`    bind: { dn: x, password_file: "\${DIR}/pw" }\n`)
  t.strictSame(await problemsOf(load(text, { env: { DIR: 'run' }, files: { 'run/pw': 'x' } })), [])
  matchEach(t, await problemsOf(load(text)), [{ message: 'the environment variable DIR is not set' }])
})

t.test('two listeners share a port only on different addresses, or when any port will do', async t => {
  const clash = async (listen: string, admin: string) => {
    const text = `allow_anonymous_clients: true\nlisten: ${listen}\nadmin: ${admin}\n${LOCAL}`
    return (await problemsOf(load(text))).some(({ message }) => message.startsWith('both listeners'))
  }
  t.ok(await clash('{ port: 8000 }', '{ port: 8000 }'))
  t.ok(await clash('{ port: 8000, host: 0.0.0.0 }', '{ port: 8000 }'))
  t.ok(await clash('{ port: 8000 }', '{ port: 8000, host: "::" }'))
  t.notOk(await clash('{ port: 8000, host: 127.0.0.2 }', '{ port: 8000 }'))
  t.notOk(await clash('{ port: 0 }', '{ port: 0 }'))
})

t.test('a fault in a union is told for the branch that was meant', async t => {
  const told = async (pool: string) =>
    (await problemsOf(load(directory(`    pool: ${pool}\n`)))).map(({ message }) => message)
  t.strictSame(await told('{ kind: fixed, size: 0 }'), ['expected a whole number, at least 1'])
  t.strictSame(await told('{ kind: elastic, idle: 5 }'), [
    'expected a duration such as `250ms`, `4s`, `15m` or `12h`, found a number',
  ])
  t.strictSame(await told('{ kind: fixed, sice: 1 }'), ['`size` is missing', 'unknown key `sice`'])
  t.match(await told('7'), [/^expected .*a mapping/])
})

t.test('more than eight faults are all told, in file order', async t => {
  const lines = Array.from({ length: 20 }, (_, index) => `key${index}: 1\n`)
  const problems = await problemsOf(load(lines.join('') + LOCAL))
  t.strictSame(
    problems.map(({ line }) => line),
    Array.from({ length: 20 }, (_, index) => index + 1),
  )
})

t.test('a file that is something else altogether is not told line by line', async t => {
  const problems = await problemsOf(
    load(Array.from({ length: 5_000 }, (_, index) => `key${index}: 1\n`).join('')),
  )
  t.equal(problems.length, 101)
  t.match(problems.at(-1), { severity: 'error', message: '4901 more like these' })
})

t.test('what a schema leaves open is passed on but not shown, as it may hold a secret', async t => {
  const plugin = definePlugin({
    type: 'open',
    apiVersion: 1,
    options: Type.Object({
      more: Type.Object({}, { additionalProperties: true }),
      pair: Type.Tuple([Type.String(), Type.Integer()]),
    }),
    create: async () => Promise.reject(new Error('never')),
  })
  const text = 'backends:\n  - { id: x, type: open, more: { token: hunter2 }, pair: [a, 1] }\n'
  const loaded = await load(text, { resolvePlugin: async () => plugin })
  t.strictSame(loaded.config.backends[0]?.options, { more: { token: 'hunter2' }, pair: ['a', 1] })
  t.match(loaded.effective, { backends: [{ more: { token: '[secret]' }, pair: ['a', 1] }] })
  const wrong = await problemsOf(load(text.replace('1]', 'b]'), { resolvePlugin: async () => plugin }))
  matchEach(t, wrong, [{ line: 2, message: /^expected a text or a whole number, found a text/ }])
})

t.test('what stands behind an alias is told once, where it stands', async t => {
  const text =
    'clients:\n  - { id: a, cidr: 192.0.2.1, rate_limit: &r { max: 0, per: 1s } }\n  - { id: b, cidr: 192.0.2.2, rate_limit: *r }\n'
  matchEach(t, await problemsOf(load(text + LOCAL)), [
    { line: 2, message: 'expected a whole number, at least 1' },
  ])
})

t.test('an excerpt survives tabs, long lines, control characters and Windows line ends', async t => {
  const long = `trusted_proxies: ["${'192.0.2.1", "'.repeat(50)}nope"]\r\n${LOCAL.replaceAll('\n', '\r\n')}`
  const [problem] = await problemsOf(load(long))
  const [line = '', caret = ''] = (problem?.excerpt ?? '').split('\n')
  t.ok(line.length < 120, 'cut to a screen')
  t.equal(line.slice(caret.indexOf('^'), caret.indexOf('^') + 6), '"nope"', 'the caret is under the fault')
  const [colour] = await problemsOf(load(`database: { "\u001B[31m": 1 }\n${LOCAL}`))
  t.notMatch(colour?.excerpt, '\u001B')
  const [tabs] = await problemsOf(load(`listen:\t{ port:\tx }\n${LOCAL}`))
  t.match(tabs?.excerpt, '1 | listen:\t{ port:\tx }\n      |        \t       \t^')
})

t.test('problems are printed with colours only where asked', async t => {
  const problems = await problemsOf(load(`prot: 1\n${LOCAL}`))
  t.notMatch(formatProblems(problems, { color: false }), '\u001B')
  t.match(formatProblems(problems, { color: true }), '\u001B[31merror\u001B[39m')
  t.equal(new ConfigProblems(problems).message, formatProblems(problems, { color: false }))
})

t.test('the file is the one named, else that of the environment, else the one that ships', async t => {
  t.equal(configFile('a.yaml', { GATEHOUSE_CONFIG: 'b.yaml' }), 'a.yaml')
  t.equal(configFile(undefined, { GATEHOUSE_CONFIG: 'b.yaml' }), 'b.yaml')
  const folder = t.testdir({})
  const home = process.cwd()
  t.teardown(() => process.chdir(home))
  process.chdir(folder)
  t.equal(configFile(undefined, {}), join(import.meta.dirname, '../../config/gatehouse.yaml'))
  t.test('and one in the working directory comes before that', async t => {
    process.chdir(t.testdir({ config: { 'gatehouse.yaml': '' } }))
    t.equal(configFile(undefined, { GATEHOUSE_CONFIG: '' }), 'config/gatehouse.yaml')
  })
})
