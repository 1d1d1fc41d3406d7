/** Advisories on taking one person for another: letters, locales, filters, certificates, and controls that say otherwise. */
import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { corpPeople } from '../support/corp.ts'
import { runCommand, startDaemon } from '../support/daemon.ts'
import { bindResponse } from '../support/ldap-message.ts'
import { startLdapServer } from '../support/ldap-server.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { addToDirectory, openCorpHouse } from './corp-house.ts'
import { EMAIL, LOCAL, openHouse } from './house.ts'
import { spelled } from './replies.ts'
import { addLocalPeople } from './stored-people.ts'
import { conforms } from './suite.ts'

const slapd = await startSlapd(t)
const { alice } = corpPeople
const PASSWORD = 'a password of fifteen'
const OTHER = 'another password here'
const UNCOUNTED = { lockout: { mode: 'off' } }

conforms('advisory 36', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL], ...UNCOUNTED })
  const mike = { username: 'mike', email: 'mike@example.org', password: PASSWORD }
  const kim = { username: 'kristi\u00e1n', email: 'kim@\u0131nternet.example', password: PASSWORD }
  // Another letter is another person: they may have an account, and it opens nobody else's.
  const others = [
    { username: 'm\u0131ke', email: 'm\u0131ke@example.org', password: OTHER },
    { username: 'stra\u00dfe', email: 'stra\u00dfe@example.org', password: PASSWORD },
    { username: 'strasse', email: 'strasse@example.org', password: OTHER },
    { username: 'micha\u0142', email: 'micha\u0142@example.org', password: OTHER },
    { username: '\u043cike', email: '\u043cike@example.org', password: OTHER },
  ]
  t.same(addLocalPeople(house, [mike, kim, ...others]), Array(7).fill(undefined))
  // The same letter in another dress is the same person: nobody can have an account of that name beside theirs.
  const dresses = [
    'M\u0130KE',
    'mi\u212ae',
    '\uff4dike',
    'M\u0130KE@example.org',
    'mi\u212ae@EXAMPLE.org',
    'mike@example.org\u200b',
  ]
  for (const [at, problem] of addLocalPeople(
    house,
    dresses.map(username => ({ username, password: OTHER })),
  ).entries()) {
    t.match(problem, /the username is (taken by|the e-mail address of) "mike"/, spelled(dresses[at]))
  }
  for (const name of [mike.username, mike.email, ...dresses]) {
    t.match(
      await house.login(name, PASSWORD),
      { status: 200, body: { user: { username: 'mike', email: 'mike@example.org' } } },
      spelled(name),
    )
    t.equal((await house.login(name, OTHER)).status, 401, spelled(name))
  }
  for (const { username, email, password } of others) {
    for (const name of [username, email]) {
      t.match(
        await house.login(name, password),
        { status: 200, body: { user: { username, email } } },
        spelled(name),
      )
    }
    t.equal(
      (await house.login(username, password === OTHER ? PASSWORD : OTHER)).status,
      401,
      spelled(username),
    )
  }

  await addToDirectory(t, slapd, [
    { uid: 'm\u0131ra', password: OTHER, rdn: 'cn=dotless', cn: 'dotless' },
    { uid: 'mira', password: PASSWORD, rdn: 'cn=dotted', cn: 'dotted' },
    { uid: 'ki\u00dfling', password: PASSWORD, rdn: 'cn=sharp', cn: 'sharp' },
    { uid: 'kissling', password: OTHER, rdn: 'cn=double', cn: 'double' },
  ])
  const corp = await openCorpHouse(t, slapd, {}, UNCOUNTED)
  for (const [name, password, cn] of [
    ['mira', PASSWORD, 'dotted'],
    ['M\u0130RA', PASSWORD, 'dotted'],
    ['MIRA', PASSWORD, 'dotted'],
    ['m\u0131ra', OTHER, 'dotless'],
    ['ki\u00dfling', PASSWORD, 'sharp'],
    ['KI\u1e9eLING', PASSWORD, 'sharp'],
    ['\u212aissling', OTHER, 'double'],
    ['ki\u017f\u017fling', OTHER, 'double'],
  ] as const) {
    t.match(
      await corp.login(name, password),
      { status: 200, body: { user: { display_name: cn } } },
      spelled(name),
    )
    t.equal((await corp.login(name, password === OTHER ? PASSWORD : OTHER)).status, 401, spelled(name))
  }
})

