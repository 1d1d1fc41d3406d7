/** django-auth-ldap's tests of the login itself: the search, the bind, and who is refused. */
import t from 'tap'
import { corpPeople, corpPeopleDn, corpService } from '../support/corp.ts'
import { startDnsServer } from '../support/dns-server.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { beforeLocal, corpWith, personLdif, sentDuring, unitLdif } from './directory.ts'
import { openHouse } from './house.ts'
import { conforms, differs } from './suite.ts'

const { alice, bob, juergen, lukasz, twinOne } = corpPeople
const REFUSED = { status: 401, code: 'invalid_credentials' }
const contractors = 'ou=contractors,dc=corp,dc=example'
const slapd = await startSlapd(t, {
  ldif: corpWith(
    t,
    unitLdif('contractors'),
    personLdif('conny', { under: contractors, more: ['employeeNumber: 4711', 'mail: conny@corp.example'] }),
  ),
})
const corp = (changes: object = {}) => corpBackend(slapd, changes)

differs(
  'L01',
  'there is no DN template: the one entry is searched for, and the bind takes its DN exactly as it was returned',
  async t => {
    const house = await openHouse(t, beforeLocal(corp()))
    const { binds, searches } = await sentDuring(slapd, async () => {
      t.match(await house.login('alice', alice.password), {
        status: 200,
        body: { user: { username: 'alice' } },
      })
      t.match(await house.login('comma', corpPeople.comma.password), { status: 200 })
    })
    t.match(binds, [
      { dn: alice.dn, result: 0 },
      { dn: /^cn=Carroll\\2C Lewis,/, result: 0 },
    ])
    t.equal(searches.length, 2)
    const template = corp({ user_dn_template: `uid={username},${corpPeopleDn}` })
    await t.rejects(openHouse(t, beforeLocal(template)), { message: /user_dn_template/ })
  },
)

differs(
  'L03',
  'servers come from `urls` or from DNS by `discover`, and nothing in a request chooses among them',
  async t => {
    const port = slapd.ldapsPort
    const dns = await startDnsServer(t, {
      srv: { '_ldaps._tcp.corp.example': [{ priority: 0, weight: 0, port, target: 'dc1.corp.example' }] },
      a: { 'dc1.corp.example': ['127.0.0.1'] },
    })
    const tls = { ca_file: slapd.caFile, servername: 'localhost' }
    const { urls: _, ...found } = { ...corp(), urls: [] }
    const discovered = { ...found, tls, discover: 'corp.example', dns_servers: [dns.address] }
    const house = await openHouse(t, beforeLocal(discovered))
    const { binds } = await sentDuring(slapd, async () => {
      const headers = { 'x-forwarded-host': 'ldaps://127.0.0.1:1' }
      t.match(await house.login('alice', alice.password, { headers }), { status: 200 })
    })
    t.match(binds, [{ dn: alice.dn, result: 0 }])
    t.ok(dns.questions.includes('SRV _ldaps._tcp.corp.example'))
  },
)

conforms('L04', async t => {
  const numbers = corp({
    id: 'numbers',
    base_dn: contractors,
    user_filter: '(&(objectClass=inetOrgPerson)(employeeNumber={username}))',
  })
  const house = await openHouse(t, beforeLocal(numbers, corp({ base_dn: corpPeopleDn })))
  const { searches } = await sentDuring(slapd, async () => {
    t.match(await house.login('4711', 'conny-secret-1'), {
      status: 200,
      body: { user: { backend: 'numbers' } },
    })
    t.match(await house.login('alice', alice.password), { status: 200, body: { user: { backend: 'corp' } } })
  })
  t.match(searches, [
    { base: contractors, filter: '(&(objectClass=inetOrgPerson)(employeeNumber=4711))' },
    { base: contractors, filter: '(&(objectClass=inetOrgPerson)(employeeNumber=alice))' },
    { base: corpPeopleDn, filter: /\(uid=alice\)/ },
  ])
})

conforms('L05', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  t.match(await house.login('alice', alice.password), { status: 200, body: { user: { backend: 'corp' } } })
  t.match(house.attempts().at(-1)?.fields, { steps: [{ backend: 'corp', outcome: 'accept' }] })
  const { username, password } = house.admin
  t.match(await house.login(username, password), { status: 200, body: { user: { backend: 'local' } } })
})

