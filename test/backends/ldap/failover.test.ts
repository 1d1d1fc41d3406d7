/** Directories with several servers, real ones, that go dark, go down, come back and move. */
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PresenceFilter } from 'ldapts'
import t from 'tap'
import type { Outcome } from '../../../src/authentication/outcome.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import { createDirectory } from '../../../src/backends/ldap/servers/directory.ts'
import type { DirectoryOptions } from '../../../src/backends/ldap/servers/directory-options.ts'
import { startBlackHole } from '../../support/black-hole.ts'
import { corpBaseDn, corpPeople } from '../../support/corp.ts'
import { startDnsServer } from '../../support/dns-server.ts'
import { bindResponse, searchDone, searchEntry } from '../../support/ldap-message.ts'
import {
  type LdapServerConnection,
  type ReceivedRequest,
  startLdapServer,
} from '../../support/ldap-server.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import { startSlapd } from '../../support/slapd.ts'
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts'
import { crowdedMs, ownMs } from '../../support/vitals.ts'
import {
  type Desk,
  groupOptions,
  ldapOptions,
  ldapServices,
  openDesk,
  type slapdOptions,
} from './ldap-login.ts'

type Scope = Parameters<typeof startTcpProxy>[0]

const { alice } = corpPeople
const names = ['localhost', 'dc1.corp.example', 'dc2.corp.example'].map(name => `DNS:${name}`)
const [one, two] = await Promise.all([
  startSlapd(t, { certificate: { names }, serverConfig: 'idletimeout 1' }),
  startSlapd(t, { certificate: { names } }),
])
const trusted = await bothAuthorities()

/** Two servers of one directory, each behind a network that obeys. */
async function stage(t: Scope, changes: Parameters<typeof slapdOptions>[1] = {}) {
  const proxies = [
    await startTcpProxy(t, { port: one.ldapsPort }),
    await startTcpProxy(t, { port: two.ldapsPort }),
  ] as const
  const desk = await openDesk(t, options(proxies.map(urlOf), changes))
  return { primary: proxies[0], second: proxies[1], desk, urls: proxies.map(urlOf) }
}

function options(urls: string[], changes: Parameters<typeof slapdOptions>[1] = {}) {
  const tls = { starttls: false, min_version: 'TLSv1.2' as const, ca_file: trusted }
  return ldapOptions({ urls, tls, operation_timeout: 4_000, ...changes })
}

function urlOf({ port }: { readonly port: number }): string {
  return `ldaps://localhost:${port}`
}

async function bothAuthorities(): Promise<string> {
  const file = join(t.testdir(), 'both.pem')
  await writeFile(file, one.certificateAuthority.ca + two.certificateAuthority.ca)
  return file
}

const login = (desk: Desk, password = alice.password) => desk.login('alice', password)

interface Timed {
  readonly outcome: Outcome
  readonly ms: number
  /** Without what a busy machine took. */
  readonly ownMs: number
}

async function timed(desk: Desk): Promise<Timed> {
  const watch = startWatch()
  const outcome = await login(desk)
  return { outcome, ms: watch.ms(), ownMs: watch.ownMs() }
}

function startWatch() {
  const [started, crowded] = [performance.now(), crowdedMs()]
  const ms = () => performance.now() - started
  return { ms, ownMs: () => ownMs(ms(), crowdedMs() - crowded) }
}

/** Some logins at a time, one after the other, until told to stop. */
function load(desk: Desk, atOnce: number): { stop(): Promise<Timed[]> } {
  const results: Timed[] = []
  let stopped = false
  const busy = Array.from({ length: atOnce }, async () => {
    while (!stopped) {
      results.push(await timed(desk))
      await pause(5)
    }
  })
  return {
    async stop() {
      stopped = true
      await Promise.all(busy)
      return results
    },
  }
}

function p95(results: readonly Timed[]): number {
  const sorted = results.map(({ ownMs }) => ownMs).sort((a, b) => a - b)
  return sorted[Math.ceil(sorted.length * 0.95) - 1] ?? Infinity
}

