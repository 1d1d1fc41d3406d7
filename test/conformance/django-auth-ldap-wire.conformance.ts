/** django-auth-ldap's tests of the connection: options, faults, StartTLS, referrals, several searches, empty passwords. */
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { corpPeople, corpPeopleDn } from '../support/corp.ts'
import { startLdapServer } from '../support/ldap-server.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { administratorOf, beforeLocal, corpWith, personLdif, sentDuring, unitLdif } from './directory.ts'
import { LOCAL, openHouse } from './house.ts'
import { scriptedBackend } from './scripted-backend.ts'
import { conforms, differs } from './suite.ts'

const { alice } = corpPeople
const REFUSED = { status: 401, code: 'invalid_credentials' }
const OUT = { status: 503, code: 'backend_unavailable' }
const START_TLS = '1.3.6.1.4.1.1466.20037'
const contractors = 'ou=contractors,dc=corp,dc=example'
const elsewhere = 'ou=elsewhere,dc=corp,dc=example'
/** Where referrals point to; it counts who comes. */
const referred = await startTcpProxy(t, { port: 9 })
const slapd = await startSlapd(t, {
  ldif: corpWith(
    t,
    unitLdif('contractors'),
    personLdif('conny', { under: contractors }),
    `dn: ${elsewhere}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:${referred.port}/${elsewhere}`,
  ),
})
const corp = (changes: object = {}) => corpBackend(slapd, changes)

conforms('L02', async t => {
  const house = await openHouse(t, beforeLocal(corp({ base_dn: elsewhere })))
  const { binds } = await sentDuring(slapd, async () => {
    t.match(await house.login('alice', alice.password), OUT, 'a referral is no answer')
  })
  t.same(binds, [])
  t.match(house.attempts(), [{ fields: { steps: [{ detail: /^search: .*result 10/ }, {}, {}] } }])
  t.equal(referred.accepted(), 0, 'and is not followed')
})

conforms('L24', async t => {
  const away = corp({ urls: ['ldaps://127.0.0.1:1'] })
  const house = await openHouse(t, beforeLocal(away))
  const reply = await house.login('alice', alice.password)
  t.match(reply, OUT)
  t.match(house.attempts(), [
    {
      level: 'warn',
      fields: {
        event: 'authn_login_unavailable',
        request_id: reply.headers['x-request-id'],
        client: 'form',
        source: '192.0.2.1',
        steps: [{ backend: 'corp', outcome: 'unavailable', detail: /^connect: .*ECONNREFUSED/ }, {}, {}],
      },
    },
  ])
  const lost = await openHouse(t, beforeLocal(corp({ base_dn: 'ou=nowhere,dc=corp,dc=example' })))
  t.match(await lost.login('alice', alice.password), OUT)
  t.match(lost.attempts(), [
    { fields: { steps: [{ outcome: 'unavailable', detail: /^search: .*result 32/ }, {}, {}] } },
  ])
})

differs(
  'L25',
  'it is configuration and no listener: with `on: { unavailable: stop }` an error ends the attempt with 503, whoever comes after',
  async t => {
    const away = { urls: ['ldaps://127.0.0.1:1'] }
    const going = await openHouse(t, beforeLocal(corp(away)))
    t.match(await going.login(going.admin.username, going.admin.password), { status: 200 })
    const stopping = await openHouse(t, beforeLocal(corp({ ...away, on: { unavailable: 'stop' } })))
    t.match(await stopping.login(stopping.admin.username, stopping.admin.password), OUT)
    t.match(stopping.attempts().at(-1)?.fields.steps, [{ backend: 'corp', outcome: 'unavailable' }])
  },
)

differs(
  'L26',
  'a bug in a backend is an outage of that backend: an error with its stack in the log, 503, and charged to nobody, unless another one accepts',
  async t => {
    const buggy = scriptedBackend('buggy', () => {
      throw new TypeError('the bug of this test')
    })
    const backends = [{ id: 'buggy', type: 'buggy' }, corp(), LOCAL]
    const house = await openHouse(t, { backends }, { plugins: { buggy } })
    for (let attempt = 0; attempt < 6; attempt++) t.match(await house.login('nobody', 'whatever'), OUT)
    t.match(await house.login('alice', alice.password), { status: 200, body: { user: { backend: 'corp' } } })
    t.ok(house.log.at('error').length > 0)
    t.match(house.log.text(), /TypeError[\s\S]*the bug of this test/)
  },
)