conforms('L06', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  t.match(await house.login('alice', 'wrong'), REFUSED)
  t.match(await house.login(house.admin.username, 'wrong'), REFUSED)
  t.match(
    house.attempts().map(({ fields }) => fields.steps),
    [
      [{ outcome: 'wrong_password' }, { outcome: 'unknown_user' }, { outcome: 'unknown_user' }],
      [{ outcome: 'unknown_user' }, { outcome: 'unknown_user' }, { outcome: 'wrong_password' }],
    ],
  )
})

conforms('L07', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { binds, searches } = await sentDuring(slapd, async () => {
    for (const none of [null, undefined, '', ' ']) {
      t.match(await house.login(none, alice.password), { status: 400, code: 'invalid_request' }, String(none))
    }
  })
  t.same([...binds, ...searches], [])
})

conforms('L08', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const odd = Object.values(corpPeople).filter(({ dn }) => /^[^,]*[^A-Za-z0-9=,]/.test(dn))
  t.ok(odd.length >= 10)
  for (const { uid, password, dn } of odd) {
    const { binds } = await sentDuring(slapd, async () => {
      t.match(await house.login(uid, password), { status: 200, body: { user: { username: uid } } }, dn)
    })
    t.match(binds, [{ result: 0 }], dn)
  }
  const { binds } = await sentDuring(slapd, async () => {
    for (const name of [alice.dn, 'alice,ou=people', 'alice+cn=x', 'uid=alice']) {
      t.match(await house.login(name, alice.password), REFUSED, name)
    }
  })
  t.same(binds, [], 'what is DN syntax in a name finds nobody')
})

conforms('L09', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { filter } = corpPeople
  const { binds, searches } = await sentDuring(slapd, async () => {
    t.match(await house.login(filter.uid, filter.password), {
      status: 200,
      body: { user: { username: filter.uid } },
    })
    for (const name of ['*', 'ali*', ')(uid=*', 'alice)(cn=*', '*)(|(uid=*']) {
      t.match(await house.login(name, alice.password, { from: '192.0.2.9' }), REFUSED, name)
    }
  })
  t.match(binds, [{ result: 0 }])
  t.match(searches[0]?.filter, /\(uid=star\\2A\\28all\\29\)/i)
  t.equal(searches.length, 6)
  t.ok(
    searches.every(({ filter }) => !/=[^)]*\*/.test(filter)),
    'no name is a wildcard',
  )
})

differs(
  'L10',
  'nothing is stored at a login; the name is told as the directory spells it, and the id is the one of the entry',
  async t => {
    const house = await openHouse(t, beforeLocal(corp()))
    const ids = new Set<unknown>()
    for (const name of ['alice', 'ALICE', 'Alice']) {
      const { status, body } = await house.login(name, alice.password)
      t.equal(status, 200)
      t.match(body.user, { username: 'alice' })
      ids.add((body.user as { id: string }).id)
    }
    t.equal(ids.size, 1)
    const { stdout } = await house.command(['user', 'list', '--json'])
    t.match(JSON.parse(stdout), [{ username: house.admin.username }])
    t.equal(JSON.parse(stdout).length, 1)
  },
)

conforms('L11', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { body } = await house.login('alice', alice.password)
  for (const name of [' alice', 'alice  ', '  alice ']) {
    t.same((await house.login(name, alice.password)).body, body, JSON.stringify(name))
  }
  const replies = []
  for (const name of ['bob', ' bob', 'bob ', '  bob', 'bob  ', ' bob ']) {
    replies.push((await house.login(name, `wrong ${replies.length}`)).status)
  }
  t.same(replies, [401, 401, 401, 401, 401, 429], 'one count for all')
})

conforms('L12', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { body } = await house.login('alice', alice.password)
  for (const name of ['ALICE', 'aLiCe', 'Alice@Corp.Example']) {
    t.same((await house.login(name, alice.password)).body, body, name)
  }
})

