/**
 * What ldapts 9.2 does on its own, and that none of it gets through here: one test for each line of the table of its ways, by
 * its number, and for what was found besides. Where it matters, ldapts alone is shown to fall for it first, so that a script
 * that no longer bites is noticed.
 */
import { execFile } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { Client } from 'ldapts'
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import {
  bindResponse,
  extendedResponse,
  noticeOfDisconnection,
  searchDone,
  searchEntry,
  searchReference,
  startTlsOid,
} from '../../support/ldap-message.ts'
import type { ReceivedRequest } from '../../support/ldap-server.ts'
import { startTcpProxy } from '../../support/tcp-proxy.ts'
import { groupOptions, ldapOptions, tlsOptions } from './ldap-login.ts'
import {
  alice,
  authority,
  base,
  behave,
  directory,
  found,
  isUserBind,
  login,
  onSearch,
  onUserBind,
  type Script,
  service,
  stage,
  starttls,
  userBinds,
  uuid,
} from './scripted.ts'

const one = { ...ldapOptions({ urls: [] }).pool, search: 1, bind: 1 }
const bob = { dn: `uid=bob,${base}`, password: 'bob-secret-1', attributes: { uid: 'bob', entryUUID: 'b' } }
const timed = async <T>(work: Promise<T>): Promise<{ result: T; ms: number }> => {
  const started = performance.now()
  return { result: await work, ms: performance.now() - started }
}

t.test('1: after a dropped StartTLS connection no password leaves in clear', async t => {
  let stripped = false
  const script: Script = (request, connection) =>
    stripped && request.operation.type === 'extended'
      ? connection.send(extendedResponse(request.id, { code: 52 }))
      : behave(request, connection)
  const { server } = await stage(t, script)
  const alone = new Client({ url: server.url, timeout: 1_000 })
  await alone.startTLS({ ca: authority.ca, host: 'localhost', servername: 'localhost' })
  for (const connection of server.connections) connection.reset()
  await Promise.all(server.connections.map(({ closed }) => closed))
  // At first ldapts writes into the dead connection; then it makes a new one, in clear.
  for (let attempt = 1; attempt <= 3; attempt++) await alone.bind(alice.dn, alice.password).catch(() => {})
  t.ok(server.clearText().includes(alice.password), 'ldapts alone sends it in clear')
  await alone.unbind().catch(() => {})

  const staged = await stage(t, script, starttls)
  const proxy = await startTcpProxy(t, { port: staged.server.port })
  const { desk } = await stage(t, script, { ...starttls, urls: [`ldap://localhost:${proxy.port}`] })
  t.match(await login(desk), { outcome: 'accept' })
  for (const drop of ['rst', 'fin'] as const) {
    proxy.cut(drop)
    await Promise.all(staged.server.connections.map(({ closed }) => closed))
    t.match(await login(desk), { outcome: 'accept' }, drop)
  }
  stripped = true
  proxy.cut('rst')
  await Promise.all(staged.server.connections.map(({ closed }) => closed))
  t.match(await login(desk), { outcome: 'unavailable', phase: 'tls', cause: /StartTLS was refused/ })
  const onTheWire = proxy.bytes('toServer').toString('latin1')
  t.ok(onTheWire.includes(startTlsOid), 'every byte was recorded')
  for (const secret of [alice.password, service.password, alice.dn]) t.notOk(onTheWire.includes(secret))
  t.ok(staged.server.requests.every(({ operation, encrypted }) => encrypted || operation.type === 'extended'))
})

t.test('2: a StartTLS handshake that never comes ends with the connect timeout', async t => {
  const script: Script = (request, connection) => connection.send(extendedResponse(request.id))
  const { server, desk } = await stage(t, script, starttls)
  const { result, ms } = await timed(login(desk))
  t.match(result, { outcome: 'unavailable', phase: 'tls', cause: /no connection within 300 ms/ })
  t.ok(ms < 1_000, `${ms} ms`)
  await Promise.all(server.connections.map(({ closed }) => closed))
})