/** Of a daemon under this locale, for names that its letters could change. */
async function statusesUnder(t: Test, locale: string, folder: string): Promise<number[]> {
  const config = join(folder, 'gatehouse.yaml')
  const lines = {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    database: join(folder, 'gatehouse.db'),
    backends: [corpBackend(slapd), LOCAL],
    log: { format: 'json' },
    ...UNCOUNTED,
  }
  writeFileSync(config, JSON.stringify(lines))
  const env = { LC_ALL: locale, LANG: locale, LANGUAGE: locale }
  const daemon = await startDaemon(t, { cwd: folder, config, env })
  addLocalPeople({ folder }, [
    { username: 'TITLE', password: PASSWORD },
    { username: 'I\u0307I\u0131', password: OTHER },
  ])
  const tried = [
    ...['title', 'TITLE', 'TiTlE', 'T\u0130TLE'].map(name => [name, PASSWORD] as const),
    ...['t\u0131tle', 'T\u0131TLE'].map(name => [name, PASSWORD] as const),
    ...['II\u0131', 'ii\u0131', '\u0130i\u0131'].map(name => [name, OTHER] as const),
    ...['ALICE', 'al\u0130ce', 'AL\u0130CE', 'al\u0131ce'].map(name => [name, alice.password] as const),
  ]
  const statuses: number[] = []
  for (const [name, password] of tried) statuses.push((await daemon.authenticate(name, password)).status)
  t.equal(await daemon.stop(), 0)
  return statuses
}

conforms('advisory 37', async t => {
  const folder = t.testdir({ turkish: {}, lithuanian: {} })
  const expected = [200, 200, 200, 200, 401, 401, 200, 200, 200, 200, 200, 200, 401]
  const [turkish, lithuanian] = await Promise.all([
    statusesUnder(t, 'tr_TR.UTF-8', join(folder, 'turkish')),
    statusesUnder(t, 'lt_LT.UTF-8', join(folder, 'lithuanian')),
  ])
  t.same({ turkish, lithuanian }, { turkish: expected, lithuanian: expected }, 'no locale makes a difference')
})

conforms('advisory 38', async t => {
  const groups = { roles: { '*': 'member' } }
  const names = { netbios: 'CORP', upn_suffixes: ['corp.example'] }
  const house = await openCorpHouse(t, slapd, { groups, names }, UNCOUNTED)
  const users = new Set<string>()
  for (const name of [
    'alice',
    'ALICE',
    ' alice',
    'alice ',
    'Alice\u00a0',
    '\uff21lice',
    'CORP\\Alice',
    'ALICE@corp.example',
  ]) {
    const { status, body } = await house.login(name, alice.password)
    t.equal(status, 200, spelled(name))
    users.add(JSON.stringify(body.user))
  }
  t.equal(users.size, 1, 'one id, one name, the same groups and roles')
  t.match(JSON.parse([...users][0] ?? ''), { username: 'alice', roles: ['member'] })
  for (const name of [
    'al ice',
    'alice  x',
    'a lice',
    'alice.',
    'alice@',
    'OTHER\\alice',
    'alice@other.example',
  ]) {
    t.equal((await house.login(name, alice.password)).status, 401, `${name} is not she`)
  }
})

conforms('advisory 40', async t => {
  const house = await openHouse(t, { backends: [LOCAL] })
  const corp = (id: string, changes: object = {}) => corpBackend(slapd, { id, ...changes })
  const pairs: Record<string, readonly object[]> = {
    'other filters': [corp('staff', { user_filter: '(&(objectClass=person)(uid={username}))' }), corp('all')],
    'the base in another spelling': [
      corp('staff', { user_filter: '(mail={mail})' }),
      corp('all', { base_dn: 'DC=Corp, DC=Example' }),
    ],
  }
  for (const [what, backends] of Object.entries(pairs)) {
    const file = join(house.folder, 'two.yaml')
    writeFileSync(file, JSON.stringify({ backends, database: join(house.folder, 'two.db') }))
    const commands = ['check', 'serve'].map(command =>
      runCommand([command, '--config', file], { cwd: house.folder }),
    )
    for (const { code, stdout, stderr } of await Promise.all(commands)) {
      t.not(code, 0, what)
      t.match(stdout + stderr, /has the same server and base_dn/, what)
    }
    t.match(await house.reload({ backends }), { outcome: 'refused' }, `${what}: a reload`)
  }
  // Where the bases differ, each keeps to its own filter and its own people.
  const people = corp('people', {
    base_dn: `ou=people,${slapd.baseDn}`,
    user_filter: '(&(objectClass=inetOrgPerson)(mail={mail}))',
  })
  const two = await openHouse(t, { backends: [people, corp('all')], ...UNCOUNTED })
  t.match(await two.login('alice', alice.password), { status: 200, body: { user: { backend: 'all' } } })
  t.match(await two.login('alice@corp.example', alice.password), {
    status: 200,
    body: { user: { backend: 'people' } },
  })
})

