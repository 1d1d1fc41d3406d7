/** The backend against a directory that misbehaves as no real one can be made to. Nothing here may ever accept. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { UnavailableError } from '../../../src/authentication/outcome.ts'
import {
  bindResponse,
  extendedResponse,
  noticeOfDisconnection,
  searchDone,
  searchEntry,
  searchReference,
} from '../../support/ldap-message.ts'
import { type LdapServerOptions, type ReceivedRequest, startLdapServer } from '../../support/ldap-server.ts'
import { ldapOptions, openDesk } from './ldap-login.ts'
import {
  alice,
  base,
  behave,
  found,
  isUserBind,
  login,
  onSearch,
  onUserBind,
  type Script,
  stage,
  starttls,
  userBinds,
  uuid,
} from './scripted.ts'

// The lines of the ldapts table, among them what is forged behind StartTLS, are in ldapts.test.ts; every result code from
// a real server is in results.test.ts.

t.test('the scripted directory does log people in when it behaves', async t => {
  for (const changes of [{}, starttls]) {
    const { server, desk } = await stage(t, behave, changes)
    t.match(await login(desk), { outcome: 'accept', user: { id: uuid, username: 'alice' } })
    t.match(await login(desk, 'wrong'), { outcome: 'wrong_password', subject: uuid })
    t.match(server.requests.find(({ operation }) => operation.type === 'search')?.operation, {
      base,
      scope: 'sub',
      sizeLimit: 2,
      filter: '(&(objectclass=inetorgperson)(uid=alice))',
      attributes: ['entryUUID', 'uid', 'displayName', 'cn', 'mail', 'memberOf'],
    })
  }
})

t.test('StartTLS that is refused, answered with nonsense or not at all sends no bind', async t => {
  const answers: Record<string, Script> = {
    refused: (request, connection) => connection.send(extendedResponse(request.id, { code: 2 })),
    'a referral': (request, connection) => connection.send(extendedResponse(request.id, { code: 10 })),
    'another kind of answer': (request, connection) => connection.send(bindResponse(request.id)),
    silence: () => {},
    'a handshake that never comes': (request, connection) => connection.send(extendedResponse(request.id)),
  }
  for (const [what, answer] of Object.entries(answers)) {
    const { server, desk } = await stage(t, answer, starttls)
    const started = performance.now()
    t.match(await login(desk), { outcome: 'unavailable', phase: 'tls', credentialSent: false }, what)
    t.ok(performance.now() - started < 1_000, `${what}: in time`)
    t.ok(server.requests.every(({ operation }) => operation.type === 'extended'))
  }
})

t.test('a server that is silent, wherever it falls silent, costs no more than the deadline', async t => {
  const silent: Script = () => {}
  const stages: Record<string, [Script, Partial<LdapServerOptions>?]> = {
    'at the service bind': [silent],
    'at the search': [onSearch(silent)],
    'at the user bind': [onUserBind(silent)],
    drips: [onUserBind((request, connection) => connection.sendSplit(bindResponse(request.id), [1], 100))],
  }
  for (const [what, [script]] of Object.entries(stages)) {
    const { desk } = await stage(t, script)
    const started = performance.now()
    const outcome = await desk.login('alice', alice.password, { signal: AbortSignal.timeout(1_000) })
    t.match(
      outcome,
      { outcome: 'unavailable', credentialSent: what !== 'at the service bind' && what !== 'at the search' },
      what,
    )
    t.ok(performance.now() - started < 1_100, `${what}: in time`)
  }
  // Listens and says nothing to the handshake of ldaps.
  const server = await startLdapServer(t, { onRequest: silent })
  const urls = [`ldaps://localhost:${server.port}`]
  const desk = await openDesk(t, ldapOptions({ urls, connect_timeout: 200 }))
  t.match(await login(desk), { outcome: 'unavailable', phase: 'tls', cause: /no connection within 200 ms/ })
})

t.test('the attempt’s own deadline holds at every wait', async t => {
  const slow = { operation_timeout: 5_000, connect_timeout: 5_000 }
  for (const script of [() => {}, onSearch(() => {}), onUserBind(() => {})]) {
    const { desk } = await stage(t, script, slow)
    const started = performance.now()
    const outcome = await desk.login('alice', alice.password, { signal: AbortSignal.timeout(200) })
    t.match(outcome, { outcome: 'unavailable' })
    t.ok(performance.now() - started < 300)
  }
  const { desk } = await stage(t, behave)
  const late = await desk.login('alice', alice.password, { signal: AbortSignal.abort() })
  t.match(late, { outcome: 'unavailable', credentialSent: false })
})

t.test('an answer that comes too late never satisfies a later bind', async t => {
  const late: ReceivedRequest[] = []
  const script = onUserBind((request, connection) => {
    late.push(request)
    if (late.length === 1) return
    // The first bind's answer now, on its connection and on this one, under both ids.
    const [first] = late
    first?.connection.send(bindResponse(first.id))
    if (first && first.id !== request.id) connection.send(bindResponse(first.id))
    return connection.send(bindResponse(request.id, { code: 49 }))
  })
  const { server, desk } = await stage(t, script, { pool: { ...ldapOptions({ urls: [] }).pool, bind: 1 } })
  t.match(await login(desk), { outcome: 'unavailable', credentialSent: true })
  t.match(await login(desk, 'wrong'), { outcome: 'wrong_password' })
  t.equal(new Set(userBinds(server).map(({ connection }) => connection)).size, 2, 'on a new connection')
})

t.test('a bind whose answer is lost or nonsense is not sent again, and accepts nobody', async t => {
  const nonsense: Record<string, Script> = {
    reset: (_, connection) => connection.reset(),
    closed: (_, connection) => connection.end(),
    'a notice of disconnection': (_, connection) => connection.send(noticeOfDisconnection()),
    'a success without a code': (_, connection) => connection.send(Buffer.from('30050201026100', 'hex')),
    'a search’s success': (request, connection) => connection.send(searchDone(request.id)),
    'an extended success': (request, connection) => connection.send(extendedResponse(request.id)),
    'somebody else’s success': (request, connection) => connection.send(bindResponse(request.id + 1)),
    garbage: (_, connection) => connection.send(Buffer.from('HTTP/1.1 200 OK\r\n\r\n')),
    'a success cut short': (request, connection) => {
      connection.send(bindResponse(request.id).subarray(0, -1))
      connection.end()
    },
  }
  for (const [what, script] of Object.entries(nonsense)) {
    const { server, desk } = await stage(t, onUserBind(script))
    t.match(await login(desk), { outcome: 'unavailable', phase: 'bind', credentialSent: true }, what)
    t.equal(userBinds(server).length, 1, what)
  }
})

t.test('every result of a bind but 0 and 49 is an outage', async t => {
  let code = 0
  const { server, desk } = await stage(
    t,
    onUserBind((request, connection) => connection.send(bindResponse(request.id, { code }))),
  )
  const accepted: number[] = []
  for (code = 0; code <= 123; code++) {
    const { outcome } = await login(desk)
    if (outcome === 'accept') accepted.push(code)
    else if (outcome !== 'unavailable') t.same({ code, outcome }, { code: 49, outcome: 'wrong_password' })
  }
  t.same(accepted, [0])
  t.equal(userBinds(server).length, 124, 'each sent once')
})

t.test('a search that breaks is asked once more, and no search result but 0 and 4 finds anybody', async t => {
  let faults = 0
  const { desk, server } = await stage(
    t,
    onSearch((request, connection) =>
      faults-- > 0 ? connection.send(noticeOfDisconnection()) : behave(request, connection),
    ),
  )
  faults = 1
  t.match(await login(desk), { outcome: 'accept' })
  faults = 2
  t.match(await login(desk), {
    outcome: 'unavailable',
    phase: 'search',
    credentialSent: false,
    cause: /result 52/,
  })
  t.equal(userBinds(server).length, 1)

  let code = 1
  const refusing = await stage(
    t,
    onSearch((request, connection) =>
      connection.send(searchEntry(request.id, alice.dn, alice.attributes), searchDone(request.id, { code })),
    ),
  )
  for (code = 1; code <= 123; code++) {
    if (code !== 4) t.match(await login(refusing.desk), { outcome: 'unavailable', phase: 'search' })
  }
  t.same(userBinds(refusing.server), [])
})

t.test('an id that two entries have is nobody’s, and nobody is said to be gone', async t => {
  const script = onSearch((request, connection) =>
    connection.send(
      ...['a', 'b'].map(uid => searchEntry(request.id, `uid=${uid},${base}`, alice.attributes)),
      searchDone(request.id),
    ),
  )
  const { desk } = await stage(t, script)
  await t.rejects(desk.backend.getUser(uuid, AbortSignal.timeout(1_000)), UnavailableError)
})

t.test('exactly one entry, below the base and with an id, or no bind is sent', async t => {
  const answers: Record<string, [Script, object]> = {
    'one entry and a size limit below ours': [
      (request, connection) =>
        connection.send(
          searchEntry(request.id, alice.dn, alice.attributes),
          searchDone(request.id, { code: 4 }),
        ),
      { outcome: 'ambiguous', count: 2 },
    ],
    'more entries than we asked for': [
      (request, connection) =>
        connection.send(
          ...[1, 2, 3].map(number => searchEntry(request.id, `uid=${number},${base}`, alice.attributes)),
          searchDone(request.id),
        ),
      { outcome: 'ambiguous', count: 3 },
    ],
    'references only': [
      (request, connection) =>
        connection.send(searchReference(request.id, ['ldap://other.example']), searchDone(request.id)),
      { outcome: 'unknown_user' },
    ],
    'an entry from elsewhere': [
      found('uid=alice,dc=evil', alice.attributes),
      { outcome: 'unavailable', phase: 'search' },
    ],
    'a SASL mechanism': [found('PLAIN', alice.attributes), { outcome: 'unavailable', phase: 'search' }],
    'no DN': [found('', alice.attributes), { outcome: 'unavailable', phase: 'search' }],
    'no id': [found(alice.dn, { uid: 'alice' }), { outcome: 'unavailable', cause: /shows no entryUUID/ }],
    'an empty id': [found(alice.dn, { uid: 'alice', entryUUID: '' }), { outcome: 'unavailable' }],
  }
  for (const [what, [script, expected]] of Object.entries(answers)) {
    const { server, desk } = await stage(t, onSearch(script))
    t.match(await login(desk), expected, what)
    t.same(userBinds(server), [], what)
  }
})

t.test('Active Directory: id, state, sub-code and the search by id', async t => {
  const guid = Buffer.from('33221100554477668899aabbccddeeff', 'hex')
  const id = '00112233-4455-6677-8899-aabbccddeeff'
  let control = '512'
  let diagnosticMessage = ''
  const script: Script = (request, connection) => {
    if (request.operation.type === 'search') {
      return found(alice.dn, { sAMAccountName: 'Alice', objectGUID: guid, useraccountcontrol: control })(
        request,
        connection,
      )
    }
    if (!isUserBind(request)) return behave(request, connection)
    return connection.send(bindResponse(request.id, diagnosticMessage ? { code: 49, diagnosticMessage } : {}))
  }
  const { server, desk } = await stage(t, script, { preset: 'active-directory' })
  t.match(await login(desk), { outcome: 'accept', user: { id, username: 'Alice' } })
  control = '514'
  t.match(await login(desk), {
    outcome: 'account_state',
    subject: id,
    state: 'disabled',
    passwordVerified: true,
  })
  t.match(await desk.backend.getUser(id, AbortSignal.timeout(1_000)), { id, state: 'disabled' })
  const asked = server.requests.at(-1)?.bytes ?? Buffer.alloc(0)
  t.ok(asked.includes(guid), 'the octets as they are')
  control = '512'
  diagnosticMessage = 'AcceptSecurityContext error, data 775, v4563\0'
  t.match(await login(desk), {
    outcome: 'account_state',
    subject: id,
    state: 'locked',
    passwordVerified: false,
  })
})

t.test('who waits for a connection too long, or behind too many, is told so', async t => {
  const pool = { ...ldapOptions({ urls: [] }).pool, bind: 1, waiting: 1 }
  const { server, desk } = await stage(
    t,
    onUserBind(() => {}),
    { pool },
  )
  const first = login(desk)
  await server.received(isUserBind)
  const [second, third] = await Promise.all([
    desk.login('alice', alice.password, { signal: AbortSignal.timeout(100) }),
    desk.login('alice', alice.password),
  ])
  t.match(third, { outcome: 'unavailable', phase: 'admission', cause: /too many/, credentialSent: false })
  t.match(second, { outcome: 'unavailable', phase: 'admission', credentialSent: false })
  t.match(await first, { outcome: 'unavailable', phase: 'bind', credentialSent: true })
})

t.test('closing while the directory is silent ends in time', async t => {
  const { server, desk } = await stage(
    t,
    onUserBind(() => {}),
  )
  const attempt = login(desk)
  await server.received(isUserBind)
  const started = performance.now()
  await desk.backend.close()
  t.ok(performance.now() - started < 1_000)
  t.match(await attempt, { outcome: 'unavailable' })
  await pause(0)
})
