/** What no other suite asks for, of directories and stores that are away: who is asked again, and what happens without the counts. */
import t from 'tap'
import { corpPeople, corpService } from '../support/corp.ts'
import { type DirectoryEntry, type ReceivedRequest, startLdapServer } from '../support/ldap-server.ts'
import { startRedis } from '../support/redis.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { openHouse } from './house.ts'
import { bindsDuring, LOCKED, openCorp, told, untilLet, WRONG } from './lockout-house.ts'
import { conforms } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob } = corpPeople

conforms('X07', async t => {
  const proxies = await Promise.all([1, 2, 3].map(() => startTcpProxy(t, { port: slapd.ldapsPort })))
  const urls = proxies.map(({ port }) => `ldaps://localhost:${port}`)
  const house = await openHouse(t, { backends: [corpBackend(slapd, { urls })] })
  for (let guess = 1; guess <= 5; guess++) {
    const binds = await bindsDuring(slapd, async () => {
      t.same((await house.guess('alice', 1)).map(told), [WRONG])
    })
    t.equal(binds, 1, 'one bind, at one of the three')
  }
  t.equal(told(await house.login('bob', bob.password)), '200')
})

conforms('X08', async t => {
  const certificate = await slapd.certificateAuthority.issue()
  const directory: DirectoryEntry[] = [
    { dn: corpService.dn, password: corpService.password, attributes: {} },
    {
      dn: alice.dn,
      password: alice.password,
      attributes: { uid: 'alice', entryUUID: '7b14222a-7bbc-1041-92f6-dfaea8ca88bd' },
    },
  ]
  const isUserBind = ({ operation }: ReceivedRequest) =>
    operation.type === 'bind' && operation.dn === alice.dn
  const servers = await Promise.all(
    [1, 2].map(() =>
      startLdapServer(t, {
        certificate,
        implicitTls: true,
        directory,
        // Whoever wants to know whether the password is right hears nothing.
        onRequest: (request, connection) => (isUserBind(request) ? undefined : connection.behave(request)),
      }),
    ),
  )
  const backend = corpBackend(slapd, {
    urls: servers.map(({ url }) => url),
    bind: { dn: corpService.dn, password: corpService.password },
    operation_timeout: '300ms',
  })
  const house = await openHouse(t, { backends: [backend] })
  const reply = await house.login('alice', alice.password)
  t.match(reply, { status: 503, code: 'backend_unavailable' })
  t.equal(servers.flatMap(({ requests }) => requests.filter(isUserBind)).length, 1, 'sent once')
})

conforms('X13', async t => {
  const redis = await startRedis(t)
  const open = (prefix: string, on_store_failure: string) => {
    const server = { url: redis.url, password: redis.password, prefix, replicas: 2 }
    return openCorp(t, slapd, { lockout: { store: 'redis', redis: server, on_store_failure } })
  }
  const [local, closed] = [await open('local', 'local'), await open('closed', 'closed')]
  for (const house of [local, closed]) {
    t.equal(told(await untilLet(() => house.login('bob', bob.password))), '200')
    await house.guess('bob', 5)
    t.equal(told(await house.login('bob', bob.password)), LOCKED)
  }
  await redis.stop()
  const binds = await bindsDuring(slapd, async () => {
    t.same((await local.guess('alice', 6)).map(told), [WRONG, WRONG, ...Array(4).fill(LOCKED)])
  })
  t.equal(binds, 2, 'local: its half of the limit')
  t.equal(told(await local.login('alice', alice.password)), LOCKED)
  t.equal(told(await local.login('bob', bob.password)), LOCKED, 'and the locks that it knows')
  const without = await bindsDuring(slapd, async () => {
    for (const { uid, password } of [alice, bob]) {
      t.match(await closed.login(uid, password), { status: 503, code: 'backend_unavailable' })
      t.equal((await closed.login(uid, 'wrong')).status, 503)
    }
  })
  t.equal(without, 0, 'closed: nothing is verified')
  await redis.start()
  const { carol } = corpPeople
  t.equal(told(await untilLet(() => closed.login('carol', carol.password))), '200', 'when it is back')
  t.equal(told(await local.login('bob', bob.password)), LOCKED, 'empty, and what was locked is locked')
})
