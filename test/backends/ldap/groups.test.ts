/** Groups within groups: against a real OpenLDAP, and against a scripted Active Directory for what no free server does. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Fact } from '../../../src/authentication/backend.ts'
import type { Accept } from '../../../src/authentication/outcome.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import { formatSid, parseSid } from '../../../src/backends/ldap/syntax/sid.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { type LdapAttributes, searchDone, searchEntry } from '../../support/ldap-message.ts'
import {
  type LdapServer,
  type LdapServerConnection,
  type ReceivedRequest,
  startLdapServer,
} from '../../support/ldap-server.ts'
import { provideSlapd, startSlapd } from '../../support/slapd.ts'
import { type Desk, groupOptions, ldapOptions, openDesk, slapdOptions } from './ldap-login.ts'

const passwords = { alice: 'alice-secret-1', bob: 'bob-secret-1', carol: 'carol-secret-1' }
const soon = () => AbortSignal.timeout(5_000)
const groupsDn = 'ou=groups,dc=corp,dc=example'
const odd = 'Łódź, (EMEA) *'
const fixture = fileURLToPath(new URL('../../../fixtures/ldap/groups.ldif', import.meta.url))
const slapd = await startSlapd(t, { ldif: fixture })

const open = (changes: Partial<LdapOptions['groups']> = {}, more: Partial<LdapOptions> = {}) =>
  openDesk(t, slapdOptions(slapd, { groups: groupOptions(changes), ...more }))

const login = (desk: Desk, name: keyof typeof passwords, changes = {}) =>
  desk.login(name, passwords[name], changes)

async function groupsOf(desk: Desk, name: keyof typeof passwords): Promise<readonly string[]> {
  const outcome = await login(desk, name)
  if (outcome.outcome !== 'accept') throw new Error(JSON.stringify(outcome))
  return outcome.user.groups.toSorted()
}

/** The searches for groups that slapd was sent while `work` ran. */
async function groupSearches(work: () => Promise<unknown>) {
  const before = (await slapd.searches()).length
  await work()
  return (await slapd.searches()).slice(before).filter(({ filter }) => filter.includes('member='))
}

t.test('groups are found through groups, rings and odd names included, each once', async t => {
  const desk = await open()
  t.same(
    await groupsOf(desk, 'alice'),
    ['Everybody', 'Staff', 'Wiki', 'Wiki Admins', 'ring-a', 'ring-b', 'ring-c', odd].toSorted(),
  )
  t.same(await groupsOf(desk, 'bob'), ['Narcissus'], 'a group that contains itself')
  t.same(await groupsOf(desk, 'carol'), ['deep-0', 'deep-1', 'deep-2', 'deep-3', 'deep-4'])
  t.same(await groupsOf(await open({ nesting: 'direct' }), 'alice'), ['Staff', 'ring-a'])
})

t.test('what is known of groups is asked once and kept for groups.cache, whoever logs in', async t => {
  const clock = createFakeClock()
  const desk = await openDesk(t, slapdOptions(slapd), clock)
  const first = await groupSearches(() => login(desk, 'carol'))
  t.equal(first.length, 5, 'each level once')
  t.same(await groupSearches(() => Promise.all([login(desk, 'carol'), login(desk, 'carol')])), [])
  clock.advance(300_001)
  t.equal((await groupSearches(() => login(desk, 'carol'))).length, 5)
})

t.test('many logins at once ask about a group once', async t => {
  const desk = await open()
  const asked = await groupSearches(() => Promise.all(Array.from({ length: 30 }, () => login(desk, 'carol'))))
  t.equal(asked.length, 5)
})

t.test('required, denied and roles count through groups', async t => {
  const nested = await open({
    required: [`CN=Everybody,${groupsDn}`],
    roles: { 'Wiki Admins': 'admin', 'cn=Łódź\\, (EMEA) \\2a,*': 'lodz', Narcissus: 'self' },
  })
  t.match(await login(nested, 'alice'), { outcome: 'accept', user: { roles: ['admin', 'lodz'] } })
  t.match(await login(nested, 'bob'), { outcome: 'deny', reason: 'in no group that `groups.required` names' })
  const filter = '(&(objectClass=groupOfUniqueNames)(uniqueMember={dn}))'
  t.match(
    await login(await open({ filter, required: ['*'] }), 'bob'),
    { outcome: 'deny' },
    'in no group at all',
  )
  const denying = await open({ denied: ['ring-c'] })
  t.match(await login(denying, 'alice'), {
    outcome: 'deny',
    reason: /^in a group that `groups.denied` names: /,
  })
  t.match(await login(denying, 'bob'), { outcome: 'accept' })
  const direct = await open({ denied: ['ring-c'], nesting: 'direct' })
  t.match(await login(direct, 'alice'), { outcome: 'accept' }, 'unless groups within groups are left out')
})

t.test('groups of unique names are groups like others, and may be in one another', async t => {
  const filter = '(&(objectClass=groupOfUniqueNames)(uniqueMember={dn}))'
  t.same(await groupsOf(await open({ filter }), 'alice'), ['Banned', 'Unique'])
  t.match(await login(await open({ filter, denied: ['Banned'] }), 'alice'), { outcome: 'deny' })
})

