/** Advisories on passwords that leave by another way than meant: in clear, to another server, or into a log. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { adminTokenFile, readAdminToken } from '../../src/http/admin-token.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { runCommand } from '../support/daemon.ts'
import { bindResponse, extendedResponse, searchDone, searchReference } from '../support/ldap-message.ts'
import {
  type LdapServer,
  type LdapServerConnection,
  type ReceivedRequest,
  startLdapServer,
} from '../support/ldap-server.ts'
import { EMAIL, type House, LOCAL, openHouse } from './house.ts'
import { addLocalPeople } from './stored-people.ts'
import { conforms } from './suite.ts'

const folder = t.testdir({ own: {}, stranger: {} })
const [authority, stranger] = await Promise.all([
  createCertificateAuthority(join(folder, 'own')),
  createCertificateAuthority(join(folder, 'stranger'), 'Somebody else'),
])
const [good, misnamed, expired, foreign] = await Promise.all([
  authority.issue(),
  authority.issue({ names: ['DNS:elsewhere.example'] }),
  authority.issue({ validUntil: Date.now() - 60_000 }),
  stranger.issue(),
])
const BASE = 'dc=corp,dc=example'
const CANARY = 'canary-password-4711'
const service = { dn: `cn=gatehouse,${BASE}`, password: 'canary-service-0815', attributes: {} }
const eve = {
  dn: `uid=eve,${BASE}`,
  password: CANARY,
  attributes: { uid: 'eve', entryUUID: '7b14222a-7bbc-1041-92f6-dfaea8ca88bd' },
}
const directory = [service, eve]

/** The house in front of this server, by StartTLS with the CA of ours unless that is changed. */
function openBefore(t: Test, { port }: LdapServer, changes: object = {}): Promise<House> {
  const corp = {
    ...{ id: 'corp', type: 'ldap', preset: 'openldap', urls: [`ldap://localhost:${port}`], base_dn: BASE },
    tls: { starttls: true, ca_file: authority.caFile },
    bind: { dn: service.dn, password: service.password },
    operation_timeout: '1s',
    ...changes,
  }
  return openHouse(t, { backends: [corp], lockout: { mode: 'off' } })
}

const isUserBind = ({ operation }: ReceivedRequest) => operation.type === 'bind' && operation.dn === eve.dn

function nothingInClear(t: Test, server: LdapServer): void {
  const clear = server.clearText().toString('latin1')
  for (const secret of [CANARY, service.password]) t.notOk(clear.includes(secret), 'no password in clear')
}

conforms('advisory 46', async t => {
  const elsewhere = await startLdapServer(t, { directory })
  const referrals = [`${elsewhere.url}/${eve.dn}`, `${elsewhere.url}/${BASE}??sub`]
  const ways: Record<string, (request: ReceivedRequest, connection: LdapServerConnection) => unknown> = {
    'in the answer to the bind of a user': (request, connection) =>
      isUserBind(request)
        ? connection.send(bindResponse(request.id, { code: 10, referrals }))
        : connection.behave(request),
    'in the answer to the bind of the service account': ({ id, operation, ...rest }, connection) =>
      operation.type === 'bind'
        ? connection.send(bindResponse(id, { code: 10, referrals }))
        : connection.behave({ id, operation, ...rest }),
    'in the answer to the search': (request, connection) =>
      request.operation.type === 'search'
        ? connection.send(searchDone(request.id, { code: 10, referrals }))
        : connection.behave(request),
    'among the entries': (request, connection) =>
      request.operation.type === 'search'
        ? connection.send(searchReference(request.id, referrals), searchDone(request.id))
        : connection.behave(request),
    'in the answer to StartTLS': (request, connection) =>
      request.operation.type === 'extended'
        ? connection.send(extendedResponse(request.id, { code: 10, referrals }))
        : connection.behave(request),
  }
  for (const [way, onRequest] of Object.entries(ways)) {
    const server = await startLdapServer(t, { certificate: good, directory, onRequest })
    const house = await openBefore(t, server)
    t.not((await house.login('eve', CANARY)).status, 200, way)
    t.ok(server.requests.length > 0, way)
    nothingInClear(t, server)
  }
  t.equal(elsewhere.connections.length, 0, 'no referral was followed')
})

