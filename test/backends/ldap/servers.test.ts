/** Which server a connection goes to: the breaker, the race, DNS SRV, the list, and all of it together. */
import { lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { createBreaker, type Trial } from '../../../src/backends/ldap/servers/breaker.ts'
import { createDialRate, orCalledOff } from '../../../src/backends/ldap/servers/dial-rate.ts'
import { discoverServers, inTurn, type ListedServer } from '../../../src/backends/ldap/servers/discover.ts'
import { createAddresses, createResolver } from '../../../src/backends/ldap/servers/lookup.ts'
import { race } from '../../../src/backends/ldap/servers/race.ts'
import { discoveredList, fixedList } from '../../../src/backends/ldap/servers/server-list.ts'
import { createServers, OUT_OF_FAVOUR } from '../../../src/backends/ldap/servers/servers.ts'
import type { Connection } from '../../../src/backends/ldap/wire/connection.ts'
import { type Endpoint, parseEndpoint } from '../../../src/backends/ldap/wire/endpoint.ts'
import { DirectoryFailure } from '../../../src/backends/ldap/wire/failure.ts'
import { createChance } from '../../support/chance.ts'
import { startDnsServer } from '../../support/dns-server.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import '../../support/runs.ts'

const lost = new DirectoryFailure('it is gone', { phase: 'connect', connectionLost: true })
const highest = () => 0.999_999

t.test('breaker', async t => {
  t.test('opens at once when nothing can be had, and after three operations in a row', async t => {
    for (const trial of ['connect', 'service_bind'] as const) {
      const breaker = createBreaker(highest)
      breaker.failed(trial, lost, 1_000)
      t.match(breaker, { state: 'open', failure: lost, since: 1_000 })
    }
    for (const trial of ['search', 'bind'] as const) {
      const breaker = createBreaker(highest)
      for (let count = 0; count < 2; count++) breaker.failed(trial, lost, 1_000)
      t.equal(breaker.state, 'closed')
      breaker.succeeded(trial)
      for (let count = 0; count < 2; count++) breaker.failed(trial, lost, 1_000)
      t.equal(breaker.state, 'closed', 'in a row')
      breaker.failed(trial, lost, 1_001)
      t.match(breaker, { state: 'half_open', probeAt: 1_001 }, 'it can be reached: is it there?')
    }
  })

  t.test('searches that go well do not hide binds that fail', async t => {
    const breaker = createBreaker(highest)
    for (let count = 0; count < 3; count++) {
      breaker.succeeded('search')
      breaker.failed('bind', lost, 0)
    }
    t.equal(breaker.state, 'half_open')
  })

  t.test('a server that says it is out of order need not say it twice', async t => {
    const breaker = createBreaker(highest)
    breaker.failed('search', lost, 0, 'said')
    t.equal(breaker.state, 'half_open')
  })

  t.test('is probed with pauses that grow to a second and no further, with jitter', async t => {
    for (const [random, expected] of [
      [highest, [100, 200, 400, 800, 1_000, 1_000]],
      [() => 0, [50, 100, 200, 400, 500, 500]],
    ] as const) {
      const breaker = createBreaker(random)
      let now = 0
      breaker.failed('connect', lost, now)
      const pauses = expected.map(() => {
        const wait = Math.round(breaker.probeAt - now)
        now = breaker.probeAt
        breaker.probing(now)
        breaker.missed(lost, now)
        return wait
      })
      t.same(pauses, expected)
      breaker.reached(now)
      t.match(breaker, { state: 'closed', probeAt: Infinity })
    }
  })

  t.test('looks at a server that was there all the time do not lengthen the first pause', async t => {
    const breaker = createBreaker(highest)
    for (let count = 0; count < 10; count++) {
      breaker.probing(count)
      breaker.reached(count)
    }
    breaker.probing(10)
    breaker.missed(lost, 10)
    t.equal(Math.round(breaker.probeAt), 210)
  })

  t.test('closes at once when what could not be reached is reached', async t => {
    const breaker = createBreaker(highest)
    breaker.failed('connect', lost, 0)
    breaker.probing(100)
    breaker.reached(101)
    t.equal(breaker.state, 'closed')
  })

  t.test(
    'a server that answers probes but fails at its work comes back later each time, half a minute at most',
    async t => {
      const breaker = createBreaker(highest)
      let now = 0
      const holds: number[] = []
      for (let round = 0; round < 7; round++) {
        breaker.failed('service_bind', lost, now)
        t.equal(breaker.state, 'open')
        now = breaker.probeAt
        breaker.probing(now)
        breaker.reached(now)
        t.equal(breaker.state, 'half_open')
        holds.push(Math.round((breaker.probeAt - now + 100) / 1_000))
        now = breaker.probeAt
        breaker.probing(now)
        breaker.reached(now)
        t.equal(breaker.state, 'closed')
      }
      t.same(holds, [1, 2, 4, 8, 16, 30, 30])
      breaker.succeeded('service_bind')
      breaker.failed('service_bind', lost, now)
      breaker.probing(now)
      breaker.reached(now)
      t.equal(Math.round(breaker.probeAt - now), 1_000, 'forgotten after a success')
    },
  )

  t.test('closes when what it had failed at goes well, used for want of a better one', async t => {
    const breaker = createBreaker(highest)
    breaker.failed('search', lost, 0, 'said')
    breaker.succeeded('bind')
    t.equal(breaker.state, 'half_open', 'something else proves nothing')
    breaker.succeeded('search')
    t.equal(breaker.state, 'closed')
  })

  t.test('a half-open server that cannot be reached either is open', async t => {
    const breaker = createBreaker(highest)
    breaker.failed('search', lost, 0, 'said')
    breaker.probing(0)
    breaker.missed(lost, 1)
    t.equal(breaker.state, 'open')
    breaker.probing(100)
    breaker.reached(5_000)
    t.equal(breaker.state, 'closed')
  })

  t.test('whatever happens, one that is not closed has its next probe within its pause or hold', async () => {
    const event = fc.oneof(
      fc.record({ what: fc.constant('failed' as const), trial: trials(), said: fc.boolean() }),
      fc.record({ what: fc.constant('succeeded' as const), trial: trials() }),
      fc.record({ what: fc.constantFrom('reached' as const, 'missed' as const) }),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(event, fc.nat(2_000))), events => {
        const breaker = createBreaker(Math.random)
        let now = 0
        for (const [each, later] of events) {
          now += later
          if (each.what === 'failed') breaker.failed(each.trial, lost, now, each.said ? 'said' : undefined)
          else if (each.what === 'succeeded') breaker.succeeded(each.trial)
          else if (breaker.state !== 'closed') {
            breaker.probing(now)
            if (each.what === 'reached') breaker.reached(now)
            else breaker.missed(lost, now)
          }
          if (breaker.state === 'closed') {
            if (breaker.probeAt !== Infinity) return false
          } else if (!(breaker.probeAt <= now + 30_000) || breaker.failure === undefined) return false
        }
        return true
      }),
    )
  })
})

