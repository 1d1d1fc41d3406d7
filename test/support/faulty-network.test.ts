import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client, EqualityFilter, InvalidCredentialsError, PasswordPolicyControl } from 'ldapts'
import t from 'tap'
import { startBlackHole } from './black-hole.ts'
import { createCertificateAuthority } from './certificate-authority.ts'
import {
  bindResponse,
  noticeOfDisconnection,
  searchDone,
  searchEntry,
  searchReference,
} from './ldap-message.ts'
import { startLdapServer } from './ldap-server.ts'
import { startTcpProxy } from './tcp-proxy.ts'

interface Scope {
  teardown(end: () => unknown): void
}

const alice = {
  dn: 'uid=alice,dc=corp',
  password: 'alice-secret-1',
  attributes: { uid: 'alice', cn: ['A', 'B'] },
}
const bob = { dn: 'uid=bob,dc=corp', password: 'bob-secret-1', attributes: { uid: 'bob' } }

t.test('a scripted LDAP server', async t => {
  // Not tap's folder, which two runs in one checkout would share.
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-ca-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const authority = await createCertificateAuthority(directory)
  const certificate = await authority.issue()
  const tlsOptions = () => ({ ca: authority.ca, host: 'localhost', servername: 'localhost' })

  t.test('behaves like a directory unless it is told otherwise', async t => {
    const server = await startLdapServer(t, { certificate, implicitTls: true, directory: [alice, bob] })
    const client = new Client({ url: server.url, tlsOptions: tlsOptions() })
    await t.rejects(client.bind(alice.dn, 'wrong'), InvalidCredentialsError)
    await client.bind(alice.dn, alice.password)
    const filter = new EqualityFilter({ attribute: 'uid', value: 'alice' })
    const found = await client.search('dc=corp', { filter, sizeLimit: 2, attributes: ['uid', 'cn'] })
    t.match(found.searchEntries, [{ dn: alice.dn, uid: 'alice', cn: ['A', 'B'] }])
    t.equal(found.searchEntries.length, 1)
    await client.unbind()
    await server.connections[0]?.closed
    t.match(
      server.requests.map(request => ({ ...request.operation, encrypted: request.encrypted })),
      [
        { type: 'bind', dn: alice.dn, password: 'wrong', encrypted: true },
        { type: 'bind', dn: alice.dn, password: alice.password },
        {
          type: 'search',
          base: 'dc=corp',
          scope: 'sub',
          sizeLimit: 2,
          filter: '(uid=alice)',
          attributes: ['uid', 'cn'],
        },
        { type: 'unbind' },
      ],
    )
    t.equal(server.clearText().length, 0)
  })

  t.test('upgrades by StartTLS, and shows what came in clear before', async t => {
    const server = await startLdapServer(t, { certificate, directory: [alice] })
    const client = new Client({ url: server.url })
    await client.startTLS(tlsOptions())
    await client.bind(alice.dn, alice.password)
    await client.unbind()
    t.match(server.requests[0], {
      encrypted: false,
      operation: { type: 'extended', oid: '1.3.6.1.4.1.1466.20037' },
    })
    t.match(server.requests[1], { encrypted: true, operation: { type: 'bind' } })
    t.notOk(server.clearText().includes(alice.password))
    const refusing = await startLdapServer(t)
    await t.rejects(new Client({ url: refusing.url }).startTLS(tlsOptions()), { code: 2 })
  })

  t.test('puts forged bytes before the handshake of StartTLS', async t => {
    const forged = bindResponse(2)
    const server = await startLdapServer(t, {
      certificate,
      onRequest: (request, connection) => connection.startTls(request, forged),
    })
    const { sent, socket } = await rawConnection(t, server.port)
    socket.write(Buffer.from('301d02010177188016312e332e362e312e342e312e313436362e3230303337', 'hex'))
    while (!sent().includes(forged)) await once(socket, 'data')
    t.ok(sent().subarray(0, -forged.length).includes('1.3.6.1.4.1.1466.20037'))
  })

  t.test('splits answers at every byte, and sends references, controls, notices and foreign ids', async t => {
    const ppolicy = { oid: '1.3.6.1.4.1.42.2.27.8.5.1', value: Buffer.from('3005a003800105', 'hex') }
    const server = await startLdapServer(t, {
      async onRequest({ id, operation }, connection) {
        if (operation.type === 'bind') {
          connection.send(bindResponse(id + 7, { code: 49 }))
          await connection.sendSplit(bindResponse(id, { controls: [ppolicy] }), [1])
        }
        if (operation.type === 'search') {
          const answer = [
            searchReference(id, ['ldap://dc2.corp.example/']),
            searchEntry(id, alice.dn, alice.attributes),
          ]
          await connection.sendSplit(Buffer.concat([...answer, searchDone(id)]), [3, 1])
          connection.send(noticeOfDisconnection())
          connection.end()
        }
      },
    })
    const client = new Client({ url: server.url })
    const control = new PasswordPolicyControl()
    await client.bind(alice.dn, alice.password, control)
    t.match(control.value, { timeBeforeExpiration: 5 })
    const found = await client.search('dc=corp', { filter: '(uid=alice)' })
    t.match(found, { searchEntries: [{ dn: alice.dn }], searchReferences: ['ldap://dc2.corp.example/'] })
    await server.connections[0]?.closed
  })

  t.test('resets, and keeps quiet about what is not LDAP', async t => {
    const server = await startLdapServer(t, {
      onRequest: (_, connection) => connection.reset(),
    })
    await t.rejects(new Client({ url: server.url }).bind(alice.dn, alice.password), /ECONNRESET|closed/i)
    const { socket } = await rawConnection(t, server.port)
    socket.write('\x16\x03\x01 GET / HTTP/1.1\r\n\r\n')
    while (!server.clearText().includes('GET')) await pause(1)
    t.equal(server.requests.length, 1)
    const bind = await server.received(({ operation }) => operation.type === 'bind')
    t.equal(bind.connection, server.connections[0])
  })
})

