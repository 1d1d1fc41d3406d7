/** One connection: what TLS failures are called, the client certificate, the policy control, pages, and the sign of life. */
import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { EqualityFilter, PresenceFilter } from 'ldapts'
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import { checkClientCertificate } from '../../../src/backends/ldap/wire/client-certificate.ts'
import { Connection, type SearchRequest } from '../../../src/backends/ldap/wire/connection.ts'
import { type DialOptions, dial } from '../../../src/backends/ldap/wire/dial.ts'
import { parseEndpoint } from '../../../src/backends/ldap/wire/endpoint.ts'
import { DirectoryFailure } from '../../../src/backends/ldap/wire/failure.ts'
import { describe, subCode } from '../../../src/backends/ldap/wire/result.ts'
import { explainTls, tellExplanation } from '../../../src/backends/ldap/wire/tls-failure.ts'
import { trustedAbove } from '../../../src/backends/ldap/wire/trusted.ts'
import { createCertificateAuthority } from '../../support/certificate-authority.ts'
import { bindResponse, extendedResponse, searchDone, searchEntry } from '../../support/ldap-message.ts'
import { type LdapServerOptions, startLdapServer } from '../../support/ldap-server.ts'
import { startSlapd } from '../../support/slapd.ts'
import { openDesk, slapdOptions, tlsOptions } from './ldap-login.ts'

const directory = t.testdir()
const authority = await createCertificateAuthority(join(directory, 'ca'), 'Corp Root')
const stranger = await createCertificateAuthority(join(directory, 'stranger'), 'Somebody Else')
const POLICY = '1.3.6.1.4.1.42.2.27.8.5.1'
const PAGES = '1.2.840.113556.1.4.319'
const soon = () => AbortSignal.timeout(5_000)
const dialing = (changes: Partial<DialOptions> = {}): DialOptions => ({
  ca: authority.ca,
  minVersion: 'TLSv1.2',
  servername: undefined,
  connectTimeoutMs: 2_000,
  ...changes,
})

async function reasonFor(url: string, changes: Partial<DialOptions> = {}): Promise<DirectoryFailure> {
  const failure = await dial(parseEndpoint(url, false), dialing(changes), soon()).then(
    stream => stream.destroy(),
    error => error,
  )
  t.ok(failure instanceof DirectoryFailure)
  return failure
}

t.test('a certificate without a subject is as good as any, by its alternative names', async t => {
  const certificate = await authority.issue({ commonName: '' })
  const { url } = await startLdapServer(t, { certificate, implicitTls: true })
  const stream = await dial(parseEndpoint(url, false), dialing(), soon())
  t.match(stream.tls?.chain, [{ subject: '', names: ['localhost', '127.0.0.1'] }])
  stream.destroy()
  t.match(await reasonFor(url, { ca: stranger.ca }), { phase: 'tls', message: /Corp Root/ })
})

t.test('a refusal of StartTLS is told in as many words as anybody reads', async t => {
  const { url } = await startLdapServer(t, {
    onRequest: ({ id }, connection) =>
      connection.send(extendedResponse(id, { code: 53, diagnosticMessage: 'no'.repeat(20_000) })),
  })
  const failure = await dial(parseEndpoint(url, true), dialing(), soon()).catch(error => error)
  t.match(failure, { phase: 'tls', message: /StartTLS was refused: result 53 \(unwillingToPerform\)/ })
  t.ok(failure.message.length < 500)
})

