import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import t from 'tap'
import { type Client, createIdentify } from '../../src/http/clients.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { appWithKey, canary, createFakeCoreServer, loginBytes, openRaw } from './fake-core.ts'

const network = (id: string, cidr: string): Client => ({
  id,
  credential: { kind: 'cidr', cidr },
  may: new Set(),
  requiredGroups: [],
})
const certificate = (id: string, subject: string): Client => ({
  id,
  credential: { kind: 'tls', subject },
  may: new Set(),
  requiredGroups: [],
})
const nothing = { authorization: undefined, certificateSubject: undefined, address: '192.0.2.1' }

t.test('a key is recognised by its digest, and by nothing less', async t => {
  const key = 'gh_7sK-._~+/Az09=='
  const upper = appWithKey('upper', 'other')
  const sha256 = createHash('sha256').update('other').digest('hex').toUpperCase()
  const identify = createIdentify([
    appWithKey('wiki', key),
    { ...upper, credential: { kind: 'key', sha256 } },
  ])
  for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
    t.equal(identify({ ...nothing, authorization: `${scheme} ${key}` })?.id, 'wiki', scheme)
  }
  t.equal(identify({ ...nothing, authorization: `Bearer   ${key}` })?.id, 'wiki')
  t.equal(identify({ ...nothing, authorization: 'Bearer other' })?.id, 'upper')
  for (const authorization of [
    ...[
      '',
      'Bearer',
      'Bearer ',
      key,
      `Basic ${key}`,
      `Bearer ${key}x`,
      `Bearer ${key.slice(1)}`,
      `Bearer\t${key}`,
    ],
    ...[
      `Bearer ${key} `,
      `Bearer ${key}, Bearer ${key}`,
      `Bearer "${key}"`,
      `Bearer ${sha256}`,
      `xBearer ${key}`,
    ],
    ...['Bearer é', `Bearer ${'x'.repeat(10_000)}`, `Digest ${key}`, `Bearer=${key}`],
  ]) {
    t.equal(identify({ ...nothing, authorization }), undefined, authorization.slice(0, 40))
  }
})

t.test('what is presented decides alone, the strongest first', async t => {
  const identify = createIdentify([
    appWithKey('by-key', 'key'),
    certificate('by-certificate', 'CN=wiki'),
    network('everybody', '0.0.0.0/0'),
    network('subnet', '192.0.2.0/24'),
    network('v6', '2001:db8::/32'),
  ])
  const who = (presented: object) => identify({ ...nothing, ...presented })?.id
  t.equal(who({}), 'subnet', 'the smallest network')
  t.equal(who({ address: '198.51.100.1' }), 'everybody')
  t.equal(who({ address: '2001:db8:0:0:0:0:0:1' }), 'v6')
  t.equal(who({ address: '2001:db9:0:0:0:0:0:1' }), undefined)
  t.equal(who({ certificateSubject: 'CN=wiki' }), 'by-certificate')
  t.equal(who({ certificateSubject: 'CN=stranger' }), undefined, 'no way round by the address')
  t.equal(who({ certificateSubject: 'CN=wiki', authorization: 'Bearer key' }), 'by-key')
  t.equal(who({ certificateSubject: 'CN=wiki', authorization: 'Bearer revoked' }), undefined)
  t.equal(who({ authorization: 'Basic YTpi' }), undefined)
})

t.test('clients that cannot be are refused when the server is made', async t => {
  for (const sha256 of ['', 'x'.repeat(64), 'a'.repeat(63), 'a'.repeat(65)]) {
    const client = { ...appWithKey('a', 'b'), credential: { kind: 'key' as const, sha256 } }
    t.throws(() => createFakeCoreServer(t, { clients: [client] }), /SHA-256/)
  }
  t.throws(() => createFakeCoreServer(t, { clients: [network('a', 'corp')] }), /range/)
  t.throws(() => createFakeCoreServer(t, { trustedProxies: ['proxy.corp.example'] }), /range/)
})

t.test('an unknown app is told so, before anything of its request is read', async t => {
  const server = createFakeCoreServer(t, { clients: [appWithKey('wiki', 'key')] })
  for (const headers of [{}, { authorization: 'Bearer nope' }, { authorization: 'Basic YWxpY2U6eA==' }]) {
    for (const payload of ['{', 'x'.repeat(50_000)]) {
      const reply = await server.login(payload, { ...headers, 'content-type': 'text/plain' } as Record<
        string,
        string
      >)
      t.equal(reply.statusCode, 401)
      t.equal(reply.json().code, 'client_unauthenticated')
      t.equal(reply.headers['www-authenticate'], 'Bearer realm="gatehouse"')
    }
  }
  t.equal((await server.inject({ url: '/users/corp:1' })).statusCode, 401)
  t.equal((await server.inject({ url: '/livez' })).statusCode, 200, 'health is open')
  t.strictSame([server.attempts, server.lookups], [[], []])
  t.match(server.log.at('warn')[0]?.fields, { address: '127.0.0.1', key_presented: false })
  t.notMatch(server.log.text(), /nope|YWxpY2U6eA/, 'keys are not logged')
})

