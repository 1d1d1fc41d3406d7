/** SSSD's tests of outages, of servers that come back, of expired passwords, of names, and of LDAPS. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { corpPeople, corpPeopleDn } from '../support/corp.ts'
import { startDnsServer } from '../support/dns-server.ts'
import { startSamba } from '../support/samba.ts'
import { sambaDomain, sambaPeople } from '../support/samba-people.ts'
import { corpBackend } from '../support/slapd.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { beforeLocal, personLdif, policyDn, policyLdif, startPolicySlapd } from './directory.ts'
import { type House, openHouse } from './house.ts'
import { conforms, differs } from './suite.ts'

const { alice } = corpPeople
const REFUSED = { status: 401, code: 'invalid_credentials' }
const OUT = { status: 503, code: 'backend_unavailable' }
const LONG_AGO = 'pwdChangedTime: 20200101000000Z'
const [slapd, samba] = await Promise.all([
  startPolicySlapd(t, {
    entries: [
      policyLdif('grace', 'pwdMaxAge: 86400', 'pwdGraceAuthNLimit: 2'),
      personLdif('graceful', { more: [LONG_AGO, `pwdPolicySubentry: ${policyDn('grace')}`] }),
      personLdif('spacer')
        .replace('uid=spacer', 'cn=spacer')
        .replace('uid: spacer', `uid:: ${Buffer.from(' spacer').toString('base64')}`),
    ],
  }),
  startSamba(t),
])
const corp = (changes: object = {}) => corpBackend(slapd, changes)
const domain = (changes: object = {}) => ({
  id: 'corp',
  type: 'ldap',
  preset: 'active-directory',
  urls: [samba.ldapsUrl],
  tls: { ca_file: samba.caFile },
  bind: { dn: samba.serviceDn, password: samba.servicePassword },
  base_dn: samba.baseDn,
  names: { netbios: sambaDomain.netbios, upn_suffixes: [sambaDomain.dns] },
  ...changes,
})

const urlOf = ({ port }: TcpProxy) => `ldaps://localhost:${port}`

async function unplug(proxy: TcpProxy): Promise<void> {
  await proxy.refuse()
  proxy.cut('rst')
}

/** The next login that the outage does not answer: a probe of the daemon's own ends it, within a second or so. */
async function afterOutage(house: House, password: string) {
  let reply = await house.login('alice', password)
  for (let tries = 0; reply.status === 503 && tries < 400; tries++) {
    await pause(25)
    reply = await house.login('alice', password)
  }
  return reply
}

differs(
  'S01',
  'no password is kept, not even as a hash: while the directory is away it is 503 for the right and the wrong one alike',
  async t => {
    const line = await startTcpProxy(t, { port: slapd.ldapsPort })
    const house = await openHouse(t, beforeLocal(corp({ urls: [urlOf(line)], entry_cache: '10m' })))
    t.match(await house.login('alice', alice.password), { status: 200 })
    await unplug(line)
    const [right, wrong] = [await house.login('alice', alice.password), await house.login('alice', 'wrong')]
    t.match(right, OUT)
    t.match(wrong, OUT)
    const { request_id: _, ...said } = right.body
    t.match(wrong.body, said, 'nothing tells them apart')
  },
)

conforms('S02', async t => {
  const line = await startTcpProxy(t, { port: slapd.ldapsPort })
  const lockout = { max_attempts: 2 }
  const house = await openHouse(t, { ...beforeLocal(corp({ urls: [urlOf(line)] })), lockout })
  await unplug(line)
  for (let i = 0; i < 5; i++) t.match(await house.login('alice', `wrong ${i}`), OUT)
  t.match(house.attempts().at(-1)?.fields, { verdict: 'unavailable' })
  await line.accept()
  t.match(await afterOutage(house, alice.password), { status: 200 }, 'and nobody was charged')
})

differs(
  'S03',
  'there is no time to configure: the daemon’s own probes find the primary back, and the next logins go there',
  async t => {
    const [primary, second] = [
      await startTcpProxy(t, { port: slapd.ldapsPort }),
      await startTcpProxy(t, { port: slapd.ldapsPort }),
    ]
    const house = await openHouse(t, beforeLocal(corp({ urls: [urlOf(primary), urlOf(second)] })))
    const received = (proxy: TcpProxy) => proxy.bytes('toServer').length
    t.match(await house.login('alice', alice.password), { status: 200 })
    await unplug(primary)
    const before = received(second)
    t.match(await house.login('alice', alice.password), { status: 200 }, 'by the second one')
    t.ok(received(second) > before)
    await primary.accept()
    const back = () =>
      house.log.lines.some(({ message }) => message === 'a directory server can be used again')
    for (let tries = 0; !back() && tries < 400; tries++) await pause(25)
    t.ok(back())
    // The connections of the second one are given up as those of the first come up.
    let [first, other] = [0, 1]
    for (let tries = 0; !(first > 0 && other === 0) && tries < 400; tries++) {
      const [ofFirst, ofOther] = [received(primary), received(second)]
      t.equal((await house.login('alice', alice.password)).status, 200)
      first = received(primary) - ofFirst
      other = received(second) - ofOther
    }
    t.ok(first > 0 && other === 0, 'a login that only the primary saw')
  },
)