function trials() {
  return fc.constantFrom<Trial>('connect', 'service_bind', 'search', 'bind')
}

t.test('race', async t => {
  /** Each entrant arrives, or fails, after so many milliseconds. */
  const arriving = (plans: Readonly<Record<string, number>>) => {
    const log: string[] = []
    const rules = {
      async run(name: string, signal: AbortSignal) {
        log.push(`${name} starts`)
        const plan = plans[name] ?? 0
        await pause(Math.abs(plan), undefined, { signal }).catch(() => {
          log.push(`${name} is called off`)
          throw lost
        })
        if (plan < 0) throw lost
        return name
      },
      patience: () => 50,
      discard: (name: string) => log.push(`${name} is discarded`),
      signal: new AbortController().signal,
    }
    return { log, rules }
  }

  t.test('the second one is started only when the first takes long', async t => {
    const { log, rules } = arriving({ one: 10, two: 10 })
    t.match(await race(['one', 'two'], rules), { winner: { entrant: 'one' } })
    await pause(60)
    t.same(log, ['one starts'])
  })

  t.test('the first to arrive wins and the other one is called off', async t => {
    const { log, rules } = arriving({ one: 5_000, two: 10, three: 0 })
    t.match(await race(['one', 'two', 'three'], rules), { winner: { entrant: 'two' }, failures: [] })
    await pause(0)
    t.same(log, ['one starts', 'two starts', 'one is called off'])
  })

  t.test('after a failure the next one is not made to wait, and all failures are told', async t => {
    const { rules } = arriving({ one: -1, two: -1, three: 1 })
    const started = performance.now()
    t.match(await race(['one', 'two', 'three'], rules), {
      winner: { entrant: 'three' },
      failures: [lost, lost],
      failed: new Set(['one', 'two']),
    })
    t.ok(performance.now() - started < 45)
    const { rules: hopeless } = arriving({ one: -1, two: -1 })
    t.match(await race(['one', 'two'], hopeless), { winner: undefined, failures: [lost, lost] })
  })

  t.test('what arrives after the winner is discarded', async t => {
    const gates = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
    const discarded: string[] = []
    const finish = race([0, 1], {
      run: entrant => gates[entrant]?.promise ?? Promise.reject(lost),
      patience: () => 1,
      discard: prize => discarded.push(prize),
      signal: new AbortController().signal,
    })
    await pause(10)
    gates[1]?.resolve('second')
    t.match(await finish, { winner: { entrant: 1, prize: 'second' } })
    gates[0]?.resolve('first')
    await pause(0)
    t.same(discarded, ['first'])
  })

  t.test('a mistake of ours is no failure of a server', async t => {
    const { rules } = arriving({})
    const run = () => Promise.reject(new TypeError('a mistake'))
    await t.rejects(race(['one', 'two'], { ...rules, run }), { message: 'a mistake' })
  })
})

