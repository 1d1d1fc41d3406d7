/** django-auth-ldap's tests of who somebody is: attributes, ids, and identities without a login. */
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { administratorOf, beforeLocal, corpWith, personLdif, sentDuring } from './directory.ts'
import { LOCAL, openHouse } from './house.ts'
import { conforms, differs } from './suite.ts'

const { alice, bob, nomail } = corpPeople
const slapd = await startSlapd(t, {
  ldif: corpWith(
    t,
    personLdif('shy', { more: ['mail: shy@corp.example', 'displayName: Shy', 'title: none'] }),
  ),
  access: `access to dn.base="uid=shy,ou=people,dc=corp,dc=example" attrs=mail,displayName,cn,title by anonymous auth by * none`,
})
const administrator = administratorOf(slapd)
const corp = (changes: object = {}) => corpBackend(slapd, changes)
const attributesOf = ({ body }: { readonly body: Record<string, unknown> }) =>
  (body.user as { attributes: Record<string, unknown> } | undefined)?.attributes

conforms('L21', async t => {
  const attributes = { department: 'DEPARTMENTNUMBER', phone: 'telephonenumber' }
  const plain = await openHouse(t, beforeLocal(corp()))
  const house = await openHouse(t, beforeLocal(corp({ id_attribute: 'ENTRYUUID', attributes })))
  const reply = await house.login('alice', alice.password)
  t.same(attributesOf(reply), { department: 'R&D', phone: '+44 1865 276150' })
  const usual = (await plain.login('alice', alice.password)).body.user
  t.equal((reply.body.user as { id: string }).id, (usual as { id: string }).id)
})

differs(
  'L22',
  'an attribute that somebody lacks is left out without a word, as most people lack some; `doctor` warns of one that nobody has',
  async t => {
    const attributes = { department: 'departmentNumber', pager: 'pager' }
    const house = await openHouse(t, beforeLocal(corp({ attributes })))
    const reply = await house.login('alice', alice.password)
    t.match(reply, {
      status: 200,
      body: { user: { display_name: 'Alice Liddell', email: 'alice@corp.example' } },
    })
    t.same(attributesOf(reply), { department: 'R&D' })
    const said = house.log.lines.filter(({ fields }) => /alice|pager/.test(JSON.stringify(fields)))
    t.same(new Set(said.map(({ level }) => level)), new Set(['debug', 'info']))
    const { stdout } = await house.command(['doctor', '--user', 'alice'])
    t.match(stdout, /attributes\.pager[\s\S]*nobody has pager/)
    t.notMatch(stdout, /attributes\.department/)
  },
)

conforms('L23', async t => {
  const house = await openHouse(t, beforeLocal(corp({ attributes: { title: 'title' } })))
  const hidden = await house.login('shy', 'shy-secret-1')
  t.match(hidden, { status: 200, body: { user: { username: 'shy' } } })
  t.same(attributesOf(hidden), {})
  t.same(Object.keys(hidden.body.user as object).sort(), [
    'attributes',
    'backend',
    'groups',
    'id',
    'roles',
    'username',
  ])
  t.match(await house.login('nomail', nomail.password), { status: 200 })
})

conforms('L27', async t => {
  const house = await openHouse(t, beforeLocal(corp({ attributes: { made: 'createTimestamp' } })))
  const before = (await slapd.log()).length
  const reply = await house.login('alice', alice.password)
  t.match(
    attributesOf(reply),
    { made: /^20\d{12}Z$/ },
    'an operational attribute comes only if it is asked for',
  )
  const log = (await slapd.log()).slice(before)
  const asked = /filter="[^"]*\(uid=alice\)[^"]*"\n.*? SRCH attr=(.*)/.exec(log)?.[1]?.split(' ') ?? []
  for (const attribute of ['entryUUID', 'uid', 'mail', 'memberOf', 'createTimestamp']) {
    t.ok(asked.includes(attribute), attribute)
  }
  t.notOk(
    asked.includes('*') || asked.includes('+') || asked.includes('userPassword'),
    'no entry comes whole',
  )
})

differs(
  'L28',
  'no search ever runs on a connection on which a user was bound, since a bind replaces who asks; the entry, and so its DN, is found before the bind',
  async t => {
    const house = await openHouse(t, beforeLocal(corp({ names: { upn_suffixes: ['corp.example'] } })))
    const { binds, searches } = await sentDuring(slapd, async () => {
      t.match(await house.login('bob@corp.example', bob.password), {
        status: 200,
        body: { user: { username: 'bob' } },
      })
    })
    t.match(binds, [{ dn: bob.dn, result: 0 }])
    t.equal(searches.length, 1)
    const all = new Set((await slapd.searches()).map(({ connection }) => connection))
    const users = (await slapd.binds()).filter(({ dn }) => dn !== slapd.serviceDn && dn !== slapd.adminDn)
    t.ok(users.length > 0)
    t.same(
      users.filter(({ connection }) => all.has(connection)),
      [],
    )
  },
)