/** Accepted, or an outage: nothing else may become of a right password. */
function onlyOutages(results: readonly Timed[]): Outcome[] {
  return results
    .map(({ outcome }) => outcome)
    .filter(({ outcome }) => outcome !== 'accept' && outcome !== 'unavailable')
}

async function until(what: string, holds: () => boolean, withinMs = 5_000): Promise<number> {
  const started = startWatch()
  while (!holds()) {
    if (started.ms() > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`)
    await pause(5)
  }
  return started.ownMs()
}

async function health(desk: Desk) {
  return (await desk.backend.probe(AbortSignal.timeout(1_000))).servers ?? []
}

t.test('with the first server black-holed nobody waits long, from the first login on', async t => {
  const hole = await startBlackHole(t)
  const desk = await openDesk(t, options([urlOf(hole), two.ldapsUrl]))
  const results = await Promise.all(Array.from({ length: 40 }, () => timed(desk)))
  for (let count = 0; count < 20; count++) results.push(await timed(desk))
  t.ok(results.every(({ outcome }) => outcome.outcome === 'accept'))
  t.ok(p95(results) < 1_500, `p95 ${Math.round(p95(results))} ms`)
  t.ok(p95(results.slice(40)) < 200, 'once known it costs nobody anything')
  const [first, second] = await health(desk)
  t.match(first, { server: urlOf(hole), ok: false, reason: /no connection within/ })
  t.match(second, { server: two.ldapsUrl, ok: true, certificateExpiresAt: Number })
})

t.test('connections that go dark under load fail over before anybody waits long', async t => {
  const { desk, primary, second, urls } = await stage(t)
  const busy = load(desk, 12)
  await pause(300)
  t.equal(second.accepted(), 0)
  primary.setFlow('drop')
  const dark = startWatch()
  await until('connections to the second server', () => second.connections() >= 2)
  t.ok(dark.ownMs() < 1_500)
  await pause(2_000)
  const results = await busy.stop()
  t.same(onlyOutages(results), [])
  const failed = results.filter(({ outcome }) => outcome.outcome === 'unavailable')
  t.ok(
    failed.every(({ outcome }) => outcome.outcome === 'unavailable' && outcome.credentialSent),
    'only those whose password was on its way',
  )
  t.ok(failed.length <= 8, `${failed.length}: no more than there were connections`)
  t.ok(p95(results) < 1_500, `p95 ${Math.round(p95(results))} ms of ${results.length}`)
  t.ok(Math.max(...results.map(({ ownMs }) => ownMs)) < 2_000)
  t.match(await health(desk), [
    { server: urls[0], ok: false },
    { server: urls[1], ok: true },
  ])
  t.same(desk.log.at('error'), [])
})

t.test('one login at a time finds its way around a server that went dark, too', async t => {
  const { desk, primary } = await stage(t)
  t.match(await login(desk), { outcome: 'accept' })
  primary.setFlow('drop')
  const first = await timed(desk)
  t.match(first.outcome, { outcome: 'accept' })
  t.ok(first.ownMs < 1_500, `${Math.round(first.ownMs)} ms`)
  const next = await timed(desk)
  t.match(next.outcome, { outcome: 'accept' })
  t.ok(next.ownMs < 200, `${Math.round(next.ownMs)} ms`)
})

t.test('a slow server is waited for where there is no other one', async t => {
  const proxy = await startTcpProxy(t, { port: two.ldapsPort })
  const desk = await openDesk(t, options([urlOf(proxy)]))
  t.match(await login(desk), { outcome: 'accept' })
  proxy.setFlow({ delayMs: 700 }, 'toClient')
  const slow = await timed(desk)
  t.match(slow.outcome, { outcome: 'accept' })
  t.ok(slow.ms > 1_300)
})

t.test('with every server dead a login fails at once and without a dial; with one back it works', async t => {
  const { desk, primary, second } = await stage(t)
  t.match(await login(desk), { outcome: 'accept' })
  for (const proxy of [primary, second]) {
    await proxy.refuse()
    proxy.cut('rst')
  }
  t.match((await timed(desk)).outcome, { outcome: 'unavailable', credentialSent: false })
  const results: Timed[] = []
  for (let count = 0; count < 50; count++) results.push(await timed(desk))
  t.ok(
    results.every(({ outcome }) => outcome.outcome === 'unavailable' && /ECONNREFUSED/.test(outcome.cause)),
  )
  const slowest = Math.max(...results.map(({ ms }) => ms))
  t.ok(slowest < 50, `${Math.round(slowest)} ms`)

  await pause(1_500)
  const dialled = second.accepted()
  await second.accept()
  const back = startWatch()
  while ((await login(desk)).outcome !== 'accept') await pause(10)
  t.ok(back.ownMs() < 2_000, `${Math.round(back.ownMs())} ms`)
  t.ok(second.accepted() - dialled <= 3, 'a probe and two connections')
})

t.test(
  'with every server silent a login fails in time, the next ones at once; back within two seconds',
  async t => {
    const { desk, primary, second } = await stage(t, { operation_timeout: 2_000, connect_timeout: 1_000 })
    t.match(await login(desk), { outcome: 'accept' })
    for (const proxy of [primary, second]) proxy.setFlow('drop')
    const first = await timed(desk)
    t.match(first.outcome, { outcome: 'unavailable' })
    t.ok(first.ownMs < 5_100, `${Math.round(first.ownMs)} ms`)
    const results: Timed[] = []
    for (let count = 0; count < 50; count++) results.push(await timed(desk))
    const slowest = Math.max(...results.map(({ ms }) => ms))
    t.ok(slowest < 50, `${Math.round(slowest)} ms`)
    for (const proxy of [primary, second]) proxy.setFlow('pass')
    const back = startWatch()
    while ((await login(desk)).outcome !== 'accept') await pause(10)
    t.ok(back.ownMs() < 2_000, `${Math.round(back.ownMs())} ms`)
  },
)

t.test('the primary is preferred again when it is back, without a failed login', async t => {
  const { desk, primary, second, urls } = await stage(t)
  await primary.refuse()
  t.match(await login(desk), { outcome: 'accept' })
  t.equal(second.connections(), 2)
  t.match(desk.log.at('warn'), [{ fields: { server: urls[0], reason: /ECONNREFUSED/ } }], 'said once')
  const busy = load(desk, 4)
  await primary.accept()
  await until('everything on the primary', () => second.connections() === 0 && primary.connections() >= 2)
  const results = await busy.stop()
  t.ok(results.every(({ outcome }) => outcome.outcome === 'accept'))
  t.match(desk.log.at('info'), [{ fields: { server: urls[0] }, message: /can be used again/ }])
  t.match(await health(desk), [{ ok: true }, { ok: true }])
})

t.test('a first server that can be connected to but never speaks holds nobody up', async t => {
  const mute = await startLdapServer(t, { onRequest: () => {} })
  const desk = await openDesk(
    t,
    ldapOptions({ urls: [mute.url, two.ldapUrl], insecure: true, operation_timeout: 4_000 }),
  )
  const first = await timed(desk)
  t.match(first.outcome, { outcome: 'accept' })
  t.ok(first.ownMs < 1_500, `${Math.round(first.ownMs)} ms`)
  t.ok(mute.requests.every(({ operation }) => operation.type !== 'bind' || operation.dn !== alice.dn))
})

t.test('a server that says it is out of order is left for the next one', async t => {
  for (const code of [51, 52, 80]) {
    for (const broken of ['bind', 'search']) {
      const script = ({ id, operation, connection }: ReceivedRequest) => {
        if (operation.type === 'search' && operation.base !== '') {
          return connection.send(searchDone(id, { code: broken === 'search' ? code : 0 }))
        }
        if (operation.type === 'search') return connection.send(searchDone(id))
        return connection.send(bindResponse(id, { code: broken === 'bind' ? code : 0 }))
      }
      const first = await startLdapServer(t, { onRequest: script })
      const desk = await openDesk(t, ldapOptions({ urls: [first.url, two.ldapUrl], insecure: true }))
      for (let count = 0; count < 5; count++) {
        t.match(await login(desk), { outcome: 'accept', cause: undefined }, `${code} to a ${broken}`)
      }
      t.notOk(
        first.requests.some(({ operation }) => operation.type === 'bind' && operation.dn === alice.dn),
        'and gets no password',
      )
    }
  }
})

t.test('a wrong password is never tried on the other server', async t => {
  const { desk, second } = await stage(t)
  const before = (await two.binds()).length
  for (let count = 0; count < 5; count++) {
    t.match(await login(desk, 'wrong'), { outcome: 'wrong_password' })
  }
  t.equal((await two.binds()).length, before)
  t.equal(second.accepted(), 0)
})

t.test('a refused service account is tried once, on one server only', async t => {
  const bind = { method: 'simple' as const, dn: one.serviceDn, password: new Secret('wrong') }
  const { desk, primary } = await stage(t, { bind })
  const before = [(await one.binds()).length, (await two.binds()).length] as const
  for (let count = 0; count < 10; count++) {
    t.match(await login(desk), { outcome: 'unavailable', phase: 'service_bind' })
  }
  await primary.refuse()
  primary.cut('rst')
  for (let count = 0; count < 10; count++) t.match(await login(desk), { outcome: 'unavailable' })
  t.equal((await one.binds()).length - before[0] + (await two.binds()).length - before[1], 1)
  t.equal(desk.log.at('fatal').length, 1)
})

t.test('a directory that anybody may search is searched without a bind', async t => {
  const entryUUID = '7b14222a-7bbc-1041-92f6-dfaea8ca88bd'
  const directory = [{ dn: alice.dn, password: alice.password, attributes: { uid: 'alice', entryUUID } }]
  const server = await startLdapServer(t, { directory })
  const urls = [server.url]
  const desk = await openDesk(t, ldapOptions({ urls, insecure: true, bind: { method: 'anonymous' } }))
  t.match(await login(desk), { outcome: 'accept', user: { id: entryUUID } })
  t.match(await login(desk, 'wrong'), { outcome: 'wrong_password' })
  const binds = server.requests.filter(({ operation }) => /bind/.test(operation.type))
  t.same(
    binds.map(({ operation }) => operation.type === 'bind' && operation.dn),
    [alice.dn, alice.dn],
  )
})

t.test('flapping servers cost no more dials than the pool may make, and nobody a wrong answer', async t => {
  const { desk, primary, second } = await stage(t)
  const began = performance.now()
  const busy = load(desk, 16)
  for (let round = 0; round < 10; round++) {
    for (const proxy of [primary, second]) {
      await proxy.refuse()
      proxy.cut('rst')
    }
    await pause(150)
    for (const proxy of [primary, second]) await proxy.accept()
    const up = startWatch()
    while (up.ownMs() < 250) await pause(10)
  }
  const results = await busy.stop()
  t.same(onlyOutages(results), [])
  t.ok(results.some(({ outcome }) => outcome.outcome === 'accept'))
  // Ten in any one second, also in the one that has just begun.
  const [seconds, dials] = [(performance.now() - began) / 1_000, primary.accepted() + second.accepted()]
  t.ok(dials <= 10 * (seconds + 1), `${dials} dials in ${seconds} s`)
  t.ok(dials > 10)
  const calm = startWatch()
  while ((await login(desk)).outcome !== 'accept') await pause(10)
  t.ok(calm.ownMs() < 2_000)
})

t.test('a connection idle past the server’s cut-off still logs in', async t => {
  const { desk, primary } = await stage(t)
  t.match(await login(desk), { outcome: 'accept' })
  await until('the server hangs up', () => primary.connections() === 0)
  const next = await timed(desk)
  t.match(next.outcome, { outcome: 'accept' })
  t.ok(next.ownMs < 500, `${Math.round(next.ownMs)} ms`)
})

t.test('a connection that a firewall forgot while it was idle still logs in, within two seconds', async t => {
  const proxy = await startTcpProxy(t, { port: two.ldapsPort })
  const pool = { ...options([]).pool, validate_after: 100 }
  const desk = await openDesk(t, options([urlOf(proxy)], { pool }))
  await Promise.all(Array.from({ length: 8 }, () => login(desk)))
  t.equal(proxy.connections(), 9)
  await pause(150)
  // What is asked on an open one is lost, and with it the connection; new ones are as good as ever.
  proxy.setFlow('drop')
  const forgotten = timed(desk)
  await proxy.arrival('toServer')
  await pause(50)
  proxy.setFlow('pass')
  const { outcome, ms, ownMs } = await forgotten
  t.match(outcome, { outcome: 'accept' })
  t.ok(ms > 450, 'the old connection said nothing')
  t.ok(ownMs < 2_000, `${Math.round(ownMs)} ms`)
})

/** A plain pipe on any loopback address: where a host moves to. */
async function pipe(
  t: Scope,
  address: string,
  port: number,
  target: number,
): Promise<{ port: number; seen(): number; connections(): number }> {
  let seen = 0
  const open = new Set<Socket>()
  const server = createServer(client => {
    seen++
    open.add(client)
    const upstream = connect(target, '127.0.0.1')
    client.pipe(upstream).pipe(client)
    for (const socket of [client, upstream]) socket.on('error', () => client.destroy())
    client.once('close', () => {
      open.delete(client)
      upstream.destroy()
    })
  })
  server.listen(port, address)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port: given } = server.address() as { port: number }
  return { port: given, seen: () => seen, connections: () => open.size }
}

async function discovered(t: Scope, dns: string, changes: Partial<DirectoryOptions> = {}) {
  const log = createLogRecorder()
  const directory = createDirectory(
    {
      endpoints: [],
      discover: { domain: 'corp.example', security: 'ldaps' },
      dnsRefreshMs: 100,
      nameServers: [dns],
      ca: await readFile(trusted, 'utf8'),
      minVersion: 'TLSv1.2',
      servername: undefined,
      connectTimeoutMs: 1_000,
      operationTimeoutMs: 1_000,
      asksPolicy: false,
      service: { method: 'simple', dn: one.serviceDn, password: new Secret(one.servicePassword) },
      pool: {
        search: 2,
        bind: 2,
        waiting: 10,
        idleTimeoutMs: 60_000,
        maxAgeMs: 60_000,
        validateAfterMs: 30_000,
      },
      ...changes,
    },
    ldapServices(log),
  )
  t.teardown(() => directory.close())
  const search = () =>
    directory.search(
      {
        base: corpBaseDn,
        scope: 'base',
        filter: new PresenceFilter({ attribute: 'objectClass' }),
        attributes: ['1.1'],
        sizeLimit: 1,
      },
      AbortSignal.timeout(3_000),
    )
  return { directory, log, search }
}

t.test('servers by DNS SRV: found, followed when the list changes, kept while DNS is out', async t => {
  const dns = await startDnsServer(t)
  const [first, second] = [
    await startTcpProxy(t, { port: one.ldapsPort }),
    await startTcpProxy(t, { port: two.ldapsPort }),
  ] as [TcpProxy, TcpProxy]
  const a = { 'dc1.corp.example': ['127.0.0.1'], 'dc2.corp.example': ['127.0.0.1'] }
  const srv = (target: string, { port }: TcpProxy) => ({
    srv: { '_ldaps._tcp.corp.example': [{ priority: 0, weight: 100, port, target }] },
    a,
  })
  dns.setRecords(srv('dc1.corp.example', first))
  const { directory, log, search } = await discovered(t, dns.address)
  t.match(await search(), { code: 0 })
  t.match(directory.report(), [{ server: `ldaps://dc1.corp.example:${first.port}`, ok: true }])
  t.equal(first.connections(), 1)

  dns.setRecords(srv('dc2.corp.example', second))
  await until('the connection moves', () => second.connections() === 1 && first.connections() === 0)
  t.match(await search(), { code: 0 })
  t.match(directory.report(), [{ server: `ldaps://dc2.corp.example:${second.port}`, ok: true }])

  dns.setManners('servfail')
  await until('DNS is found out', () => log.at('warn').length > 0)
  second.cut('rst')
  await until('the connection is gone', () => second.connections() === 0)
  t.match(await search(), { code: 0 }, 'the list and the addresses that were good last hold')
  t.match(log.at('warn'), [{ message: 'DNS does not name the servers', fields: { reason: /ESERVFAIL/ } }])
  dns.setManners('answer')
  await until('DNS is back', () =>
    log.lines.some(({ message }) => /names the servers .* again/.test(message)),
  )
})

t.test('a domain controller that gets a new address is found there', async t => {
  const dns = await startDnsServer(t)
  const before = await pipe(t, '127.0.0.2', 0, one.ldapsPort)
  const after = await pipe(t, '127.0.0.3', before.port, two.ldapsPort)
  const records = (address: string) => ({
    srv: {
      '_ldaps._tcp.corp.example': [{ priority: 0, weight: 0, port: before.port, target: 'dc1.corp.example' }],
    },
    a: { 'dc1.corp.example': [address] },
  })
  dns.setRecords(records('127.0.0.2'))
  const { search, log } = await discovered(t, dns.address)
  t.match(await search(), { code: 0 })
  t.same([before.seen(), after.seen()], [1, 0])
  dns.setRecords(records('127.0.0.3'))
  await until('its connection moves', () => after.seen() === 1 && before.connections() === 0)
  t.match(log.at('info'), [{ fields: { host: 'dc1.corp.example', addresses: ['127.0.0.3'] } }])
  t.match(await search(), { code: 0 })
  dns.setManners('servfail')
  const asked = dns.questions.length
  await until('DNS is asked again', () => dns.questions.length > asked + 3)
  t.same([before.seen(), after.seen()], [1, 1], 'and stays, also while DNS is out')
})

t.test('without any answer from DNS a login fails in time, and works soon after the first one', async t => {
  const dns = await startDnsServer(t)
  dns.setManners('servfail')
  const { directory, search } = await discovered(t, dns.address)
  await t.rejects(search(), { message: /ESERVFAIL/ })
  const started = startWatch()
  await t.rejects(search(), { message: /ESERVFAIL/ })
  t.ok(started.ownMs() < 50)
  t.same(directory.report(), [])
  dns.setRecords({
    srv: {
      '_ldap._tcp.corp.example': [
        { priority: 0, weight: 0, port: two.ldapsPort, target: 'dc1.corp.example' },
      ],
    },
    a: { 'dc1.corp.example': ['127.0.0.1'] },
  })
  dns.setManners('answer')
  const back = startWatch()
  for (;;) {
    const answer = await search().catch(() => undefined)
    if (answer?.code === 0) break
    await pause(20)
  }
  t.ok(back.ownMs() < 2_000, `${Math.round(back.ownMs())} ms`)
})

/** One scripted server whose binds the test answers. */
async function alone(
  t: Scope,
  onBind: (request: ReceivedRequest, connection: LdapServerConnection) => unknown,
  changes = {},
) {
  const dn = `uid=alice,${corpBaseDn}`
  const server = await startLdapServer(t, {
    onRequest(request, connection) {
      const { id, operation } = request
      if (operation.type === 'bind' && operation.dn === dn) return onBind(request, connection)
      if (operation.type === 'bind') return connection.send(bindResponse(id))
      if (operation.type !== 'search') return undefined
      const person = { uid: 'alice', entryUUID: '7b14222a-7bbc-1041-92f6-dfaea8ca88bd' }
      return connection.send(...(operation.base === '' ? [] : [searchEntry(id, dn, person)]), searchDone(id))
    },
  })
  const groups = groupOptions({ nesting: 'direct' })
  const desk = await openDesk(t, ldapOptions({ urls: [server.url], insecure: true, groups, ...changes }))
  const health = async () => (await desk.backend.probe(AbortSignal.timeout(1_000))).servers?.[0]
  return { server, desk, health }
}

t.test('what a server says of one person does not put it out of order for all', async t => {
  for (const [code, diagnosticMessage, ok] of [
    [80, 'other', true],
    [53, 'shut out', true],
    [49, '', true],
    [51, 'busy', false],
    [52, 'unavailable', false],
  ] as const) {
    const { desk, health } = await alone(t, ({ id }, connection) =>
      connection.send(bindResponse(id, { code, diagnosticMessage })),
    )
    for (let count = 0; count < 3; count++) await login(desk)
    t.match(await health(), { ok }, `result ${code}`)
  }
})

t.test('a server that takes its time is waited for where there is no other one', async t => {
  const { desk, health } = await alone(t, ({ id }, connection) => {
    setTimeout(() => connection.send(bindResponse(id)), 1_600)
  })
  t.match(await login(desk), { outcome: 'accept' })
  t.match(await health(), { ok: true })
})

t.test('logins that give up early say nothing about the server', async t => {
  let patience = new AbortController()
  const { desk, health } = await alone(t, () => patience.abort())
  for (let count = 0; count < 4; count++) {
    patience = new AbortController()
    const hurried = desk.login('alice', alice.password, { signal: patience.signal })
    t.match(await hurried, { outcome: 'unavailable', credentialSent: true })
  }
  t.match(await health(), { ok: true })
})

t.test('a connection that breaks under many searches is one failure of its server', async t => {
  let breaks = true
  const dn = `uid=alice,${corpBaseDn}`
  const server = await startLdapServer(t, {
    onRequest({ id, operation }, connection) {
      if (operation.type === 'bind') return connection.send(bindResponse(id))
      if (operation.type !== 'search' || operation.base === '') return connection.send(searchDone(id))
      if (!breaks)
        return connection.send(searchEntry(id, dn, { uid: 'alice', entryUUID: 'x' }), searchDone(id))
      const asked = server.requests.filter(({ operation }) => operation.type === 'search').length
      if (asked < 10) return undefined
      breaks = false
      return connection.end()
    },
  })
  const desk = await openDesk(
    t,
    ldapOptions({ urls: [server.url], insecure: true, groups: groupOptions({ nesting: 'direct' }) }),
  )
  await Promise.all(Array.from({ length: 10 }, () => login(desk)))
  t.same(desk.log.at('warn'), [], 'its breaker stays closed')
})

t.test('a wrong password of the service account is sent once, however many connections want it', async t => {
  const server = await startLdapServer(t, {
    onRequest: ({ id, operation }, connection) =>
      operation.type === 'bind' && setTimeout(() => connection.send(bindResponse(id, { code: 49 })), 50),
  })
  const { pool } = ldapOptions({ urls: [] })
  const desk = await openDesk(
    t,
    ldapOptions({ urls: [server.url], insecure: true, pool: { ...pool, search: 8 } }),
  )
  const outcomes = await Promise.all(Array.from({ length: 200 }, () => login(desk)))
  t.ok(outcomes.every(({ outcome }) => outcome === 'unavailable'))
  t.equal(server.requests.filter(({ operation }) => operation.type === 'bind').length, 1)
})

t.test(
  'where the service account gets no answer one connection waits for it, not one after the other',
  async t => {
    const server = await startLdapServer(t, {
      onRequest: (request, connection) => request.operation.type !== 'bind' && connection.behave(request),
    })
    const { pool } = ldapOptions({ urls: [] })
    const desk = await openDesk(
      t,
      ldapOptions({
        urls: [server.url],
        insecure: true,
        operation_timeout: 300,
        pool: { ...pool, search: 8 },
      }),
    )
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => login(desk)))
    for (const outcome of outcomes) {
      t.match(outcome, { outcome: 'unavailable', cause: /timed out/ })
    }
    t.equal(server.requests.filter(({ operation }) => operation.type === 'bind').length, 1)
  },
)

t.test('closing in the middle of an outage ends in time and leaves nothing behind', async t => {
  const hole = await startBlackHole(t)
  const { desk, primary, second } = await stage(t, { connect_timeout: 5_000 })
  t.match(await login(desk), { outcome: 'accept' })
  for (const proxy of [primary, second]) proxy.setFlow('drop')
  const lonely = await openDesk(t, options([urlOf(hole)], { connect_timeout: 5_000 }))
  const attempts = [login(desk), login(lonely)]
  await pause(700)
  const started = startWatch()
  await Promise.all([desk.backend.close(), lonely.backend.close()])
  t.ok(started.ownMs() < 1_000, `${Math.round(started.ownMs())} ms`)
  for (const outcome of await Promise.all(attempts)) t.match(outcome, { outcome: 'unavailable' })
})