t.test('order of SRV records (RFC 2782)', async t => {
  const servers = (...list: [name: string, priority: number, weight: number][]) =>
    list.map(([name, priority, weight]) => ({ name, priority, weight }))
  const names = (order: readonly { name: string }[]) => order.map(({ name }) => name).join(' ')

  t.test('by priority first', async t => {
    const list = servers(['c', 20, 100], ['a', 0, 1], ['b', 10, 0])
    for (const random of [0, 0.5, 0.999]) t.equal(names(inTurn(list, () => random)), 'a b c')
  })

  t.test('by weight and chance among equals', async t => {
    const list = servers(['heavy', 0, 3], ['light', 0, 1], ['none', 0, 0])
    const firsts = new Map<string, number>()
    const steps = 5_000
    for (let step = 0; step < steps; step++) {
      const [first] = inTurn(list, () => (step + 0.5) / steps)
      firsts.set(first?.name ?? '', (firsts.get(first?.name ?? '') ?? 0) + 1)
    }
    // Whole numbers from 0 to 4: 0 is the weightless one's, 1 the light one's, 2 to 4 the heavy one's.
    t.same(Object.fromEntries(firsts), { none: 1_000, light: 1_000, heavy: 3_000 })
  })

  t.test('everybody once, whatever the weights', async () => {
    const record = fc.record({ priority: fc.nat(3), weight: fc.nat(65_535) })
    fc.assert(
      fc.property(fc.array(record), fc.double({ min: 0, max: 0.999_999, noNaN: true }), (list, random) => {
        const order = inTurn(list, () => random)
        return (
          order.length === list.length &&
          list.every(each => order.includes(each)) &&
          order.every((each, index) => index === 0 || (order[index - 1]?.priority ?? 0) <= each.priority)
        )
      }),
    )
  })
})

