import { readFile } from 'node:fs/promises'
import { Client, InvalidCredentialsError } from 'ldapts'
import t from 'tap'
import { corpPeople } from './corp.ts'
import { createFakeClock } from './fake-clock.ts'
import { splitMessages } from './ldap-message.ts'
import { createLogRecorder } from './log-recorder.ts'
import { startSlapd } from './slapd.ts'

const { alice, comma, many, nomail, twinOne, twinTwo } = corpPeople

t.test('slapd', async t => {
  const slapd = await startSlapd(t)
  const tlsOptions = { ca: await readFile(slapd.caFile), host: 'localhost', servername: 'localhost' }

  await t.test(
    'lets people in over ldap, ldaps and StartTLS, and logs each bind with its result',
    async t => {
      const before = (await slapd.binds()).length
      const plain = new Client({ url: slapd.ldapUrl })
      await plain.bind(alice.dn, alice.password)
      await plain.unbind()
      const tls = new Client({ url: slapd.ldapsUrl, tlsOptions })
      await t.rejects(tls.bind(alice.dn, 'wrong'), InvalidCredentialsError)
      await tls.unbind()
      const upgraded = new Client({ url: slapd.startTlsUrl })
      // A copy: ldapts writes its socket into the options it is given, for the next client to trip over.
      await upgraded.startTLS({ ...tlsOptions })
      await upgraded.bind(comma.dn, comma.password)
      await upgraded.unbind()

      const binds = (await slapd.binds()).slice(before)
      t.match(binds, [
        { dn: alice.dn, result: 0 },
        { dn: alice.dn, result: 49 },
        { dn: 'cn=Carroll\\2C Lewis,ou=people,dc=corp,dc=example', result: 0 },
      ])
      t.equal(new Set(binds.map(bind => bind.connection)).size, 3)
      t.notMatch(await slapd.log(), alice.password)
    },
  )

  await t.test('holds everybody that corp.ts and the header of the LDIF name', async t => {
    const header = (await readFile(new URL('../../fixtures/ldap/corp.ldif', import.meta.url), 'utf8'))
      .split('\n')
      .filter(line => line.startsWith('#'))
    const client = new Client({ url: slapd.ldapsUrl, tlsOptions })
    for (const person of Object.values(corpPeople)) {
      await client.bind(person.dn, person.password)
      const { searchEntries } = await client.search(person.dn, { scope: 'base', attributes: ['uid', 'mail'] })
      t.equal(searchEntries[0]?.uid, person.uid)
      t.equal([searchEntries[0]?.mail].flat()[0], person.mail)
      t.ok(header.some(line => line.startsWith(`# ${person.uid} `) && line.includes(` ${person.password} `)))
    }
    await client.unbind()
    t.equal(nomail.mail, undefined)
    t.equal(twinOne.mail, twinTwo.mail)
  })

  await t.test('shows the service account everything but passwords, and the anonymous nothing', async t => {
    const client = new Client({ url: slapd.ldapsUrl, tlsOptions })
    await t.rejects(client.search(slapd.baseDn, { filter: '(uid=alice)' }), { code: 50 })
    await client.bind(slapd.serviceDn, slapd.servicePassword)
    const attributes = ['memberOf', 'userPassword', 'entryUUID', 'telephoneNumber', 'departmentNumber']
    const found = await client.search(slapd.baseDn, { filter: '(uid=alice)', attributes })
    t.match(found.searchEntries, [
      {
        dn: alice.dn,
        entryUUID: /^[0-9a-f-]{36}$/,
        departmentNumber: 'R&D',
        userPassword: [],
        memberOf: [
          'cn=staff,ou=groups,dc=corp,dc=example',
          'cn=wiki-editors,ou=groups,dc=corp,dc=example',
          'cn=Wiki Admins\\2C R&D (EMEA),ou=groups,dc=corp,dc=example',
        ],
      },
    ])
    const full = await client.search(slapd.baseDn, { filter: '(uid=many)', attributes })
    t.match(full.searchEntries, [{ dn: many.dn, telephoneNumber: { length: 40 } }])
    await client.unbind()
    t.match((await slapd.searches()).at(-1), { base: slapd.baseDn, filter: '(uid=many)', result: 0 })
  })

  await t.test('goes away and comes back on the same ports with the same data', async t => {
    const client = () => new Client({ url: slapd.ldapUrl, connectTimeout: 1_000 })
    await slapd.stop()
    await slapd.stop()
    await t.rejects(client().bind(alice.dn, alice.password), { code: 'ECONNREFUSED' })
    await slapd.start()
    const back = client()
    await back.bind(alice.dn, alice.password)
    await back.unbind()
  })
})

t.test('slapd takes configuration of the test, and fails with its own words', async t => {
  const slapd = await startSlapd(t, {
    serverConfig: 'security simple_bind=128',
    certificate: { names: ['DNS:elsewhere.example'], validUntil: Date.now() - 1_000 },
  })
  const plain = new Client({ url: slapd.ldapUrl })
  await t.rejects(plain.bind(alice.dn, alice.password), { code: 13 })
  await plain.unbind()
  const tls = new Client({ url: slapd.ldapsUrl, tlsOptions: { ca: await readFile(slapd.caFile) } })
  await t.rejects(tls.bind(alice.dn, alice.password), /expired/)
  await t.rejects(startSlapd(t, { serverConfig: 'nonsense' }), /nonsense/)
})

t.test('the fake clock moves only when it is told to', async t => {
  const clock = createFakeClock(5_000)
  const zero = clock.now()
  clock.advance(250)
  t.equal(clock.now() - zero, 250)
  t.equal(clock.wall(), 5_250)
  clock.jumpWall(-3_600_000)
  t.equal(clock.now() - zero, 250)
  t.equal(clock.wall(), 5_250 - 3_600_000)
  t.throws(() => clock.advance(-1), RangeError)
})

t.test('the log recorder keeps lines, fields of child loggers and the words of errors', async t => {
  const log = createLogRecorder()
  log.info({ a: 1 }, 'first')
  log.child({ request: 'r1' }).error({ err: new Error('outer', { cause: new Error('inner') }) }, 'second')
  t.match(log.lines, [
    { level: 'info', message: 'first', fields: { a: 1 } },
    { level: 'error', message: 'second', fields: { request: 'r1' } },
  ])
  t.equal(log.at('error').length, 1)
  t.match(log.text(), /outer.*inner/s)
})

t.test(
  'octets that are no LDAP message end the reading of them, a TLS handshake and absurd lengths included',
  async t => {
    for (const octets of ['160301020001', '168480000000', '308480000000', '3084fffffffa']) {
      t.throws(() => splitMessages(Buffer.from(octets, 'hex')), { message: /LDAP|Expected 0x30/ }, octets)
    }
  },
)
