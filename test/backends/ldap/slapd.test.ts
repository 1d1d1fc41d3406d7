/** The backend against a real OpenLDAP: what it answers, and what it sends to get there. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { type Accept, UnavailableError } from '../../../src/authentication/outcome.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import { createUsernameNormaliser } from '../../../src/authentication/username.ts'
import { createCertificateAuthority } from '../../support/certificate-authority.ts'
import { corpPeople, corpPeopleDn } from '../../support/corp.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { startSlapd } from '../../support/slapd.ts'
import { startTcpProxy } from '../../support/tcp-proxy.ts'
import { groupOptions, openDesk, slapdOptions, tlsOptions } from './ldap-login.ts'

const { alice, bob } = corpPeople
const soon = () => AbortSignal.timeout(5_000)
const slapd = await startSlapd(t)
const desk = await openDesk(t, slapdOptions(slapd))

/** What slapd was sent while `work` ran. */
async function bindsDuring(work: () => Promise<unknown>) {
  const before = (await slapd.binds()).length
  await work()
  return (await slapd.binds()).slice(before)
}

t.test('the right password is accepted, with who it is', async t => {
  const outcome = await desk.login('alice', alice.password)
  t.match(outcome, {
    outcome: 'accept',
    user: {
      id: /^[0-9a-f]{8}-[0-9a-f-]{27}$/,
      username: 'alice',
      displayName: 'Alice Liddell',
      email: 'alice@corp.example',
      groups: ['Wiki Admins, R&D (EMEA)', 'all-hands', 'staff', 'wiki-editors'],
      roles: [],
      attributes: {},
    },
  })
  t.match(await desk.login('alice@corp.example', alice.password), outcome, 'by mail address she is the same')
})

t.test('a wrong password, nobody and several are told apart, and only the first is sent', async t => {
  const binds = await bindsDuring(async () => {
    t.match(await desk.login('alice', `${alice.password} `), { outcome: 'wrong_password', subject: /-/ })
    t.same(await desk.login('nobody', 'x'), { outcome: 'unknown_user' })
    t.same(await desk.login('twins@corp.example', corpPeople.twinOne.password), {
      outcome: 'ambiguous',
      count: 2,
    })
  })
  t.match(binds, [{ dn: alice.dn, result: 49 }])
})

t.test('names made of filter syntax find nobody, or exactly the one who has that name', async t => {
  const binds = await bindsDuring(async () => {
    for (const name of [
      '*',
      'a*',
      ')(uid=*',
      '*)(uid=*))(|(uid=*',
      'alice)(cn=*',
      '\\2a',
      'alice\0',
      '(uid=alice)',
    ]) {
      t.same(await desk.login(name, alice.password), { outcome: 'unknown_user' }, JSON.stringify(name))
    }
  })
  t.same(binds, [])
  t.match(await desk.login('star*(all)', corpPeople.filter.password), { outcome: 'accept' })
})

t.test('everybody logs in, whatever characters the DN holds, by exactly one bind each', async t => {
  for (const person of Object.values(corpPeople)) {
    const binds = await bindsDuring(async () => {
      t.match(await desk.login(person.uid, person.password), {
        outcome: 'accept',
        user: { username: person.uid },
      })
    })
    t.match(binds, [{ result: 0 }], person.dn)
    t.match(await desk.login(person.uid, 'wrong'), { outcome: 'wrong_password' }, person.dn)
  }
})

t.test(
  'an empty password, or one that would be cut to nothing, sends no bind (RFC 4513 section 5.1.2)',
  async t => {
    const searches = (await slapd.searches()).length
    const binds = await bindsDuring(async () => {
      for (const password of ['', '\0', '\0alice-secret-1', '\ud800']) {
        t.match(await desk.login('alice', password), { outcome: 'deny' })
      }
    })
    t.same(binds, [])
    t.equal((await slapd.searches()).length, searches)
  },
)