t.test('servers by DNS SRV, asked of a real name server', async t => {
  const dns = await startDnsServer(t)
  const find = (security: Endpoint['security'] = 'ldaps', anyTarget = false) =>
    discoverServers({ domain: 'corp.example', security, anyTarget }, createResolver([dns.address]))
  const record = (target: string, port: number) => ({ priority: 0, weight: 100, port, target })
  const urls = (list: readonly ListedServer[]) => list.map(({ endpoint }) => endpoint.url).sort()

  t.test('_ldaps._tcp comes first, with its own ports', async t => {
    dns.setRecords({
      srv: {
        '_ldaps._tcp.corp.example': [record('DC1.corp.example', 636), record('dc2.corp.example', 1636)],
        '_ldap._tcp.corp.example': [record('dc3.corp.example', 389)],
      },
    })
    const found = await find()
    t.same(urls(found), ['ldaps://dc1.corp.example:636', 'ldaps://dc2.corp.example:1636'])
    t.match(found[0], { endpoint: { security: 'ldaps' }, priority: 0, weight: 100 })
  })

  t.test(
    '_ldap._tcp, all that Active Directory has, means TLS unless the connection is to start in clear',
    async t => {
      dns.setRecords({
        srv: {
          '_ldap._tcp.corp.example': [
            record('dc1.corp.example', 389),
            record('gc.corp.example', 3268),
            record('odd.corp.example', 10_636),
          ],
        },
      })
      t.same(urls(await find()), [
        'ldaps://dc1.corp.example:636',
        'ldaps://gc.corp.example:3269',
        'ldaps://odd.corp.example:10636',
      ])
      for (const security of ['starttls', 'none'] as const) {
        const found = await find(security)
        t.same(urls(found), [
          'ldap://dc1.corp.example:389',
          'ldap://gc.corp.example:3268',
          'ldap://odd.corp.example:10636',
        ])
        t.ok(found.every(({ endpoint }) => endpoint.security === security))
      }
    },
  )

  t.test('StartTLS never takes the ports of ldaps', async t => {
    dns.setRecords({
      srv: {
        '_ldaps._tcp.corp.example': [record('dc1.corp.example', 636)],
        '_ldap._tcp.corp.example': [record('dc1.corp.example', 389)],
      },
    })
    t.same(urls(await find('starttls')), ['ldap://dc1.corp.example:389'])
  })

  t.test('a target of `.` means that the service is not there', async t => {
    dns.setRecords({
      srv: {
        '_ldaps._tcp.corp.example': [record('.', 0)],
        '_ldap._tcp.corp.example': [record('dc1.corp.example', 389)],
      },
    })
    t.same(urls(await find()), ['ldaps://dc1.corp.example:636'])
    dns.setRecords({ srv: { '_ldap._tcp.corp.example': [record('.', 0)] } })
    await t.rejects(find(), { message: /names no server for corp.example/ })
  })

  t.test('what is offered over TLS is used over TLS, whatever else is allowed', async t => {
    dns.setRecords({ srv: { '_ldaps._tcp.corp.example': [record('dc1.corp.example', 636)] } })
    t.match(await find('none'), [{ endpoint: { url: 'ldaps://dc1.corp.example:636', security: 'ldaps' } }])
  })

  t.test(
    'a target outside of the domain is whatever somebody wrote into DNS: it needs a name to be held to',
    async t => {
      const stranger = record('dc1.corp.example.evil.example', 636)
      dns.setRecords({ srv: { '_ldaps._tcp.corp.example': [stranger, record('notcorp.example', 636)] } })
      await t.rejects(find(), { message: /corp\.example: .* is outside of it.*tls\.servername/ })
      t.equal((await find('ldaps', true)).length, 2)
      dns.setRecords({ srv: { '_ldaps._tcp.corp.example': [stranger, record('DC1.Corp.Example', 636)] } })
      t.same(urls(await find()), ['ldaps://dc1.corp.example:636'])
    },
  )

  t.test('no record, and no answer, are told apart', async t => {
    dns.setRecords({})
    await t.rejects(find(), { message: /neither an SRV record _ldaps._tcp nor _ldap._tcp/ })
    await t.rejects(find('starttls'), { message: /no SRV record _ldap._tcp$/ })
    dns.setManners('servfail')
    await t.rejects(find(), { message: /DNS does not say which servers there are: .*ESERVFAIL/ })
    dns.setManners('answer')
  })
})

