/** What `doctor` makes of directories that no test can start: root DSEs as they are documented, from a scripted server. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parentsOf } from '../../../src/backends/ldap/doctor/base.ts'
import { examine as examineLdap } from '../../../src/backends/ldap/doctor/examine.ts'
import { takeApart } from '../../../src/backends/ldap/doctor/filter-parts.ts'
import { examineLockoutPolicy } from '../../../src/backends/ldap/doctor/lockout-policy.ts'
import { withClause } from '../../../src/backends/ldap/doctor/placeholder.ts'
import { createSession } from '../../../src/backends/ldap/doctor/session.ts'
import { ldapPlugin } from '../../../src/backends/ldap/index.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import type { ShieldOptions } from '../../../src/backends/ldap/shield/holding.ts'
import type { Finding } from '../../../src/plugin.ts'
import { createCertificateAuthority } from '../../support/certificate-authority.ts'
import { startDnsServer } from '../../support/dns-server.ts'
import { bindResponse, type LdapAttributes, searchDone, searchEntry } from '../../support/ldap-message.ts'
import {
  type LdapServerConnection,
  type LdapServerOptions,
  type ReceivedRequest,
  startLdapServer,
} from '../../support/ldap-server.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import { startSlapd } from '../../support/slapd.ts'
import { groupOptions, ldapOptions, ldapServices, openDesk, slapdOptions, tlsOptions } from './ldap-login.ts'

const SOON = { maxAttempts: 5, windowMs: 900_000 }

async function examine(
  t: Test,
  onRequest: NonNullable<LdapServerOptions['onRequest']>,
  changes: Partial<LdapOptions> = {},
  signal = AbortSignal.timeout(10_000),
  before: readonly string[] = [],
): Promise<readonly Finding[]> {
  const server = await startLdapServer(t, { onRequest })
  const options = ldapOptions({
    urls: changes.discover === undefined ? [...before, server.url] : [],
    insecure: true,
    operation_timeout: 300,
    ...changes,
  })
  const services = ldapServices(createLogRecorder())
  const findings: Finding[] = []
  for await (const finding of ldapPlugin.examine?.(options, services, { lockout: SOON, signal }) ?? [])
    findings.push(finding)
  return findings
}

/** A server that lets everybody in and has nothing but its root DSE. */
function rootDse(attributes: LdapAttributes): NonNullable<LdapServerOptions['onRequest']> {
  return (request, connection) => {
    const { operation } = request
    if (operation.type === 'bind') connection.send(bindResponse(request.id))
    else if (operation.type === 'search' && operation.base === '') {
      connection.send(searchEntry(request.id, '', attributes), searchDone(request.id))
    } else if (operation.type === 'search') connection.send(searchDone(request.id, { code: 32 }))
  }
}

const line = ({ status, check, detail, advice }: Finding) => `${status} ${check}: ${detail} → ${advice}`
const ad = { supportedCapabilities: ['1.2.840.113556.1.4.800'], namingContexts: ['DC=corp,DC=example'] }

