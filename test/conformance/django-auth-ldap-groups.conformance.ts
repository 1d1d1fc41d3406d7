/** django-auth-ldap's tests of groups: who is in which, who is let in for them, and what is kept of them. */
import t from 'tap'
import { corpGroupsDn, corpPeople, corpPeopleDn } from '../support/corp.ts'
import { corpBackend, provideSlapd, startSlapd } from '../support/slapd.ts'
import { administratorOf, beforeLocal, corpWith, sentDuring } from './directory.ts'
import { type House, openHouse, type Reply } from './house.ts'
import { conforms, differs } from './suite.ts'

const { alice, bob, carol, lukasz } = corpPeople
const REFUSED = { status: 401, code: 'invalid_credentials' }
const slapd = await startSlapd(t, {
  ldif: corpWith(
    t,
    `dn:: ${Buffer.from(`cn=Größe,${corpGroupsDn}`).toString('base64')}
objectClass: groupOfNames
cn:: ${Buffer.from('Größe').toString('base64')}
member: ${bob.dn}`,
    `dn: cn=movers,${corpGroupsDn}\nobjectClass: groupOfNames\ncn: movers\nmember: ${carol.dn}`,
    `dn: uid=pia,${corpPeopleDn}
objectClass: inetOrgPerson
objectClass: posixAccount
uid: pia
cn: Pia
sn: Pia
uidNumber: 1000
gidNumber: 5000
homeDirectory: /home/pia
userPassword: pia-secret-1`,
    `dn: cn=primary,${corpGroupsDn}\nobjectClass: posixGroup\ncn: primary\ngidNumber: 5000`,
    `dn: cn=listed,${corpGroupsDn}\nobjectClass: posixGroup\ncn: listed\ngidNumber: 5001\nmemberUid: pia\nmemberUid: bob`,
  ),
  serverConfig: `include ${(await provideSlapd()).root}/etc/ldap/schema/nis.schema`,
})
const administrator = administratorOf(slapd)
const corp = (groups: object = {}, changes: object = {}) => corpBackend(slapd, { groups, ...changes })
const withGroups = (test: Parameters<typeof openHouse>[0], groups: object, changes: object = {}) =>
  openHouse(test, beforeLocal(corp(groups, changes)))
const login = (house: House, { uid, password }: { readonly uid: string; readonly password: string }) =>
  house.login(uid, password)
const groupsOf = ({ body }: Reply) => (body.user as { groups: string[] } | undefined)?.groups

conforms('L30', async t => {
  const house = await withGroups(t, { required: ['nobody-has-this', `cn=wiki-editors,${corpGroupsDn}`] })
  t.match(await login(house, alice), { status: 200 })
  t.match(await login(house, bob), REFUSED, 'a right password and the wrong groups')
  t.match(house.attempts().at(-1)?.fields, { steps: [{ outcome: 'deny' }] })
  const nobody = await withGroups(t, { required: ['nobody-has-this'] })
  t.match(await login(nobody, alice), REFUSED)
})

differs(
  'L31',
  'there are no query objects: `required` is an or, `denied` a not, groups within groups count, and `required_groups` of an app makes an and',
  async t => {
    const or = await withGroups(t, { required: ['wiki-editors', 'größe'] })
    t.match(await login(or, alice), { status: 200 })
    t.match(await login(or, bob), { status: 200 }, 'a group whose name is not ASCII, in other letters')
    t.match(await login(or, carol), REFUSED)
    const not = await withGroups(t, { denied: ['Größe'] })
    t.match(await login(not, bob), REFUSED)
    t.match(await login(not, carol), { status: 200 })
    const nested = await withGroups(t, { required: ['all-hands'] })
    t.match(await login(nested, carol), { status: 200 }, 'through the group staff')
    t.match(await nested.login('pia', 'pia-secret-1'), REFUSED)
    const and = await openHouse(t, {
      backends: [corp({ required: ['staff'] })],
      clients: [{ id: 'editors', cidr: '127.0.0.0/8', required_groups: ['wiki-editors'] }],
    })
    const ask = ({ uid: username, password }: typeof alice | typeof bob) =>
      and.ask('/authenticate', { method: 'POST', body: { username, password } })
    t.match(await ask(alice), { status: 200 })
    t.match(await ask(bob), REFUSED, 'in staff alone')
  },
)

conforms('L32', async t => {
  const house = await withGroups(t, { denied: [`cn=wiki-editors,${corpGroupsDn}`] })
  t.match(await login(house, alice), REFUSED)
  t.match(house.attempts(), [{ fields: { steps: [{ outcome: 'deny', detail: /groups\.denied/ }] } }])
  t.match(await login(house, bob), { status: 200 })
})

