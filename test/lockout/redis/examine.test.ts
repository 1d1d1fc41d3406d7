import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import { examineRedis, type RedisFact } from '../../../src/lockout/redis/examine.ts'
import { createCertificateAuthority } from '../../support/certificate-authority.ts'
import { quietPort } from '../../support/quiet-port.ts'
import { type Redis, startRedis } from '../../support/redis.ts'
import { startTcpProxy } from '../../support/tcp-proxy.ts'
import { counter, place } from '../store-parts.ts'
import { openRedisStore } from './open-store.ts'

// The second address is none of its certificate.
const redis = await startRedis(t, { tls: true, args: ['--bind', '127.0.0.1', '127.0.0.2'] })

t.beforeEach(() => redis.command('FLUSHALL'))

type Options = Parameters<typeof examineRedis>[0]

async function examine(changes: Partial<Options> = {}): Promise<readonly RedisFact[]> {
  const password = new Secret(redis.password)
  const options = { url: redis.url, password, prefix: 'gatehouse', ...changes }
  return all(examineRedis(options))
}

async function all(facts: AsyncIterable<RedisFact>): Promise<readonly RedisFact[]> {
  const found: RedisFact[] = []
  for await (const fact of facts) found.push(fact)
  return found
}

/** What is wrong, and how that is called. */
function faults(facts: readonly RedisFact[]): readonly string[] {
  return facts.flatMap(fact => ('fault' in fact ? [`${fact.fact} ${fact.fault.kind}`] : []))
}

const withoutPassword = (): Options => ({ url: redis.url, prefix: 'gatehouse' })