conforms('S04', async t => {
  const port = slapd.ldapsPort
  // slapd is on 127.0.0.1 alone. Whichever family is tried first, one of the two names has its live server in the second.
  const dns = await startDnsServer(t, {
    a: { 'four.corp.example': ['127.0.0.1'], 'six.corp.example': ['127.0.0.2'] },
    aaaa: { 'four.corp.example': ['::2'], 'six.corp.example': ['::1'] },
  })
  const six = await forward(t, { host: '::1', port }, { host: '127.0.0.1', port })
  for (const name of ['four', 'six']) {
    const changes = {
      urls: [`ldaps://${name}.corp.example:${port}`],
      tls: { ca_file: slapd.caFile, servername: 'localhost' },
      dns_servers: [dns.address],
    }
    const house = await openHouse(t, beforeLocal(corp(changes)))
    t.match(await house.login('alice', alice.password), { status: 200 }, name)
    for (const question of ['A', 'AAAA']) {
      t.ok(dns.questions.includes(`${question} ${name}.corp.example`), question)
    }
  }
  t.ok(six.accepted() > 0, 'the second one by IPv6')
})

conforms('S05', async t => {
  const house = await openHouse(t, beforeLocal(domain()))
  for (const [{ sam, password }, code] of [
    [sambaPeople.mustChange, 'password_must_change'],
    [sambaPeople.passwordExpired, 'password_expired'],
  ] as const) {
    t.match(await house.login(sam, password), { status: 401, code })
    t.match(
      await house.login(sam, password, { app: 'outsider' }),
      REFUSED,
      'nor does an app that may not know',
    )
    t.match(await house.login(sam, `${password}!`), REFUSED, 'a wrong one tells nothing')
  }
})

conforms('S06', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const login = () => house.login('graceful', 'graceful-secret-1')
  t.match(await login(), { status: 200, body: { warnings: [{ code: 'grace_logins', remaining: 1 }] } })
  t.match(await login(), { status: 200, body: { warnings: [{ code: 'grace_logins', remaining: 0 }] } })
  t.match(await login(), { status: 401, code: 'password_expired' })
  t.match(await house.login('graceful', 'wrong'), REFUSED)
})

conforms('S07', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { body } = await house.login('alice', alice.password)
  t.match(body, { user: { username: 'alice', email: 'alice@corp.example' } })
  t.same((await house.login('alice@corp.example', alice.password)).body, body)
  const windows = await openHouse(t, beforeLocal(domain()))
  const { sam, mail, password } = sambaPeople.alice
  const byName = await windows.login(sam, password)
  t.match(byName, { status: 200, body: { user: { username: 'alice' } } })
  t.same((await windows.login(mail, password)).body, byName.body, 'an address that is nobody’s UPN')
})

conforms('S08', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const reply = await house.login(' spacer', 'spacer-secret-1')
  t.match(reply, { status: 200, body: { user: { username: ' spacer' } } })
  t.same((await house.login('spacer', 'spacer-secret-1')).body, reply.body)
  t.match(await house.login(' spacer', 'wrong'), REFUSED)
  const { blank } = corpPeople
  t.match(await house.login(blank.uid, blank.password), { status: 200 }, `and in the DN: ${blank.dn}`)
  t.match(blank.dn, new RegExp(`^cn=\\\\ .*${corpPeopleDn}$`))
})

conforms('S09', async t => {
  // Both ports of a domain controller, at an address next to the real one's, which was drawn at random.
  const host = samba.address.replace(/\d+$/, last => String((Number(last) % 254) + 1))
  const plain = await forward(t, { host, port: 389 }, { host: samba.address, port: 389 })
  const secure = await forward(t, { host, port: 636 }, { host: samba.address, port: 636 })
  const tls = { ca_file: samba.caFile, servername: sambaDomain.host }
  const house = await openHouse(t, beforeLocal(domain({ urls: [`ldaps://${host}`], tls })))
  const { sam, password } = sambaPeople.bob
  t.match(await house.login(sam, password), { status: 200 })
  t.ok(secure.accepted() > 0)
  secure.close()
  t.match(await house.login(sam, password), OUT, 'an outage is no reason to go elsewhere')
  t.equal(plain.accepted(), 0)
  const unencrypted = openHouse(t, beforeLocal(domain({ urls: [`ldap://${host}`], tls })))
  await t.rejects(unencrypted, { message: /unencrypted/ })
})

/** Listens until the test ends, and hands on what comes. */
async function forward(t: Test, at: { host: string; port: number }, to: { host: string; port: number }) {
  const sockets = new Set<Socket>()
  let accepted = 0
  const listener = createServer(client => {
    accepted++
    const server = connect(to)
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {}).once('close', () => other.destroy())
      socket.pipe(other)
    }
  })
  const close = () => {
    listener.close()
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(close)
  listener.listen(at.port, at.host)
  await once(listener, 'listening')
  return { accepted: () => accepted, close }
}