conforms('advisory 47', async t => {
  const refuse = (request: ReceivedRequest, connection: LdapServerConnection) =>
    request.operation.type === 'extended'
      ? connection.send(extendedResponse(request.id, { code: 2 }))
      : connection.behave(request)
  const refused = await startLdapServer(t, { certificate: good, directory, onRequest: refuse })
  t.match(await (await openBefore(t, refused)).login('eve', CANARY), { status: 503 }, 'StartTLS refused')
  t.ok(refused.requests.every(({ operation }) => operation.type === 'extended'))
  nothingInClear(t, refused)
  for (const [what, certificate] of Object.entries({ foreign, misnamed, expired })) {
    const plain = await startLdapServer(t, { certificate, directory })
    const encrypted = await startLdapServer(t, { certificate, directory, implicitTls: true })
    for (const [server, changes] of [
      [plain, {}],
      [encrypted, { urls: [encrypted.url], tls: { ca_file: authority.caFile } }],
    ] as const) {
      const house = await openBefore(t, server, changes)
      t.match(await house.login('eve', CANARY), { status: 503, code: 'backend_unavailable' }, what)
      t.ok(server.connections.length > 0, 'it was asked')
      t.ok(
        server.requests.every(({ operation }) => operation.type === 'extended'),
        'and told nothing',
      )
      nothingInClear(t, server)
    }
  }
  const sound = await startLdapServer(t, { certificate: good, directory })
  t.equal((await (await openBefore(t, sound)).login('eve', CANARY)).status, 200, 'the right one lets her in')
})

conforms('advisory 48', async t => {
  const yes = (id: number) => bindResponse(id)
  const injections: Record<string, (id: number) => Buffer> = {
    'a yes to the next bind': id => yes(id + 1),
    'yes to whatever comes': id => Buffer.concat([1, 2, 3, 4, 5].map(more => yes(id + more))),
    'half a message': () => Buffer.from('30', 'hex'),
    'a second yes to StartTLS': id => extendedResponse(id),
  }
  for (const [what, injected] of Object.entries(injections)) {
    const server = await startLdapServer(t, {
      certificate: good,
      directory: [service],
      onRequest: (request, connection) =>
        request.operation.type === 'extended'
          ? connection.startTls(request, injected(request.id))
          : connection.behave(request),
    })
    const house = await openBefore(t, server)
    t.match(await house.login('eve', 'any password'), { status: 503, code: 'backend_unavailable' }, what)
    t.same(
      server.requests.filter(({ operation }) => operation.type !== 'extended'),
      [],
      `${what}: nothing was asked`,
    )
    nothingInClear(t, server)
  }
})

conforms('advisory 49', async t => {
  // What channel binding keeps from being relayed is never sent: no NTLM, no SASL of a user, and no simple bind outside of TLS.
  const house = await openHouse(t, { backends: [LOCAL] })
  const corp = (changes: object) => ({
    ...{ id: 'corp', type: 'ldap', preset: 'active-directory', base_dn: BASE },
    ...{ bind: { dn: service.dn, password: service.password }, urls: ['ldap://dc1.corp.example'] },
    ...changes,
  })
  for (const changes of [
    {},
    { tls: { starttls: false } },
    { urls: ['ldaps://dc1.corp.example', 'ldap://dc2.corp.example'] },
  ]) {
    t.match(
      await house.reload({ backends: [corp(changes)] }),
      { outcome: 'refused', reasons: [/unencrypted/] },
      JSON.stringify(changes),
    )
  }
  for (const method of ['ntlm', 'gss-spnego', 'digest-md5', 'sasl']) {
    const backends = [corp({ urls: ['ldaps://dc1.corp.example'], bind: { method } })]
    t.match(await house.reload({ backends }), { outcome: 'refused' }, method)
  }
  const server = await startLdapServer(t, { certificate: good, directory, implicitTls: true })
  const tls = { ca_file: authority.caFile }
  const before = await openBefore(t, server, { urls: [server.url], tls })
  t.equal((await before.login('eve', CANARY)).status, 200)
  t.ok(server.requests.some(isUserBind))
  t.ok(server.requests.every(({ operation, encrypted }) => encrypted && operation.type !== 'sasl-bind'))
})

