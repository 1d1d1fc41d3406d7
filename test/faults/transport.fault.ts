/** F01–F07: the network between the daemon and a real slapd. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { startBlackHole } from '../support/black-hole.ts'
import { corpPeople } from '../support/corp.ts'
import { type Slapd, startSlapd } from '../support/slapd.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { attemptsOf, openScene, type Scene } from './harness.ts'
import { countOf, holdInvariants } from './invariants.ts'

const { alice, bob } = corpPeople
const slapd = await startSlapd(t)
type Scope = Parameters<typeof startSlapd>[0]

/** The daemon in front of slapd, with a proxy between them that can do what networks do. */
async function behindProxy(
  t: Scope,
  changes: Record<string, unknown> = {},
  target: Slapd = slapd,
): Promise<{ scene: Scene; proxy: TcpProxy }> {
  const proxy = await startTcpProxy(t, { port: target.ldapsPort })
  const urls = [`ldaps://localhost:${proxy.port}`]
  const scene = await openScene(t, { corp: { urls, tls: { ca_file: target.caFile }, ...changes } })
  return { scene, proxy }
}

t.test('F01 a refused connection is an outage, and a server that is there is used instead', async t => {
  const { scene, proxy } = await behindProxy(t)
  await scene.fault(
    async () => {
      await proxy.refuse()
      proxy.cut('rst')
      const made = await attemptsOf(scene, alice)
      t.equal(countOf(made, 503), made.length)
    },
    () => proxy.accept(),
  )
  await holdInvariants(t, scene, { people: [alice, bob] })
})

t.test('F01 a host that has no address, or one that nobody listens on, costs less than a second', async t => {
  const urls = ['ldaps://no-such-host.invalid', 'ldaps://127.0.0.1:1', slapd.ldapsUrl]
  const scene = await openScene(t, { corp: { urls, tls: { ca_file: slapd.caFile } } })
  await scene.fault(async () => {
    const made = [await scene.login(alice), await scene.login(bob)]
    t.equal(countOf(made, 200), 2)
    t.ok(made.every(({ ms }) => ms < 1_000))
  })
  await holdInvariants(t, scene, { people: [alice, bob] })

  const nobody = await openScene(t, { corp: { urls: urls.slice(0, 2) }, well: false })
  await nobody.fault(async () => {
    const made = await attemptsOf(nobody, alice)
    t.equal(countOf(made, 503), made.length)
  })
  await holdInvariants(t, nobody, { people: [] })
})

t.test(
  'F02 a connection that breaks in the middle of a bind: no verdict, and the bind is not sent again',
  async t => {
    const { scene, proxy } = await behindProxy(t)
    const before = (await slapd.binds()).filter(({ dn }) => dn === bob.dn).length
    await scene.fault(
      async () => {
        for (let attempt = 1; attempt <= 8; attempt++) {
          // The search is answered: a bind is what some 100 octets on a connection that has done its handshake are.
          proxy.setFlow('drop', 'toClient')
          const logging = scene.login(bob, attempt % 2 ? 'wrong' : 'right')
          await proxy.arrival('toServer')
          proxy.cut('rst')
          proxy.setFlow('pass')
          await logging
        }
      },
      () => proxy.setFlow('pass'),
    )
    const sent = (await slapd.binds()).filter(({ dn }) => dn === bob.dn).length - before
    t.ok(sent <= 8, `${sent} binds for 8 logins`)
    await holdInvariants(t, scene, { people: [alice, bob] })
  },
)

t.test('F03 idle connections that were closed, politely or not, are noticed by nobody', async t => {
  const { scene, proxy } = await behindProxy(t)
  await scene.fault(async () => {
    for (const how of ['fin', 'rst'] as const) {
      for (let round = 1; round <= 5; round++) {
        // Idle: nothing is being opened when it happens, and its end has arrived long before anybody wants the connection.
        await pause(100)
        proxy.cut(how)
        await pause(100)
        const made = await Promise.all([scene.login(alice), scene.login(bob)])
        t.equal(countOf(made, 200), 2, `${how}: ${scene.tale(made)}`)
      }
    }
  })
  await holdInvariants(t, scene, { people: [alice, bob] })
})

