import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Config } from '../../src/config/config.ts'
import { filesOf } from '../../src/config/files.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigProblems } from '../../src/config/problem.ts'
import { restartKeys, withStarted } from '../../src/config/restart.ts'
import { showConfig } from '../../src/config/show.ts'
import { limitsOf } from '../../src/lockout/limits.ts'
import { Secret } from '../../src/plugin.ts'
import { resolveStandIn } from './stand-in-plugins.ts'

const KEY = 'nobody guesses what stands in here'
const REDIS = `store: redis, secret_file: key, redis: { url: "rediss://redis.example"`

/** Loads a configuration with this in its section `lockout`. */
function load(lockout: string, files: Readonly<Record<string, string>> = {}) {
  const text = `lockout: { ${lockout} }\nbackends:\n  - { id: local, type: local }\n`
  const all: Readonly<Record<string, string>> = { 'gatehouse.yaml': text, key: KEY, password: 'pw', ...files }
  return loadConfig({
    file: 'gatehouse.yaml',
    env: {},
    resolvePlugin: resolveStandIn,
    readFile: async path => ({ bytes: Buffer.from(all[path] ?? ''), mode: 0o100600 }),
  })
}

const configOf = async (...args: Parameters<typeof load>): Promise<Config> => (await load(...args)).config

async function errorsOf(lockout: string): Promise<string[]> {
  try {
    await load(lockout)
    return []
  } catch (error) {
    if (error instanceof ConfigProblems) return error.problems.map(({ message }) => message)
    throw error
  }
}

t.test('a file that says nothing gets the limits of the contract', async t => {
  const { lockout } = await configOf('')
  t.strictSame(lockout, {
    mode: 'enforce',
    profile: 'full',
    maxAttempts: 5,
    windowMs: 900_000,
    durationMs: 300_000,
    unfamiliar: { maxAttempts: 10, windowMs: 900_000, durationsMs: [300_000, 900_000, 3_600_000] },
    familiar: { maxAttempts: 20, windowMs: 900_000, durationMs: 300_000 },
    source: { maxAttempts: 50, accounts: 20, windowMs: 600_000, durationMs: 600_000 },
    subnet: { maxAttempts: 200, windowMs: 600_000, durationMs: 600_000 },
    allow: [],
    block: [],
    disclosure: 'shown',
    memoryBytes: 64 * 1024 ** 2,
    onStoreFailure: 'local',
    store: 'memory',
  })
  const { unfamiliar, source } = limitsOf(lockout)
  t.match(unfamiliar, { maxAttempts: 10, lockMs: [300_000, 900_000, 3_600_000] }, 'as the lockout takes them')
  t.match(source, { maxAttempts: 50, accounts: 20 })
})

t.test('everything that can be said arrives: networks canonical, secrets as such', async t => {
  const config = await configOf(
    `mode: log_only, profile: simple, unfamiliar: { durations: [1m] }, allow: [192.0.2.7], block: ["2001:db8::/48"],
     disclosure: hidden, memory: 1MiB, on_store_failure: closed, store: redis, secret_file: key,
     redis: { url: "rediss://[2001:db8::1]:6380/2", username: gatehouse, password_file: password, ca_file: ca.pem,
       prefix: a.b_c-1, timeout: 1s, replicas: 3 }`,
  )
  const { lockout } = config
  const { redis, secret } = lockout
  t.match(lockout, {
    mode: 'log_only',
    profile: 'simple',
    unfamiliar: { durationsMs: [60_000] },
    allow: ['192.0.2.7/32'],
    block: ['2001:db8::/48'],
    disclosure: 'hidden',
    memoryBytes: 1024 ** 2,
    onStoreFailure: 'closed',
    store: 'redis',
  })
  const { password, ...rest } = redis ?? {}
  t.strictSame(rest, {
    url: 'rediss://[2001:db8::1]:6380/2',
    username: 'gatehouse',
    caFile: 'ca.pem',
    prefix: 'a.b_c-1',
    timeoutMs: 1_000,
    replicas: 3,
  })
  t.ok(password instanceof Secret && secret instanceof Secret)
  t.equal(password?.reveal(), 'pw')
  t.equal(secret?.reveal(), KEY)
  t.ok(Object.isFrozen(lockout) && Object.isFrozen(redis) && Object.isFrozen(lockout.unfamiliar.durationsMs))
  t.strictSame(filesOf(config), ['ca.pem'], 'a new list of CAs is a reason to reload')
})

t.test('config show masks the secrets, and tells where they came from', async t => {
  const loaded = await load(`${REDIS}, password_file: password }`)
  const shown = showConfig(loaded)
  t.match(shown, 'password: "[secret]" # secret file password, gatehouse.yaml:1\n')
  t.match(shown, 'secret: "[secret]" # secret file key, gatehouse.yaml:1\n')
  t.match(shown, 'memory: 64MiB # default\n')
  t.notMatch(shown, KEY)
})