t.test('addresses of a host', async t => {
  const dns = await startDnsServer(t, {
    a: { 'dc1.corp.example': ['127.0.0.1', '127.0.0.2'], 'four.corp.example': ['127.0.0.4'] },
    aaaa: { 'dc1.corp.example': ['::1'] },
  })
  const ask = (lookup: LookupFunction, host: string, options: { all?: boolean; family?: number } = {}) =>
    new Promise<unknown>((resolve, reject) => {
      lookup(host, options, (error, address) => (error ? reject(error) : resolve(address)))
    })

  t.test('are asked of the given name servers, both families', async t => {
    const lookup = createAddresses([dns.address]).lookup
    const all = (await ask(lookup, 'dc1.corp.example', { all: true })) as { address: string }[]
    t.same(all.map(({ address }) => address).sort(), ['127.0.0.1', '127.0.0.2', '::1'])
    t.equal(await ask(lookup, 'dc1.corp.example', { family: 6 }), '::1')
    t.equal(await ask(lookup, 'four.corp.example'), '127.0.0.4')
    await t.rejects(ask(lookup, 'four.corp.example', { family: 6 }), { message: /no address/ })
    await t.rejects(ask(lookup, 'nobody.corp.example'), { code: 'ENOTFOUND' })
  })

  t.test('localhost is nobody’s but the system’s', async t => {
    const own = await ask(createAddresses([dns.address]).lookup, 'localhost')
    const expected = await new Promise(resolve => systemLookup('localhost', (_, address) => resolve(address)))
    t.ok(['127.0.0.1', '::1', expected].includes(own))
    t.notOk(dns.questions.some(question => question.includes('localhost')))
    t.ok(await ask(createAddresses([]).lookup, 'localhost'))
  })

  t.test('the last good ones hold while DNS is out, the new ones when it is back', async t => {
    const lookup = createAddresses([dns.address]).lookup
    t.equal(await ask(lookup, 'four.corp.example'), '127.0.0.4')
    for (const manners of ['servfail', 'silent'] as const) {
      dns.setManners(manners)
      const started = performance.now()
      t.equal(await ask(lookup, 'four.corp.example'), '127.0.0.4', manners)
      t.ok(performance.now() - started < 1_000)
    }
    const stranger = createAddresses([dns.address]).lookup
    dns.setManners('servfail')
    await t.rejects(ask(stranger, 'four.corp.example'), { code: 'ESERVFAIL' })
    dns.setManners('answer')
    dns.setRecords({ a: { 'four.corp.example': ['127.0.0.5'] } })
    // The question that met silence may still be under way.
    while ((await ask(lookup, 'four.corp.example')) !== '127.0.0.5') await pause(20)
    t.pass('the new address')
  })

  t.test('those who ask at once share one question', async t => {
    const lookup = createAddresses([dns.address]).lookup
    const before = dns.questions.length
    await Promise.all(Array.from({ length: 10 }, () => ask(lookup, 'four.corp.example')))
    t.equal(dns.questions.length - before, 2, 'A and AAAA')
  })
})