t.test('without the lockout’s leave no bind is sent', async t => {
  const subjects: string[] = []
  const mayVerify = async (subject: string) => {
    subjects.push(subject)
    return false
  }
  const binds = await bindsDuring(async () => {
    t.match(await desk.login('alice', alice.password, { mayVerify }), { outcome: 'not_applicable' })
    t.match(await desk.login('nobody', 'x', { mayVerify }), { outcome: 'unknown_user' })
  })
  t.same(binds, [])
  const accepted = await desk.login('alice', alice.password)
  t.same(
    subjects,
    accepted.outcome === 'accept' && [accepted.user.id],
    'asked for the id that an accept carries',
  )
})

t.test('a password goes to the directory whose name was typed, also where two share a suffix', async t => {
  const realms = ['AA', 'BB'].map(netbios => ({
    netbios,
    suffixes: ['shared.example', `${netbios}.example`],
  }))
  const normalise = createUsernameNormaliser(realms)
  const desks = await Promise.all(
    realms.map(({ netbios, suffixes }) =>
      openDesk(t, slapdOptions(slapd, { names: { netbios, upn_suffixes: suffixes } })),
    ),
  )
  const ask = (name: string) => {
    const named = normalise(name)
    if (!named.ok) throw new Error(named.problem)
    return Promise.all(desks.map(async each => (await each.login(named.username, alice.password)).outcome))
  }
  t.same(await ask('BB\\alice'), ['not_applicable', 'accept'])
  t.same(await ask('alice@bb.example'), ['not_applicable', 'accept'])
  t.same(await ask('AA\\alice'), ['accept', 'not_applicable'])
  t.same(
    await ask('alice@shared.example'),
    ['unknown_user', 'unknown_user'],
    'whose alice? only an address says',
  )
})

t.test(
  'an address that somebody gave themselves brings nobody’s name into doubt (CVE-2022-39229)',
  async t => {
    const file = join(t.testdir(), 'mallory.ldif')
    const mallory =
      'dn: uid=mallory,ou=people,dc=corp,dc=example\nobjectClass: inetOrgPerson\nuid: mallory\ncn: M\nsn: M\n'
    const address = `mail: alice\nmail: alice@corp.example\nuserPassword: mallory-secret-1\n`
    const corp = readFileSync(new URL('../../../fixtures/ldap/corp.ldif', import.meta.url), 'utf8')
    writeFileSync(file, `${corp}\n${mallory}${address}`)
    const shared = await startSlapd(t, { ldif: file })
    const ours = await openDesk(t, slapdOptions(shared, { names: { upn_suffixes: ['corp.example'] } }))
    const normalise = createUsernameNormaliser([{ suffixes: ['corp.example'] }])
    const login = (name: string, password: string) => {
      const named = normalise(name)
      if (!named.ok) throw new Error(named.problem)
      return ours.login(named.username, password)
    }
    for (const name of ['alice', 'alice@corp.example']) {
      t.match(await login(name, alice.password), { outcome: 'accept', user: { username: 'alice' } }, name)
      t.match(await login(name, 'mallory-secret-1'), { outcome: 'wrong_password' }, name)
    }
    t.match(await login('mallory', 'mallory-secret-1'), { outcome: 'accept' })
  },
)

t.test('a name of another realm is not ours to judge, one of ours is found by the name alone', async t => {
  const ours = await openDesk(
    t,
    slapdOptions(slapd, { names: { upn_suffixes: ['corp.example', 'Alt.example'], netbios: 'CORP' } }),
  )
  t.same(ours.backend.realm, { netbios: 'CORP', suffixes: ['corp.example', 'Alt.example'] })
  const named = (domain: string) => ({
    text: `alice@${domain}`,
    typed: `alice@${domain}`,
    user: 'alice',
    domain,
  })
  t.match(await ours.login(named('corp.example'), alice.password), { outcome: 'accept' })
  t.match(await ours.login(named('alt.example'), alice.password), { outcome: 'accept' })
  const byMail = { text: 'x@other', typed: 'alice@corp.example', user: 'x', domain: 'alt.example' }
  t.match(await ours.login(byMail, alice.password), { outcome: 'accept' }, 'a mail address as typed')
  t.match(await ours.login(named('other.example'), alice.password), { outcome: 'not_applicable' })
  t.match(await desk.login(named('other.example'), alice.password), { outcome: 'not_applicable' })
  t.equal(desk.backend.realm, undefined)
})