t.test('no group is looked for before the password was proved', async t => {
  const desk = await open()
  const asked = await groupSearches(async () => {
    t.match(await desk.login('alice', 'wrong'), { outcome: 'wrong_password' })
    t.match(await desk.login('alice', 'x', { mayVerify: async () => false }), { outcome: 'not_applicable' })
  })
  t.same(asked, [])
})

t.test('more levels or more groups than allowed are an outage that names the cap', async t => {
  const deep = await open({ max_depth: 4 })
  t.match(await login(deep, 'carol'), { outcome: 'accept' }, 'as deep as allowed')
  const shallow = await open({ max_depth: 3 })
  t.match(await login(shallow, 'carol'), {
    outcome: 'unavailable',
    cause: /groups\.max_depth/,
    credentialSent: true,
  })
  t.match(shallow.log.at('error'), [{ fields: { cap: 'groups.max_depth', limit: 3 } }])
  t.match(await login(shallow, 'bob'), { outcome: 'accept' }, 'a ring is not deep')
  for (const nesting of ['levels', 'direct'] as const) {
    const few = await open({ max: 1, nesting })
    t.match(await login(few, 'alice'), { outcome: 'unavailable', cause: /groups\.max/ }, nesting)
    t.match(few.log.at('error'), [{ fields: { cap: 'groups.max' } }])
  }
  t.match(await login(await open({ max: 5 }), 'carol'), { outcome: 'accept' })
})

t.test('a filter finds groups where entries list none, and names stay values in it', async t => {
  const desk = await open({ filter: '(&(objectClass=groupOfNames)(member={dn}))' })
  t.same((await groupsOf(desk, 'alice')).length, 8, 'and groups within groups from there')
  const named = await open({ filter: '(&(objectClass=groupOfNames)(cn={username}))', nesting: 'direct' })
  t.same(await groupsOf(named, 'alice'), [])
  const below = await open({ filter: '(member={dn})', base_dn: 'ou=people,dc=corp,dc=example' })
  t.same(await groupsOf(below, 'alice'), [], 'below groups.base_dn only')
  const nowhere = await open({ filter: '(member={dn})', base_dn: 'ou=nowhere,dc=corp,dc=example' })
  t.match(await login(nowhere, 'alice'), { outcome: 'unavailable', cause: /ou=nowhere.*noSuchObject/ })
})

t.test('a user is found again by id with the same groups, and kept out for them', async t => {
  const desk = await open()
  const { user } = (await login(desk, 'alice')) as Accept
  t.same(await desk.backend.getUser(user.id, soon()), user)
  const denying = await open({ denied: ['ring-c'] })
  t.match(await denying.backend.getUser(user.id, soon()), { state: 'restricted', groups: user.groups })
})

t.test('an explanation has every step, and the path that led to each group', async t => {
  const desk = await open({ roles: { Everybody: 'user' } })
  const facts: Fact[] = []
  t.match(await login(desk, 'alice', { note: (fact: Fact) => facts.push(fact) }), { outcome: 'accept' })
  const values = (what: string) => facts.filter(fact => fact.what === what).map(({ value }) => value)
  t.same(values('filter'), ['(&(objectClass=inetOrgPerson)(uid=alice))'])
  t.same(values('found'), ['uid=alice,ou=people,dc=corp,dc=example'])
  t.match(values('bind'), [/^result 0: the password is right$/])
  t.same(values('groups'), ['8, found by levels'])
  t.same(values('role'), ['user, by Everybody'])
  const paths = values('group')
  t.equal(paths.length, 8)
  for (const path of ['Staff ← alice', 'Wiki Admins ← Wiki ← Staff ← alice', 'ring-b ← ring-a ← alice']) {
    t.ok(paths.includes(path), path)
  }
  t.match(
    paths.find(path => path.startsWith('Everybody')),
    /^Everybody ← (Wiki Admins|Łódź.*) ← Wiki ← Staff ← alice$/,
    'one shortest path',
  )
  t.ok(facts.every(({ durationMs = 0 }) => durationMs >= 0))
  t.notOk(JSON.stringify(facts).includes(passwords.alice))

  const wrong: Fact[] = []
  await desk.login('alice', 'wrong', { note: fact => wrong.push(fact) })
  t.match(wrong.at(-1), { what: 'bind', value: /^result 49: wrong password$/ })
})

t.test('a look finds who somebody is and whether they may come in, without a bind', async t => {
  const desk = await open({ denied: ['Narcissus'] })
  const binds = (await slapd.binds()).length
  const look = async (name: string) => {
    const facts: Fact[] = []
    const username = { text: name, typed: name, user: name }
    const seen = await desk.backend.look?.(username, soon(), fact => facts.push(fact))
    return { seen, facts }
  }
  const { seen, facts } = await look('carol')
  t.match(seen, { found: 'one', user: { username: 'carol' } })
  t.match(
    facts.find(({ value }) => value.startsWith('deep-4')),
    { value: 'deep-4 ← deep-3 ← deep-2 ← deep-1 ← deep-0 ← carol' },
  )
  t.match(await look('bob'), { seen: { found: 'one', refusal: /^in a group that `groups.denied` names: / } })
  t.same((await look('nobody')).seen, { found: 'none' })
  const other = { text: 'a@b', typed: 'a@b', user: 'a', domain: 'b' }
  t.match(await desk.backend.look?.(other, soon(), () => {}), { found: 'not_applicable' })
  const users = (await slapd.binds()).slice(binds).filter(({ dn }) => dn !== slapd.serviceDn)
  t.same(users, [])
})