conforms('advisory 50', async t => {
  const server = await startLdapServer(t, { certificate: good, directory, implicitTls: true })
  const attacker = await startLdapServer(t, { certificate: good, directory })
  const tls = { ca_file: authority.caFile }
  const house = await openBefore(t, server, { urls: [server.url], tls })
  // Nothing that asks the daemon about a directory takes a server, and no command does.
  const token = readAdminToken(adminTokenFile(join(house.folder, 'gatehouse.db')))
  const admin = async (path: string, body: object) => {
    const response = await fetch(`${house.app.adminUrl}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token?.reveal()}` },
      body: JSON.stringify(body),
    })
    return response.status
  }
  t.equal(await admin('/admin/explain', { username: 'eve' }), 200)
  for (const key of ['url', 'urls', 'server', 'connectionUrl', 'backend', 'config', 'bind']) {
    t.equal(await admin('/admin/explain', { username: 'eve', [key]: attacker.url }), 400, key)
    t.equal(
      await admin(`/admin/explain?${key}=${encodeURIComponent(attacker.url)}`, { username: 'eve' }),
      400,
      key,
    )
    t.equal(
      (
        await house.ask('/authenticate', {
          method: 'POST',
          headers: { authorization: 'Bearer key-of-the-login-form' },
          body: { username: 'eve', password: CANARY, [key]: attacker.url },
        })
      ).status,
      400,
      key,
    )
  }
  const config = join(house.folder, 'gatehouse.yaml')
  const options = ['--url', '--server']
  const refused = options.map(option =>
    runCommand(['doctor', '--config', config, option, attacker.url], { cwd: house.folder }),
  )
  for (const { code, stderr } of await Promise.all(refused)) t.match([code, stderr], [2, /unknown option/])
  const { stdout } = await house.command(['doctor', '--user', 'eve'])
  t.match(stdout, /eve/, 'the doctor looked, where it was configured to')
  t.equal(attacker.connections.length, 0, 'nobody called the other server')
})

conforms('advisory 51', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL], log: { level: 'debug' } })
  addLocalPeople(house, [
    { username: 'anna', email: 'anna@x.example', password: CANARY },
    { username: 'disabled', password: CANARY, disabled: true },
  ])
  const bearer = { authorization: 'Bearer key-of-the-login-form' }
  const json = JSON.stringify({ username: 'anna', password: CANARY })
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    house.ask(path, { method: 'POST', headers: { ...bearer, ...headers }, body })
  const replies = [
    await house.login('anna', CANARY),
    await house.login('anna@x.example', CANARY),
    await house.login('nobody', CANARY),
    await house.login('disabled', CANARY),
    await house.login('anna', `${CANARY} `),
    await house.login('anna', `${CANARY}\0`),
    await house.login('anna', [CANARY]),
    await house.login({ [CANARY]: CANARY }, CANARY),
    await post('/authenticate', json.slice(0, -1)),
    await post('/authenticate', `${json}x`),
    await post('/authenticate', json, { 'content-type': 'text/plain' }),
    await post('/authenticate', json, { 'content-type': `application/json; x=${CANARY}` }),
    await post('/authenticate', { username: 'anna', password: CANARY, extra: CANARY }),
    await post('/authenticate', { username: 'anna', passwort: CANARY }),
    await post('/authenticate', { username: 'anna', password: CANARY.repeat(1_000) }),
    await post(`/authenticate?password=${CANARY}`, json),
    await post(`/authenticate?q=${CANARY}`, json),
    await post(`/nowhere?password=${CANARY}`, json),
    await post('/authenticate/', json),
    await post('/users/x', json),
    await house.ask('/authenticate', { method: 'PUT', headers: bearer, body: json }),
    await house.ask('/authenticate', { method: 'POST', body: json }),
    await house.ask('/authenticate', {
      method: 'POST',
      headers: { authorization: `Bearer ${CANARY}` },
      body: json,
    }),
    await house.ask('/authenticate', {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`anna:${CANARY}`)}` },
      body: json,
    }),
    await post('/authenticate', json, { 'x-request-id': `${CANARY}!` }),
    await post('/authenticate', json, {
      cookie: CANARY,
      'x-password': CANARY,
      referer: `http://x/?password=${CANARY}`,
    }),
  ]
  const refusedStates = new Set(replies.map(({ status }) => status))
  for (const status of [200, 400, 401, 404, 405, 413, 415])
    t.ok(refusedStates.has(status), `${status} was among them`)
  await house.command(['explain', 'anna', '--password-stdin'], CANARY)
  await house.command(['explain', 'anna', '--password-stdin'], `${CANARY}wrong`)
  for (const { text, headers } of replies)
    t.notOk(`${text}${JSON.stringify(headers)}`.includes('canary'), 'in no reply')
  t.ok(house.log.lines.length > replies.length, 'there is a log')
  for (const form of ['canary', Buffer.from(`anna:${CANARY}`).toString('base64')]) {
    t.notOk(house.log.text().includes(form), 'in no line of the log, on whatever route')
  }
  t.notOk((await house.metrics()).includes('canary'), 'nor in a metric')
})