t.test('3: an answer forged behind StartTLS, before the handshake, accepts nobody', async t => {
  // The ids that the next operations would have, and some more.
  const ids = Array.from({ length: 8 }, (_, id) => id + 1)
  const forged = Buffer.concat(ids.flatMap(id => [bindResponse(id), searchDone(id)]))
  const inject =
    (injected: Buffer): Script =>
    (request, connection) =>
      request.operation.type === 'extended'
        ? connection.startTls(request, injected)
        : behave(request, connection)

  // All of a yes but its last octet, which the true answer then brings: ldapts reads on where it was before the handshake.
  const begun = bindResponse(3, { diagnosticMessage: '0' }).subarray(0, -1)
  const { server } = await stage(t, inject(begun))
  const alone = new Client({ url: server.url, timeout: 1_000 })
  await alone.startTLS({ ca: authority.ca, host: 'localhost', servername: 'localhost' })
  await t.resolves(alone.bind(alice.dn, 'wrong'), 'ldapts alone believes it')
  await alone.unbind().catch(() => {})

  for (const injected of [forged, begun, bindResponse(2), bindResponse(3), Buffer.from([0x30])]) {
    for (const password of ['wrong', alice.password]) {
      const staged = await stage(t, inject(injected), starttls)
      t.match(await login(staged.desk, password), { outcome: 'unavailable', credentialSent: false })
      t.same(userBinds(staged.server), [])
      t.ok(staged.server.requests.every(({ operation }) => operation.type === 'extended'))
    }
  }
})

t.test('4: an address in the URL is looked for in the certificate, and `localhost` is not', async t => {
  const named = await authority.issue({ names: ['DNS:localhost'] })
  const numbered = await authority.issue({ names: ['IP:127.0.0.1'] })
  for (const [certificate, outcome] of [
    [named, 'unavailable'],
    [numbered, 'accept'],
  ] as const) {
    for (const implicitTls of [true, false]) {
      const { server } = await stage(t, behave, {}, { certificate, implicitTls })
      const tls = tlsOptions({ ca_file: authority.caFile, starttls: !implicitTls })
      const urls = [`${implicitTls ? 'ldaps' : 'ldap'}://127.0.0.1:${server.port}`]
      const { desk } = await stage(t, behave, { urls, tls, insecure: false })
      t.match(await login(desk), { outcome }, `${outcome}, implicit: ${implicitTls}`)
      if (outcome === 'unavailable') t.same(userBinds(server), [])
    }
  }
})

t.test(
  '5: `ldap://` with TLS options is StartTLS, or plain where that is said, and never TLS at once',
  async t => {
    for (const changes of [starttls, { tls: tlsOptions({ ca_file: authority.caFile }) }]) {
      const { server, desk } = await stage(t, behave, changes)
      t.match(await login(desk), { outcome: 'accept' })
      for (const connection of server.connections) t.equal(connection.received()[0], 0x30)
      t.equal(server.requests[0]?.operation.type, changes === starttls ? 'extended' : 'bind')
    }
  },
)

t.test('6: many first logins at once share one connection to search on, and none leaks', async t => {
  const { server, desk } = await stage(t, behave)
  const outcomes = await Promise.all(Array.from({ length: 12 }, () => login(desk)))
  t.ok(outcomes.every(({ outcome }) => outcome === 'accept'))
  const searching = server.requests.filter(({ operation }) => operation.type === 'search')
  t.equal(new Set(searching.map(({ connection }) => connection)).size, 1)
  t.ok(server.connections.length <= 1 + 8, `${server.connections.length} connections`)
  await desk.backend.close()
  await Promise.all(server.connections.map(({ closed }) => closed))
})

t.test(
  '7: a search that gets no answer takes its neighbours along, and they are asked once more',
  async t => {
    const silentForBob: Script = async (request, connection) => {
      const { operation } = request
      if (operation.type !== 'search') return connection.behave(request)
      if (operation.filter.includes('uid=bob')) return
      // Not answered on the first connection before bob's time is up there.
      if (connection === server.connections[0]) await pause(500)
      return connection.behave(request)
    }
    const { server, desk } = await stage(t, silentForBob, { pool: one }, { directory: [...directory, bob] })
    const lost = desk.login('bob', bob.password)
    await server.received(
      ({ operation }) => operation.type === 'search' && operation.filter.includes('uid=bob'),
    )
    await pause(150)
    t.match(await login(desk), { outcome: 'accept' }, 'the neighbour')
    t.match(await lost, { outcome: 'unavailable', phase: 'search', credentialSent: false })
  },
)