/** Answers each line of each request with what `reply` says; nothing for undefined. */
async function startSpeaker(
  t: Test,
  reply: (words: readonly string[]) => string | undefined,
): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket.on('error', () => {}))
    // RESP as clients write it: each request in one piece, words of one line.
    socket.setEncoding('utf8').on('data', text => {
      for (const request of String(text)
        .split(/^\*\d+\r\n/m)
        .slice(1)) {
        const words = request.split('\r\n').filter((_, index) => index % 2 === 1)
        const answer = reply(words)
        if (answer !== undefined) socket.write(answer)
      }
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('a server as it should be: who it is, what it keeps, and that the script runs', async t => {
  const facts = await examine()
  t.match(facts, [
    { fact: 'connection', tookMs: Number },
    { fact: 'server', product: /^(Redis|Valkey)$/, version: /^\d+\.\d+\.\d+$/, tooOld: false },
    { fact: 'memory', limitBytes: 0, policy: 'noeviction' },
    { fact: 'append_only_file', kept: false },
    { fact: 'script', roundTripMs: Number },
  ])
  t.equal(facts.length, 5)
  t.match(await examine({ url: redis.tlsUrl, ca: redis.ca }), [{ fact: 'connection' }])
})

t.test('nobody’s counts are looked at, and what it writes goes by itself', async t => {
  const store = openRedisStore(t, redis)
  await place(store, counter('a'))
  const before = await redis.command('KEYS', '*')
  // The attempt is overdue: whoever runs the script on its counts would count it as a failure.
  redis.advance(120_000)
  t.strictSame(faults(await examine()), [])
  const own = '{gatehouse}:1:doctor:'
  const left = (await redis.command('KEYS', '*')) as string[]
  t.strictSame(new Set(left.filter(key => !key.startsWith(own))), new Set(before as string[]))
  const ours = left.filter(key => key.startsWith(own))
  t.equal(ours.length, 1)
  const ttlMs = Number(await redis.command('PTTL', ours[0] ?? ''))
  t.ok(ttlMs > 0 && ttlMs <= 60_000, `${ttlMs} ms`)
})

t.test('what may become of locks when memory is short', async t => {
  await redis.command('CONFIG', 'SET', 'maxmemory', '104857600')
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
  t.teardown(async () => {
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  })
  const memory = (await examine()).find(({ fact }) => fact === 'memory')
  t.strictSame(memory, { fact: 'memory', limitBytes: 104_857_600, policy: 'allkeys-lru' })
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  await redis.command('CONFIG', 'SET', 'maxmemory', '1')
  t.strictSame(faults(await examine()), ['no_script out_of_memory'])
})

t.test('each way of not being let in has its name', async t => {
  const tls = { url: redis.tlsUrl, ca: redis.ca }
  const other = await createCertificateAuthority(join(t.testdir(), 'other'))
  const ways: readonly [fault: string, facts: Promise<readonly RedisFact[]>][] = [
    ['refused', examine({ url: `redis://127.0.0.1:${quietPort()}` })],
    ['refused', examine({ url: `redis://localhost:${quietPort()}` })],
    ['no_such_name', examine({ url: 'redis://redis.invalid' })],
    ['wrong_password', examine({ password: new Secret('nicht das richtige') })],
    ['wrong_password', examine({ username: 'nobody' })],
    ['password_missing', all(examineRedis(withoutPassword()))],
    ['no_such_database', examine({ url: `${redis.url}/7` })],
    ['untrusted_certificate', examine({ url: redis.tlsUrl })],
    ['untrusted_certificate', examine({ ...tls, ca: other.ca })],
    ['certificate_of_another', examine({ ...tls, url: redis.tlsUrl.replace('localhost', '127.0.0.2') })],
    ['timeout', examine({ url: redis.url.replace('redis:', 'rediss:'), ca: redis.ca })],
    ['hung_up', examine({ url: redis.tlsUrl.replace('rediss:', 'redis:') })],
  ]
  for (const [fault, facts] of ways) t.strictSame(faults(await facts), [`no_connection ${fault}`], fault)
})

t.test('a server that speaks first: not for us, and not with TLS', async t => {
  const server = createServer(socket => {
    socket.on('error', () => {}).end('-DENIED Redis is running in protected mode\r\n')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`
  t.strictSame(faults(await examine({ url: `redis://${at}` })), ['no_connection protected'])
  t.strictSame(faults(await examine({ url: `rediss://${at}` })), ['no_connection no_tls'])
})

t.test('a server that wants our certificate', async t => {
  const strict = await startRedis(t, { tls: true, args: ['--tls-auth-clients', 'yes'] })
  const password = new Secret(strict.password)
  const facts = await examine({ url: strict.tlsUrl, ca: strict.ca, password })
  t.strictSame(faults(facts), ['no_connection client_certificate'])
})

t.test('a server without a password, and one that is full', async t => {
  const open = await startRedis(t, { args: ['--requirepass', '', '--maxclients', '1'] })
  const address = { url: open.url, prefix: 'gatehouse' }
  t.strictSame(faults(await all(examineRedis(address))), [])
  const facts = await examineWhileHeld(open)
  t.strictSame(faults(facts), ['no_connection too_many_clients'])
})

/** Somebody else has the only connection. */
async function examineWhileHeld({ url }: Redis): Promise<readonly RedisFact[]> {
  const first = examineRedis({ url, prefix: 'gatehouse' })
  await first.next()
  const facts = await all(examineRedis({ url, prefix: 'gatehouse' }))
  await first.return(undefined)
  return facts
}

t.test('a server that hangs is given up on', async t => {
  redis.freeze()
  t.teardown(redis.thaw)
  t.strictSame(faults(await examine()), ['no_connection timeout'])
})

t.test('a server that becomes silent in between is given up on, too', async t => {
  const proxy = await startTcpProxy(t, { port: Number(new URL(redis.url).port) })
  const facts = examineRedis({
    url: `redis://127.0.0.1:${proxy.port}`,
    password: new Secret(redis.password),
    prefix: 'gatehouse',
  })
  await facts.next()
  proxy.cut('rst')
  t.match(await all(facts), [{ fact: 'silent' }, { fact: 'no_script' }])
})

t.test('what each step costs over a slow network', async t => {
  const proxy = await startTcpProxy(t, { port: Number(new URL(redis.url).port) })
  proxy.setFlow({ delayMs: 40 }, 'toClient')
  const script = (await examine({ url: `redis://127.0.0.1:${proxy.port}` })).find(
    fact => fact.fact === 'script',
  )
  t.ok(script && script.roundTripMs >= 39 && script.roundTripMs < 1_000, `${script?.roundTripMs} ms`)
})

t.test('a user who may not enough', async t => {
  const pass = ['on', '>pass', '~{gatehouse}:*', '+hello', '+auth']
  const enough = ['+@read', '+@write', '+@scripting', '+time', '-keys']
  await redis.command('ACL', 'SETUSER', 'careful', ...pass, ...enough)
  await redis.command('ACL', 'SETUSER', 'reader', ...pass, '+@read', '+@scripting', '+time', '+info')
  const password = new Secret('pass')
  const careful = await examine({ username: 'careful', password })
  t.strictSame(faults(careful), ['silent not_allowed'], 'only INFO')
  t.match(careful.at(-1), { fact: 'script' })
  t.strictSame(faults(await examine({ username: 'reader', password })), ['no_script not_allowed'])
  t.strictSame(faults(await examine({ username: 'careful', password, prefix: 'elsewhere' })), [
    'silent not_allowed',
    'no_script not_allowed',
  ])
})

t.test('a replica takes no counts', async t => {
  await redis.command('REPLICAOF', '127.0.0.1', '1')
  t.teardown(() => redis.command('REPLICAOF', 'NO', 'ONE'))
  t.strictSame(faults(await examine()), ['no_script read_only'])
})

t.test('a server from before scripts were sound is too old', async t => {
  const info = '# Server\r\nredis_version:6.0.16\r\n'
  const url = await startSpeaker(t, ([word]) => {
    if (word === 'HELLO') return '*0\r\n'
    return word === 'INFO' ? `$${info.length}\r\n${info}\r\n` : '-ERR unknown command\r\n'
  })
  t.match(await examine({ url }), [
    { fact: 'connection' },
    { fact: 'server', product: 'Redis', version: '6.0.16', tooOld: true },
    { fact: 'no_script', fault: { kind: 'other', message: 'ERR unknown command' } },
  ])
})

t.test('a server that repeats what it does not know does not make us say the password', async t => {
  const password = new Secret('a canary in a cage')
  // Word for word as Redis 5 does.
  const url = await startSpeaker(t, ([word, ...words]) => {
    const args = words.map(each => `\`${each}\`, `).join('')
    return `-ERR unknown command \`${word}\`, with args beginning with: ${args}\r\n`
  })
  const facts = await examine({ url, password })
  t.strictSame(facts, [
    { fact: 'no_connection', fault: { kind: 'too_old', message: 'ERR unknown command `HELLO`' } },
  ])
})