t.test('groups give roles, and let in or keep out after the password was proved', async t => {
  const groups = groupOptions({
    required: ['cn=staff,ou=groups,*'],
    denied: ['wiki-editors'],
    roles: { 'CN=Wiki Admins\\, R&D (EMEA),*': 'admin', staff: 'user', none: 'nothing' },
  })
  const strict = await openDesk(t, slapdOptions(slapd, { groups }))
  const { lukasz } = corpPeople
  t.match(await strict.login('lukasz', lukasz.password), {
    outcome: 'accept',
    user: { roles: ['admin', 'user'] },
  })
  t.match(await strict.login('bob', bob.password), { outcome: 'accept', user: { roles: ['user'] } })
  t.match(await strict.login('alice', alice.password), {
    outcome: 'deny',
    reason: /^in a group that `groups.denied` names: /,
  })
  t.match(await strict.login('alice', 'wrong'), { outcome: 'wrong_password' })
  const required = groupOptions({ required: ['board'] })
  const closed = await openDesk(t, slapdOptions(slapd, { groups: required }))
  t.match(await closed.login('bob', bob.password), {
    outcome: 'deny',
    reason: 'in no group that `groups.required` names',
  })

  const { user } = (await desk.login('alice', alice.password)) as Accept
  t.match(await strict.backend.getUser(user.id, soon()), { username: 'alice', state: 'restricted' })
})

t.test('only the attributes that were asked for are handed on', async t => {
  const attributes = { department: 'departmentNumber', phones: 'TELEPHONENUMBER', pager: 'pager' }
  const curious = await openDesk(t, slapdOptions(slapd, { attributes }))
  const outcome = await curious.login('alice', alice.password)
  t.match(outcome, { user: { attributes: { department: 'R&D', phones: '+44 1865 276150' } } })
  t.notMatch(outcome, { user: { attributes: { pager: /./ } } })
  const many = await curious.login('many', corpPeople.many.password)
  t.equal(many.outcome === 'accept' && many.user.attributes.phones?.length, 40)
})

t.test('a user is found again by id, and only a user', async t => {
  const { user } = (await desk.login('alice', alice.password)) as Accept
  t.same(await desk.backend.getUser(user.id, soon()), user)
  t.same(await desk.backend.getUser(user.id.toUpperCase(), soon()), user)
  for (const none of ['00000000-0000-0000-0000-000000000000', 'alice', '*', '', ')(uid=*']) {
    t.equal(await desk.backend.getUser(none, soon()), undefined, none)
  }
  const groups = await openDesk(
    t,
    slapdOptions(slapd, { user_filter: '(&(objectClass=groupOfNames)(cn={username}))' }),
  )
  t.equal(await groups.backend.getUser(user.id, soon()), undefined, 'the filter says who is a user')
})

t.test('a hundred right and a hundred wrong passwords at once are never mixed up', async t => {
  const people = Object.values(corpPeople)
  const binds = await bindsDuring(async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const person = people[(index >> 1) % people.length] ?? alice
        const right = index % 2 === 0
        const outcome = await desk.login(person.uid, right ? person.password : `wrong-${index}`)
        const username = outcome.outcome === 'accept' ? outcome.user.username : undefined
        return { expected: right ? person.uid : 'wrong_password', got: username ?? outcome.outcome }
      }),
    )
    t.same(
      outcomes.filter(({ expected, got }) => expected !== got),
      [],
    )
  })
  const users = binds.filter(({ dn }) => dn !== slapd.serviceDn)
  t.equal(users.length, 200, 'one bind each')
  t.equal(new Set(users.map(({ connection }) => connection)).size, 8, 'on the pool’s connections')
})