differs(
  'L34',
  'direct, nested and POSIX groups by `memberUid` count, and so does Active Directory’s primary group; the `gidNumber` of a person names no group',
  async t => {
    const house = await withGroups(t, {})
    t.same(groupsOf(await login(house, lukasz)), ['Wiki Admins, R&D (EMEA)', 'all-hands', 'staff'])
    const direct = await withGroups(t, { nesting: 'direct' })
    t.same(groupsOf(await login(direct, lukasz)), ['Wiki Admins, R&D (EMEA)', 'staff'])
    const posix = await withGroups(t, { filter: '(&(objectClass=posixGroup)(memberUid={username}))' })
    t.same(groupsOf(await posix.login('pia', 'pia-secret-1')), ['listed'])
    t.same(groupsOf(await login(posix, bob)), ['listed'], 'who is no posixAccount')
    t.same(groupsOf(await login(posix, carol)), [])
  },
)

differs(
  'L36',
  'groups that cannot be read are an outage, since a denied one may be among them; `when_unreadable: omit` lets in without groups, with a warning',
  async t => {
    const unreadable = { base_dn: 'ou=nowhere,dc=corp,dc=example' }
    const refusing = await withGroups(t, unreadable)
    t.match(await login(refusing, alice), { status: 503, code: 'backend_unavailable' })
    t.match(refusing.attempts(), [
      { level: 'warn', fields: { steps: [{ outcome: 'unavailable', detail: /groups/ }, {}, {}] } },
    ])
    const omitting = await withGroups(t, { ...unreadable, when_unreadable: 'omit', roles: { staff: 'user' } })
    t.match(await login(omitting, alice), { status: 200, body: { user: { groups: [], roles: [] } } })
    t.ok(omitting.log.at('warn').some(({ message }) => /groups cannot be read/.test(message)))
    const held = withGroups(t, { when_unreadable: 'omit', denied: ['staff'] })
    await t.rejects(held, { message: /when_unreadable/ }, 'not where a group is demanded or denied')
  },
)

conforms('L37', async t => {
  const filter = '(&(objectClass=groupOfNames)(member={dn}))'
  const house = await withGroups(t, { filter }, { entry_cache: '10m' })
  const asked = async (person: typeof alice | typeof bob) => {
    const before = (await slapd.searches()).length
    const groups = groupsOf(await login(house, person))
    const own = (await slapd.searches()).slice(before).filter(search => search.filter.includes(person.dn))
    return { groups, searches: own.length }
  }
  const first = await asked(alice)
  t.same(first, { groups: ['Wiki Admins, R&D (EMEA)', 'all-hands', 'staff', 'wiki-editors'], searches: 1 })
  t.same(await asked(alice), { ...first, searches: 0 })
  t.same(await asked(bob), { groups: ['Größe', 'all-hands', 'staff'], searches: 1 }, 'not hers')
  t.same(await asked(bob), { groups: ['Größe', 'all-hands', 'staff'], searches: 0 })
  t.same(await asked(alice), { ...first, searches: 0 })
})

conforms('L38', async t => {
  const searchesOfTwo = async (house: House) => {
    const { searches, binds } = await sentDuring(slapd, async () => {
      t.match(await login(house, alice), { status: 200 })
      t.match(await login(house, alice), { status: 200 })
    })
    t.equal(binds.length, 2, 'each password is proved by a bind')
    return searches.length
  }
  t.equal(await searchesOfTwo(await withGroups(t, {})), 2)
  t.equal(await searchesOfTwo(await withGroups(t, {}, { entry_cache: '10m' })), 1)
})

differs(
  'L48',
  'groups are told and never stored, so there is nothing to mirror: each login tells exactly those of now, and one whose groups cannot be read is aborted',
  async t => {
    const house = await withGroups(t, { cache: '1ms' })
    const movers = `cn=movers,${corpGroupsDn}`
    t.same(groupsOf(await login(house, bob)), ['Größe', 'all-hands', 'staff'])
    await administrator.join(movers, bob.dn)
    t.same(groupsOf(await login(house, bob)), ['Größe', 'all-hands', 'movers', 'staff'])
    await administrator.leave(movers, bob.dn)
    t.same(groupsOf(await login(house, bob)), ['Größe', 'all-hands', 'staff'])
    const gone = await withGroups(t, { base_dn: 'ou=nowhere,dc=corp,dc=example' })
    t.match(await login(gone, bob), { status: 503 })
    const { stdout } = await house.command(['user', 'list', '--json'])
    t.notMatch(stdout, /staff|movers/)
  },
)