t.test('8: garbage ends the connection at once, without waiting for the timeout', async t => {
  const garbage: Record<string, Buffer> = {
    'no LDAP': Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    'a message without an id': Buffer.from('3000', 'hex'),
    'a message whose id is text': Buffer.from('300504034f4b21', 'hex'),
    zeros: Buffer.alloc(64),
  }
  for (const [what, bytes] of Object.entries(garbage)) {
    const script = onUserBind((request, connection) =>
      connection.send(bytes, bindResponse(request.id, { code: 0 })),
    )
    const { server, desk } = await stage(t, script, { operation_timeout: 4_000 })
    const { result, ms } = await timed(login(desk))
    t.match(result, { outcome: 'unavailable', phase: 'bind', credentialSent: true }, what)
    t.ok(ms < 2_000, `${what}: ${ms} ms`)
    t.equal(userBinds(server).length, 1)
  }
})

t.test('9: a message that announces 31 megabytes is refused at its header', async t => {
  const script = onUserBind((_, connection) => {
    connection.send(Buffer.from('30841e000000', 'hex'))
    for (let megabyte = 1; megabyte <= 31; megabyte++) connection.send(Buffer.alloc(1024 * 1024))
  })
  const { desk } = await stage(t, script, { operation_timeout: 4_000 })
  const before = process.cpuUsage()
  const { result, ms } = await timed(login(desk))
  const { user, system } = process.cpuUsage(before)
  t.match(result, { outcome: 'unavailable', cause: /octets is too long/ })
  t.ok(ms < 2_000, `${ms} ms`)
  t.ok(user + system < 1_000_000, `${user + system} µs of CPU, the sender's included`)
})

t.test(
  '10: twenty thousand tiny messages in one read are an outage or too many, and not a crash',
  async t => {
    const script = onSearch((request, connection) => {
      const entry = searchEntry(request.id, alice.dn, { uid: 'alice' })
      return connection.send(...Array.from({ length: 20_000 }, () => entry), searchDone(request.id))
    })
    const { server, desk } = await stage(t, script, { operation_timeout: 4_000 })
    const outcome = await login(desk)
    t.ok(['ambiguous', 'unavailable'].includes(outcome.outcome), outcome.outcome)
    t.same(userBinds(server), [])
    const search = server.requests.find(({ operation }) => operation.type === 'search')
    t.match(search?.operation, { sizeLimit: 2 }, 'two are asked for')
  },
)

t.test('11: an empty password never goes out', async t => {
  const yes: Script = (request, connection) =>
    request.operation.type === 'bind'
      ? connection.send(bindResponse(request.id))
      : behave(request, connection)
  const { server, desk } = await stage(t, yes)
  const alone = new Client({ url: server.url, timeout: 1_000 })
  await alone.bind(alice.dn, '')
  await alone.unbind()
  t.equal(userBinds(server).length, 1, 'ldapts alone sends it, and takes the anonymous yes')
  for (const password of ['', '\0', '\0x']) {
    t.match(await login(desk, password), { outcome: 'deny' })
  }
  t.equal(userBinds(server).length, 1)
})

t.test('12: a DN that ldapts would take for a SASL mechanism binds nobody', async t => {
  for (const mechanism of ['EXTERNAL', 'PLAIN', 'DIGEST-MD5', 'SCRAM-SHA-1']) {
    const asUser = await stage(t, onSearch(found(mechanism, alice.attributes)))
    t.match(await login(asUser.desk), { outcome: 'unavailable', credentialSent: false }, mechanism)
    const sasl = asUser.server.requests.filter(({ operation }) => operation.type === 'sasl-bind')
    t.same([sasl, userBinds(asUser.server)], [[], []])
  }
})