t.test('each kind of directory is recognised by what it says about itself', async t => {
  const kinds: readonly (readonly [LdapAttributes, RegExp, proposed: string])[] = [
    [{ ...ad, domainFunctionality: ['7'] }, /: Active Directory, functional level 2016,/, 'active-directory'],
    [
      { ...ad, domainFunctionality: ['10'] },
      /: Active Directory, functional level 2025,/,
      'active-directory',
    ],
    [{ ...ad, vendorName: ['Samba Team (https://www.samba.org)'] }, /: Samba AD,/, 'samba'],
    [
      { vendorName: ['389 Project'], vendorVersion: ['389-Directory/2.3'] },
      /: 389 Directory Server \(389-/,
      '389ds',
    ],
    [{ vendorName: ['389 Project'], ipaTopologyIsManaged: ['on'] }, /: FreeIPA,/, 'freeipa'],
    [{ vendorName: ['LLDAP'], vendorVersion: ['lldap_0.6.1'] }, /: LLDAP \(lldap_0\.6\.1\),/, 'lldap'],
    [{ objectClass: ['top', 'OpenLDAProotDSE'] }, /: OpenLDAP,/, 'openldap'],
  ]
  for (const [attributes, says, proposed] of kinds) {
    const wrong = proposed === 'openldap' ? 'freeipa' : 'openldap'
    const findings = await examine(t, rootDse(attributes), { preset: wrong })
    t.match(findings.filter(({ check }) => check.startsWith('directory')).map(line), [says], proposed)
    const warned = findings.find(({ check }) => check === 'preset')
    t.match(warned, { status: 'warn', advice: `set \`preset: ${proposed}\`` })
    const right = await examine(t, rootDse(attributes), { preset: proposed as LdapOptions['preset'] })
    t.notOk(right.some(({ check }) => check === 'preset'))
  }
  const custom = await examine(t, rootDse({ objectClass: ['OpenLDAProotDSE'] }), {
    preset: 'custom',
    user_filter: '(uid={username})',
    id_attribute: 'entryUUID',
  })
  t.notOk(
    custom.some(({ check }) => check === 'preset'),
    'who says custom knows why',
  )
})

t.test('a clock that is far off is said', async t => {
  const at = (ms: number) => ({
    ...ad,
    currentTime: [
      new Date(ms)
        .toISOString()
        .replace(/[-:T]|\.\d+/g, '')
        .replace('Z', '.0Z'),
    ],
  })
  const clock = (findings: readonly Finding[]) => findings.find(({ check }) => check.startsWith('clock'))
  const now = Date.now()
  t.match(clock(await examine(t, rootDse(at(now)))), { status: 'ok' })
  t.match(clock(await examine(t, rootDse(at(now + 600_000)))), {
    status: 'warn',
    detail: /^(599|600) s ahead of ours$/,
  })
  t.match(clock(await examine(t, rootDse(at(now - 400_000)))), {
    status: 'warn',
    detail: /^40[0-2] s behind ours$/,
  })
})

t.test('what Active Directory says of signing and channel binding is said with what to change', async t => {
  const refusing = (code: number, message: string) =>
    examine(t, (request, connection) => {
      if (request.operation.type === 'bind')
        connection.send(bindResponse(request.id, { code, diagnosticMessage: message }))
    })
  const signing = await refusing(
    8,
    '00002028: LdapErr: DSID-0C090259, comment: The server requires binds to turn on integrity checking if SSL\\TLS are not already active on the connection, data 0, v4563',
  )
  t.match(signing.map(line), [
    /./,
    /./,
    /./,
    /requires LDAP signing \(LDAPServerIntegrity\).* → use `ldaps:\/\/`/,
  ])
  const binding = await refusing(
    49,
    '80090346: LdapErr: DSID-0C090605, comment: AcceptSecurityContext error, data 80090346, v4563',
  )
  t.match(
    line(binding.at(-1) as Finding),
    /channel binding.* → connect to the domain controller itself, or set the policy to "when supported"$/,
  )
})

t.test('a directory that falls silent is waited for no longer than its deadlines', async t => {
  const afterBind = await examine(t, (request, connection) => {
    if (request.operation.type === 'bind') connection.send(bindResponse(request.id))
  })
  t.match(afterBind.at(-1), { status: 'fail', check: /^directory/, advice: /operation_timeout/ })
  const beforeBind = await examine(t, () => {})
  t.match(beforeBind.at(-1), { status: 'fail', check: /^service account/ })
  const given = new AbortController()
  setImmediate(() => given.abort())
  const startedAt = performance.now()
  await examine(t, () => {}, { operation_timeout: 60_000, connect_timeout: 60_000 }, given.signal)
  t.ok(performance.now() - startedAt < 10_000, 'and at once when called off')
})

type Search = Extract<ReceivedRequest['operation'], { type: 'search' }>
interface Scripted {
  /** What the root DSE says. */
  readonly server?: LdapAttributes
  /** What a search gives: entries, a result, or silence; undefined for one entry that is what it is asked for by its DN. */
  answer(search: Search): readonly Entry[] | { readonly code: number } | 'silence' | undefined
}
type Entry = LdapAttributes & { readonly dn: string }

/** What is said that is not as it should be, and who was looked for, against a directory that is scripted search by search. */
async function examineScripted(
  t: Test,
  { server = { namingContexts: ['dc=corp,dc=example'] }, answer }: Scripted,
  { user, ...changes }: Partial<LdapOptions> & { readonly user?: string } = {},
) {
  const searches: Search[] = []
  const { url } = await startLdapServer(t, {
    onRequest({ id, operation }, connection) {
      if (operation.type === 'bind') return connection.send(bindResponse(id))
      if (operation.type !== 'search') return
      searches.push(operation)
      const { base } = operation
      if (base === '') return connection.send(searchEntry(id, '', server), searchDone(id))
      const given = answer(operation) ?? (operation.scope === 'base' ? [{ dn: base }] : [])
      if (given === 'silence') return
      if ('code' in given) return connection.send(searchDone(id, given))
      connection.send(
        ...given.map(({ dn, ...attributes }) => searchEntry(id, dn, attributes)),
        searchDone(id),
      )
    },
  })
  const options = ldapOptions({ urls: [url], insecure: true, operation_timeout: 500, ...changes })
  const about = { ...(user !== undefined && { user }), lockout: SOON, signal: AbortSignal.timeout(20_000) }
  const findings: Finding[] = []
  for await (const finding of ldapPlugin.examine?.(options, ldapServices(createLogRecorder()), about) ?? [])
    findings.push(finding)
  const bad = findings.filter(({ status, check }) => status !== 'ok' && !check.startsWith('TLS')).map(line)
  return { findings, bad, searches }
}

const alice = {
  dn: 'uid=alice,ou=people,dc=corp,dc=example',
  objectClass: ['person', 'inetOrgPerson'],
  uid: ['alice'],
  mail: ['alice@corp.example'],
  entryUUID: ['5d5d2bae-7bea-1041-995d-d9972c0e8af7'],
}

t.test(
  'a search that no login makes is no reason for one to fail, where it is refused or not answered',
  async t => {
    const found = ({ filter, scope }: Search) =>
      scope === 'sub' && !/=bob/.test(filter) ? [alice] : undefined
    const invented = /(sAMAccountName|userPrincipalName|proxyAddresses)=/i
    const limited = await examineScripted(
      t,
      { answer: search => (invented.test(search.filter) ? { code: 11 } : found(search)) },
      { user: 'bob' },
    )
    t.match(limited.bad, [
      /^fail user bob: nobody .* has this name in uid, mail, krbPrincipalName, cn; the directory does not look through everybody by sAMAccountName, userPrincipalName, proxyAddresses → is the name right/,
    ])
    t.equal(limited.findings.at(-1)?.user, 'missing', 'so that another directory may have them')
    const silent = await examineScripted(
      t,
      { answer: search => (invented.test(search.filter) ? 'silence' : found(search)) },
      { user: 'bob' },
    )
    t.match(silent.bad, [/^fail user bob: nobody .* has this name in uid, mail; the directory does not look/])
    t.match(silent.findings.at(-1), { user: 'missing' })

    const slow = await examineScripted(
      t,
      {
        answer: search =>
          search.scope === 'sub' && search.attributes.join() === 'objectClass,telephonNumber'
            ? 'silence'
            : found(search),
      },
      { user: 'alice', attributes: { phone: 'telephonNumber' } },
    )
    t.notMatch(slow.bad.join('\n'), /^fail/m)
  },
)

t.test('who is not to be found among everybody is looked for by name', async t => {
  const anybody = await examineScripted(t, {
    answer: ({ scope }) => (scope === 'sub' ? { code: 11 } : undefined),
  })
  t.match(anybody.bad, [
    /^warn people: the directory does not look through everybody: result 11 .* → try with `--user`/,
  ])
  const somebody = await examineScripted(
    t,
    { answer: ({ scope }) => (scope === 'sub' ? { code: 11 } : undefined) },
    { user: 'alice' },
  )
  t.match(somebody.bad, [
    /^fail user_filter: result 11 .* → index the attributes that `user_filter` looks in, or raise the limits/,
  ])
})

t.test('no list of members is read, whatever its length', async t => {
  const dns = Array.from(
    { length: 100_000 },
    (_, number) => `uid=firstname.lastname${number},ou=people,dc=corp,dc=example`,
  )
  const group = { dn: 'cn=all,ou=groups,dc=corp,dc=example', objectClass: ['groupOfNames'] }
  const answer = ({ base, scope, filter, attributes }: Search) => {
    const found = { ...group, ...(attributes.includes('member') && { member: dns }) }
    if (base === group.dn) return /member=uid=alice/i.test(filter) ? [] : [found]
    if (scope === 'base') return undefined
    if (/memberOf=|member=uid=/i.test(filter)) return []
    return /group/i.test(filter) ? [found] : [alice]
  }
  const required = await examineScripted(t, { answer }, { groups: groupOptions({ required: ['all'] }) })
  t.match(required.bad, [
    /^warn groups\.required: nobody was found who is in one of these: all → try with `--user`/,
  ])
  const filter = '(&(objectClass=groupOfNames)(member={dn}))'
  const filtered = await examineScripted(t, { answer }, { user: 'alice', groups: groupOptions({ filter }) })
  t.match(filtered.bad, [/^warn groups\.filter: it finds no group of alice, .*, such as cn=all,ou=groups,/])
  t.notOk(
    [...required.searches, ...filtered.searches].some(({ attributes }) => attributes.includes('member')),
  )
})

t.test('somebody in a group within a required one is found, whether people or groups say so', async t => {
  const [outer, inner] = ['cn=outer,ou=groups,dc=corp,dc=example', 'cn=inner,ou=groups,dc=corp,dc=example']
  const bob = { ...alice, dn: 'uid=bob,ou=people,dc=corp,dc=example', uid: ['bob'], memberOf: [inner] }
  const groups = [outer, inner].map(dn => ({ dn, objectClass: ['groupOfNames'] }))
  const members: Readonly<Record<string, string>> = { [outer]: inner, [inner]: bob.dn }
  const about = async (saysMemberOf: boolean) => {
    const answer = ({ base, scope, filter }: Search) => {
      const [, of] = /memberOf=([^()]*)/i.exec(filter) ?? []
      const [, member] = /\(member=([^()]*)/i.exec(filter) ?? []
      if (scope === 'base' && member !== undefined)
        return filter.includes(`(member=${members[base]})`) ? [{ dn: base }] : []
      if (scope === 'base') return undefined
      if (of !== undefined) return saysMemberOf && of === inner ? [bob] : []
      if (member !== undefined) return groups.filter(({ dn }) => members[dn] === member)
      return /cn=outer/.test(filter) ? groups.slice(0, 1) : /group/i.test(filter) ? groups : [alice, bob]
    }
    const { findings } = await examineScripted(
      t,
      { answer },
      { groups: groupOptions({ required: ['outer'] }) },
    )
    return findings.map(({ check }) => check).filter(check => check.startsWith('person'))
  }
  t.strictSame(await about(true), [`person ${bob.dn}`])
  t.strictSame(await about(false), [`person ${bob.dn}`])
})

t.test('who is in another naming context is outside of any base that would fit others', async t => {
  const visitor = { ...alice, dn: 'uid=visitor,ou=people,dc=guests,dc=example', uid: ['visitor'] }
  const { bad } = await examineScripted(
    t,
    {
      server: { namingContexts: ['dc=corp,dc=example', 'dc=guests,dc=example'] },
      answer({ base, scope, filter }) {
        if (scope === 'base') return undefined
        const isAbout = filter.includes('=visitor')
        return base === 'dc=guests,dc=example' && isAbout ? [visitor] : isAbout ? [] : [alice]
      },
    },
    { user: 'visitor' },
  )
  t.match(bad, [
    /^fail user visitor: uid=visitor,\S+ lies outside `base_dn`, .* → leave `base_dn`, and add a backend of its own/,
  ])
})

t.test('those whom FreeIPA keeps in other places are nobody who could log in', async t => {
  const places = [
    'cn=deleted users,cn=accounts,cn=provisioning',
    'cn=users,cn=compat',
    'cn=sysaccounts,cn=etc',
  ]
  const others = places.map(place => ({ ...alice, dn: `uid=alice,${place},dc=corp,dc=example` }))
  const { bad } = await examineScripted(
    t,
    { answer: ({ base, scope }) => (scope === 'sub' && base === 'dc=corp,dc=example' ? others : undefined) },
    { preset: 'freeipa', base_dn: 'cn=users,cn=accounts,dc=corp,dc=example' },
  )
  t.match(bad, [/^fail people: no person is to be seen below cn=users,cn=accounts/])
})

t.test('where no search says why nobody is found, this at least is said', async t => {
  let asked = 0
  const answer = ({ scope }: Search) =>
    scope === 'base' ? undefined : asked++ === 0 ? [] : ('silence' as const)
  const { bad } = await examineScripted(t, { answer })
  t.match(bad, [
    /^fail user_filter: it finds nobody below dc=corp,dc=example, and no search says why: .*timed out/i,
  ])
})

t.test('a group that a search for its name is refused about is not said to be missing', async t => {
  const answer = ({ scope, filter }: Search) =>
    scope === 'base' ? undefined : /=secret/.test(filter) ? { code: 11 } : [alice]
  const { bad } = await examineScripted(t, { answer }, { groups: groupOptions({ denied: ['secret'] }) })
  t.same(
    bad.filter(each => /secret/.test(each)),
    [],
  )
})

t.test('a DN that no login reads is said', async t => {
  const dn = 'cn="Liddell, Alice",ou=people,o=Corp,c=GB'
  const { bad } = await examineScripted(
    t,
    {
      answer: ({ scope }) => (scope === 'sub' ? [{ ...alice, dn }] : undefined),
    },
    { base_dn: 'o=Corp,c=GB' },
  )
  t.match(bad, [
    /^fail person cn="Liddell, .*: no login can read this DN .* → give the entry a name without quotes/,
  ])
})

t.test('a preset is blamed only where another one says something else', async t => {
  const server = { ...ad, defaultNamingContext: ['DC=corp,DC=example'] }
  const person = {
    dn: 'CN=Alice,OU=People,DC=corp,DC=example',
    objectClass: ['user'],
    sAMAccountName: ['alice'],
  }
  const settings = { preset: 'openldap' as const, base_dn: 'DC=corp,DC=example', id_attribute: 'objectGUID' }
  const withoutMail = await examineScripted(
    t,
    {
      server,
      answer: ({ scope }) => (scope === 'sub' ? [{ ...person, objectGUID: Buffer.alloc(16, 1) }] : undefined),
    },
    { ...settings, user: 'alice' },
  )
  const said = withoutMail.bad.join('\n')
  t.match(said, /no uid that .* → it is the preset's: set `preset: active-directory`/)
  t.match(said, /no mail that .* → harmless, unless your apps need it/)
  // Samba's preset finds whom Active Directory's does: it is the base.
  const elsewhere = await examineScripted(
    t,
    {
      server,
      answer: ({ scope, base }) => (scope === 'sub' && base === 'DC=corp,DC=example' ? [person] : undefined),
    },
    { ...settings, preset: 'samba', base_dn: 'OU=Empty,DC=corp,DC=example' },
  )
  t.match(
    elsewhere.bad.join('\n'),
    /^fail base_dn: nobody like this .* → set `base_dn: OU=People,DC=corp,DC=example`/m,
  )
  t.notMatch(elsewhere.bad.join('\n'), /^fail preset/m)
})

t.test('no attribute is proposed for the id that has none', async t => {
  const about = async (id: LdapAttributes) => {
    const entry = { ...alice, entryUUID: [], ...id }
    const answer = ({ scope, base }: Search) => (scope === 'sub' || base === alice.dn ? [entry] : undefined)
    return (await examineScripted(t, { answer }, { user: 'alice', id_attribute: 'employeeNumber' })).bad
  }
  t.match(await about({ employeeNumber: ['1', '2'] }), [
    /^fail id_attribute employeeNumber: .* has 2 values .* → name in `id_attribute` one that has one value, in text/,
  ])
  t.match(await about({ employeeNumber: Buffer.from([0xff, 0xfe]), GUID: Buffer.alloc(16, 0xff) }), [
    /^fail id_attribute employeeNumber: .* is binary, .* → name in `id_attribute` one/,
  ])
  t.match(await about({ employeeNumber: ['1', '2'], nsUniqueId: ['a-b'] }), [
    / → set `id_attribute: nsUniqueId`$/,
  ])
})

t.test('no context that is about the server itself is proposed as a base', async t => {
  const { bad } = await examineScripted(
    t,
    {
      server: { namingContexts: ['cn=accesslog', 'cn=changelog', 'dc=corp,dc=example'] },
      answer: () => ({ code: 32 }),
    },
    { base_dn: 'dc=other,dc=example' },
  )
  t.match(bad, [/^fail base_dn dc=other,.* → set `base_dn: dc=corp,dc=example`$/])
})

t.test('a name clause goes where the names are', async t => {
  const add = (template: string) => withClause(template, '(cn={username})')
  t.equal(add('(uid={username})'), '(|(uid={username})(cn={username}))')
  t.equal(
    add('(&(objectClass=person)(|(uid={username})(mail={mail})))'),
    '(&(objectClass=person)(|(uid={username})(mail={mail})(cn={username})))',
  )
  t.equal(add('(|(&(a=b)(uid={username}))(&(c=d)(uid={username})))'), undefined)
  t.equal(add('(&(uid={username})(mail={mail}))'), undefined)
})

t.test('a class of the directory of its own makes people, where the filter asks for it', async t => {
  const member = { dn: 'cn=Alice,dc=corp,dc=example', objectClass: ['top', 'corpMember'], cn: ['Alice'] }
  const answer = ({ scope, filter }: Search) =>
    scope === 'base' || /employeeNumber|\(cn=\*/i.test(filter)
      ? undefined
      : /corpMember/i.test(filter)
        ? [member]
        : []
  let asked = 0
  const { bad } = await examineScripted(
    t,
    { answer: search => (search.scope === 'sub' && asked++ === 0 ? [] : answer(search)) },
    { user_filter: '(&(objectClass=corpMember)(employeeNumber={username}))' },
  )
  t.match(bad, [
    /^fail user_filter: people are there \(such as cn=Alice,dc=corp,dc=example\), but they have no employeeNumber/,
  ])
})

t.test('a filter is taken apart into what is fixed and where the name is looked for', async t => {
  const parts = takeApart(
    '(&(objectClass=person)(!(locked=TRUE))(|(uid={username})(mail={input})(UID={input})))',
  )
  t.strictSame(
    parts.fixed.map(({ text }) => text),
    ['(objectClass=person)', '(!(locked=TRUE))'],
  )
  t.strictSame(
    parts.nameAttributes.map(name => name.toLowerCase()),
    ['uid', 'mail'],
  )
  t.equal(takeApart('(uid={username})').people.toString(), '(objectClass=*)')
})

t.test('the entries above one, the nearest first', async t => {
  t.strictSame(parentsOf('CN=Carroll\\, Lewis,OU=People, DC=corp,DC=example'), [
    'OU=People, DC=corp,DC=example',
    'DC=corp,DC=example',
    'DC=example',
  ])
  t.strictSame(parentsOf('CN=Back\\\\,DC=example'), ['DC=example'])
  t.strictSame(parentsOf('DC=example'), [])
})

t.test('whoever is called off closes the connection, although nobody asks for another finding', async t => {
  const server = await startLdapServer(t, { onRequest: rootDse({ objectClass: ['OpenLDAProotDSE'] }) })
  const controller = new AbortController()
  const options = ldapOptions({ urls: [server.url], insecure: true })
  const about = { lockout: SOON, signal: controller.signal }
  const findings = examineLdap(options, ldapServices(createLogRecorder()), about)
  for await (const { check } of untilLeft(findings)) if (check.startsWith('directory')) break
  const [connection] = server.connections
  t.ok(connection)
  controller.abort()
  t.ok(await closesSoon(connection), 'or it keeps the process from ending')
})

t.test('whoever stops to listen before the service account is tried leaves nothing open', async t => {
  const server = await startLdapServer(t, { onRequest: () => {} })
  const options = ldapOptions({ urls: [server.url], insecure: true })
  const about = { lockout: SOON, signal: AbortSignal.timeout(10_000) }
  const findings = examineLdap(options, ldapServices(createLogRecorder()), about)
  for await (const { check } of findings) if (check.startsWith('TCP')) break
  t.ok(await closesSoon(server.connections[0]))
})

/** Whether the client's side is gone within five seconds. */
const closesSoon = (connection: LdapServerConnection | undefined) =>
  Promise.race([connection?.closed.then(() => true), pause(5_000, false, { ref: false })])

/** Leaves the generator where it is, as somebody does who is not interested any more. */
function untilLeft(findings: AsyncIterable<Finding>): AsyncIterable<Finding> {
  const iterator = findings[Symbol.asyncIterator]()
  return { [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) }
}

/** What is said of the service account where the first of two servers answers its bind so, and the second lets it in. */
async function bindAtTwo(t: Test, answer: { readonly code: number; readonly diagnosticMessage?: string }) {
  const refusing = await startLdapServer(t, {
    onRequest: ({ id }, connection) => connection.send(bindResponse(id, answer)),
  })
  const kind = rootDse({ objectClass: ['OpenLDAProotDSE'] })
  const findings = await examine(t, kind, {}, AbortSignal.timeout(10_000), [refusing.url])
  return findings.filter(({ check }) => check.startsWith('service account')).map(line)
}

const adSays = (data: string) =>
  `80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data ${data}, v4563`

t.test('a server that cannot judge the service account has not refused it', async t => {
  for (const answer of [
    { code: 53, diagnosticMessage: 'Server is shutting down' },
    { code: 49, diagnosticMessage: adSays('80090346') },
    { code: 49, diagnosticMessage: adSays('51f') },
    { code: 49, diagnosticMessage: adSays('54b') },
    { code: 8 },
  ]) {
    t.match(await bindAtTwo(t, answer), [/^fail .*: result /, /^ok .*: bound as/], JSON.stringify(answer))
  }
  for (const answer of [{ code: 49, diagnosticMessage: adSays('52e') }, { code: 53 }]) {
    t.match(
      await bindAtTwo(t, answer),
      [/^fail .*: result /, /^fail .*: not tried: /],
      JSON.stringify(answer),
    )
  }
})

t.test('what is wrong with the service account is said with what it means', async t => {
  const said = async (data: string) => (await bindAtTwo(t, { code: 49, diagnosticMessage: adSays(data) }))[0]
  t.match(
    await said('51f'),
    /data 51f, v4563": no domain controller that knows .* → have this domain controller reach/,
  )
  t.match(
    await said('54b'),
    /: the domain of the account cannot be reached .* → mend the trust and the network/,
  )
  t.match(await said('80090311'), /: no authority that could check .* → have this domain controller reach/)
  t.match(
    await said('569'),
    /: the account has no right to log on so → give the account the right "Access this/,
  )
  t.match(
    await said('532'),
    /data 532, v4563": the password has expired → the account's password has expired: set/,
  )
})

t.test(
  'a service account whose password must be changed first is let in, and fails all the same (OpenLDAP)',
  async t => {
    const policyDn = 'cn=default,dc=corp,dc=example'
    const corp = await readFile('fixtures/ldap/corp.ldif', 'utf8')
    const ldif = join(t.testdir(), 'reset.ldif')
    const policy = `dn: ${policyDn}\nobjectClass: person\nobjectClass: pwdPolicy\ncn: default\nsn: x\npwdAttribute: userPassword\npwdMustChange: TRUE\n`
    await writeFile(
      ldif,
      `${corp.replace(/^dn: cn=gatehouse,ou=services.*$/m, '$&\npwdReset: TRUE')}\n\n${policy}`,
    )
    const slapd = await startSlapd(t, {
      ldif,
      serverConfig: 'moduleload ppolicy',
      databaseConfig: `overlay ppolicy\nppolicy_default "${policyDn}"`,
    })
    const signal = AbortSignal.timeout(10_000)
    const findings: Finding[] = []
    const about = { lockout: SOON, signal }
    for await (const finding of examineLdap(slapdOptions(slapd), ldapServices(createLogRecorder()), about))
      findings.push(finding)
    t.match(
      line(findings.at(-1) as Finding),
      /^fail service account at .*: bound as cn=gatehouse,\S+, but its password must be changed .* → the account's password must be changed: set one without that flag, and `bind\.password`$/,
    )
  },
)

t.test('a trusted CA that soon ends is said, although the certificate of the server does not', async t => {
  const day = 86_400_000
  const path = join(t.testdir(), 'ca')
  const authority = await createCertificateAuthority(path, 'Short Root', Date.now() + 10.5 * day)
  const certificate = await authority.issue({ validUntil: Date.now() + 100 * day })
  const server = await startLdapServer(t, { certificate, implicitTls: true })
  const urls = [server.url, server.url.replace('localhost', '127.0.0.1')]
  const options = ldapOptions({ urls, tls: tlsOptions({ ca_file: authority.caFile }) })
  const about = { lockout: SOON, signal: AbortSignal.timeout(10_000) }
  const said: string[] = []
  for await (const finding of examineLdap(options, ldapServices(createLogRecorder()), about))
    said.push(line(finding))
  const warned = said.filter(each => each.startsWith('warn tls.ca_file'))
  t.match(warned, [
    /ca\.pem: the CA "CN=Short Root" in it expires in 10 days, on .* → put its new certificate/,
  ])
  t.match(said.join('|'), /ok certificate ldaps:\S+: the certificate expires in 99 days/)
})

t.test('of servers that DNS names no advice is about `urls`', async t => {
  const authority = await createCertificateAuthority(join(t.testdir(), 'ca'))
  const tls = tlsOptions({ ca_file: authority.caFile })
  const certificate = await authority.issue()
  const clear = await startLdapServer(t, {
    onRequest: (request, connection) =>
      request.operation.type === 'bind'
        ? connection.send(bindResponse(request.id, { code: 13 }))
        : connection.behave(request),
  })
  const encrypted = await startLdapServer(t, { certificate, implicitTls: true })
  const bad = async (
    port: number,
    changes: Partial<LdapOptions>,
    a = { 'dc1.corp.example': ['127.0.0.1'] },
  ) => {
    const record = { priority: 0, weight: 0, port, target: 'dc1.corp.example' }
    const dns = await startDnsServer(t, { srv: { '_ldap._tcp.corp.example': [record] }, a })
    const findings = await examine(t, () => {}, {
      discover: 'corp.example',
      dns_servers: [dns.address],
      ...changes,
    })
    const said = findings.filter(({ status }) => status !== 'ok').map(line)
    t.notMatch(said.join('\n'), /`urls`/)
    return said
  }
  t.match(await bad(clear.port, { insecure: true }), [
    /^warn TLS ldap:.* → take out `insecure`, for LDAP over TLS, or set `tls: \{ starttls: true \}`$/,
    /^fail service account .*result 13 .* → take out `insecure`, for LDAP over TLS/,
  ])
  t.match(await bad(clear.port, { insecure: false, tls: { ...tls, starttls: true } }), [
    /^fail StartTLS .* → the server offers no StartTLS: take out `tls\.starttls`, for LDAP over TLS$/,
  ])
  t.match(await bad(encrypted.port, { insecure: false, tls }), [
    /^fail TLS .* → use one of its names in the SRV records of corp\.example, or say in `tls\.servername` which/,
  ])
  t.match(await bad(clear.port, { insecure: false, tls }), [
    /^fail TLS .* → .*is it the right port\? 636 is for LDAP over TLS: correct it in the SRV records of corp\.example/,
  ])
  t.match(await bad(1, { insecure: false, tls }), [
    /^fail TCP .* → nothing listens .*: correct host and port in the SRV records of corp\.example/,
  ])
  t.match(await bad(1, { insecure: false, tls }, { 'dc1.corp.example': [] }), [
    /^fail DNS dc1\.corp\.example: .* → correct the name in the SRV records of corp\.example, or name a DNS server/,
  ])
})

t.test(
  'of every lockout policy that a person may be under it is said what the shield makes of it',
  async t => {
    const MINUTE = '-600000000'
    const on = { threshold: undefined, windowMs: 1_800_000 }
    const policy = (prefix: 'lockout' | 'msDS-Lockout', threshold: string, more: LdapAttributes = {}) => ({
      [`${prefix}Threshold`]: [threshold],
      [prefix === 'lockout' ? 'lockOutObservationWindow' : 'msDS-LockoutObservationWindow']: [MINUTE],
      [`${prefix}Duration`]: [MINUTE],
      ...more,
    })
    const examined = async (
      head: LdapAttributes,
      psos: readonly LdapAttributes[] = [],
      { shield = on, isOff = false, ownSids = ['S-1-5-32-545'] } = {} as {
        readonly shield?: ShieldOptions
        readonly isOff?: boolean
        readonly ownSids?: readonly string[]
      },
    ) => {
      const session = createSession(
        {
          async search({ base, sizeLimit }) {
            const wire = (entries: readonly LdapAttributes[]) => ({
              code: entries.length > sizeLimit ? 4 : 0,
              message: '',
              entries: entries.slice(0, sizeLimit).map(attributes => wireEntry(base, attributes)),
            })
            if (!base.startsWith('CN=Password Settings Container')) return wire([head])
            return wire(psos)
          },
        },
        AbortSignal.timeout(5_000),
      )
      const domain = 'DC=corp,DC=example'
      const findings: string[] = []
      const about = { session, domain, ours: SOON, shield: isOff ? undefined : shield, ownSids }
      for await (const finding of examineLockoutPolicy(about)) findings.push(line(finding))
      return findings
    }
    const sound = policy('lockout', '10')
    const pso = (cn: string, threshold: string, more: LdapAttributes = {}) =>
      policy('msDS-Lockout', threshold, { cn: [cn], ...more })

    t.match(await examined(sound, [], { ownSids: ['S-1-5-32-545', 'S-1-5-21-1-2-3-512'] }), [
      /^ok lockout policy: .* after 10 failures within 1 minute, for 1 minute; the shield lets 5 through from unfamiliar sources and 9 in all/,
      /^ok password settings objects: there are none/,
    ])
    t.match(await examined(sound), [
      /^ok/,
      /^warn password settings objects: the service account may not see .* → let .*, or have an administrator look .*set `lockout_shield\.threshold` to the lowest/,
    ])
    t.match(await examined(sound, [], { shield: { ...on, threshold: 4 } }), [
      /^ok lockout policy: .*lets 2 through from unfamiliar sources and 3 in all \(by `lockout_shield\.threshold: 4`\)/,
      /^ok password settings objects: .*`lockout_shield\.threshold: 4` holds/,
    ])
    t.match(await examined(sound, [], { shield: { ...on, threshold: 1 } }), [
      /^warn lockout policy: .*nothing is held back → set `lockout_shield\.threshold` to 2 or more/,
    ])
    const five = [1, 2, 3, 4, 5].map(each => pso(`p${each}`, each === 5 ? '3' : '20'))
    t.match(
      (await examined(sound, five, { shield: { ...on, threshold: 2 } }))[5],
      /^ok password settings object p5: .*3 failures.*lets 1 through from unfamiliar sources and 2 in all, /,
    )
    const sixty = Array.from({ length: 60 }, (_, each) => pso(`p${each}`, '20'))
    const more = /password settings objects: there are more than the 50 that were looked at/
    t.match((await examined(sound, sixty)).at(-1), more)

    const broken = [
      pso('odd', 'many'),
      pso('odd', '10', { 'msDS-LockoutObservationWindow': [] }),
      pso('odd', '', {}),
    ]
    for (const each of broken) {
      t.match(
        (await examined(sound, [each]))[1],
        /^warn password settings object odd: the service account cannot read .* assumes that 3 .* → let it read msDS-.*, or set `lockout_shield\.threshold`/,
      )
    }
    const partly = { lockoutThreshold: ['10'] }
    t.match(await examined(partly), [/^warn lockout policy: the service account cannot read that of DC=corp/])
    t.match(await examined(partly, [], { shield: { ...on, threshold: 4 } }), [
      /^ok lockout policy: .* the shield goes by `lockout_shield\.threshold: 4`/,
    ])
    t.match(await examined(policy('lockout', '1')), [
      /^warn lockout policy: the domain locks an account after 1 failure within 1 minute, .* → raise that threshold, such as to 10/,
    ])
    t.match(await examined(policy('lockout', '0')), [/^ok lockout policy: the domain never locks an account/])
    const forEver = pso('strict', '20', { 'msDS-LockoutDuration': ['-9223372036854775808'] })
    t.match(
      (await examined(sound, [forEver]))[1],
      /^ok password settings object strict: .*until an administrator unlocks it/,
    )

    const off = (head: LdapAttributes, psos?: readonly LdapAttributes[]) =>
      examined(head, psos, { isOff: true })
    t.match(await off(sound), [
      /^warn lockout policy: .*ours after 5 .* several sources add up → turn on `lockout_shield`/,
      /^warn password settings objects: .* → turn on `lockout_shield`/,
    ])
    t.match((await off(partly))[0], /^warn .* keep `lockout\.max_attempts` \(now 5\) below the threshold/)
    t.match((await off(sound, sixty)).at(-1), /^warn password settings objects: there are more .* → turn on/)
  },
)

function wireEntry(dn: string, attributes: LdapAttributes) {
  const octets = Object.entries(attributes).map(
    ([name, values]) => [name.toLowerCase(), [values].flat().map(value => Buffer.from(value))] as const,
  )
  return { dn, attributes: new Map(octets) }
}

t.test('what another preset does to the ids is said with it', async t => {
  const advice = async (attributes: LdapAttributes, changes: Partial<LdapOptions>) =>
    (await examine(t, rootDse(attributes), changes)).find(({ check }) => check === 'preset')?.advice
  const anew = 'to apps everybody who had an id is somebody new'
  const samba = { ...ad, vendorName: ['Samba Team (https://www.samba.org)'] }
  t.equal(
    await advice(samba, { preset: 'openldap' }),
    `set \`preset: samba\`: ids are then made from objectGUID, as this directory has no entryUUID, and ${anew}`,
  )
  t.equal(
    await advice(samba, { preset: 'openldap', id_attribute: 'entryUUID' }),
    `set \`preset: samba\` and take out \`id_attribute\`: ids are then made from objectGUID, as this directory has no entryUUID, and ${anew}`,
  )
  t.equal(await advice(samba, { preset: 'openldap', id_attribute: 'objectGUID' }), 'set `preset: samba`')
  const ds = { vendorName: ['389 Project'] }
  t.equal(
    await advice(ds, { preset: 'openldap' }),
    `set \`preset: 389ds\` and \`id_attribute: entryUUID\` if ids were given out by that here: else they are made from nsUniqueId, and ${anew}`,
  )
  t.equal(
    await advice(ds, { preset: 'openldap', id_attribute: 'entryUUID' }),
    'set `preset: 389ds`; `id_attribute` keeps the ids as they are',
  )
})

t.test('neither does the daemon give up the service account for such a server', async t => {
  for (const data of ['80090346', '51f', '54b', '52e']) {
    const answer = { code: 49, diagnosticMessage: adSays(data) }
    const first = await startLdapServer(t, {
      onRequest: ({ id }, connection) => connection.send(bindResponse(id, answer)),
    })
    const second = await startLdapServer(t, { onRequest: rootDse({}) })
    const desk = await openDesk(t, ldapOptions({ urls: [first.url, second.url], insecure: true }))
    await desk.login('alice', 'alice-secret-1')
    const refused = data === '52e'
    t.equal(desk.log.at('fatal').length, refused ? 1 : 0, data)
    t.equal(second.requests.length > 0, !refused, 'and it asks the next')
  }
})