t.test('a posixGroup, and more groups than a server gives at once, in pages', async t => {
  const { root } = await provideSlapd()
  const ldif = join(t.testdir(), 'many.ldif')
  const people = (await readFile(fixture, 'utf8'))
    .split('\n\n')
    .filter(entry => !entry.includes('groupOfNames'))
    .map(entry => `${entry.trim()}\n`)
  const posix = Array.from(
    { length: 1_200 },
    (_, index) =>
      `dn: cn=posix-${index},${groupsDn}\nobjectClass: posixGroup\ncn: posix-${index}\ngidNumber: ${index}\nmemberUid: alice\n`,
  )
  await writeFile(ldif, [...people, ...posix].join('\n'))
  const crowded = await startSlapd(t, {
    ldif,
    serverConfig: `include ${root}/etc/ldap/schema/nis.schema`,
    databaseConfig: `limits dn.exact="${slapd.serviceDn}" size.soft=500 size.hard=500 size.pr=500 size.prtotal=unlimited`,
  })
  const filter = '(&(objectClass=posixGroup)(memberUid={username}))'
  const openCrowded = (changes: Partial<LdapOptions['groups']>) =>
    openDesk(t, slapdOptions(crowded, { groups: groupOptions({ filter, nesting: 'direct', ...changes }) }))
  t.equal((await groupsOf(await openCrowded({}), 'alice')).length, 1_200)
  t.same(await groupsOf(await openCrowded({}), 'bob'), [])
  const few = await openCrowded({ max: 1_199 })
  t.match(await login(few, 'alice'), { outcome: 'unavailable', cause: /groups\.max / })
})

t.test(
  'who is in many groups has each level asked at once, and after a few logins nothing is asked',
  async t => {
    const ldif = join(t.testdir(), 'wide.ldif')
    const people = (await readFile(fixture, 'utf8'))
      .split('\n\n')
      .filter(entry => !entry.includes('groupOfNames'))
      .map(entry => `${entry.trim()}\n`)
    const group = (cn: string, member: string) =>
      `dn: cn=${cn},${groupsDn}\nobjectClass: groupOfNames\ncn: ${cn}\nmember: ${member}\n`
    const direct = Array.from({ length: 20 }, (_, index) =>
      group(`wide-${index}`, 'uid=alice,ou=people,dc=corp,dc=example'),
    )
    const above = [3, 12, 19].map(index => group(`above-${index}`, `cn=wide-${index},${groupsDn}`))
    await writeFile(ldif, [...people, ...direct, ...above].join('\n'))
    const wide = await startSlapd(t, { ldif })
    const desk = await openDesk(t, slapdOptions(wide))
    const counts: number[] = []
    for (let count = 0; count < 4; count++) {
      const before = (await wide.searches()).length
      t.equal((await groupsOf(desk, 'alice')).length, 23)
      const searches = (await wide.searches()).slice(before)
      counts.push(searches.filter(({ filter }) => filter.includes('member=')).length)
    }
    t.same(counts, [8 + 1 + 3, 8 + 1, 4, 0], 'eight alone and the rest together, then those above')
  },
)

// A scripted Active Directory.

const base = 'DC=corp,DC=example'
const domain = 'S-1-5-21-1-2-3'
const guid = Buffer.from('33221100554477668899aabbccddeeff', 'hex')
const octets = (sid: string) => parseSid(sid) ?? Buffer.alloc(0)

interface AdGroup {
  readonly dn: string
  readonly sid: string
}

interface AdOptions {
  /** SIDs in the person's tokenGroups. */
  readonly token?: readonly string[]
  /** Groups that the directory knows by SID. */
  readonly groups?: readonly AdGroup[]
  /** Those that the in-chain rule finds. */
  readonly chain?: readonly AdGroup[]
  readonly memberOf?: readonly string[]
  /** Values that it gives of one attribute at once. */
  readonly rangeSize?: number
  readonly activeDirectory?: boolean
  /** Takes requests over; true if it did. */
  readonly intercept?: (request: ReceivedRequest, connection: LdapServerConnection) => boolean
  /** Of the person: what the service account may not read. */
  readonly withheld?: readonly string[]
  /** Instead of `memberOf`. */
  readonly listed?: LdapAttributes
}

const adPerson = `CN=Alice,CN=Users,${base}`
const adGroup = (name: string, id: number): AdGroup => ({
  dn: `CN=${name},CN=Users,${base}`,
  sid: `${domain}-${id}`,
})
const domainUsers = adGroup('Domain Users', 513)