t.test(
  '13: a referral is an outage with a hint, and references beside an entry are not followed',
  async t => {
    const referrals = ['ldap://127.0.0.1:1/dc=other']
    const referred = await stage(
      t,
      onUserBind((request, connection) => connection.send(bindResponse(request.id, { code: 10, referrals }))),
    )
    t.match(await login(referred.desk), { outcome: 'unavailable', cause: /referrals are not followed/ })
    const beside = await stage(
      t,
      onSearch((request, connection) =>
        connection.send(
          searchReference(request.id, referrals),
          searchEntry(request.id, alice.dn, alice.attributes),
          searchReference(request.id, referrals),
          searchDone(request.id),
        ),
      ),
    )
    t.match(await login(beside.desk), { outcome: 'accept' })
  },
)

t.test('14: the sub-code of Active Directory is read, its trailing NUL notwithstanding', async t => {
  const diagnosticMessage =
    '80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v4563\0'
  const script = onUserBind((request, connection) =>
    connection.send(bindResponse(request.id, { code: 49, diagnosticMessage })),
  )
  const { desk } = await stage(t, script)
  t.match(await login(desk), { outcome: 'account_state', state: 'disabled', passwordVerified: true })
})

t.test('15: only a result is the directory’s answer; every error of the network is an outage', async t => {
  const faults: Record<string, Script> = {
    reset: (_, connection) => connection.reset(),
    closed: (_, connection) => connection.end(),
    silent: () => {},
  }
  for (const [what, script] of Object.entries(faults)) {
    const { desk } = await stage(t, onUserBind(script))
    t.match(await login(desk), { outcome: 'unavailable', phase: 'bind', credentialSent: true }, what)
  }
  const { server, desk } = await stage(t, behave)
  await server.close()
  t.match(await login(desk), { outcome: 'unavailable', phase: 'connect', cause: /ECONNREFUSED/ })
})

t.test('16: an attribute called dn does not make somebody else of an entry', async t => {
  for (const dn of ['cn=admin,dc=evil', bob.dn]) {
    const script = onSearch(found(alice.dn, { ...alice.attributes, dn }))
    const { server, desk } = await stage(t, script, {}, { directory: [...directory, bob] })
    t.match(await desk.login('alice', bob.password), { outcome: 'wrong_password' }, dn)
    t.equal(userBinds(server).length, 1, 'as alice')
    const search = server.requests.find(({ operation }) => operation.type === 'search')
    if (search?.operation.type !== 'search') throw new Error('nothing was searched for')
    t.notOk(
      search.operation.attributes.some(name => name === '*' || /^dn$/i.test(name)),
      'nor asked for',
    )
  }
})

t.test('17: attributes are found in whatever case, one value or many, or none at all', async t => {
  const script = onSearch(
    found(alice.dn, {
      UID: 'alice',
      ENTRYUUID: uuid,
      displayname: [],
      MeMbErOf: [`cn=a,${base}`, `cn=b,${base}`],
    }),
  )
  // The script answers every search with this entry, also one for groups above these.
  const { desk } = await stage(t, script, { groups: groupOptions({ nesting: 'direct' }) })
  t.match(await login(desk), { outcome: 'accept', user: { id: uuid, username: 'alice', groups: ['a', 'b'] } })
})

t.test(
  '18: a notice of disconnection is an outage for who waits, and nothing for who comes next',
  async t => {
    let notices = 1
    const script = onUserBind((request, connection) =>
      notices-- > 0 ? connection.send(noticeOfDisconnection()) : behave(request, connection),
    )
    const { server, desk } = await stage(t, script)
    const { result, ms } = await timed(login(desk))
    t.match(result, { outcome: 'unavailable', phase: 'bind', cause: /ended the session/ })
    t.ok(ms < 250, 'at once')
    t.match(await login(desk), { outcome: 'accept' })
    t.equal(userBinds(server).length, 2)
  },
)