differs(
  'L13',
  'the outcome of each backend stands in the event of the attempt; DN and base only at debug level, and the filter not even there: a name that nobody has may be a password in the wrong box',
  async t => {
    const house = await openHouse(t, beforeLocal(corp()))
    const before = house.log.lines.length
    const { binds } = await sentDuring(slapd, async () => {
      t.match(await house.login('nobody', 'whatever'), REFUSED)
    })
    t.same(binds, [])
    t.match(house.attempts(), [
      { level: 'info', fields: { steps: [{ backend: 'corp', outcome: 'unknown_user' }] } },
    ])
    const loud = house.log.lines.slice(before).filter(({ level }) => level !== 'debug')
    t.ok(loud.length > 0)
    t.notMatch(JSON.stringify(loud), /nobody|dc=corp|uid=/)
    t.match(
      house.log.at('debug').filter(({ message }) => message === 'searched the directory'),
      [{ message: 'searched the directory', fields: { found: 'none', filter: undefined } }],
    )
    t.equal(
      JSON.parse((await house.command(['user', 'list', '--json'])).stdout).length,
      1,
      'nobody was created',
    )
  },
)

conforms('L14', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { binds } = await sentDuring(slapd, async () => {
    t.match(await house.login('alice', 'wrong'), REFUSED)
  })
  t.match(binds, [{ dn: alice.dn, result: 49 }])
  t.equal(JSON.parse((await house.command(['user', 'list', '--json'])).stdout).length, 1)
})

conforms('L15', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { binds, searches } = await sentDuring(slapd, async () => {
    t.match(await house.login('bob', bob.password), { status: 200, body: { user: { username: 'bob' } } })
  })
  t.match(searches, [{ base: slapd.baseDn, filter: /\(uid=bob\)/, result: 0 }])
  t.match(binds, [{ dn: bob.dn, result: 0 }])
})

conforms('L16', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { binds, searches } = await sentDuring(slapd, async () => {
    t.match(await house.login('nobody', alice.password), REFUSED)
  })
  t.equal(searches.length, 1)
  t.same(binds, [])
})

conforms('L17', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { binds } = await sentDuring(slapd, async () => {
    t.match(await house.login('twins@corp.example', twinOne.password), REFUSED)
  })
  t.same(binds, [], 'none of them is tried')
  t.match(house.attempts(), [{ level: 'error', fields: { reason: 'ambiguous' } }], 'somebody has to mend it')
})

conforms('L18', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const before = (await slapd.searches()).length
  t.match(await house.login('alice', alice.password), { status: 200 })
  const searching = new Set((await slapd.searches()).slice(before).map(({ connection }) => connection))
  const binds = (await slapd.binds()).filter(({ connection }) => searching.has(connection))
  t.ok(searching.size > 0)
  t.same(new Set(binds.map(({ dn }) => dn)), new Set([corpService.dn]))
  t.same(new Set(binds.map(({ connection }) => connection)), searching)
})

differs(
  'L19',
  '503 and a fatal line: what is wrong with our own account says nothing about the user’s password, and is charged to nobody',
  async t => {
    const bind = { dn: slapd.serviceDn, password: 'not the password' }
    const house = await openHouse(t, beforeLocal(corp({ bind })))
    const { binds } = await sentDuring(slapd, async () => {
      for (let attempt = 0; attempt < 6; attempt++) {
        t.match(await house.login('alice', alice.password), { status: 503, code: 'backend_unavailable' })
      }
    })
    t.same(binds, [])
    t.equal(house.log.at('fatal').length, 1)
  },
)

conforms('L20', async t => {
  const house = await openHouse(t, beforeLocal(corp({ attributes: { surname: 'sn' } })))
  t.match(await house.login('jürgen', juergen.password), {
    status: 200,
    body: { user: { username: 'jürgen', display_name: 'Jürgen Groß', attributes: { surname: 'Groß' } } },
  })
  t.match(
    await house.login('JU\u0308RGEN', juergen.password),
    { status: 200 },
    'composed otherwise and in capitals',
  )
  t.match(await house.login('lukasz', lukasz.password), {
    status: 200,
    body: { user: { display_name: 'Łukasz Żółw' } },
  })
})