t.test('an app with an empty list of clients is unknown; anonymous is asked for by name', async t => {
  t.equal((await createFakeCoreServer(t, { clients: [] }).login()).statusCode, 401)
  const open = createFakeCoreServer(t, { clients: 'anonymous' })
  t.equal((await open.login()).json().code, 'invalid_credentials')
  const asserted = await open.login({ username: 'a', password: canary, client: { ip: '1.2.3.4' } })
  t.equal(asserted.json().code, 'client_forbidden', 'anonymous may nothing special')
})

t.test('an app behind a trusted proxy is known by its own address, not by the proxy’s', async t => {
  const server = createFakeCoreServer(t, {
    clients: [network('printers', '198.51.100.0/24'), network('proxies', '10.0.0.0/8')],
    trustedProxies: ['10.0.0.0/8'],
  })
  const call = (peer: string, forwarded?: string) =>
    server.inject({
      method: 'POST',
      url: '/authenticate',
      remoteAddress: peer,
      headers: {
        'content-type': 'application/json',
        ...(forwarded !== undefined && { 'x-forwarded-for': forwarded }),
      },
      payload: { username: 'alice', password: canary },
    })
  const cases: [
    peer: string,
    forwarded: string | undefined,
    status: number,
    app?: string,
    address?: string,
  ][] = [
    ['198.51.100.7', undefined, 401, 'printers', '198.51.100.7'],
    ['::ffff:198.51.100.7', undefined, 401, 'printers', '198.51.100.7'],
    ['10.0.0.1', '198.51.100.8', 401, 'printers', '198.51.100.8'],
    ['10.0.0.1', '1.1.1.1, 198.51.100.8', 401, 'printers', '198.51.100.8'],
    ['192.0.2.1', '198.51.100.8', 401],
    ['10.0.0.1', '198.51.100.8, 192.0.2.1', 401],
    ['198.51.100.7', 'garbage', 401, 'printers', '198.51.100.7'],
    ['10.0.0.1', 'garbage', 400],
    ['10.0.0.1', '', 400],
    ['10.0.0.1', '198.51.100.8, ', 400],
    ['10.0.0.1', '198.51.100.8:443', 400],
  ]
  for (const [peer, forwarded, status, app, address] of cases) {
    server.attempts.length = 0
    const reply = await call(peer, forwarded)
    const label = `${peer} ← ${forwarded}`
    t.equal(reply.statusCode, status, label)
    t.strictSame(
      server.attempts.map(attempt => [attempt.caller.id, attempt.address]),
      app ? [[app, address]] : [],
      label,
    )
    if (status === 400)
      t.match(reply.json().errors, [{ header: 'X-Forwarded-For', detail: 'not an address' }])
  }
  // Neither Fastify's own reading of proxies nor look-alike headers count (CVE-2026-3635, CVE-2025-64484).
  server.attempts.length = 0
  await server.inject({
    method: 'POST',
    url: '/authenticate',
    remoteAddress: '198.51.100.7',
    headers: {
      'content-type': 'application/json',
      'x-real-ip': '1.1.1.1',
      forwarded: 'for=1.1.1.1',
      x_forwarded_for: '1.1.1.1',
      'x-forwarded-host': 'evil',
      'x-forwarded-proto': 'https',
      'client-ip': '1.1.1.1',
      'remote-user': 'admin',
    },
    payload: { username: 'alice', password: canary },
  })
  t.equal(server.attempts[0]?.address, '198.51.100.7')
})

t.test('all lines of X-Forwarded-For count', async t => {
  const server = createFakeCoreServer(t, { trustedProxies: ['127.0.0.0/8'] })
  const port = await server.listen()
  const lines = [
    'X-Forwarded-For: 1.1.1.1',
    'x-forwarded-for: 198.51.100.9',
    'X-FORWARDED-FOR: 127.0.0.9',
    'Connection: close',
  ]
  await openRaw(t, port, loginBytes(lines)).closed
  t.equal(server.attempts[0]?.address, '198.51.100.9')
})