t.test('19: no bind of a login is SASL', async t => {
  const { server, desk } = await stage(t, behave, starttls)
  await login(desk)
  await login(desk, 'wrong')
  t.strictSame([...new Set(server.requests.map(({ operation }) => operation.type))].sort(), [
    'bind',
    'extended',
    'search',
  ])
})

t.test('20: not even the debug lines of ldapts show a password of a login', async t => {
  const { server } = await stage(t, behave)
  const room = new URL('./ldap-login.ts', import.meta.url).href
  const script = `
    import { ldapOptions, openDesk } from ${JSON.stringify(room)}
    const desk = await openDesk({ teardown() {} }, ldapOptions({ urls: [${JSON.stringify(server.url)}], insecure: true }))
    for (const password of [${JSON.stringify(alice.password)}, 'wrong-secret-1']) {
      console.log((await desk.login('alice', password)).outcome)
    }
    await desk.backend.close()
    console.error('ldapts alone')
    const { Client } = await import(${JSON.stringify(import.meta.resolve('ldapts'))})
    const alone = new Client({ url: ${JSON.stringify(server.url)} })
    await alone.bind('uid=nobody', 'x').catch(() => {})
    await alone.unbind()`
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module-typescript', '--eval', script],
    {
      env: { ...process.env, NODE_OPTIONS: '', NODE_DEBUG: 'ldapts' },
      cwd: fileURLToPath(new URL('.', import.meta.url)),
    },
  )
  t.match(stdout, /accept\nwrong_password/)
  const [ofLogins = '', alone] = stderr.split('ldapts alone')
  t.match(alone, /LDAPTS/, 'it does write them')
  t.notMatch(ofLogins, /LDAPTS/, 'no login goes through it')
  t.notMatch(stdout + stderr, /-secret-1/)
})

t.test('21: no bind is ever repeated on a new connection', async t => {
  const { server, desk } = await stage(t, behave, { pool: one })
  t.match(await login(desk), { outcome: 'accept' })
  for (const drop of ['reset', 'end'] as const) {
    const before = userBinds(server).length
    for (const connection of server.connections) connection[drop]()
    await Promise.all(server.connections.map(({ closed }) => closed))
    t.match(await login(desk, 'wrong'), { outcome: 'wrong_password' })
    const since = userBinds(server).slice(before)
    t.match(since, [{ operation: { password: 'wrong' } }], drop)
    t.equal(since.length, 1)
  }
})

t.test('a bind response without a result code, which ldapts takes for yes, accepts nobody', async t => {
  const hollow = (id: number) => Buffer.from([0x30, 0x05, 0x02, 0x01, id, 0x61, 0x00])
  const script = onUserBind((request, connection) => connection.send(hollow(request.id)))
  const { server, desk } = await stage(t, script)
  const alone = new Client({ url: server.url, timeout: 1_000 })
  await alone.bind(alice.dn, 'wrong')
  await alone.unbind()
  t.match(await login(desk, 'wrong'), { outcome: 'unavailable', phase: 'bind', credentialSent: true })
})

t.test('an answer of another kind with the right id accepts nobody', async t => {
  for (const answer of [searchDone, extendedResponse]) {
    const script = onUserBind((request, connection) => connection.send(answer(request.id)))
    const { desk } = await stage(t, script)
    t.match(await login(desk, 'wrong'), { outcome: 'unavailable', phase: 'bind' })
  }
})

t.test('a length that points past its element, which sends ldapts round for ever, costs nothing', async t => {
  const endless = '300b020102640604003 07f0400'.replaceAll(' ', '')
  const worker = new Worker(
    `import { MessageParser, SearchRequest, PresenceFilter } from 'ldapts'
     import { parentPort } from 'node:worker_threads'
     const parser = new MessageParser()
     parser.on('error', () => {})
     const message = new SearchRequest({ messageId: 2, baseDN: '', filter: new PresenceFilter({ attribute: 'a' }) })
     parentPort.postMessage('reading')
     parser.read(Buffer.from('${endless}', 'hex'), new Map([['2', { message }]]))
     parentPort.postMessage('done')`,
    { eval: true, execArgv: ['--input-type=module'] },
  )
  const heard: unknown[] = []
  worker.on('message', word => heard.push(word))
  while (heard.length === 0) await pause(10)
  await pause(500)
  t.strictSame(heard, ['reading'], 'ldapts alone is never done')
  await worker.terminate()

  const script = onSearch((request, connection) => {
    const message = Buffer.from(endless, 'hex')
    message[4] = request.id
    return connection.send(message)
  })
  const { desk } = await stage(t, script)
  const before = process.cpuUsage()
  t.match(await login(desk), { outcome: 'unavailable', phase: 'search', credentialSent: false })
  t.ok(process.cpuUsage(before).user < 500_000)
})