t.test('the list of servers', async t => {
  const listed = (host: string): ListedServer => ({
    endpoint: parseEndpoint(`ldaps://${host}`, false),
    priority: 0,
    weight: 0,
  })

  t.test('as configured: the first first', async t => {
    const list = fixedList(['ldaps://a', 'ldaps://b'].map(url => parseEndpoint(url, false)))
    t.same(
      list.current.map(({ endpoint, priority }) => [endpoint.host, priority]),
      [
        ['a', 0],
        ['b', 1],
      ],
    )
    t.equal(list.refreshAt, Infinity)
    t.equal(await list.refresh(), false)
  })

  t.test('as discovered: asked again in time, and what was good last holds', async t => {
    const clock = createFakeClock()
    const log = createLogRecorder()
    let answer: readonly ListedServer[] | Error = [listed('a')]
    const list = discoveredList({
      refreshMs: 30_000,
      async discover() {
        if (answer instanceof Error) throw answer
        return answer
      },
      clock,
      log,
      random: () => 0.5,
    })
    await list.known()
    t.equal(list.current[0]?.endpoint.host, 'a')
    t.ok(list.refreshAt - clock.now() <= 30_000)
    t.equal(await list.refresh(), false, 'nothing new')

    answer = [listed('a'), listed('b')]
    t.equal(await list.refresh(), true)
    t.match(log.at('info'), [{ fields: { servers: ['ldaps://a:636', 'ldaps://b:636'] } }])

    answer = new Error('DNS is out')
    for (let count = 0; count < 3; count++) t.equal(await list.refresh(), false)
    t.equal(list.current.length, 2)
    t.ok(list.refreshAt - clock.now() <= 5_000, 'sooner')
    t.match(log.at('warn'), [{ fields: { reason: 'DNS is out' } }])
    t.equal(log.at('warn').length, 1, 'said once')
    await list.known()
  })

  t.test('without a first answer who asks is told why, and DNS is asked once a second at most', async t => {
    const clock = createFakeClock()
    let asked = 0
    const list = discoveredList({
      refreshMs: 30_000,
      async discover() {
        asked++
        throw new Error('DNS is out')
      },
      clock,
      log: createLogRecorder(),
      random: () => 0.5,
    })
    for (let count = 0; count < 5; count++) {
      await t.rejects(Promise.resolve(list.known()), { message: 'DNS is out' })
    }
    t.equal(asked, 1)
    clock.advance(1_000)
    await t.rejects(Promise.resolve(list.known()), { message: 'DNS is out' })
    t.equal(asked, 2)
  })
})

t.test('dials in any one second are limited, and the others wait their turn', async t => {
  const clock = createFakeClock()
  const rate = createDialRate(3, clock)
  const never = new AbortController()
  for (let count = 0; count < 3; count++) t.equal(rate.wait(never.signal), undefined)
  const fourth = rate.wait(never.signal)
  t.ok(fourth instanceof Promise)
  const left = performance.now()
  never.abort()
  await fourth
  t.ok(performance.now() - left < 900, 'who has left does not wait to the end')
  const { endpoint } = fixedList([parseEndpoint('ldaps://dc1', false)]).current[0] as ListedServer
  // Nobody looks after this one any more: if it failed, the whole daemon would.
  await t.rejects(orCalledOff(rate.wait(never.signal), endpoint, never.signal), { message: /not wanted/ })
  clock.advance(3_000)
  t.equal(rate.wait(new AbortController().signal), undefined)
})