t.test('a failed TLS handshake says what is wrong and what to do', async t => {
  const day = 86_400_000
  const yesterday = Date.now() - day
  const implicit = async (certificate: LdapServerOptions['certificate']) =>
    (await startLdapServer(t, { ...(certificate && { certificate }), implicitTls: true })).url

  const misnamed = await implicit(await authority.issue({ names: ['DNS:dc1.corp.example', 'IP:192.0.2.1'] }))
  t.match(await reasonFor(misnamed), {
    phase: 'tls',
    connectionLost: true,
    message: /it is for dc1\.corp\.example, 192\.0\.2\.1, and not for localhost: use one of its names/,
    explanation: { advice: /tls\.servername/ },
  })
  t.match(
    await reasonFor(misnamed, { servername: 'dc2.corp.example' }),
    { message: /and not for dc2\.corp\.example: correct `tls\.servername`/ },
    'the name in `urls` is not what is checked',
  )
  const expired = await implicit(
    await authority.issue({ validFrom: yesterday - day, validUntil: yesterday, commonName: 'old' }),
  )
  t.match(await reasonFor(expired), {
    message: new RegExp(`"CN=old" expired on ${new Date(yesterday).toISOString().slice(0, 16)}`),
  })
  const early = await implicit(await authority.issue({ validFrom: Date.now() + day / 2 }))
  t.match(await reasonFor(early), { message: /not valid before \d{4}-.*clocks/ })
  for (const names of [['email:alice@corp.example'], ['URI:ldap://localhost'], ['IP:192.0.2.9']]) {
    const byCnOnly = await implicit(await authority.issue({ names, commonName: 'localhost' }))
    t.match(await reasonFor(byCnOnly), { phase: 'tls', message: /not for localhost/ }, `a CN, and ${names}`)
  }
  const nameless = await implicit(await authority.issue({ names: [] }))
  t.match(await reasonFor(nameless), { message: /no subjectAltName.*not one for localhost/ })

  const sound = await implicit(await authority.issue())
  t.match(await reasonFor(sound, { ca: stranger.ca }), {
    message: /issued by "CN=Corp Root", and no certificate of that CA is in tls\.ca_file/,
  })
  t.match(await reasonFor(sound, { ca: undefined }), { message: /the list of CAs that Node\.js trusts/ })
})