t.test('a size limit exceeded, which ldapts takes for success, lets nobody in', async t => {
  const script = onSearch((request, connection) =>
    connection.send(searchEntry(request.id, alice.dn, alice.attributes), searchDone(request.id, { code: 4 })),
  )
  const { server, desk } = await stage(t, script)
  t.match(await login(desk), { outcome: 'ambiguous' })
  t.same(userBinds(server), [])
})

t.test(
  'no socket of one connection finds its way into the next, as ldapts writes it into its options',
  async t => {
    const { server, desk } = await stage(t, behave, starttls)
    const options = { ca: authority.ca, host: 'localhost', servername: 'localhost' }
    const alone = new Client({ url: server.url, timeout: 1_000 })
    await alone.startTLS(options)
    t.ok('socket' in options, 'ldapts alone does')
    await alone.unbind()
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => login(desk)))
    t.ok(outcomes.every(({ outcome }) => outcome === 'accept'))
    const encrypted = server.requests.filter(isUserBind).map(({ connection }) => connection)
    t.ok(new Set(encrypted).size > 1, 'on several connections')
  },
)

t.test('a connection that bound somebody says nothing about the next one on it', async t => {
  const script: Script = (request, connection) => {
    // As Samba does: a failed bind leaves the identity from before.
    if (isBindOf(request, bob.dn)) return connection.send(bindResponse(request.id, { code: 49 }))
    return behave(request, connection)
  }
  const { server, desk } = await stage(t, script, { pool: one }, { directory: [...directory, bob] })
  const alone = new Client({ url: server.url, timeout: 1_000 })
  await alone.bind(alice.dn, alice.password)
  await alone.bind(bob.dn, 'wrong').catch(() => {})
  t.ok(alone.isBound, 'ldapts alone says that it is bound')
  await alone.unbind()

  t.match(await login(desk), { outcome: 'accept', user: { username: 'alice' } })
  t.match(await desk.login('bob', 'wrong'), { outcome: 'wrong_password' })
  t.match(await login(desk), { outcome: 'accept', user: { username: 'alice' } })
  const after = server.requests.filter(({ connection }) => connection !== server.connections[0])
  const binds = after.filter(request => isUserBind(request) || isBindOf(request, bob.dn))
  t.equal(new Set(binds.map(({ connection }) => connection)).size, 1, 'all on one connection')
  const searches = after.filter(({ operation }) => operation.type === 'search')
  t.notOk(searches.some(({ connection }) => binds.some(bind => bind.connection === connection)))
})

t.test('no error names a password', async t => {
  const canary = 'canary-7f3a'
  for (const script of [
    onUserBind((request, connection) => connection.send(bindResponse(request.id, { code: 53 }))),
    onUserBind((_, connection) => connection.reset()),
    onUserBind((_, connection) => connection.send(Buffer.from('garbage'))),
    onUserBind(() => {}),
  ]) {
    const { desk } = await stage(t, script)
    t.notMatch(JSON.stringify(await login(desk, canary)), canary)
    t.notMatch(desk.log.text(), canary)
  }
  const { desk } = await stage(t, behave, {
    bind: { method: 'simple', dn: service.dn, password: new Secret(canary) },
  })
  t.notMatch(JSON.stringify(await login(desk)) + desk.log.text(), canary)
})

function isBindOf({ operation }: ReceivedRequest, dn: string): boolean {
  return operation.type === 'bind' && operation.dn === dn
}