t.test('the servers of a directory', async t => {
  interface Network {
    /** What becomes of a dial: by default it is there at once. */
    [host: string]: 'there' | 'refused' | 'silent' | 'mute'
  }

  /** Servers whose network a test plays; the clock stands still, so that no probe leaves by itself. */
  function stage(
    hosts: readonly string[],
    network: Network = {},
    changes: Partial<Parameters<typeof createServers>[0]> = {},
  ) {
    const clock = createFakeClock()
    const log = createLogRecorder()
    const dials: string[] = []
    /** How long a dial takes, in milliseconds. */
    const distance: { [host: string]: number } = {}
    let changed = 0
    const servers = createServers({
      list: fixedList(hosts.map(host => parseEndpoint(`ldaps://${host}`, false))),
      async dial({ host, url }, signal) {
        dials.push(host)
        const fate = network[host] ?? 'there'
        if (fate === 'refused')
          throw new DirectoryFailure(`${url}: refused`, { phase: 'connect', connectionLost: true })
        if (fate === 'silent') {
          const { promise, resolve } = Promise.withResolvers<void>()
          signal.addEventListener('abort', () => resolve())
          if (signal.aborted) resolve()
          await promise
          throw new DirectoryFailure(`${url}: called off`, { phase: 'connect', connectionLost: true })
        }
        clock.advance(distance[host] ?? 0)
        return { ping: async () => fate === 'there', close: async () => {} } as unknown as Connection
      },
      rate: createDialRate(10_000, clock),
      connectTimeoutMs: 1_000,
      clock,
      log,
      random: highest,
      onChange: () => changed++,
      ...changes,
    })
    t.teardown(() => servers.close())
    const signal = new AbortController().signal
    const connect = (below?: number) =>
      servers.connect(async (_, server) => server, { signal, ...(below !== undefined && { below }) })
    return { servers, connect, dials, network, distance, clock, log, signal, changes: () => changed }
  }

  t.test('the first one is taken, and the next one when it fails', async t => {
    const { connect, dials, network, servers, log } = stage(['a', 'b', 'c'])
    t.equal((await connect()).endpoint.host, 'a')
    network.a = 'refused'
    t.equal((await connect()).endpoint.host, 'b')
    t.equal((await connect()).endpoint.host, 'b')
    t.same(dials, ['a', 'a', 'b', 'b'], 'an open one is not dialled')
    t.match(servers.report(), [
      { server: 'ldaps://a:636', ok: false, reason: 'not used: ldaps://a:636: refused' },
      { ok: true },
      { ok: false, reason: 'not tried yet' },
    ])
    t.equal(log.at('warn').length, 1)
  })

  t.test('with all open it fails without a dial, with what every one said', async t => {
    const { connect, dials } = stage(['a', 'b'], { a: 'refused', b: 'refused' })
    const everything = { message: 'ldaps://a:636: refused; ldaps://b:636: refused' }
    await t.rejects(connect(), everything)
    dials.length = 0
    for (let count = 0; count < 10; count++) await t.rejects(connect(), everything)
    t.same(dials, [])
  })

  t.test('of equals each gets its share by weight', async t => {
    const chance = createChance(20_261_125)
    const weighted = ([host, weight]: readonly [string, number]) => ({
      endpoint: parseEndpoint(`ldaps://${host}`, false),
      priority: 0,
      weight,
    })
    const list = { ...fixedList([]), current: [weighted(['heavy', 300]), weighted(['light', 100])] }
    const { connect } = stage([], {}, { list, random: chance.next })
    let heavy = 0
    for (let count = 0; count < 2_000; count++) if ((await connect()).endpoint.host === 'heavy') heavy++
    t.ok(Math.abs(heavy - 1_500) < 100, `${heavy} of 2,000`)
  })

  t.test('probes bring a server back, logins do not', async t => {
    const { connect, dials, network, servers, clock, log, changes } = stage(['a'], { a: 'refused' })
    await t.rejects(connect())
    network.a = 'there'
    await t.rejects(connect(), 'not before a probe')
    dials.length = 0
    const before = changes()
    servers.tick()
    t.same(dials, [], 'which has its time')
    clock.advance(100)
    servers.tick()
    while (log.at('info').length === 0) await pause(1)
    t.same(dials, ['a'])
    t.equal(changes(), before + 1)
    t.equal((await connect()).endpoint.host, 'a')
  })

  t.test('one that can be connected to and says nothing stays open', async t => {
    const { connect, network, servers, clock, dials } = stage(['a'], { a: 'refused' })
    await t.rejects(connect())
    network.a = 'mute'
    clock.advance(1_000)
    servers.tick()
    while (dials.length < 2) await pause(1)
    await pause(5)
    t.match(servers.report(), [{ ok: false, reason: /gives no answer/ }])
  })

  t.test(
    'one failure of what is made of a connection leads to the next server, a refusal to none',
    async t => {
      const { servers, signal, dials } = stage(['a', 'b'])
      const tried: string[] = []
      const prepare = (lostIt: boolean) =>
        servers.connect(
          async (_, { endpoint }) => {
            tried.push(endpoint.host)
            throw new DirectoryFailure('no', { phase: 'service_bind', connectionLost: lostIt })
          },
          { signal },
        )
      t.match(await prepare(true).catch(error => error), { phase: 'service_bind', connectionLost: true })
      t.same(tried.splice(0), ['a', 'b'])
      t.match(await prepare(false).catch(error => error), { phase: 'service_bind', connectionLost: false })
      t.same(tried, ['a'])
      t.equal(dials.length, 3)
    },
  )

  t.test('while it is not known whether a server is there one goes ahead', async t => {
    const { connect, dials, clock } = stage(['a', 'b'], { a: 'silent' })
    const connecting = Promise.all(Array.from({ length: 8 }, () => connect()))
    await pause(100)
    clock.advance(300)
    const all = await connecting
    t.ok(all.every(({ endpoint }) => endpoint.host === 'b'))
    t.equal(dials.filter(host => host === 'a').length, 1)
  })

  t.test('a better one is asked for by rank, and there may be none', async t => {
    const { connect, servers, network, clock } = stage(['a', 'b'])
    const a = await connect()
    t.equal(servers.rank(a), 0)
    network.a = 'refused'
    const b = await connect()
    await t.rejects(connect(servers.rank(b)), { message: 'there is no better server' })
    t.equal(servers.rank(b), 1)
    t.ok(servers.rank(a) >= OUT_OF_FAVOUR)
    t.equal(servers.anyClosed, true)
    network.a = 'there'
    clock.advance(1_000)
    servers.tick()
    while (servers.rank(a) !== 0) await pause(1)
    t.equal((await connect(servers.rank(b))).endpoint.host, 'a')
  })

  t.test('a half-open one is used where there is nothing better, and only there', async t => {
    const { connect, servers, network } = stage(['a', 'b'])
    const a = await connect()
    servers.failed(a, 'search', lost, 'said')
    t.equal((await connect()).endpoint.host, 'b')
    network.b = 'refused'
    t.equal((await connect()).endpoint.host, 'a')
    t.match(servers.report()[0], { ok: false, reason: /used only for want of a better one: it is gone/ })
    servers.succeeded(a, 'search')
    t.match(servers.report()[0], { ok: true })
  })

  t.test('servers that nobody needs are looked at, too', async t => {
    const { connect, servers, clock, dials, network } = stage(['a', 'b'])
    await connect()
    clock.advance(2_000)
    servers.tick()
    while (servers.report()[1]?.ok !== true) await pause(1)
    t.same(dials, ['a', 'b'], 'soon after the start')
    network.b = 'refused'
    clock.advance(40_000)
    servers.tick()
    while (servers.report()[1]?.ok !== false) await pause(1)
    t.same(dials.slice(2).sort(), ['a', 'b'], 'and every half minute')
  })

  t.test('a silent server is doubted once at a time, and open if it does not answer', async t => {
    const { connect, servers, network, dials } = stage(['a', 'b'])
    const a = await connect()
    network.a = 'silent'
    const started = performance.now()
    for (let count = 0; count < 5; count++) servers.doubt(a)
    while (servers.report()[0]?.ok !== false) await pause(5)
    t.ok(performance.now() - started < 600, 'soon, as there is another one')
    t.same(dials, ['a', 'a'])
  })

  t.test('one whose dials take long is doubted for longer, and found out all the same', async t => {
    for (const [dialMs, atLeast, atMost] of [
      [150.3, 602, 900],
      [400.7, 1_000, 1_300],
      [600.3, 1_201, 1_500],
    ] as const) {
      const { connect, servers, network, log, distance } = stage(
        ['far', 'near'],
        {},
        { connectTimeoutMs: 5_000 },
      )
      distance.far = dialMs
      const far = await connect()
      network.far = 'silent'
      const started = performance.now()
      servers.doubt(far)
      while (servers.report()[0]?.ok !== false && performance.now() - started < 3_000) await pause(5)
      const took = performance.now() - started
      t.ok(took >= atLeast - 5 && took < atMost, `${took} ms after a dial of ${dialMs} ms`)
      t.same(log.at('error'), [])
    }
  })

  t.test('closing calls off what is under way', async t => {
    const { servers, connect, network, clock } = stage(['a'])
    const a = await connect()
    network.a = 'silent'
    clock.advance(100_000)
    servers.doubt(a)
    const started = performance.now()
    await servers.close()
    t.ok(performance.now() - started < 100)
    servers.tick()
    servers.doubt(a)
    servers.failed(a, 'connect', lost)
    t.match(servers.report(), [{ ok: true }], 'and learns nothing more')
  })
})