/** What Windows does with more values than it gives at once ([MS-ADTS] section 3.1.1.3.1.3.3). */
function ranged(
  type: string,
  values: readonly (string | Buffer)[],
  asked: string,
  size: number,
): LdapAttributes {
  const [, from = '0'] = /;range=(\d+)-\*/.exec(asked) ?? []
  const part = values.slice(Number(from), Number(from) + size)
  if (from === '0' && values.length <= size) return { [type]: part }
  const end = Number(from) + part.length
  return { [type]: [], [`${type};range=${from}-${end >= values.length ? '*' : end - 1}`]: part }
}

async function startAd(
  t: Parameters<typeof startLdapServer>[0],
  options: AdOptions = {},
): Promise<LdapServer> {
  const { token = [], groups = [], chain = [], memberOf = [], rangeSize = 1_500 } = options
  const service = { dn: 'cn=gatehouse,ou=services,dc=corp,dc=example', password: 'gatehouse-secret-1' }
  const directory = [
    { ...service, attributes: {} },
    { dn: adPerson, password: passwords.alice, attributes: {} },
  ]
  const show = ({ dn, sid }: AdGroup): [string, LdapAttributes] => [dn, { objectSid: octets(sid) }]

  function answer({ operation, bytes }: ReceivedRequest): [string, LdapAttributes][] {
    if (operation.type !== 'search') return []
    const [asked = ''] = operation.attributes
    if (operation.base === '') {
      const capability = options.activeDirectory === false ? [] : ['1.2.840.113556.1.4.800']
      const contexts = [base, `CN=Configuration,${base}`]
      return [
        ['', { supportedCapabilities: capability, namingContexts: contexts, defaultNamingContext: base }],
      ]
    }
    if (operation.scope === 'base' && operation.base !== adPerson) return []
    if (asked.startsWith('tokenGroups')) {
      return [[adPerson, ranged('tokenGroups', token.map(octets), asked, rangeSize)]]
    }
    if (asked.startsWith('memberOf')) return [[adPerson, ranged('memberOf', memberOf, asked, rangeSize)]]
    if (operation.filter.includes('1.2.840.113556.1.4.1941')) return chain.map(show)
    if (bytes.includes('objectSid') && operation.filter.includes('objectsid=')) {
      return groups.filter(({ sid }) => bytes.includes(octets(sid))).map(show)
    }
    if (operation.filter.includes('distinguishedname=')) {
      return groups.filter(({ dn }) => bytes.includes(Buffer.from(dn))).map(show)
    }
    if (operation.filter.includes('(member=')) return []
    const person = { objectGUID: guid, objectSid: octets(`${domain}-1105`), primaryGroupID: '513' }
    const account = { sAMAccountName: 'alice', userAccountControl: '512', pwdLastSet: '1' }
    const whole = {
      ...person,
      ...account,
      ...(options.listed ?? ranged('memberOf', memberOf, '', rangeSize)),
    }
    const shown = Object.entries(whole).filter(([type]) => !options.withheld?.includes(type))
    return [[adPerson, Object.fromEntries(shown)]]
  }

  return startLdapServer(t, {
    directory,
    onRequest(request, connection) {
      if (options.intercept?.(request, connection)) return undefined
      if (request.operation.type !== 'search') return connection.behave(request)
      const entries = answer(request).map(([dn, attributes]) => searchEntry(request.id, dn, attributes))
      return connection.send(...entries, searchDone(request.id))
    },
  })
}

const openAd = ({ url }: LdapServer, changes: Partial<LdapOptions['groups']> = {}) =>
  openDesk(
    t,
    ldapOptions({
      urls: [url],
      insecure: true,
      preset: 'active-directory',
      base_dn: base,
      groups: groupOptions(changes),
      // It would look at the domain's lockout policy, which this one does not have.
      lockout_shield: { enabled: false, window: 1_800_000 },
    }),
  )

const searchesOf = ({ requests }: LdapServer) =>
  requests.filter(({ operation }) => operation.type === 'search')

t.test('tokenGroups is one more question per login once its SIDs are known', async t => {
  const groups = [domainUsers, adGroup('Staff', 1_106), adGroup('Wiki', 1_107)]
  const server = await startAd(t, { token: groups.map(({ sid }) => sid), groups })
  const desk = await openAd(server)
  t.same(await groupsOf(desk, 'alice'), ['Domain Users', 'Staff', 'Wiki'])
  const before = searchesOf(server).length
  t.same(await groupsOf(desk, 'alice'), ['Domain Users', 'Staff', 'Wiki'])
  t.match(
    searchesOf(server).slice(before),
    [
      { operation: { scope: 'sub' } },
      { operation: { base: adPerson, scope: 'base', attributes: ['tokenGroups'] } },
    ],
    'the person, and her groups',
  )
  t.equal(searchesOf(server).length, before + 2)
})