differs(
  'L29',
  'no attribute is stored here, so none can be out of date: each login tells what the directory says now',
  async t => {
    const house = await openHouse(t, beforeLocal(corp()))
    const shown = async () => (await house.login('bob', bob.password)).body.user
    t.match(await shown(), { display_name: 'Bob Builder' })
    await administrator.set(bob.dn, 'displayName', 'Robert Builder')
    t.match(await shown(), { display_name: 'Robert Builder' })
    await administrator.set(bob.dn, 'displayName')
    t.match(await shown(), { display_name: 'Bob Builder' })
  },
)

differs(
  'L33',
  'a login creates no identity here, so there is nothing to switch off; whom to admit is said by `groups.required` or `user_filter`',
  async t => {
    const only = '(&(objectClass=inetOrgPerson)(uid={username})(departmentNumber=Security))'
    const house = await openHouse(t, beforeLocal(corp({ user_filter: only })))
    const { status, body } = await house.login('carol', corpPeople.carol.password)
    t.equal(status, 200)
    t.match(await house.login('alice', alice.password), { status: 401, code: 'invalid_credentials' })
    t.same(
      JSON.parse((await house.command(['user', 'list', '--json'])).stdout).map(
        ({ username }: { username: string }) => username,
      ),
      [house.admin.username],
    )
    t.match(await house.getUser((body.user as { id: string }).id), { status: 200 }, 'found without a record')
  },
)

conforms('L35', async t => {
  for (const [groups, why] of [
    [{ roles: ['admin'] }, /roles/],
    [{ roles: { staff: true } }, /roles/],
    [{ roles: { staff: '' } }, /roles/],
    [{ roles: { '': 'admin' } }, /roles/],
    [{ role: { staff: 'admin' } }, /role/],
  ] as const) {
    await t.rejects(openHouse(t, beforeLocal(corp({ groups }))), { message: why }, JSON.stringify(groups))
  }
})

conforms('L45', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { body } = await house.login('alice', alice.password)
  const { id } = body.user as { id: string }
  const { binds } = await sentDuring(slapd, async () => {
    t.match(await house.getUser(id), { status: 200, body: { user: { username: 'alice' } } })
    for (const bogus of [
      'corp:alice',
      'corp:',
      'corp:*',
      `corp:${alice.dn}`,
      'corp',
      'corp:00000000-0000-0000-0000-000000000000',
    ]) {
      t.match(await house.getUser(bogus), { status: 404, code: 'user_not_found' }, bogus)
    }
  })
  t.same(binds, [], 'a look proves no password')
  t.match(await house.login('alice', 'wrong'), { status: 401 }, 'and lets nobody in')
  t.equal(house.attempts().length, 2, 'a look is no attempt')
})

conforms('L46', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const reply = await house.login('alice', alice.password)
  t.same(JSON.parse(reply.text), reply.body)
  t.same(Object.keys(reply.body).sort(), ['user', 'warnings'])
  t.same(Object.keys(reply.body.user as object).sort(), [
    'attributes',
    'backend',
    'display_name',
    'email',
    'groups',
    'id',
    'roles',
    'username',
  ])
  t.notMatch(reply.text, new RegExp(`secret|ldaps?:|${slapd.ldapsPort}|dc=corp|userPassword`))
})

conforms('L47', async t => {
  const house = await openHouse(
    t,
    beforeLocal(corp({ names: { upn_suffixes: ['corp.example'], netbios: 'CORP' } })),
  )
  const ids = new Set<string>()
  for (const name of ['alice', 'CORP\\alice', 'alice@corp.example', 'ALICE@CORP.EXAMPLE']) {
    const { body } = await house.login(name, alice.password)
    const { id } = body.user as { id: string }
    const found = await house.getUser(id)
    t.same(found.body.user, body.user, name)
    ids.add(id)
  }
  t.equal(ids.size, 1)
})

differs(
  'L44',
  'groups come from the backend that issued the identity and from no other, so there is nothing to configure',
  async t => {
    const house = await openHouse(t, { backends: [LOCAL, corp()] })
    const added = await house.command(
      ['user', 'add', 'alice', '--group', 'locals', '--password-stdin'],
      'correct horse battery staple 9\n',
    )
    t.equal(added.code, 0, added.stderr)
    const { searches } = await sentDuring(slapd, async () => {
      t.match(await house.login('alice', 'correct horse battery staple 9'), {
        status: 200,
        body: { user: { backend: 'local', groups: ['locals'], roles: [] } },
      })
    })
    t.same(searches, [])
    const theirs = await house.login('alice', alice.password)
    t.match(theirs, { status: 200, body: { user: { backend: 'corp' } } })
    t.notOk((theirs.body.user as { groups: string[] }).groups.includes('locals'))
  },
)
