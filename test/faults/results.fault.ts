/**
 * F15–F17: a directory that answers, but not the question. That every result code from 0 to 123 is told apart is in
 * test/backends/ldap/results.test.ts, with a real slapd; here is what becomes of them in the daemon.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { bindResponse, searchDone, searchEntry, searchReference } from '../support/ldap-message.ts'
import { startLdapServer } from '../support/ldap-server.ts'
import { ownMs } from '../support/vitals.ts'
import { type Attempt, attemptsOf } from './harness.ts'
import { countOf, holdInvariants } from './invariants.ts'
import {
  behave,
  directory,
  isBindAs,
  onSearch,
  onUserBind,
  openScriptedScene,
  type Script,
} from './scripted-scene.ts'

const { alice, bob } = corpPeople
const people = [alice, bob]

/** Every operation is answered with this result. */
const always =
  (code: number): Script =>
  (request, connection) => {
    const { id, operation } = request
    if (operation.type === 'bind') return connection.send(bindResponse(id, { code }))
    if (operation.type === 'search') return connection.send(searchDone(id, { code }))
    return behave(request, connection)
  }

t.test(
  'F15 a server that is shutting down (52) is left for the next one; with none left it is an outage',
  async t => {
    const second = await startLdapServer(t, { directory })
    let script = behave
    const first = await startLdapServer(t, { directory, onRequest: (...what) => script(...what) })
    const { scene } = await openScriptedScene(t, { corp: { urls: [first.url, second.url] } })
    const bindsAtFirst = () => first.requests.filter(isBindAs(alice.dn)).length
    await scene.fault(async () => {
      for (const [what, goes] of [
        ['whatever is asked', always(52)],
        ['a bind', onUserBind(always(52))],
      ] as const) {
        script = goes
        const before = bindsAtFirst()
        const began = performance.now()
        const made: Attempt[] = []
        for (let attempt = 1; attempt <= 12; attempt++) made.push(await scene.login(alice))
        const refused = countOf(made, 503)
        const binds = bindsAtFirst() - before
        // The third is the last one. A slow machine may take longer for twelve logins than the server is left alone: a second.
        const most = 3 * (1 + Math.floor((performance.now() - began) / 1_000))
        t.ok(binds <= most, `${what}: ${binds} binds at a server that goes`)
        // A bind whose answer is 52 has been sent, and is not sent again.
        t.equal(refused, binds, 'and they are the logins that failed')
        t.equal(countOf(made, 200), made.length - refused, 'as nobody was called wrong')
        t.match(await scene.login(bob), { status: 200 })

        // It has been held half-open, for longer each time that it failed; and then it is the first again.
        script = behave
        const well = performance.now()
        const used = bindsAtFirst()
        while (bindsAtFirst() === used && performance.now() - well < 10_000) {
          t.match(await scene.login(alice), { status: 200 })
          await pause(100)
        }
        const ms = Math.round(performance.now() - well)
        t.ok(ms < 5_000, `${what}: the first one is in use again after ${ms} ms`)
      }
    })
    await holdInvariants(t, scene, { people })

    const alone = await openScriptedScene(t)
    await alone.scene.fault(async () => {
      alone.misbehave(always(52))
      const made = await attemptsOf(alone.scene, alice)
      t.equal(countOf(made, 503), made.length)
    }, alone.misbehave)
    await holdInvariants(t, alone.scene, { people })
  },
)

t.test('F16 busy, limits, unwilling and whatever else is an outage that nobody is charged for', async t => {
  const { scene, misbehave } = await openScriptedScene(t)
  await scene.fault(async () => {
    for (const code of [51, 11, 3, 53, 1, 80, 19, 2, 123]) {
      for (const on of [onUserBind, onSearch]) {
        misbehave(on(always(code)))
        const made = await attemptsOf(scene, alice, 6, 3)
        t.equal(countOf(made, 503), made.length, `${code}`)
      }
    }
  }, misbehave)
  await holdInvariants(t, scene, { people })
})

t.test(
  'F17 referrals, to a dead host or in a circle, are not followed and cost less than a second',
  async t => {
    const { scene, server, misbehave } = await openScriptedScene(t)
    let followed = 0
    const elsewhere = createServer(socket => {
      followed++
      socket.destroy()
    }).listen(0, '127.0.0.1')
    await once(elsewhere, 'listening')
    t.teardown(() => elsewhere.close())
    const referrals = [
      `ldap://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/dc=corp,dc=example`,
      // A host that nothing answers for, and the directory itself.
      'ldap://169.254.1.1/dc=corp,dc=example',
      `ldap://localhost:${server.port}/dc=corp,dc=example`,
    ]
    const [, entry] = directory.filter(({ dn }) => dn === alice.dn || dn.startsWith('cn=gatehouse'))
    await scene.fault(async () => {
      const connections = server.connections.length
      misbehave(
        onSearch((request, connection) =>
          connection.send(
            searchReference(request.id, referrals),
            searchEntry(request.id, alice.dn, entry?.attributes ?? {}),
            searchReference(request.id, referrals),
            searchDone(request.id),
          ),
        ),
      )
      const beside = await scene.login(alice)
      t.match(beside, { status: 200 }, 'references beside the entry are passed over')
      for (const script of [
        onSearch(({ id }, connection) => connection.send(searchDone(id, { code: 10, referrals }))),
        onUserBind(({ id }, connection) => connection.send(bindResponse(id, { code: 10, referrals }))),
      ]) {
        misbehave(script)
        const made = await attemptsOf(scene, alice)
        t.equal(countOf(made, 503), made.length)
        t.ok(made.every(({ ms, crowdedMs }) => ownMs(ms, crowdedMs) < 1_000))
      }
      t.equal(followed, 0)
      t.ok(server.connections.length - connections <= 20, 'nor in a circle')
    }, misbehave)
    await holdInvariants(t, scene, { people })
  },
)