t.test('2,000 groups, in ranges, as tokenGroups and as memberOf', async t => {
  const groups = Array.from({ length: 2_000 }, (_, index) => adGroup(`group-${index}`, 2_000 + index))
  const server = await startAd(t, { token: groups.map(({ sid }) => sid), groups })
  const named = await groupsOf(await openAd(server), 'alice')
  t.same(named, groups.map((_, index) => `group-${index}`).toSorted(), 'each with its name')
  const listed = await startAd(t, { memberOf: groups.map(({ dn }) => dn), groups: [domainUsers] })
  t.equal(
    (await groupsOf(await openAd(listed, { nesting: 'direct' }), 'alice')).length,
    2_001,
    'and the primary',
  )
  const few = await openAd(server, { max: 1_999 })
  t.match(await login(few, 'alice'), { outcome: 'unavailable', cause: /groups\.max / })
  const fewListed = await openAd(listed, { nesting: 'direct', max: 1_999 })
  t.match(await login(fewListed, 'alice'), { outcome: 'unavailable', cause: /groups\.max / })
})

t.test('a list that breaks off, skips or never ends lets nobody in', async t => {
  const memberOf = ['a', 'b', 'c', 'd'].map(name => `CN=${name},${base}`)
  const parts: Record<string, LdapAttributes> = {
    'nothing follows': {},
    'a gap': { 'memberOf;range=3-*': memberOf.slice(3) },
    'the same again': { 'memberOf;range=0-1': memberOf.slice(0, 2) },
    'an empty part': { 'memberOf;range=2-*': [] },
    'fewer than it says': { 'memberOf;range=2-9': memberOf.slice(2) },
    'no range at all': { 'memberOf;range=x': memberOf.slice(2) },
    whole: { memberOf },
  }
  for (const [what, part] of Object.entries(parts)) {
    const server = await startAd(t, {
      memberOf,
      rangeSize: 2,
      groups: [domainUsers],
      intercept({ id, operation }, connection) {
        if (operation.type !== 'search' || !operation.attributes[0]?.startsWith('memberOf;range='))
          return false
        connection.send(searchEntry(id, adPerson, part), searchDone(id))
        return true
      },
    })
    const outcome = await login(await openAd(server, { nesting: 'direct' }), 'alice')
    t.match(outcome, { outcome: 'unavailable', cause: /to its end/, credentialSent: true }, what)
  }
  const firsts: Record<string, LdapAttributes> = {
    'without its first value': { 'memberOf;range=1-*': memberOf.slice(1) },
    'fewer than it says': { 'memberOf;range=0-2': memberOf.slice(0, 2) },
  }
  for (const [what, listed] of Object.entries(firsts)) {
    const server = await startAd(t, { memberOf, listed, groups: [domainUsers] })
    const outcome = await login(await openAd(server, { nesting: 'direct' }), 'alice')
    t.match(outcome, { outcome: 'unavailable', cause: /to its end/, credentialSent: true }, `first: ${what}`)
  }
})

t.test('a SID that grows too old while others are asked for is not lost', async t => {
  const [staff, wiki] = [adGroup('Staff', 1_106), adGroup('Wiki', 1_107)]
  const clock = createFakeClock()
  const memberOf = [staff.dn]
  const server = await startAd(t, {
    memberOf,
    groups: [domainUsers, staff, wiki],
    intercept({ operation }) {
      const asksForWiki = operation.type === 'search' && /distinguishedname=cn=wiki/i.test(operation.filter)
      if (asksForWiki) clock.advance(1_000)
      return false
    },
  })
  const options = ldapOptions({
    urls: [server.url],
    insecure: true,
    preset: 'active-directory',
    base_dn: base,
    groups: groupOptions({ nesting: 'direct', required: [staff.sid] }),
  })
  const desk = await openDesk(t, options, clock)
  t.match(await login(desk, 'alice'), { outcome: 'accept' })
  clock.advance(299_500)
  memberOf.push(wiki.dn)
  t.match(await login(desk, 'alice'), { outcome: 'accept' }, 'Staff is required by its SID')
})

t.test('SIDs that the directory cannot name stay, and patterns over SIDs match them', async t => {
  const foreign = 'S-1-5-21-9-9-9-1105'
  const groups = [domainUsers, adGroup('Staff', 1_106)]
  const server = await startAd(t, { token: [...groups.map(({ sid }) => sid), foreign], groups })
  const roles = { [foreign]: 'partner', 'S-1-5-21-*-1106': 'staff', 'S-1-5-32-*': 'builtin' }
  const desk = await openAd(server, { roles })
  t.match(await login(desk, 'alice'), {
    outcome: 'accept',
    user: { groups: ['Domain Users', foreign, 'Staff'], roles: ['partner', 'staff'] },
  })
  t.match(await login(await openAd(server, { denied: [foreign] }), 'alice'), { outcome: 'deny' })
  t.match(await login(await openAd(server, { required: ['S-1-5-21-9-9-9-*'] }), 'alice'), {
    outcome: 'accept',
  })
  const before = searchesOf(server).length
  await login(desk, 'alice')
  t.equal(searchesOf(server).length, before + 2, 'what cannot be named is kept, too')
})