t.test('old protocols, foreign ones and silence are told apart', async t => {
  const certificate = await authority.issue()
  const listen = async (options: TlsOptions) => {
    const server = createTlsServer({ cert: certificate.cert, key: certificate.key, ...options })
    server.on('tlsClientError', () => {}).on('secureConnection', socket => socket.on('error', () => {}))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    return `ldaps://localhost:${(server.address() as AddressInfo).port}`
  }
  const old = await listen({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' })
  t.match(await reasonFor(old), { message: /speaks no TLS as new as TLSv1\.2/ })
  const modest = await listen({ maxVersion: 'TLSv1.2' })
  t.match(await reasonFor(modest, { minVersion: 'TLSv1.3' }), {
    message: /as new as TLSv1\.3: set `tls\.min_version: TLSv1\.2`/,
  })

  const speak = async (greet: string) => {
    const server = createTcpServer(socket => {
      socket.on('error', () => {})
      if (greet === '') socket.destroy()
      else socket.end(greet)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    return `ldaps://localhost:${(server.address() as AddressInfo).port}`
  }
  t.match(await reasonFor(await speak('SSH-2.0-OpenSSH_9.2\r\n')), { message: /does not speak TLS: .*port/ })
  t.match(await reasonFor(await speak('')), { message: /hung up during the TLS handshake: .*certificate/ })
})

t.test('whatever else TLS says is told as it is, and nothing is left out', async t => {
  const failed = (code: string, message = 'x') => Object.assign(new Error(message), { code })
  const told = (code: string) => tellExplanation(explainTls(failed(code)))
  t.match(
    told('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'),
    /wants a client certificate: set `tls\.cert_file`/,
  )
  for (const alert of ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE']) {
    t.match(told(alert), /refuses our client certificate/)
  }
  t.match(told('DEPTH_ZERO_SELF_SIGNED_CERT'), /self-signed/)
  t.match(told('SELF_SIGNED_CERT_IN_CHAIN'), /`tls\.ca_file`/)
  t.match(told('ERR_SSL_EE_KEY_TOO_SMALL'), /too weak/)
  t.match(told('ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR'), /alert internal error/)
  t.equal(tellExplanation(explainTls(failed('ELSE', 'some\nthing'))), 'some thing')
  t.equal(tellExplanation(explainTls('text')), 'text')
  const many = Array.from({ length: 50 }, (_, index) => `dc${index}.corp.example`)
  const chain = [{ subject: 'a', issuer: 'b', names: many, validFromMs: 0, validToMs: Number.NaN }]
  const long = tellExplanation(explainTls(failed('ERR_TLS_CERT_ALTNAME_INVALID'), { name: 'x', chain }))
  t.match(long, /dc7\.corp\.example and 42 more/)
  t.match(tellExplanation(explainTls(failed('CERT_HAS_EXPIRED'), { chain })), /at a time unknown/)
})

t.test('a connection knows until when the certificate of its server is valid', async t => {
  const validUntil = Math.floor((Date.now() + 40_000_000) / 1000) * 1000
  const certificate = await authority.issue({ validUntil })
  const server = await startLdapServer(t, { certificate, implicitTls: true })
  const connection = new Connection(await dial(parseEndpoint(server.url, false), dialing(), soon()), 1_000)
  t.teardown(() => connection.close())
  t.equal(connection.certificateExpiresAt, validUntil)

  const startTls = await startLdapServer(t, { certificate })
  const upgraded = await dial(parseEndpoint(startTls.url, true), dialing(), soon())
  t.equal(upgraded.certificateExpiresAt, validUntil, 'after StartTLS, too')
  upgraded.destroy()
  const plain = await dial(parseEndpoint(startTls.url, false), dialing(), soon())
  t.equal(plain.certificateExpiresAt, undefined)
  plain.destroy()
})

t.test('a client certificate that cannot work stops the start', async t => {
  const { cert, key } = await authority.issue()
  const other = await authority.issue()
  t.equal(checkClientCertificate({ cert, key }).cert, cert)
  t.throws(() => checkClientCertificate({ cert, key: other.key }), /do not belong together/)
  t.throws(() => checkClientCertificate({ cert: 'x', key }), /cert_file: it holds no PEM certificate/)
  t.throws(() => checkClientCertificate({ cert, key: cert }), /key_file: it holds no PEM private key/)
  const encrypted = execFileSync('openssl', ['pkcs8', '-topk8', '-passout', 'pass:x'], { input: key })
  t.throws(() => checkClientCertificate({ cert, key: String(encrypted) }), /encrypted/)

  const files = { cert_file: join(directory, 'c.pem'), key_file: join(directory, 'nowhere.key') }
  writeFileSync(files.cert_file, cert)
  const urls = ['ldaps://localhost:1']
  const options = slapdOptions({ ldapsUrl: urls[0], caFile: authority.caFile } as never)
  await t.rejects(openDesk(t, { ...options, tls: tlsOptions(files) }), /nowhere\.key/)
})

const external = await startSlapd(t, {
  serverConfig: `
TLSVerifyClient try
authz-regexp "^cn=gatehouse-daemon$" "cn=gatehouse,ou=services,dc=corp,dc=example"
`,
})

t.test('the client certificate is the service account (SASL EXTERNAL)', async t => {
  const own = await external.certificateAuthority.issue({ commonName: 'gatehouse-daemon', names: [] })
  const desk = await openDesk(
    t,
    slapdOptions(external, {
      bind: { method: 'external' },
      tls: tlsOptions({ ca_file: external.caFile, cert_file: own.certFile, key_file: own.keyFile }),
    }),
  )
  t.match(await desk.login('alice', 'alice-secret-1'), {
    outcome: 'accept',
    user: { username: 'alice' },
  })
  t.match(await desk.login('alice', 'wrong'), { outcome: 'wrong_password' })
  t.same(desk.log.at('warn'), [], 'its key is for nobody else')
  chmodSync(own.keyFile, 0o644)
  const open = await openDesk(
    t,
    slapdOptions(external, {
      bind: { method: 'external' },
      tls: tlsOptions({ ca_file: external.caFile, cert_file: own.certFile, key_file: own.keyFile }),
    }),
  )
  t.match(open.log.at('warn'), [{ message: /every user of this machine may read tls\.key_file/ }])
  t.match(await external.log(), /BIND dn="cn=gatehouse,ou=services,dc=corp,dc=example" mech=EXTERNAL/)
})

t.test('a client certificate that the server does not trust is an outage with a reason', async t => {
  const foreign = await stranger.issue({ commonName: 'gatehouse-daemon' })
  const desk = await openDesk(
    t,
    slapdOptions(external, {
      bind: { method: 'external' },
      tls: tlsOptions({ ca_file: external.caFile, cert_file: foreign.certFile, key_file: foreign.keyFile }),
    }),
  )
  t.match(await desk.login('alice', 'alice-secret-1'), {
    outcome: 'unavailable',
    credentialSent: false,
    cause: /client certificate/,
  })
})

t.test('what the password policy says is read beside yes and beside no', async t => {
  const answers: Record<string, Parameters<typeof bindResponse>[1]> = {
    'cn=grace': { controls: [{ oid: POLICY, value: Buffer.from('3005a003810102', 'hex') }] },
    'cn=soon': { controls: [{ oid: POLICY, value: Buffer.from('3006a00480020e10', 'hex') }] },
    'cn=expired': { code: 49, controls: [{ oid: POLICY, value: Buffer.from('3003810100', 'hex') }] },
    'cn=locked': { code: 49, controls: [{ oid: POLICY, value: Buffer.from('3003810101', 'hex') }] },
    'cn=reset': { controls: [{ oid: POLICY, value: Buffer.from('3003810102', 'hex') }] },
    'cn=history': { controls: [{ oid: POLICY, value: Buffer.from('3003810108', 'hex') }] },
    'cn=nothing': { controls: [{ oid: POLICY, value: Buffer.from('3000', 'hex') }] },
    'cn=none': {},
    'cn=negative': { controls: [{ oid: POLICY, value: Buffer.from('3005a0038001ff', 'hex') }] },
    'cn=garbage': { controls: [{ oid: POLICY, value: Buffer.from('30ff', 'hex') }] },
  }
  const asked: boolean[] = []
  const server = await startLdapServer(t, {
    onRequest: ({ id, operation, bytes }, connection) => {
      if (operation.type !== 'bind') return
      asked.push(bytes.includes(POLICY))
      connection.send(bindResponse(id, answers[operation.dn]))
    },
  })
  const bind = async (dn: string, policy: boolean) => {
    const connection = new Connection(await dial(parseEndpoint(server.url, false), dialing(), soon()), 1_000)
    t.teardown(() => connection.close())
    return connection.bind(dn, new Secret('secret'), soon(), { policy })
  }
  const said: Record<string, unknown> = {
    'cn=grace': { graceLogins: 2 },
    'cn=soon': { expiresInSeconds: 3600 },
    'cn=expired': { error: 'password_expired' },
    'cn=locked': { error: 'account_locked' },
    'cn=reset': { error: 'change_after_reset' },
    'cn=history': {},
    'cn=nothing': {},
    'cn=none': undefined,
    'cn=negative': {},
  }
  for (const [dn, policy] of Object.entries(said)) {
    const answer = await bind(dn, true)
    t.same(answer.policy, policy, dn)
    t.equal(answer.code, answers[dn]?.code ?? 0)
  }
  t.same(new Set(asked), new Set([true]))
  const garbage = await bind('cn=garbage', true).catch(error => error)
  t.ok(garbage instanceof DirectoryFailure, 'what cannot be read is no yes')
  t.match(garbage, { credentialSent: true, connectionLost: true })
  asked.length = 0
  t.equal((await bind('cn=expired', false)).policy, undefined)
  t.same(asked, [false], 'it is asked for only where the preset says so')
})

t.test('a long answer comes in pages, to the limit and no further', async t => {
  const connection = new Connection(
    await dial(parseEndpoint(external.ldapUrl, false), dialing(), soon()),
    2_000,
  )
  t.teardown(() => connection.close())
  await connection.bind(external.serviceDn, new Secret(external.servicePassword))
  const people: SearchRequest = {
    base: 'ou=people,dc=corp,dc=example',
    scope: 'sub',
    filter: new EqualityFilter({ attribute: 'objectClass', value: 'inetOrgPerson' }),
    attributes: ['uid'],
    sizeLimit: 1_000,
  }
  const whole = await connection.search(people)
  const before = (await external.searches()).length
  const paged = await connection.search({ ...people, pageSize: 4 })
  t.same([paged.code, paged.entries], [0, whole.entries])
  t.equal(
    (await external.searches()).length - before,
    Math.ceil(whole.entries.length / 4),
    'one exchange a page',
  )
  const cut = await connection.search({ ...people, pageSize: 4, sizeLimit: 6 })
  t.same([cut.code, cut.entries.length], [4, 6])
  const exact = await connection.search({ ...people, pageSize: 4, sizeLimit: whole.entries.length })
  t.same([exact.code, exact.entries.length], [0, whole.entries.length])
  const together = await Promise.all([
    connection.search({ ...people, pageSize: 3 }),
    connection.search(people),
    connection.search({ ...people, pageSize: 5 }),
    connection.search({ ...people, base: 'ou=nowhere,dc=corp,dc=example', pageSize: 5 }),
  ])
  t.same(
    together.map(({ code, entries }) => [code, entries.length]),
    [
      [0, whole.entries.length],
      [0, whole.entries.length],
      [0, whole.entries.length],
      [32, 0],
    ],
    'several at once do not get in the way of each other',
  )
})

t.test('a server that knows no pages, or no end of them, is put up with', async t => {
  let pages = 0
  const cookie = Buffer.from('3007020100040265 78'.replaceAll(' ', ''), 'hex')
  const server = await startLdapServer(t, {
    onRequest: ({ id, operation }, connection) => {
      if (operation.type !== 'search') return
      pages++
      const endless = operation.base === 'cn=endless'
      const entry = searchEntry(id, 'cn=a', { cn: 'a' })
      connection.send(
        ...(endless ? [] : [entry, entry, entry]),
        searchDone(id, endless ? { controls: [{ oid: PAGES, value: cookie }] } : {}),
      )
    },
  })
  const connection = new Connection(await dial(parseEndpoint(server.url, false), dialing(), soon()), 2_000)
  t.teardown(() => connection.close())
  const request = {
    scope: 'sub',
    attributes: ['cn'],
    filter: new PresenceFilter({ attribute: 'cn' }),
  } as const
  const all = await connection.search({ ...request, base: 'cn=all', pageSize: 2, sizeLimit: 10 })
  t.same([all.code, all.entries.length, pages], [0, 3, 1])
  await t.rejects(
    connection.search({ ...request, base: 'cn=endless', pageSize: 10, sizeLimit: 10 }),
    /page after page/,
  )
})

t.test('a connection is given up after a result that is about itself, and after silence', async t => {
  let code: number | undefined
  const server = await startLdapServer(t, {
    onRequest: ({ id, operation }, connection) => {
      if (operation.type === 'search' && code !== undefined) connection.send(searchDone(id, { code }))
    },
  })
  const ask = async (timeoutMs: number) => {
    const connection = new Connection(
      await dial(parseEndpoint(server.url, false), dialing(), soon()),
      timeoutMs,
    )
    t.teardown(() => connection.close())
    const filter = new PresenceFilter({ attribute: 'cn' })
    const request = { base: '', scope: 'sub', attributes: ['cn'], filter, sizeLimit: 1 } as const
    const started = performance.now()
    const answer = await connection.search(request).catch(error => error)
    return { answer, usable: connection.usable, ms: performance.now() - started }
  }
  for (const [result, usable] of [
    [0, true],
    [1, false],
    [32, true],
    [49, true],
    [50, true],
    [51, false],
    [52, false],
    [53, true],
    [80, false],
  ] as const) {
    code = result
    t.match(await ask(1_000), { answer: { code: result }, usable }, `${result}`)
  }
  code = undefined
  const silence = await ask(100)
  t.match(silence, { answer: { phase: 'search', connectionLost: true }, usable: false })
  t.ok(silence.ms < 1_000, `${silence.ms} ms`)
})

t.test('a sign of life is an answer, whatever it says, and silence ends the connection', async t => {
  let answer: ((id: number) => Buffer) | undefined = id => searchDone(id)
  const server = await startLdapServer(t, {
    onRequest: ({ id, operation }, connection) => {
      if (operation.type === 'search' && answer) connection.send(answer(id))
    },
  })
  const open = async () =>
    new Connection(await dial(parseEndpoint(server.url, false), dialing(), soon()), 10_000)
  const connection = await open()
  t.equal(await connection.ping(1_000), true)
  t.match(server.requests[0]?.operation, { base: '', scope: 'base', attributes: ['1.1'], sizeLimit: 1 })
  answer = id => searchDone(id, { code: 50 })
  t.equal(await connection.ping(1_000), true, 'a refusal is one')
  answer = id => searchDone(id, { code: 52 })
  t.equal(await connection.ping(1_000), true, 'so is the word of a server that is going away')
  t.equal(connection.usable, false, 'and nothing is asked there any more')
  t.equal(await connection.ping(1_000), false)

  answer = undefined
  const silent = await open()
  const started = performance.now()
  t.equal(await silent.ping(50), false)
  t.ok(performance.now() - started < 1_000, 'it does not wait for the deadline of an operation')
  t.equal(silent.usable, false)
})

t.test('results of Active Directory that need a change of the configuration say which', async t => {
  const told = (code: number, message = '') => describe({ code, message })
  t.match(
    told(
      8,
      '00002028: LdapErr: DSID-0C090259, comment: The server requires binds to turn on integrity checking if SSL\\TLS are not already active on the connection, data 0, v4563',
    ),
    /LDAPServerIntegrity.*ldaps:\/\//,
  )
  t.match(told(8, 'BindSimple: Transport encryption required.'), /use ldaps:\/\//)
  t.match(
    told(49, '80090346: LdapErr: DSID-0C090597, comment: AcceptSecurityContext error, data 80090346, v4563'),
    /channel binding/,
  )
  t.match(
    told(
      1,
      '000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be completed on the connection., data 0',
    ),
    /anonymously/,
  )
  t.match(
    told(49, '80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 775, v1db1\0'),
    /the account is locked$/,
  )
  t.equal(told(49), 'result 49 (invalidCredentials)')
  t.match(told(99, 'x\ny'), /result 99 \(not a known result\): "x y"/)
  t.equal(subCode({ code: 49, message: 'AcceptSecurityContext error, data 0052E, v' }), '52e')
  t.equal(subCode({ code: 49, message: 'data 775' }), undefined, 'in the words of Active Directory only')
  t.equal(
    subCode({ code: 53, message: 'AcceptSecurityContext error, data 775' }),
    undefined,
    'of result 49 only',
  )
})

t.test(
  'the system asks an idle server now and then whether it is there, before a NAT forgets us (F04)',
  async t => {
    const server = await startLdapServer(t, {})
    const url = parseEndpoint(server.url, false)
    const stream = await dial(url, dialing(), soon())
    t.teardown(() => stream.destroy())
    // proc(5): the remote port in hexadecimal, then the state, the queues, and `02` for the keepalive timer with its ticks.
    const port = url.port.toString(16).toUpperCase().padStart(4, '0')
    const row = new RegExp(`:${port} 01 [0-9A-F:]+ (\\d\\d):([0-9A-F]+)`)
    const sockets = ['tcp', 'tcp6'].map(family => readFileSync(`/proc/net/${family}`, 'utf8')).join('')
    const [, timer, ticks = ''] = row.exec(sockets) ?? []
    t.equal(timer, '02', 'the keepalive timer')
    const TICKS_PER_SECOND = 100
    t.ok(Number.parseInt(ticks, 16) <= 30 * TICKS_PER_SECOND + 10, ticks)
  },
)

t.test('of a CA that has expired the server is not blamed', async t => {
  const day = 86_400_000
  const validUntil = Math.floor((Date.now() - day) / 1000) * 1000
  const old = await createCertificateAuthority(join(directory, 'old'), 'Old Root', validUntil)
  const implicit = async (request: Parameters<typeof old.issue>[0]) => {
    const certificate = await old.issue(request)
    return (await startLdapServer(t, { certificate, implicitTls: true })).url
  }
  const sound = await implicit({ validUntil: Date.now() + 100 * day })
  t.match(await reasonFor(sound, { ca: old.ca, caFile: old.caFile }), {
    explanation: {
      reason: `the CA "CN=Old Root" in tls.ca_file has expired, on ${new Date(validUntil).toISOString()}`,
      advice: `put its new certificate into \`tls.ca_file\` (${old.caFile})`,
    },
  })
  const both = await implicit({ commonName: 'old', validUntil: Date.now() - 1000 })
  t.match(await reasonFor(both, { ca: old.ca }), { message: /the certificate of "CN=old" expired on/ })

  const failed = (code: string) => Object.assign(new Error('x'), { code })
  const chain = [{ subject: 'a', issuer: 'b', names: [], validFromMs: 0, validToMs: Date.now() + day }]
  const told = (code: string, ownCa: boolean) =>
    tellExplanation(explainTls(failed(code), { chain, ownCa, ca: authority.ca }))
  t.match(told('CERT_HAS_EXPIRED', true), /^a CA in tls\.ca_file has expired: put its new certificate/)
  t.match(told('CERT_HAS_EXPIRED', false), /^a CA in the list of CAs that Node\.js trusts has expired: /)
  t.match(told('CERT_NOT_YET_VALID', true), /^a CA in tls\.ca_file is not valid yet: /)
})

t.test('the trusted CAs above a certificate are found by their names, however they are ordered', async t => {
  const renewed = await createCertificateAuthority(join(directory, 'renewed'), 'Corp Root', Date.now() + 1e9)
  const above = trustedAbove('CN=Corp Root', `${renewed.ca}\n${stranger.ca}\nrubbish\n${authority.ca}`)
  t.equal(above.length, 1)
  t.ok((above[0]?.validToMs ?? 0) > Date.now() + 1e10, 'the one that ends last')
  t.same(trustedAbove('CN=Nobody', stranger.ca), [])
  t.same(trustedAbove('CN=Nobody', undefined), [])
})

t.test('what ends a handshake is blamed for what it is', async t => {
  const told = (code: string) => tellExplanation(explainTls(Object.assign(new Error('x'), { code })))
  t.match(
    told('ERR_SSL_DH_KEY_TOO_SMALL'),
    /^the Diffie-Hellman parameters of the server are too small: .*ECDHE/,
  )
  t.match(told('ERR_SSL_CA_KEY_TOO_SMALL'), /^the certificate or key of the server is too weak/)
  t.equal(
    told('ERR_SSL_SSLV3_ALERT_UNEXPECTED_MESSAGE'),
    'the server ended TLS with the alert unexpected message',
    'who says so speaks TLS',
  )
})