t.test('a Redis URL is a host, and at most a port and a database', async t => {
  const told = (url: string) => errorsOf(`store: redis, secret_file: key, redis: { url: "${url}" }`)
  for (const url of [
    'redis://localhost',
    'redis://127.0.0.1:6379',
    'rediss://redis.example/',
    'rediss://redis.example:6380/15',
    'redis://[::1]:6379/0',
  ]) {
    t.strictSame(await told(url), [], url)
  }
  for (const url of ['redis.example', 'http://redis.example', 'REDIS://x', 'redis:/x', '', 'redis://']) {
    t.match(await told(url), [/^expected `redis:/], url)
  }
  for (const url of ['redis://x/', 'redis://x/0'].flatMap(url => [`${url}/`, `${url}?db=1`, `${url}#1`])) {
    t.strictSame(await told(url), ['expected `redis://host` or `rediss://host`'], url)
  }
  for (const url of ['redis://x:70000', 'redis://a b', 'redis://:6379', 'redis:///1', 'redis://x/one']) {
    t.strictSame(await told(url), ['expected `redis://host` or `rediss://host`'], url)
  }
  for (const url of ['redis://:pw@x', 'redis://user@x', 'redis://user:p/w@x', 'rediss://u:p@']) {
    t.strictSame(await told(url), ['a Redis URL holds no credentials'], url)
  }
})

t.test('only a Redis beyond this machine and without TLS is worth a warning', async t => {
  const warned = async (url: string, store = 'redis') =>
    (await load(`store: ${store}, secret_file: key, redis: { url: "${url}" }`)).warnings.map(
      ({ message }) => message,
    )
  for (const url of [
    'redis://localhost',
    'redis://127.0.0.9',
    'redis://[::1]:6379',
    'rediss://redis.example',
  ]) {
    t.strictSame(await warned(url), [], url)
  }
  for (const url of ['redis://redis.example', 'redis://192.0.2.1:6379', 'redis://[2001:db8::1]']) {
    t.match(await warned(url), [/without TLS$/], url)
  }
  t.match(await warned('redis://redis.example', 'memory'), [/^this has no effect/], 'nobody goes there')
})

t.test('a secret is measured in bytes, and memory up to its bounds', async t => {
  for (const [secret, enough] of [
    ['x'.repeat(31), false],
    ['x'.repeat(32), true],
    ['ä'.repeat(15), false],
    ['ä'.repeat(16), true],
  ] as const) {
    const found = await errorsOf(`secret: "${secret}"`)
    t.equal(found.includes('expected at least 32 bytes'), !enough, secret)
  }
  for (const [memory, good] of [
    ['1MiB', true],
    ['1024KiB', true],
    ['16GiB', true],
    ['1023KiB', false],
    ['17GiB', false],
  ] as const) {
    t.equal((await errorsOf(`memory: ${memory}`)).length === 0, good, memory)
  }
})

t.test('a secret file that cannot be used is told once, with the store that needs it', async t => {
  t.strictSame(await errorsOf('store: redis, secret_file: none, redis: { url: "redis://localhost" }'), [
    'the file is empty',
  ])
})

t.test(
  'memory, store, Redis, secret and what holds without it wait for a restart; the rest does not',
  async t => {
    const started = await configOf(`${REDIS}, password_file: password }`)
    const rows: [wanted: Promise<Config>, keys: string[]][] = [
      [configOf(`${REDIS}, password_file: password }`), []],
      [configOf(`${REDIS}, password_file: password }`, { password: 'new' }), ['lockout.redis']],
      [configOf(`${REDIS}, password_file: password }`, { key: `new ${KEY}` }), ['lockout.secret']],
      [configOf(`${REDIS} }`), ['lockout.redis']],
      [configOf(`${REDIS}, password_file: password, replicas: 2 }`), ['lockout.redis']],
      [configOf(`${REDIS}, password_file: password }, memory: 1MiB`), ['lockout.memory']],
      [
        configOf(`${REDIS}, password_file: password }, on_store_failure: closed`),
        ['lockout.on_store_failure'],
      ],
      [configOf('secret_file: key'), ['lockout.store', 'lockout.redis']],
      [configOf(''), ['lockout.store', 'lockout.redis', 'lockout.secret']],
      [
        configOf(
          `${REDIS}, password_file: password }, mode: off, profile: simple, max_attempts: 6, window: 1m, duration: 1m,
         unfamiliar: { max_attempts: 1 }, familiar: { window: 1m }, source: { accounts: 1 }, subnet: { duration: 1m },
         allow: [192.0.2.1], block: [192.0.2.2], disclosure: hidden`,
        ),
        [],
      ],
    ]
    for (const [promise, keys] of rows) {
      const wanted = await promise
      t.strictSame(restartKeys(started, wanted), keys)
      t.strictSame(restartKeys(started, withStarted(started, wanted)), [], 'nothing of it is applied')
      const { store, redis, secret, memoryBytes, onStoreFailure, ...rules } = withStarted(
        started,
        wanted,
      ).lockout
      t.match(wanted.lockout, rules, 'and the rest is')
      t.equal(secret, started.lockout.secret)
      t.strictSame(restartKeys(wanted, withStarted(wanted, started)), [], 'nor the other way')
    }
  },
)

t.test('the section that ships is the default, and what is commented out there is valid', async t => {
  const text = readFileSync(new URL('../../config/gatehouse.yaml', import.meta.url), 'utf8')
  const section = /^lockout:[\s\S]*?(?=\n\n)/m.exec(text)?.[0] ?? ''
  const said = section.replaceAll(/^ {2}# /gm, '  ')
  t.ok(said.includes('\n  store: memory') && said.includes('\n  secret_file:'), 'it was found')
  const read = async (lockout: string) => {
    const whole = `${lockout}\nbackends: [{ id: local, type: local }]\n`
    const loaded = await loadConfig({
      file: 'gatehouse.yaml',
      env: {},
      resolvePlugin: resolveStandIn,
      readFile: async path => ({ bytes: Buffer.from(path === 'gatehouse.yaml' ? whole : KEY), mode: 0o600 }),
    })
    return loaded.config.lockout
  }
  const defaults = (await configOf('')).lockout
  t.strictSame(await read(section), defaults)
  const { secret, ...rest } = await read(said)
  t.ok(secret)
  t.strictSame(rest, defaults)
  t.match((await read(said.replace('store: memory', 'store: redis'))).redis, { replicas: 1, timeoutMs: 250 })
})