conforms('L39', async t => {
  const extensions = async (work: () => Promise<unknown>) => {
    const before = (await slapd.log()).length
    await work()
    const log = (await slapd.log()).slice(before)
    return { startTls: log.includes(START_TLS), binds: log.match(/ BIND dn=/g)?.length ?? 0 }
  }
  const plain = { urls: [slapd.ldapUrl], tls: {}, insecure: true }
  const off = await extensions(async () => {
    const house = await openHouse(t, beforeLocal(corp(plain)))
    t.match(await house.login('alice', alice.password), { status: 200 })
  })
  t.same(off.startTls, false)
  const starttls = { urls: [slapd.startTlsUrl], tls: { starttls: true, ca_file: slapd.caFile } }
  const on = await extensions(async () => {
    const house = await openHouse(t, beforeLocal(corp(starttls)))
    t.match(await house.login('alice', alice.password), { status: 200 })
  })
  t.same(on.startTls, true)
  const { caFile } = await createCertificateAuthority(t.testdir(), 'Somebody else')
  const failed = await extensions(async () => {
    const stranger = { ...starttls, tls: { starttls: true, ca_file: caFile } }
    const house = await openHouse(t, beforeLocal(corp(stranger)))
    t.match(await house.login('alice', alice.password), OUT)
    t.ok(
      house.log.at('warn').some(({ message }) => message === 'a directory server cannot be used'),
      'with a warning',
    )
  })
  t.same(failed, { startTls: true, binds: 0 }, 'no bind leaves in clear')

  const refusing = await startLdapServer(t)
  const house = await openHouse(t, beforeLocal(corp({ ...starttls, urls: [refusing.url] })))
  t.match(await house.login('alice', alice.password), OUT)
  t.ok(refusing.requests.length > 0)
  t.ok(refusing.requests.every(({ operation }) => operation.type === 'extended'))
  const sent = refusing.clearText().toString('latin1')
  t.notOk(sent.includes(alice.password) || sent.includes(slapd.servicePassword))
})

conforms('L40', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  t.ok((await administratorOf(slapd).references()) > 0, 'a search brings a reference, too')
  t.match(await house.login('alice', alice.password), { status: 200, body: { user: { username: 'alice' } } })
  t.match(await house.login('elsewhere', alice.password), REFUSED, 'a reference is nobody')
  t.equal(referred.accepted(), 0)
})

differs(
  'L41',
  'one backend has one base and one filter, in which `|` unites; more bases are more backends, each with ids of its own',
  async t => {
    const people = corp({ id: 'people', base_dn: corpPeopleDn })
    const house = await openHouse(t, beforeLocal(people, corp({ id: 'others', base_dn: contractors })))
    t.match(await house.login('alice', alice.password), {
      status: 200,
      body: { user: { backend: 'people' } },
    })
    t.match(await house.login('conny', 'conny-secret-1'), {
      status: 200,
      body: { user: { backend: 'others' } },
    })
    const user_filter = '(|(uid={username})(&(objectClass=inetOrgPerson)(telephoneNumber={username})))'
    const united = await openHouse(t, beforeLocal(corp({ user_filter })))
    const byName = await united.login('alice', alice.password)
    const byPhone = await united.login('+44 1865 276150', alice.password)
    t.match(byName, { status: 200 })
    t.same(byPhone.body, byName.body, 'one of both is the same person')
  },
)

conforms('L42', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  t.match(await house.login('alice', alice.password), { status: 200 })
  const sent = await sentDuring(slapd, async () => {
    for (const password of ['', ' ', '\u00ad', '\0', null, undefined]) {
      const reply = await house.login('alice', password)
      t.match(reply, { status: 400, code: 'invalid_request' }, JSON.stringify(password))
    }
  })
  t.same(sent, { binds: [], searches: [] })
})

differs(
  'L43',
  'there is no opt-in: an empty password is an anonymous success on many servers (RFC 4513 section 5.1.2), so no bind is ever sent with one',
  async t => {
    for (const key of ['permit_empty_password', 'allow_empty_password']) {
      await t.rejects(openHouse(t, beforeLocal(corp({ [key]: true }))), { message: new RegExp(key) })
    }
    const options = await readFile(new URL('../../config/gatehouse.schema.json', import.meta.url), 'utf8')
    t.notMatch(options, /"[a-z_]*empty[a-z_]*":/, 'no option is about it')
    const anonymous = corp({ bind: { method: 'anonymous' } })
    const house = await openHouse(t, beforeLocal(anonymous))
    const { binds } = await sentDuring(slapd, async () => {
      t.match(await house.login('alice', ''), { status: 400, code: 'invalid_request' })
    })
    t.same(binds, [])
  },
)