t.test('an app over its rate is stopped before its body is read (CVE-2025-12044)', async t => {
  const limited = { ...appWithKey('wiki', 'key'), rateLimit: { max: 3, perMs: 60_000 } }
  const server = createFakeCoreServer(t, { clients: [limited, appWithKey('free', 'other')] })
  const headers = { authorization: 'Bearer key' }
  t.equal((await server.login(undefined, headers)).statusCode, 401)
  t.equal((await server.login('{', headers)).statusCode, 400, 'a malformed request counts')
  t.equal((await server.inject({ url: '/users/corp:1', headers })).statusCode, 404, 'and so does a look-up')
  for (const payload of ['{', '[]', 'x'.repeat(100_000), undefined]) {
    const reply = await server.login(payload, headers)
    t.equal(reply.statusCode, 429)
    t.equal(reply.json().code, 'rate_limited')
    t.equal(reply.headers['retry-after'], '60')
  }
  t.equal((await server.login('x', { ...headers, 'content-type': 'text/plain' })).statusCode, 429)
  t.equal(
    (await server.login(undefined, { authorization: 'Bearer other' })).statusCode,
    401,
    'others are not held up',
  )
  t.equal(server.attempts.length, 2)
  t.equal(server.log.at('warn').length, 1, 'one line a window')

  const port = await server.listen()
  const head =
    'POST /authenticate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\nContent-Type: application/json\r\n'
  for (const promised of ['Content-Length: 1000000', 'Transfer-Encoding: chunked']) {
    const reply = await openRaw(t, port, `${head}${promised}\r\n\r\n`).closed
    t.match(reply, /^HTTP\/1.1 429 .*connection: close/s, `not a byte of the body was sent: ${promised}`)
  }
})

t.test('the window of a rate limit ends', async t => {
  const limited = { ...appWithKey('wiki', 'key'), rateLimit: { max: 1, perMs: 40 } }
  const server = createFakeCoreServer(t, { clients: [limited] })
  const statuses = new Set<number>()
  const deadline = performance.now() + 5000
  let afterwards = false
  while (!afterwards && performance.now() < deadline) {
    const { statusCode } = await server.login(undefined, { authorization: 'Bearer key' })
    afterwards = statuses.has(429) && statusCode === 401
    statuses.add(statusCode)
  }
  t.ok(afterwards)
})

t.test('a client certificate names the app, if a configured CA vouches for it', async t => {
  const authority = await createCertificateAuthority(t.testdir())
  const [site, wiki, stranger] = await Promise.all([
    authority.issue(),
    authority.issue({ commonName: 'wiki' }),
    authority.issue({ commonName: 'stranger' }),
  ])
  const expired = await authority.issue({ commonName: 'wiki', validUntil: Date.now() - 60_000 })
  const self = selfSigned(t.testdir(), '/C=DE/O=Corp, Inc./OU=Zürich\\+1/CN=wiki')
  const other = selfSigned(t.testdir(), '/CN=wiki')

  const server = createFakeCoreServer(t, {
    tls: { cert: site.cert, key: site.key, clientCa: `${authority.ca}\n${self.cert}` },
    clients: [certificate('wiki', 'CN=wiki'), certificate('corp', self.subject), appWithKey('portal', 'key')],
  })
  const port = await server.listen()
  const call = async (pair?: { cert: string; key: string }, headers: Record<string, string> = {}) => {
    const agent = new Agent({ keepAlive: false })
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; code: string }>()
    const body = JSON.stringify({ username: 'alice', password: canary })
    const sent = request(
      {
        agent,
        port,
        host: '127.0.0.1',
        ca: authority.ca,
        ...pair,
        method: 'POST',
        path: '/authenticate',
        headers: { 'content-type': 'application/json', 'content-length': body.length, ...headers },
      },
      response => {
        let text = ''
        response.on('data', chunk => {
          text += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode, code: JSON.parse(text).code }))
      },
    )
    sent.on('error', reject)
    sent.end(body)
    const { code } = await promise
    return code === 'invalid_credentials' ? server.attempts.at(-1)?.caller.id : code
  }
  t.equal(await call(wiki), 'wiki')
  t.equal(await call(wiki), 'wiki', 'again')
  t.equal(await call(self), 'corp', self.subject)
  t.equal(await call(stranger), 'client_unauthenticated')
  t.equal(await call(expired), 'client_unauthenticated')
  t.equal(await call(other), 'client_unauthenticated', 'the same name, but nobody vouches for it')
  t.equal(await call(), 'client_unauthenticated')
  t.equal(await call(undefined, { authorization: 'Bearer key' }), 'portal', 'a key needs no certificate')
  t.equal(await call(other, { authorization: 'Bearer key' }), 'portal')
  t.match(
    server.log.at('warn').map(({ fields }) => fields.certificate_subject),
    ['CN=stranger', undefined, undefined],
  )
  t.notOk(server.log.text().includes(canary))
})

/** The subject is what the command in the documentation prints, so that an operator can copy it. */
function selfSigned(directory: string, subject: string) {
  const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const openssl = (...args: string[]) => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' })
  openssl(
    ...[
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-utf8',
    ],
    ...['-subj', subject, '-keyout', keyFile, '-out', certFile],
  )
  const printed = openssl('x509', '-in', certFile, '-noout', '-subject', '-nameopt', 'RFC2253,-esc_msb')
  return {
    cert: readFileSync(certFile, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
    subject: printed.replace('subject=', '').trim(),
  }
}