t.test('F03 a server that closes what idles costs no login', async t => {
  const impatient = await startSlapd(t, { serverConfig: 'idletimeout 1' })
  const { scene } = await behindProxy(t, {}, impatient)
  await scene.fault(async () => {
    for (let round = 1; round <= 3; round++) {
      await pause(1_500)
      t.match(await scene.login(alice), { status: 200 })
    }
  })
  await holdInvariants(t, scene, { people: [alice, bob] })
})

t.test(
  'F04 a firewall that forgot the connections without a word costs the first login less than two seconds',
  async t => {
    // Idle for longer than `validate_after`, as after an hour; a login has five seconds, as in production.
    const timeouts = { timeout: '5s', connect_timeout: '2s', operation_timeout: '4s' }
    const { scene, proxy } = await behindProxy(t, {
      ...timeouts,
      pool: { search: 2, bind: 8, validate_after: '100ms' },
    })
    await scene.fault(async () => {
      await pause(300)
      proxy.forget()
      const made = await scene.login(alice)
      t.equal(made.status, 200)
      t.ok(made.ms < 2_000, `${Math.round(made.ms)} ms`)
    })
    await holdInvariants(t, scene, { people: [alice, bob] })
  },
)

t.test('F05 a server that accepts connections and never speaks costs no more than the deadline', async t => {
  const { scene, proxy } = await behindProxy(t)
  await scene.fault(
    async () => {
      proxy.setFlow('stall')
      const made = await attemptsOf(scene, alice, 8)
      t.equal(countOf(made, 503), made.length)
      proxy.cut('rst')
      const again = await attemptsOf(scene, bob, 8)
      t.equal(countOf(again, 503), again.length)
    },
    () => {
      proxy.setFlow('pass')
      proxy.cut('rst')
    },
  )
  await holdInvariants(t, scene, { people: [alice, bob] })
})

t.test('F05 an address behind which there is nothing costs no more than the deadline', async t => {
  const { port } = await startBlackHole(t)
  const scene = await openScene(t, { corp: { urls: [`ldaps://127.0.0.1:${port}`] }, well: false })
  await scene.fault(async () => {
    const made = await attemptsOf(scene, alice)
    t.equal(countOf(made, 503), made.length)
  })
  await holdInvariants(t, scene, { people: [] })
})

t.test(
  'F06 answers that drip, or take their time, keep the deadline, and are shed when too many wait',
  async t => {
    const { scene, proxy } = await behindProxy(t, { max_in_flight: 8 })
    await scene.fault(
      async () => {
        proxy.setFlow({ dripMs: 50 }, 'toClient')
        await attemptsOf(scene, alice)
        proxy.setFlow({ delayMs: 300 }, 'toClient')
        const people = Object.values(corpPeople)
        const crowd = await Promise.all(people.map(person => scene.login(person, 'wrong')))
        t.ok(countOf(crowd, 503) >= people.length - 8, 'no more than eight are worked on')
      },
      () => {
        proxy.setFlow('pass')
        proxy.cut('rst')
      },
    )
    await holdInvariants(t, scene, { people: [alice, bob] })
  },
)

t.test('F07 a TLS handshake that stalls after its first message ends within the deadline', async t => {
  const { scene, proxy } = await behindProxy(t)
  await scene.fault(
    async () => {
      proxy.setFlow('drop', 'toClient')
      proxy.cut('rst')
      const made = await attemptsOf(scene, alice)
      t.equal(countOf(made, 503), made.length)
      t.ok(proxy.bytes('toServer').includes(Buffer.from([0x16, 0x03])), 'a ClientHello went out')
    },
    () => {
      proxy.setFlow('pass')
      proxy.cut('rst')
    },
  )
  await holdInvariants(t, scene, { people: [alice, bob] })
})