t.test('no user is ever bound on a connection that searches', async t => {
  const binds = await slapd.binds()
  const searching = new Set((await slapd.searches()).map(({ connection }) => connection))
  t.ok(searching.size > 0)
  t.same(
    binds.filter(({ connection, dn }) => searching.has(connection) && dn !== slapd.serviceDn),
    [],
  )
})

t.test('ldaps is verified against our own CA and the name, by address too; StartTLS likewise', async t => {
  const stranger = await createCertificateAuthority(t.testdir(), 'Somebody else')
  const ca_file = slapd.caFile
  const starttls = { urls: [slapd.startTlsUrl] }
  const trusted = [
    slapdOptions(slapd, { urls: [`ldaps://127.0.0.1:${slapd.ldapsPort}`] }),
    slapdOptions(slapd, { tls: tlsOptions({ ca_file, min_version: 'TLSv1.3' }) }),
    slapdOptions(slapd, { ...starttls, tls: tlsOptions({ ca_file, starttls: true }) }),
  ]
  const refused = [
    { options: slapdOptions(slapd, { tls: tlsOptions({ ca_file: stranger.caFile }) }), why: /certificate/ },
    { options: slapdOptions(slapd, { tls: tlsOptions() }), why: /certificate/ },
    {
      options: slapdOptions(slapd, { tls: tlsOptions({ ca_file, servername: 'dc1.corp.example' }) }),
      why: /does not match the name: it is for .+, and not for /,
    },
    {
      options: slapdOptions(slapd, {
        ...starttls,
        tls: tlsOptions({ ca_file: stranger.caFile, starttls: true }),
      }),
      why: /certificate/,
    },
    {
      options: slapdOptions(slapd, {
        ...starttls,
        tls: tlsOptions({ ca_file, starttls: true, servername: 'x.y' }),
      }),
      why: /does not match the name: it is for .+, and not for /,
    },
  ]
  for (const options of trusted) {
    t.match(await (await openDesk(t, options)).login('alice', alice.password), { outcome: 'accept' })
  }
  const binds = await bindsDuring(async () => {
    for (const { options, why } of refused) {
      const careful = await openDesk(t, options)
      const outcome = await careful.login('alice', alice.password)
      t.match(outcome, { outcome: 'unavailable', phase: 'tls', cause: why, credentialSent: false })
      t.match(careful.log.at('warn'), [{ message: 'a directory server cannot be used' }], 'said once')
    }
  })
  t.same(binds, [])
})

t.test('a service account that is refused is an outage, said loudly and tried once a minute', async t => {
  const clock = createFakeClock()
  const bind = { method: 'simple' as const, dn: slapd.serviceDn, password: new Secret('not the password') }
  const locked = await openDesk(t, slapdOptions(slapd, { bind }), clock)
  const tryOften = async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, () => locked.login('alice', alice.password)),
    )
    t.match(
      outcomes,
      Array(40).fill({ outcome: 'unavailable', phase: 'service_bind', credentialSent: false }),
    )
    t.match(await locked.backend.probe(soon()), {
      ok: false,
      reason: /service account cannot bind.*result 49/,
    })
  }
  t.match(await bindsDuring(tryOften), [{ dn: slapd.serviceDn, result: 49 }])
  t.equal(locked.log.at('fatal').length, 1)
  clock.advance(59_999)
  t.same(await bindsDuring(tryOften), [])
  clock.advance(1)
  t.match(await bindsDuring(tryOften), [{ dn: slapd.serviceDn, result: 49 }])
  t.equal(locked.log.at('fatal').length, 2)
  t.rejects(locked.backend.getUser('00000000-0000-0000-0000-000000000000', soon()), UnavailableError)
  t.notMatch(locked.log.text(), /not the password/)
})

