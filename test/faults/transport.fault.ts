/** F01–F07: the network between the daemon and a real slapd. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { startBlackHole } from '../support/black-hole.ts'
import { corpPeople } from '../support/corp.ts'
import { type Slapd, startSlapd } from '../support/slapd.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { attemptsOf, openScene, type Scene } from './harness.ts'
import { countOf, holdInvariants } from './invariants.ts'
import { isBindAs, onUserBind, openScriptedScene } from './scripted-scene.ts'

const { alice, bob } = corpPeople
const slapd = await startSlapd(t)
/** RFC 8446 section 5.1: the first octet of a record, by its type. */
const TLS_HANDSHAKE = 0x16
type Scope = Parameters<typeof startSlapd>[0]

/** The daemon in front of slapd, with a proxy between them that can do what networks do. */
async function behindProxy(
  t: Scope,
  changes: Record<string, unknown> = {},
  target: Slapd = slapd,
  deadlineMs = 1_000,
): Promise<{ scene: Scene; proxy: TcpProxy }> {
  const proxy = await startTcpProxy(t, { port: target.ldapsPort })
  const urls = [`ldaps://localhost:${proxy.port}`]
  const corp = { urls, tls: { ca_file: target.caFile }, ...changes }
  const scene = await openScene(t, { corp, deadlineMs })
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
    const { scene, server, misbehave } = await openScriptedScene(t)
    const binds = () => server.requests.filter(isBindAs(bob.dn)).length
    await scene.fault(async () => {
      for (const how of ['reset', 'end'] as const) {
        misbehave(onUserBind((_, connection) => connection[how]()))
        for (let attempt = 1; attempt <= 8; attempt++) {
          const before = binds()
          const made = await scene.login(bob, attempt % 2 ? 'wrong' : 'right')
          t.equal(made.status, 503, `${how}: nobody knows what the bind came to`)
          t.equal(binds() - before, 1, `${how}: it may have counted, so it is sent once`)
        }
      }
    }, misbehave)
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
  const { scene, proxy } = await behindProxy(t, {}, impatient)
  await scene.fault(async () => {
    for (let round = 1; round <= 3; round++) {
      // Until it has closed them all: what it closes in the very moment of a bind has no answer, and is an outage as it should be.
      const giveUp = performance.now() + 15_000
      while (proxy.connections() > 0 && performance.now() < giveUp) await pause(20)
      t.equal(proxy.connections(), 0, 'the server has closed what idled')
      const made = await scene.login(alice)
      t.equal(made.status, 200, scene.tale([made]))
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

t.test('F06 answers that drip, or take their time, keep the deadline', async t => {
  const { scene, proxy } = await behindProxy(t)
  await scene.fault(
    async () => {
      for (const flow of [{ dripMs: 50 }, { delayMs: 300 }]) {
        proxy.setFlow(flow, 'toClient')
        await attemptsOf(scene, alice)
      }
    },
    () => {
      proxy.setFlow('pass')
      proxy.cut('rst')
    },
  )
  await holdInvariants(t, scene, { people: [alice, bob] })
})

t.test(
  'F06 of a crowd at a slow directory only as many are worked on as may be, and the others shed',
  async t => {
    const most = 8
    const { scene, proxy } = await behindProxy(t, { max_in_flight: most }, slapd, 2_000)
    await scene.fault(
      async () => {
        // Well within its deadlines, so that nothing else than the crowd is wrong.
        proxy.setFlow({ delayMs: 250 }, 'toClient')
        const crowd = await Promise.all(Object.values(corpPeople).map(person => scene.login(person, 'wrong')))
        await scene.settled()
        const steps = crowd.map(attempt => scene.stepOf(attempt))
        const shed = steps.filter(step => step?.detail === 'admission: max_in_flight reached')
        const answered = steps.filter(step => step?.outcome === 'wrong_password')
        t.ok(answered.length > 0, `${answered.length} had their answer`)
        t.ok(crowd.length - shed.length <= most, `${shed.length} of ${crowd.length} were shed`)
        t.ok(
          shed.every(step => step !== undefined && step.ms < 50),
          'at once',
        )
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
      const before = proxy.bytes('toServer').length
      proxy.cut('rst')
      const made = await attemptsOf(scene, alice)
      t.equal(countOf(made, 503), made.length)
      // The first octets of a handshake, and nothing can have come after them.
      const [hello] = proxy.bytes('toServer').subarray(before)
      t.equal(hello, TLS_HANDSHAKE, 'a ClientHello went out after the connections were lost')
    },
    () => {
      proxy.setFlow('pass')
      proxy.cut('rst')
    },
  )
  await holdInvariants(t, scene, { people: [alice, bob] })
})