t.test('where a group is denied by its name, one whose name is hidden keeps out like an outage', async t => {
  const foreign = 'S-1-5-21-9-9-9-1105'
  for (const [hidden, outcome] of [
    [`${domain}-1106`, 'unavailable'],
    ['S-1-5-32-544', 'unavailable'],
    [foreign, 'accept'],
  ] as const) {
    const server = await startAd(t, { token: [domainUsers.sid, hidden], groups: [domainUsers] })
    const denying = await login(await openAd(server, { denied: ['Banned'] }), 'alice')
    t.match(denying, { outcome, ...(outcome === 'unavailable' && { cause: /let the service account read/ }) })
    t.match(await login(await openAd(server, { denied: [foreign.replace('9-9-9', '8-8-8')] }), 'alice'), {
      outcome: 'accept',
    })
    t.match(await login(await openAd(server), 'alice'), { outcome: 'accept' }, 'nobody is denied')
  }
  const primary = await startAd(t, { groups: [] })
  for (const nesting of ['direct', 'levels', 'in_chain'] as const) {
    const desk = await openAd(primary, { nesting, denied: [`CN=Banned,${base}`] })
    t.match(await login(desk, 'alice'), { outcome: 'unavailable' }, `the primary group, by ${nesting}`)
  }
})

t.test(
  'where a group is denied, nobody gets in whose primary group or what it is in cannot be read',
  async t => {
    const staff = adGroup('Staff', 1_106)
    const chain = { memberOf: [staff.dn], chain: [staff] }
    for (const withheld of ['primaryGroupID', 'objectSid']) {
      const server = await startAd(t, { ...chain, groups: [domainUsers, staff], withheld: [withheld] })
      for (const nesting of ['direct', 'levels', 'in_chain', undefined] as const) {
        const ways = nesting && { nesting }
        for (const denied of ['Banned', 'S-1-5-21-1-2-3-999']) {
          t.match(
            await login(await openAd(server, { ...ways, denied: [denied] }), 'alice'),
            { outcome: 'unavailable', cause: /the primary group of CN=Alice,.* cannot be read/ },
            `${withheld}, ${nesting}, ${denied}`,
          )
        }
        t.match(await login(await openAd(server, { ...ways, required: ['Staff'] }), 'alice'), {
          outcome: 'accept',
        })
      }
    }
    const unnamed = await startAd(t, { ...chain, groups: [staff] })
    for (const nesting of ['levels', 'in_chain'] as const) {
      const desk = await openAd(unnamed, { nesting, denied: ['S-1-5-21-1-2-3-999'] })
      t.match(
        await login(desk, 'alice'),
        { outcome: 'unavailable', cause: /the groups that S-1-5-.*-513 is in cannot be found/ },
        nesting,
      )
    }
    const direct = await openAd(unnamed, { nesting: 'direct', denied: ['S-1-5-21-1-2-3-999'] })
    t.match(await login(direct, 'alice'), { outcome: 'accept' }, 'what groups are in does not count there')
  },
)

t.test('where tokenGroups cannot be read the in-chain rule is used, and a line says so', async t => {
  const chain = [adGroup('Staff', 1_106), adGroup('Wiki', 1_107)]
  const server = await startAd(t, { chain, groups: [domainUsers], memberOf: [`CN=Staff,CN=Users,${base}`] })
  const desk = await openAd(server)
  t.same(await groupsOf(desk, 'alice'), ['Domain Users', 'Staff', 'Wiki'])
  t.same(await groupsOf(desk, 'alice'), ['Domain Users', 'Staff', 'Wiki'])
  t.match(desk.log.at('warn'), [{ message: /Windows Authorization Access Group/ }])
  t.equal(desk.log.at('warn').length, 1)
  const chained = searchesOf(server).at(-1)?.operation
  t.match(chained, { base, filter: new RegExp(`1941:=${adPerson}\\).*1941:=${domainUsers.dn}`) })
  const strict = await openAd(server, { nesting: 'token_groups' })
  t.match(await login(strict, 'alice'), {
    outcome: 'unavailable',
    cause: /Windows Authorization Access Group/,
  })
})

t.test('what memberOf lists counts beside what the in-chain rule finds', async t => {
  const server = await startAd(t, {
    chain: [adGroup('Staff', 1_106)],
    groups: [domainUsers],
    memberOf: [`CN=Newsletter,CN=Users,${base}`],
  })
  t.same(await groupsOf(await openAd(server, { nesting: 'in_chain' }), 'alice'), [
    'Domain Users',
    'Newsletter',
    'Staff',
  ])
})

t.test('a group that got another name is known by it after groups.cache', async t => {
  const groups = [domainUsers, adGroup('Staff', 1_106)]
  const server = await startAd(t, { token: groups.map(({ sid }) => sid), groups })
  const clock = createFakeClock()
  const options = ldapOptions({
    urls: [server.url],
    insecure: true,
    preset: 'active-directory',
    base_dn: base,
  })
  const desk = await openDesk(t, options, clock)
  t.same(await groupsOf(desk, 'alice'), ['Domain Users', 'Staff'])
  groups[1] = adGroup('Everybody', 1_106)
  t.same(await groupsOf(desk, 'alice'), ['Domain Users', 'Staff'])
  clock.advance(300_001)
  t.same(await groupsOf(desk, 'alice'), ['Domain Users', 'Everybody'])
})

