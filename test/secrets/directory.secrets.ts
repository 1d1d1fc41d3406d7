/** Directories in trouble, and such as repeat what they are told: a backend for each, in one daemon. */
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { bindResponse, extendedResponse } from '../support/ldap-message.ts'
import {
  type LdapServer,
  type LdapServerConnection,
  type ReceivedRequest,
  startLdapServer,
} from '../support/ldap-server.ts'
import { quietPort } from '../support/quiet-port.ts'
import { startSlapd } from '../support/slapd.ts'
import { openHouse } from './house.ts'

type OnBind = (request: ReceivedRequest, connection: LdapServerConnection) => unknown

const SERVICE_DN = 'cn=gatehouse,ou=services,dc=corp,dc=example'
const NAME = 'somebody'
const PERSON = {
  dn: `uid=${NAME},ou=people,dc=corp,dc=example`,
  attributes: { uid: NAME, entryUUID: randomUUID() },
}

const house = openHouse(t)
const service = house.canary('the service account’s password')
const password = house.canary('somebody’s password')

/** Knows one person, and does with that one's binds, or with the service account's, as it is told. */
function script(who: 'person' | 'service', onBind: OnBind): Promise<LdapServer> {
  const dn = who === 'person' ? PERSON.dn : SERVICE_DN
  return startLdapServer(t, {
    directory: [PERSON, { dn: SERVICE_DN, password: service.password, attributes: {} }],
    onRequest: (request, connection) =>
      request.operation.type === 'bind' && request.operation.dn === dn
        ? onBind(request, connection)
        : connection.behave(request),
  })
}

const sent = ({ operation }: ReceivedRequest) => (operation.type === 'bind' ? String(operation.password) : '')

const echo =
  (code: number, words = (secret: string) => `wrong: ${secret}`): OnBind =>
  (request, connection) =>
    connection.send(
      bindResponse(request.id, {
        code,
        matchedDn: `cn=${sent(request)}`,
        diagnosticMessage: words(sent(request)),
      }),
    )

const ad = (secret: string) => `80090308: ${secret}: comment: AcceptSecurityContext error, data 52e, v1db1`
const encoded = (secret: string) => `Basic ${Buffer.from(`x:${secret}`).toString('base64')}`

const scripts: Record<string, OnBind> = {
  ...Object.fromEntries([1, 8, 10, 19, 49, 51, 52, 53, 80, 123].map(code => [`echo-${code}`, echo(code)])),
  'echo-as-ad': echo(49, ad),
  'echo-encoded': echo(53, encoded),
  'echo-long': echo(53, secret => `${'x'.repeat(100)} ${secret} ${'x'.repeat(900)}`),
  reset: (_request, connection) => connection.reset(),
  end: (_request, connection) => connection.end(),
  silence: () => {},
  words: (request, connection) => connection.send(Buffer.from(sent(request))),
  request: (_request, connection) => connection.send(connection.received()),
  another: (request, connection) => connection.send(bindResponse(request.id + 1, { code: 0 })),
  half: (request, connection) =>
    connection.sendSplit(
      bindResponse(request.id, { diagnosticMessage: sent(request) }).subarray(0, -3),
      [99],
    ),
}

t.test('a directory out of order leaves no secret anywhere', async t => {
  const slapd = await startSlapd(t)
  const expired = await startSlapd(t, { certificate: { validUntil: Date.now() - 1_000 } })
  const stranger = await createCertificateAuthority(t.testdir(), 'A stranger')
  const refusing = await startLdapServer(t, {
    onRequest: ({ id }, connection) => connection.send(extendedResponse(id, { code: 52 })),
  })
  const plain = await startLdapServer(t)
  const tls = { ca_file: slapd.caFile }
  const servers: LdapServer[] = []
  const corps: Record<string, object> = {
    untrusted: { urls: [slapd.ldapsUrl], tls: { ca_file: stranger.caFile } },
    expired: { urls: [expired.ldapsUrl], tls: { ca_file: expired.caFile } },
    'starttls-refused': { urls: [refusing.url], tls: { ...tls, starttls: true } },
    'no-tls': { urls: [plain.url.replace('ldap:', 'ldaps:')], tls },
    nobody: { urls: [`ldaps://localhost:${quietPort()}`], tls },
    'no-name': { urls: ['ldaps://nobody.invalid'], tls },
    'service-refused': { urls: [slapd.ldapsUrl], tls },
  }
  for (const [name, onBind] of Object.entries(scripts)) {
    const server = await script('person', onBind)
    servers.push(server)
    corps[name] = { urls: [server.url], insecure: true }
  }
  const echoing = await script('service', echo(49))
  corps['service-echo'] = { urls: [echoing.url], insecure: true }

  house.input('service-password', service.password)
  const listener = { host: '127.0.0.1', port: 0 }
  const backends = Object.entries(corps).map(([id, corp]) => ({
    id,
    type: 'ldap',
    preset: 'openldap',
    base_dn: 'dc=corp,dc=example',
    bind: { dn: SERVICE_DN, password_file: join(house.cwd, 'service-password') },
    timeout: '2s',
    connect_timeout: '1s',
    operation_timeout: '1s',
    ...corp,
  }))
  house.input(
    'gatehouse.yaml',
    JSON.stringify({
      listen: listener,
      admin: listener,
      database: 'data/gatehouse.db',
      log: { level: 'debug', format: 'json' },
      lockout: { allow: ['127.0.0.1'] },
      // An app for each, so that it asks no other.
      clients: backends.map(({ id }) => ({
        id,
        key_sha256: createHash('sha256').update(id).digest('hex'),
        backends: [id],
      })),
      backends,
    }),
  )
  house.allow('data/gatehouse.db.admin-token')
  const daemon = await house.start()
  const token = readFileSync(join(house.cwd, 'data/gatehouse.db.admin-token'), 'utf8').trim()

  for (const { id } of backends) {
    const authorization = `Bearer ${id}`
    const statuses = await Promise.all(
      [1, 2].map(() => daemon.login(NAME, password.password, { authorization })),
    )
    t.ok(
      statuses.every(status => status === 503 || (status === 401 && /^echo/.test(id))),
      `${id}: ${statuses}`,
    )
    const explained = await daemon.ask({
      path: '/admin/explain',
      admin: true,
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ username: NAME, password: password.password, client: id }),
    })
    t.match(explained, /^HTTP\/1\.1 200 /, `${id} is explained`)
  }
  for (const path of ['/readyz', '/metrics']) {
    const reply = await daemon.ask({ method: 'GET', path, admin: true, headers: { 'content-length': '0' } })
    t.match(reply, /^HTTP\/1\.1 (200|503) /)
  }
  for (const { port, requests } of servers) {
    t.ok(
      requests.some(request => sent(request) === password.password),
      `${port} was told the password`,
    )
  }
  t.ok(echoing.requests.some(request => sent(request) === service.password))
  t.match(daemon.output(), /withheld/)
  const doctor = await house.run(['doctor', '--json', '--user', NAME, '--config', house.config])
  t.match(doctor.stdout, /"status"/)
  for (const { clearText } of [refusing, plain]) house.look('what went out in clear', clearText())
  house.holds(t)
  t.equal(await daemon.stop(), 0)
  house.holds(t)
})
