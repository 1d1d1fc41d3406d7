/** What `doctor` makes of directories that no test can start: root DSEs as they are documented, from a scripted server. */
import t, { type Test } from 'tap'
import { parentsOf } from '../../../src/backends/ldap/doctor/base.ts'
import { takeApart } from '../../../src/backends/ldap/doctor/filter-parts.ts'
import { withClause } from '../../../src/backends/ldap/doctor/placeholder.ts'
import { ldapPlugin } from '../../../src/backends/ldap/index.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import type { Finding } from '../../../src/plugin.ts'
import { bindResponse, type LdapAttributes, searchDone, searchEntry } from '../../support/ldap-message.ts'
import { type LdapServerOptions, type ReceivedRequest, startLdapServer } from '../../support/ldap-server.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import { groupOptions, ldapOptions, ldapServices } from './ldap-login.ts'

const SOON = { maxAttempts: 5, windowMs: 900_000 }

async function examine(
  t: Test,
  onRequest: NonNullable<LdapServerOptions['onRequest']>,
  changes: Partial<LdapOptions> = {},
  signal = AbortSignal.timeout(10_000),
): Promise<readonly Finding[]> {
  const server = await startLdapServer(t, { onRequest })
  const options = ldapOptions({ urls: [server.url], insecure: true, operation_timeout: 300, ...changes })
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
