/** F08 and F09: encryption that is refused, taken away, or worth nothing. */
import t from 'tap'
import { type CertificateRequest, createCertificateAuthority } from '../support/certificate-authority.ts'
import { corpPeople } from '../support/corp.ts'
import { extendedResponse } from '../support/ldap-message.ts'
import { startLdapServer } from '../support/ldap-server.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { attemptsOf, LOCAL, newFolder } from './harness.ts'
import { countOf, holdInvariants } from './invariants.ts'
import { behave, directory, openScriptedScene, type Script, testAuthority } from './scripted-scene.ts'

const { alice, bob } = corpPeople
const people = [alice, bob]
const DAY_MS = 86_400_000

t.test('F08 StartTLS that is refused or stripped sends no octet of a bind in clear', async t => {
  const authority = await testAuthority()
  const certificate = await authority.issue()
  let script = behave
  const server = await startLdapServer(t, { certificate, directory, onRequest: (...what) => script(...what) })
  const proxy = await startTcpProxy(t, { port: server.port })
  const { scene } = await openScriptedScene(t, {
    corp: {
      urls: [`ldap://localhost:${proxy.port}`],
      insecure: false,
      tls: { starttls: true, ca_file: authority.caFile },
    },
  })
  const onStartTls =
    (misbehave: Script): Script =>
    (request, connection) =>
      (request.operation.type === 'extended' ? misbehave : behave)(request, connection)
  const ways: Record<string, Script> = {
    'refused with 52': ({ id }, connection) => connection.send(extendedResponse(id, { code: 52 })),
    'refused with 2': ({ id }, connection) => connection.send(extendedResponse(id, { code: 2 })),
    'a yes, and then no TLS': ({ id }, connection) => connection.send(extendedResponse(id)),
    'closed instead': (_, connection) => connection.end(),
    'reset instead': (_, connection) => connection.reset(),
    silence: () => {},
  }
  await scene.fault(
    async () => {
      for (const [way, misbehave] of Object.entries(ways)) {
        script = onStartTls(misbehave)
        proxy.cut('rst')
        const made = await attemptsOf(scene, alice, 6, 3)
        t.equal(countOf(made, 503), made.length, way)
      }
    },
    () => {
      script = behave
    },
  )
  await holdInvariants(t, scene, { people })
  const wire = proxy.bytes('toServer').toString('latin1')
  t.ok(wire.length > 1_000, 'every octet was recorded')
  for (const secret of ['-secret-1', scene.canary, alice.dn])
    t.notOk(wire.includes(secret), 'nothing in clear')
  const inClear = server.requests.filter(({ encrypted }) => !encrypted)
  t.ok(inClear.length > 0 && inClear.every(({ operation }) => operation.type === 'extended'))
})

t.test('F09 a certificate that is no good accepts nobody, and the log has the exact reason', async t => {
  const authority = await testAuthority()
  const unknown = await createCertificateAuthority(newFolder(), 'Somebody else')
  const now = Date.now()
  const bad: Record<string, readonly [CertificateRequest & { by?: typeof unknown }, reason: RegExp]> = {
    expired: [{ validUntil: now - 1_000 }, /expired/],
    early: [{ validFrom: now + DAY_MS / 2 }, /is not valid before/],
    misnamed: [{ names: ['DNS:elsewhere.example'] }, /for elsewhere\.example, and not for localhost/],
    nameless: [{ names: [] }, /no subjectAltName/],
    unknown: [{ by: unknown }, /issued by ".*Somebody else", and no certificate of that CA/],
    'weak-key': [{ weak: 'key' }, /certificate key too weak/],
    'weak-signature': [{ weak: 'signature' }, /signature|digest|md too weak/i],
  }
  /** In front of the one that is well, so that one login meets them all. */
  const before: object[] = []
  const backend = (id: string, url: string) => ({
    id,
    type: 'ldap',
    preset: 'openldap',
    urls: [url],
    tls: { ca_file: authority.caFile },
    bind: { dn: 'cn=gatehouse,ou=services,dc=corp,dc=example', password: 'gatehouse-secret-1' },
    base_dn: 'dc=corp,dc=example',
    username_filter: [`!${LOCAL.uid}`],
    timeout: '1s',
    connect_timeout: '500ms',
    operation_timeout: '500ms',
    pool: { search: 1, bind: 1 },
  })
  const servers = []
  for (const [id, [{ by = authority, ...request }]] of Object.entries(bad)) {
    const { key, cert } = await by.issue(request)
    // A server of the kind that shows such a certificate does not look at it either.
    const certificate = { key, cert, ...(request.weak && { ciphers: 'DEFAULT@SECLEVEL=0' }) }
    const server = await startLdapServer(t, { certificate, implicitTls: true, directory })
    servers.push(server)
    before.push(backend(id, server.url))
  }
  // Only TLS 1.0 and 1.1, which no OpenSSL of today speaks unless it is forced to.
  const { key, cert } = await authority.issue()
  const old = { key, cert, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
  const outdated = await startLdapServer(t, { certificate: old, implicitTls: true, directory })
  before.push(backend('outdated', outdated.url))

  const certificate = await authority.issue()
  const { scene } = await openScriptedScene(
    t,
    // The service account's password stands in the file here.
    { before, corp: { tls: { ca_file: authority.caFile } }, deadlineMs: 1_000 },
    { certificate, implicitTls: true },
  )
  await scene.fault(async () => {
    const { status, requestId } = await scene.login(alice)
    t.equal(status, 200, 'the one that is well lets her in')
    const { steps } = await scene.daemon.line(({ request_id }) => request_id === requestId)
    for (const [id, [, reason]] of Object.entries({
      ...bad,
      outdated: [{}, /speaks no TLS as new as/] as const,
    })) {
      const step = (steps as { backend: string; outcome: string; detail?: string }[]).find(
        ({ backend }) => backend === id,
      )
      t.match(step, { outcome: 'unavailable', detail: reason }, id)
    }
  })
  await holdInvariants(t, scene, { people, secretsInConfig: true })
  for (const server of [...servers, outdated]) t.same(server.requests, [], 'nothing was asked')
})