t.test('a TCP proxy', async t => {
  const target = await startEcho(t)

  t.test('passes bytes both ways, ends politely and counts', async t => {
    const proxy = await startTcpProxy(t, { port: target })
    const { socket, sent } = await rawConnection(t, proxy.port)
    socket.write('hello')
    await once(socket, 'data')
    t.equal(String(sent()), 'HELLO')
    t.equal(String(proxy.bytes('toServer')), 'hello')
    t.equal(String(proxy.bytes('toClient')), 'HELLO')
    t.same([proxy.connections(), proxy.accepted()], [1, 1])
    socket.end()
    await once(socket, 'close')
    t.equal(proxy.accepted(), 1)
  })

  t.test('stalls and goes on, loses nothing', async t => {
    const proxy = await startTcpProxy(t, { port: target })
    const { socket, sent } = await rawConnection(t, proxy.port)
    proxy.setFlow('stall', 'toClient')
    const arrived = proxy.arrival('toClient')
    socket.write('held')
    await arrived
    await pause(20)
    t.equal(sent().length, 0)
    proxy.setFlow('pass')
    await once(socket, 'data')
    t.equal(String(sent()), 'HELD')
  })

  t.test('swallows replies while requests get through, then resets', async t => {
    const proxy = await startTcpProxy(t, { port: target })
    const { socket, sent } = await rawConnection(t, proxy.port)
    proxy.setFlow('drop', 'toClient')
    const arrived = proxy.arrival('toClient')
    socket.write('lost')
    await arrived
    t.equal(sent().length, 0)
    proxy.cut('rst')
    const [error] = await once(socket, 'error')
    t.equal(error.code, 'ECONNRESET')
  })

  t.test('turns away so that it is seen who tries', async t => {
    const proxy = await startTcpProxy(t, { port: target })
    proxy.turnAway()
    const refused = connect(proxy.port, '127.0.0.1')
    const [error] = await once(refused, 'error')
    t.equal(error.code, 'ECONNRESET')
    t.same([proxy.connections(), proxy.dials().length], [0, 1])
    await proxy.accept()
    const { socket, sent } = await rawConnection(t, proxy.port)
    socket.write('again')
    await once(socket, 'data')
    t.equal(String(sent()), 'AGAIN')
    const [first = 0, second = 0] = proxy.dials()
    t.ok(first < second && second <= performance.now())
  })

  t.test('cuts after so many bytes', async t => {
    const proxy = await startTcpProxy(t, { port: target })
    const { socket, sent } = await rawConnection(t, proxy.port)
    proxy.cutAfter(3, 'toClient')
    socket.write('abcdef')
    const [error] = await once(socket, 'error')
    t.equal(error.code, 'ECONNRESET')
    t.ok(sent().length <= 3)
  })

  t.test('delays and drips in order', async t => {
    const proxy = await startTcpProxy(t, { port: target })
    const { socket, sent } = await rawConnection(t, proxy.port)
    const chunks: string[] = []
    socket.on('data', chunk => chunks.push(String(chunk)))
    proxy.setFlow({ delayMs: 60 }, 'toServer')
    const before = performance.now()
    socket.write('one')
    await once(socket, 'data')
    t.ok(performance.now() - before >= 59)
    proxy.setFlow('pass', 'toServer')
    proxy.setFlow({ dripMs: 1 }, 'toClient')
    socket.write('drop by drop')
    while (sent().length < 15) await once(socket, 'data')
    t.equal(String(sent()), 'ONEDROP BY DROP')
    t.ok(chunks.length > 3)
  })

  t.test('refuses and accepts again on the same port', async t => {
    const proxy = await startTcpProxy(t, { port: target })
    const { socket } = await rawConnection(t, proxy.port)
    await proxy.refuse()
    await t.rejects(rawConnection(t, proxy.port), { code: 'ECONNREFUSED' })
    socket.write('still there')
    await once(socket, 'data')
    await proxy.accept()
    await rawConnection(t, proxy.port)
  })
})

t.test('a black hole neither accepts nor refuses', async t => {
  const { port } = await startBlackHole(t)
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  const heard = Promise.race([once(socket, 'connect').then(() => 'connected'), pause(300, 'nothing')])
  t.equal(await heard, 'nothing')
})

async function rawConnection(t: Scope, port: number): Promise<{ socket: Socket; sent: () => Buffer }> {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'connect')
  return { socket, sent: () => Buffer.concat(chunks) }
}

/** Shouts back what it hears. */
async function startEcho(t: Scope): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', bytes => socket.write(String(bytes).toUpperCase()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
