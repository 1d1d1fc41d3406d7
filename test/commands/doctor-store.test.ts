import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { Command } from 'commander'
import t, { type Test } from 'tap'
import { resolvePlugin } from '../../src/backends/registry.ts'
import { doctorCommand } from '../../src/commands/doctor.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Finding } from '../../src/plugin.ts'
import { quietPort } from '../support/quiet-port.ts'
import { startRedis } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

/** What `doctor` says of the lockout's store. */

const redis = await startRedis(t, { tls: true })
const caFile = join(t.testdir({ 'ca.pem': redis.ca }), 'ca.pem')
const SECRET = 'a root of keys that nobody should ever see'

interface Ran {
  /** A line each: status, check and detail, then the advice. */
  readonly said: readonly string[]
  readonly code: number
}

async function doctor(t: Test, lockout: object): Promise<Ran> {
  const folder = t.testdir()
  const file = join(folder, 'gatehouse.yaml')
  const config = {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    database: join(folder, 'gatehouse.db'),
    backends: [{ id: 'local', type: 'local' }],
    lockout,
  }
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  let code = 0
  const context = {
    stdin,
    stdout,
    stderr,
    env: {},
    color: false,
    loadConfig: (path: string) => loadConfig({ file: path, env: {}, resolvePlugin }),
    setExitCode: (next: number) => {
      code = next
    },
  }
  const output = text(stdout)
  const args = ['doctor', '--json', '--config', file]
  await new Command().addCommand(doctorCommand(context)).parseAsync(args, { from: 'user' })
  stdout.end()
  const out = await output
  for (const hidden of [SECRET, redis.password, 'nicht das richtige']) t.notMatch(out, hidden)
  const findings: (Finding & { about: string })[] = out
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line))
  const said = findings
    .filter(({ about }) => about === 'lockout store')
    .map(
      ({ status, check, detail, advice }) =>
        `${status} ${check}: ${detail}${advice === undefined ? '' : ` → ${advice}`}`,
    )
  return { said, code }
}

const inRedis = (changes: object = {}) => ({
  store: 'redis',
  redis: { url: redis.url, password: redis.password, timeout: '5s', ...changes },
  secret: SECRET,
})

t.test('counts in this process: there is nothing to look at', async t => {
  t.strictSame((await doctor(t, {})).said, [])
})

t.test('a store as it should be', async t => {
  const { said, code } = await doctor(t, inRedis({ url: redis.tlsUrl, ca_file: caFile }))
  t.equal(said.length, 5)
  t.match(said[0], /^ok connection rediss:\/\/localhost:\d+: connected with TLS and let in, in [\d.]+ ms$/)
  t.match(said[1], /^ok server: (Redis|Valkey) \d+\.\d+\.\d+$/)
  t.match(said[2], 'ok maxmemory-policy: noeviction, without a limit of memory')
  t.match(said[3], /^ok persistence: it writes no append-only file/)
  t.match(said[4], /^ok script below gatehouse: runs, each step in [\d.]+ ms of the 5000 ms it may take$/)
  t.equal(code, 0)
})

t.test('what is wrong is named, with the option that mends it', async t => {
  const wrong: readonly [redis: object, says: RegExp][] = [
    [
      { url: `redis://127.0.0.1:${quietPort()}` },
      /^fail connection redis:\S+: nothing listens there \(.*ECONNREFUSED.*\) → .*`lockout\.redis\.url`/,
    ],
    [{ password: 'nicht das richtige' }, /^fail .*refused \(WRONGPASS .*→ .*`lockout\.redis\.password_file`/],
    [{ password: undefined }, /^fail .*wants a password .*→ set `lockout\.redis\.password_file`/],
    [{ url: redis.tlsUrl }, /^fail .*nobody we trust .*→ set `lockout\.redis\.ca_file`/],
    [{ url: redis.tlsUrl, ca_file: '/no/such.pem' }, /^fail .*: lockout\.redis\.ca_file: ENOENT/],
    [{ url: `${redis.url}/7` }, /^fail .*no such database .*→ .*end of `lockout\.redis\.url`/],
  ]
  for (const [changes, says] of wrong) {
    const { said, code } = await doctor(t, inRedis(changes))
    t.equal(said.length, 1)
    t.match(said[0], says)
    t.equal(code, 1)
  }
})

t.test('a server that throws locks away when memory is short is a warning', async t => {
  await redis.command('CONFIG', 'SET', 'maxmemory', `${64 * 1024 ** 2}`)
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
  t.teardown(async () => {
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  })
  const { said, code } = await doctor(t, inRedis())
  const detail = 'allkeys-lru, at 64 MiB: it throws locks away when memory is short'
  t.strictSame(
    said.filter(line => !line.startsWith('ok')),
    [`warn maxmemory-policy: ${detail} → set \`maxmemory-policy noeviction\` there`],
  )
  t.equal(code, 0)
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  t.ok((await doctor(t, inRedis())).said.includes('ok maxmemory-policy: noeviction, at 64 MiB'))
})

t.test('a way that is nearly as long as the timeout is a warning, a longer one a failure', async t => {
  const proxy = await startTcpProxy(t, { port: Number(new URL(redis.url).port) })
  proxy.setFlow({ delayMs: 100 }, 'toClient')
  const url = `redis://127.0.0.1:${proxy.port}`
  const bad = async (timeout: string) => {
    const { said, code } = await doctor(t, inRedis({ url, timeout }))
    return { code, bad: said.filter(line => !line.startsWith('ok')) }
  }
  t.match(await bad('180ms'), {
    code: 0,
    bad: [
      /^warn script below gatehouse: .* of the 180 ms .* counts as away → raise `lockout\.redis\.timeout`/,
    ],
  })
  t.match(await bad('50ms'), { code: 1, bad: [/^fail script below gatehouse: .* of the 50 ms it may take/] })
})

t.test('a user who may not run INFO leaves its policy unknown', async t => {
  const commands = ['+@read', '+@write', '+@scripting', '+time', '+hello', '+auth', '-keys']
  await redis.command('ACL', 'SETUSER', 'careful', 'on', '>pass', '~{gatehouse}:*', ...commands)
  const { said, code } = await doctor(t, inRedis({ username: 'careful', password: 'pass' }))
  t.match(said, [/^ok connection/, /^warn server: not known, .*NOPERM.* → .*`\+info`/, /^ok script/])
  t.equal(code, 0)
})