t.test('an answer about groups that the server cut short is an outage', async t => {
  const server = await startAd(t, {
    groups: [domainUsers],
    intercept({ id, operation }, connection) {
      if (operation.type !== 'search' || !operation.filter.includes('1.2.840.113556.1.4.1941')) return false
      connection.send(searchEntry(id, `CN=Staff,${base}`, {}), searchDone(id, { code: 4 }))
      return true
    },
  })
  const outcome = await login(await openAd(server, { nesting: 'in_chain' }), 'alice')
  t.match(outcome, { outcome: 'unavailable', cause: /groups cannot be searched.*sizeLimitExceeded/ })
})

t.test('a list of groups without an end is given up at groups.max', async t => {
  let asked = 0
  const server = await startAd(t, {
    memberOf: ['a', 'b', 'c', 'd'].map(name => `CN=${name},${base}`),
    rangeSize: 2,
    groups: [domainUsers],
    intercept({ id, operation }, connection) {
      const [, from] =
        (operation.type === 'search' && /^memberOf;range=(\d+)-\*$/.exec(operation.attributes[0] ?? '')) || []
      if (from === undefined) return false
      asked++
      const next = Number(from) + 1
      const part = { [`memberOf;range=${from}-${next}`]: [`CN=${from},${base}`, `CN=${next},${base}`] }
      connection.send(searchEntry(id, adPerson, part), searchDone(id))
      return true
    },
  })
  const outcome = await login(await openAd(server, { nesting: 'direct', max: 50 }), 'alice')
  t.match(outcome, { outcome: 'unavailable', cause: /groups\.max / })
  t.ok(asked < 30, `${asked} parts`)
})

t.test('a group whose name is no text lets nobody in, lest it be a denied one', async t => {
  const server = await startAd(t, {
    groups: [domainUsers],
    memberOf: [Buffer.from('434e3dfffe', 'hex') as never],
  })
  t.match(await login(await openAd(server, { nesting: 'direct' }), 'alice'), {
    outcome: 'unavailable',
    cause: /groups that are not text/,
  })
})

t.test('a directory that is no Active Directory is asked level by level', async t => {
  const server = await startAd(t, {
    activeDirectory: false,
    memberOf: [`CN=Staff,${base}`],
    groups: [domainUsers],
  })
  t.same(await groupsOf(await openAd(server), 'alice'), ['Domain Users', 'Staff'])
  t.notOk(searchesOf(server).some(({ operation }) => JSON.stringify(operation).includes('tokenGroups')))
})

t.test('a denied SID keeps out also where groups are known by their DNs', async t => {
  const staff = adGroup('Staff', 1_106)
  const server = await startAd(t, { memberOf: [staff.dn], groups: [domainUsers, staff] })
  for (const nesting of ['direct', 'levels'] as const) {
    const denying = await openAd(server, { nesting, denied: [staff.sid] })
    t.match(await login(denying, 'alice'), { outcome: 'deny' }, nesting)
    const primary = await openAd(server, { nesting, denied: [domainUsers.sid] })
    t.match(await login(primary, 'alice'), { outcome: 'deny' }, 'by the primary group')
  }
  const secretive = await startAd(t, { memberOf: [staff.dn], groups: [domainUsers] })
  const unsure = await openAd(secretive, { nesting: 'direct', denied: ['S-1-5-21-1-2-3-999'] })
  t.match(await login(unsure, 'alice'), { outcome: 'unavailable', cause: /SID of CN=Staff.*cannot be read/ })
})

t.test('the root DSE is read once, and again after a failure', async t => {
  let broken = true
  const server = await startAd(t, {
    token: [domainUsers.sid],
    groups: [domainUsers],
    intercept({ id, operation }, connection) {
      if (operation.type !== 'search' || operation.base !== '' || !broken) return false
      broken = false
      connection.send(searchDone(id, { code: 50 }))
      return true
    },
  })
  const desk = await openAd(server)
  t.match(await login(desk, 'alice'), { outcome: 'unavailable', cause: /root DSE/, credentialSent: true })
  t.match(await login(desk, 'alice'), { outcome: 'accept' })
  t.match(await login(desk, 'alice'), { outcome: 'accept' })
  const reads = searchesOf(server).filter(
    ({ operation }) => operation.type === 'search' && operation.attributes.includes('namingContexts'),
  )
  t.equal(reads.length, 2)
})

t.test('groups that do not come in time are an outage, or left out where nobody is held to them', async t => {
  const intercept: AdOptions['intercept'] = ({ operation }) =>
    operation.type === 'search' && operation.attributes.includes('tokenGroups')
  const server = await startAd(t, { groups: [domainUsers], intercept })
  const timeout = 150
  const refusing = await openAd(server, { timeout })
  const started = performance.now()
  t.match(await login(refusing, 'alice'), {
    outcome: 'unavailable',
    cause: /groups\.timeout \(150 ms\)/,
    credentialSent: true,
  })
  t.ok(performance.now() - started < timeout + 400, 'at its deadline')
  const omitting = await openAd(server, { timeout, when_unreadable: 'omit', roles: { '*': 'user' } })
  t.match(await login(omitting, 'alice'), { outcome: 'accept', user: { groups: [], roles: [] } })
  t.match(omitting.log.at('warn'), [{ fields: { reason: /groups\.timeout/ }, message: /without groups/ }])
  const hurried = await refusing.login('alice', passwords.alice, { signal: AbortSignal.timeout(80) })
  t.match(hurried, { outcome: 'unavailable', cause: /time for the attempt/ }, 'the attempt’s own deadline')
})