t.test('a wrong base is an outage with a hint, not an unknown user', async t => {
  const lost = await openDesk(t, slapdOptions(slapd, { base_dn: 'ou=nowhere,dc=corp,dc=example' }))
  const outcome = await lost.login('alice', alice.password)
  t.match(outcome, { outcome: 'unavailable', cause: /noSuchObject.*base_dn/, credentialSent: false })
  t.match(await lost.backend.probe(soon()), { ok: false, reason: /base_dn/ })
  t.match(await desk.backend.probe(soon()), { ok: true, servers: [{ server: slapd.ldapsUrl, ok: true }] })
})

t.test('a connection that the server closed while idle is replaced, and nobody notices', async t => {
  const proxy = await startTcpProxy(t, { port: slapd.ldapsPort })
  const urls = [`ldaps://localhost:${proxy.port}`]
  const proxied = await openDesk(t, slapdOptions(slapd, { urls }))
  for (const how of ['fin', 'rst'] as const) {
    t.match(await proxied.login('alice', alice.password), { outcome: 'accept' })
    t.equal(proxy.connections(), 2)
    proxy.cut(how)
    while (proxy.connections() > 0) await pause(1)
    t.match(await proxied.login('alice', alice.password), { outcome: 'accept' }, how)
    t.match(await proxied.login('alice', 'wrong'), { outcome: 'wrong_password' }, how)
  }
  t.equal(proxy.accepted(), 6)
})

t.test('idle and old connections are replaced', async t => {
  const clock = createFakeClock()
  const patient = await openDesk(t, slapdOptions(slapd), clock)
  const before = (await slapd.binds()).length
  // Those on which somebody bound: the looks that the daemon takes at its servers are none.
  const opened = async () => {
    t.match(await patient.login('alice', alice.password), { outcome: 'accept' })
    return new Set((await slapd.binds()).slice(before).map(({ connection }) => connection)).size
  }
  t.equal(await opened(), 2)
  clock.advance(599_999)
  t.equal(await opened(), 2, 'kept for ten minutes')
  clock.advance(600_000)
  t.equal(await opened(), 4, 'and no longer')
  for (let minute = 0; minute < 50; minute += 5) {
    clock.advance(300_000)
    t.equal(await opened(), 4)
  }
  clock.advance(300_000)
  await opened()
  clock.advance(300_000)
  t.equal(await opened(), 6, 'nor more than an hour when busy')
})

t.test('no password and no secret is ever logged', async t => {
  t.ok(desk.log.lines.length > 100)
  t.match(desk.log.text(), /searched the directory.*filter/)
  for (const { password } of Object.values(corpPeople)) t.notOk(desk.log.text().includes(password))
  t.notOk(desk.log.text().includes(slapd.servicePassword))
  t.match(desk.log.text(), new RegExp(corpPeopleDn))
})

t.test(
  'a directory that is down is unavailable, never a wrong password, and is back soon when it is up',
  async t => {
    await slapd.stop()
    for (let count = 0; count < 3; count++) {
      const outcome = await desk.login('alice', alice.password)
      t.match(outcome, {
        outcome: 'unavailable',
        phase: 'connect',
        cause: /ECONNREFUSED/,
        credentialSent: false,
      })
    }
    await t.rejects(desk.backend.getUser('00000000-0000-0000-0000-000000000000', soon()), UnavailableError)
    t.match(await desk.backend.probe(soon()), { ok: false, reason: /ECONNREFUSED/ })
    await slapd.start()
    const started = performance.now()
    while ((await desk.login('alice', alice.password)).outcome !== 'accept') await pause(10)
    t.match(await desk.login('alice', 'wrong'), { outcome: 'wrong_password' })
    t.ok(performance.now() - started < 2_000)
  },
)

t.test('closing says good-bye on every connection and turns later questions away', async t => {
  const before = (await slapd.log()).split('UNBIND').length
  const leaving = await openDesk(t, slapdOptions(slapd))
  await leaving.login('alice', alice.password)
  await Promise.all([leaving.backend.close(), leaving.backend.close()])
  t.match(await leaving.login('alice', alice.password), { outcome: 'unavailable', phase: 'admission' })
  while ((await slapd.log()).split('UNBIND').length < before + 2) await pause(5)
  t.pass('two unbinds')
})