conforms('advisory 41', async t => {
  const folder = t.testdir()
  const authority = await createCertificateAuthority(folder)
  const stranger = await createCertificateAuthority(join(folder, 'stranger'), 'Somebody else')
  const [site, wiki, portal, nameless, forged, wikiUpper] = await Promise.all([
    authority.issue(),
    authority.issue({ commonName: 'wiki' }),
    authority.issue({ commonName: 'portal' }),
    authority.issue({ commonName: '' }),
    stranger.issue({ commonName: 'wiki' }),
    authority.issue({ commonName: 'WIKI' }),
  ])
  const house = await openHouse(t, {
    backends: [LOCAL],
    listen: {
      host: '127.0.0.1',
      port: 0,
      tls: { cert_file: site.certFile, key_file: site.keyFile, client_ca_file: authority.caFile },
    },
    clients: [{ id: 'wiki', tls_subject: 'CN=wiki', may: ['assert_client_ip'] }],
  })
  const { username, password } = house.admin
  const ask = (pair: { cert: string; key: string } | undefined, headers: Record<string, string> = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
    const url = `${house.app.publicUrl}/authenticate`
    const sent = request(url, {
      ...{ method: 'POST', ca: authority.ca, agent: false },
      ...(pair && { cert: pair.cert, key: pair.key }),
      headers: { 'content-type': 'application/json', ...headers },
    })
    sent.on('response', response => resolve(response.resume().statusCode)).on('error', reject)
    sent.end(JSON.stringify({ username, password }))
    return promise
  }
  t.equal(await ask(wiki), 200, 'the subject that is configured')
  for (const [who, pair] of Object.entries({ portal, nameless, forged, wikiUpper, none: undefined })) {
    t.equal(await ask(pair), 401, who)
    // The name that a client says itself counts for nothing beside the certificate.
    for (const header of [
      'x-ssl-client-s-dn',
      'x-client-cert',
      'x-forwarded-user',
      'ssl-client-verify',
      'from',
      'x-remote-user',
    ]) {
      t.equal(await ask(pair, { [header]: 'CN=wiki' }), 401, `${who}, with ${header}`)
    }
    t.equal(
      await ask(pair, { authorization: `Basic ${Buffer.from('wiki:').toString('base64')}` }),
      401,
      `${who}, by a user name`,
    )
  }
  for (const subject of ['', ' ']) {
    t.match(
      await house.reload({ backends: [LOCAL], clients: [{ id: 'any', tls_subject: subject }] }),
      { outcome: 'refused' },
      'no subject is no client',
    )
  }
  t.same([...new Set(house.attempts().map(({ fields }) => fields.client))], ['wiki'])
})

const PPOLICY = '1.3.6.1.4.1.42.2.27.8.5.1'
/** PasswordPolicyResponseValue (draft-behera-ldap-password-policy-10, section 6.2). */
const CONTROLS = {
  empty: '3000',
  'expires in 1,000 seconds': '3006a004800203e8',
  'two grace logins left': '3005a003810102',
  expired: '3003810100',
  locked: '3003810101',
  'change after reset': '3003810102',
  nonsense: 'ffff',
  'a warning and an error': '3008a003810102810100',
}

conforms('advisory 42', async t => {
  const base = 'dc=corp,dc=example'
  const service = { dn: `cn=gatehouse,${base}`, password: 'gatehouse-secret-1', attributes: {} }
  const answers = [
    { code: 0, value: '3000' },
    ...Object.values(CONTROLS).flatMap(value => [49, 53, 19, 50, 1, 32].map(code => ({ code, value }))),
  ]
  // A person for each answer: what is known of one, such as a lock, says nothing of the next.
  const dnOf = (at: number) => `uid=eve${at},${base}`
  const people = answers.map((_, at) => ({
    dn: dnOf(at),
    attributes: { uid: `eve${at}`, entryUUID: `7b14222a-7bbc-1041-92f6-dfaea8ca8${100 + at}` },
  }))
  const server = await startLdapServer(t, {
    directory: [service, ...people],
    onRequest: (received, connection) => {
      const { id, operation } = received
      const answer =
        operation.type === 'bind' ? answers[people.findIndex(({ dn }) => dn === operation.dn)] : undefined
      if (answer === undefined) return connection.behave(received)
      const controls = [{ oid: PPOLICY, value: Buffer.from(answer.value, 'hex') }]
      return connection.send(bindResponse(id, { code: answer.code, controls }))
    },
  })
  const backend = {
    ...{ id: 'corp', type: 'ldap', preset: 'openldap', urls: [server.url], insecure: true },
    ...{ bind: { dn: service.dn, password: service.password }, base_dn: base },
  }
  const house = await openHouse(t, { backends: [backend], ...UNCOUNTED })
  for (const [at, { code, value }] of answers.entries()) {
    const { status } = await house.login(`eve${at}`, PASSWORD)
    if (code === 0) t.equal(status, 200, 'a yes is a yes')
    else t.not(status, 200, `${code} with the control ${value}`)
  }
  for (const value of [CONTROLS['expires in 1,000 seconds'], CONTROLS['two grace logins left']]) {
    answers[0] = { code: 0, value }
    t.match(
      await house.login('eve0', PASSWORD),
      { status: 200, body: { warnings: [{ code: String }] } },
      value,
    )
  }
  const binds = server.requests.filter(
    ({ operation }) => operation.type === 'bind' && operation.dn !== service.dn,
  )
  t.equal(binds.length, answers.length + 2, 'each was the word of the directory')
})