t.test(
  'an explanation whose paths cannot be found still names every group, and changes no verdict',
  async t => {
    const groups = [domainUsers, adGroup('Staff', 1_106), adGroup('Far', 1_107)]
    const server = await startAd(t, {
      token: groups.map(({ sid }) => sid),
      groups,
      memberOf: [`CN=Staff,CN=Users,${base}`],
      intercept: ({ operation }) => operation.type === 'search' && operation.filter.includes('(member='),
    })
    const desk = await openAd(server, { timeout: 150 })
    const facts: Fact[] = []
    t.match(await login(desk, 'alice', { note: (fact: Fact) => facts.push(fact) }), { outcome: 'accept' })
    t.same(
      facts.filter(({ what }) => what === 'group').map(({ value }) => value),
      [
        'Staff ← alice',
        'Domain Users ← alice (primary group)',
        'Far (the directory says so; the way there cannot be seen)',
      ],
    )
  },
)

t.test('a base for groups that is wider than the domain is where SIDs are looked for, too', async t => {
  const server = await startAd(t, { token: [domainUsers.sid], groups: [domainUsers] })
  const asked = async (base_dn?: string) => {
    const before = searchesOf(server).length
    await login(await openAd(server, base_dn === undefined ? {} : { base_dn }), 'alice')
    const resolving = searchesOf(server)
      .slice(before)
      .find(({ operation }) => operation.type === 'search' && operation.filter.includes('objectsid='))
    return resolving?.operation.type === 'search' && resolving.operation.base
  }
  t.equal(await asked(), base)
  t.equal(await asked(`OU=Groups,${base}`), base, 'a SID is known already and only needs its name')
  t.equal(await asked('DC=example'), 'DC=example', 'as in a global catalogue')
})

t.test(
  'a level that does not come is an outage for all who wait for it, and is asked again after',
  async t => {
    let silent = true
    const server = await startAd(t, {
      memberOf: [`CN=Staff,CN=Users,${base}`],
      groups: [domainUsers],
      intercept: ({ operation }) =>
        silent && operation.type === 'search' && operation.filter.includes('(member='),
    })
    const desk = await openAd(server, { timeout: 1_000, nesting: 'levels' })
    const outcomes = await Promise.all([login(desk, 'alice'), login(desk, 'alice')])
    for (const outcome of outcomes) t.match(outcome, { outcome: 'unavailable', cause: /groups\.timeout/ })
    silent = false
    t.match(await login(desk, 'alice'), { outcome: 'accept', user: { groups: ['Domain Users', 'Staff'] } })
  },
)

t.test('who joins a question that was asked long ago is not given up with it', async t => {
  let answersLevels = false
  const server = await startAd(t, {
    memberOf: [`CN=Staff,CN=Users,${base}`],
    groups: [domainUsers],
    intercept({ id, operation }, connection) {
      if (operation.type !== 'search') return false
      if (operation.filter.includes('(member=')) return !answersLevels
      if (answersLevels || !operation.filter.includes('objectsid=')) return false
      // So that the question about the level is asked late, and lives on when the first login has been given up.
      const { dn, sid } = domainUsers
      const names = { objectSid: octets(sid), sAMAccountName: 'Domain Users' }
      setTimeout(() => connection.send(searchEntry(id, dn, names), searchDone(id)), 700)
      return true
    },
  })
  const desk = await openAd(server, { timeout: 1_000, nesting: 'levels' })
  t.match(await login(desk, 'alice'), { outcome: 'unavailable', cause: /groups\.timeout/ })
  answersLevels = true
  const levels = () => searchesOf(server).filter(({ operation }) => /member=/.test(JSON.stringify(operation)))
  const before = levels().length
  t.match(await login(desk, 'alice'), { outcome: 'accept', user: { groups: ['Domain Users', 'Staff'] } })
  t.ok(levels().length > before, 'it was asked again')
})

t.test('an explanation whose paths take long is shorter, and its login goes on', async t => {
  const staff = adGroup('Staff', 1_106)
  const server = await startAd(t, {
    token: [domainUsers.sid, staff.sid],
    groups: [domainUsers, staff],
    intercept: ({ operation }) => operation.type === 'search' && operation.filter.includes('(member='),
  })
  const desk = await openAd(server, { timeout: 10_000 })
  const groups: string[] = []
  const started = performance.now()
  const outcome = await desk.login('alice', passwords.alice, {
    note: ({ what, value }) => what === 'group' && groups.push(value),
  })
  t.match(outcome, { outcome: 'accept', user: { groups: ['Domain Users', 'Staff'] } })
  t.match(groups.toSorted(), [/^Domain Users/, /^Staff \(.*cannot be seen\)/])
  t.ok(performance.now() - started < 4_000)
})

t.test('what is no SID is not taken for a group', async t => {
  t.equal(formatSid(octets('nonsense')), undefined)
  const server = await startAd(t, { token: ['nonsense'], groups: [] })
  t.match(await login(await openAd(server), 'alice'), { outcome: 'unavailable', cause: /no SID/ })
})
