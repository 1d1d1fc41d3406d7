/** What `doctor` makes of directories that no test can start: root DSEs as they are documented, from a scripted server. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parentsOf } from '../../../src/backends/ldap/doctor/base.ts'
import { examine as examineLdap } from '../../../src/backends/ldap/doctor/examine.ts'
import { takeApart } from '../../../src/backends/ldap/doctor/filter-parts.ts'
import { examineLockoutPolicy } from '../../../src/backends/ldap/doctor/lockout-policy.ts'
import { createSession } from '../../../src/backends/ldap/doctor/session.ts'
import { ldapPlugin } from '../../../src/backends/ldap/index.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import type { Finding } from '../../../src/plugin.ts'
import { createCertificateAuthority } from '../../support/certificate-authority.ts'
import { startDnsServer } from '../../support/dns-server.ts'
import { bindResponse, type LdapAttributes, searchDone, searchEntry } from '../../support/ldap-message.ts'
import {
  type LdapServerConnection,
  type LdapServerOptions,
  startLdapServer,
} from '../../support/ldap-server.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import { startSlapd } from '../../support/slapd.ts'
import { ldapOptions, ldapServices, openDesk, slapdOptions, tlsOptions } from './ldap-login.ts'

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

t.test('every lockout policy that a person may be under is compared with ours', async t => {
  const MINUTE = '-600000000'
  const policy = (prefix: 'lockout' | 'msDS-Lockout', threshold: string, more: LdapAttributes = {}) => ({
    [`${prefix}Threshold`]: [threshold],
    [prefix === 'lockout' ? 'lockOutObservationWindow' : 'msDS-LockoutObservationWindow']: [MINUTE],
    [`${prefix}Duration`]: [MINUTE],
    ...more,
  })
  const compared = async (
    domain: LdapAttributes,
    psos: readonly LdapAttributes[],
    ownSids = ['S-1-5-32-545'],
  ) => {
    const session = createSession(
      {
        async search({ base, sizeLimit }) {
          const wire = (entries: readonly LdapAttributes[]) => ({
            code: entries.length > sizeLimit ? 4 : 0,
            message: '',
            entries: entries.slice(0, sizeLimit).map(attributes => wireEntry(base, attributes)),
          })
          if (!base.startsWith('CN=Password Settings Container')) return wire([domain])
          return wire(psos)
        },
      },
      AbortSignal.timeout(5_000),
    )
    const findings: string[] = []
    for await (const finding of examineLockoutPolicy(session, 'DC=corp,DC=example', SOON, ownSids))
      findings.push(line(finding))
    return findings
  }
  const sound = policy('lockout', '10')
  const pso = (cn: string, threshold: string, more: LdapAttributes = {}) =>
    policy('msDS-Lockout', threshold, { cn: [cn], ...more })

  t.match(await compared(sound, [], ['S-1-5-32-545', 'S-1-5-21-1-2-3-512']), [
    /^ok lockout policy: /,
    /^ok password settings objects: there are none/,
  ])
  t.match(await compared(sound, []), [
    /./,
    /^warn password settings objects: the service account may not see .* → let .*, or have an administrator look .* LockoutThreshold of 1 to 5 locks/,
  ])
  const five = [1, 2, 3, 4, 5].map(each => pso(`p${each}`, each === 5 ? '3' : '20'))
  t.match(
    (await compared(sound, five))[5],
    /^warn password settings object p5: .*3 failures.* → set `lockout\.max_attempts` below 3/,
  )
  const many = await compared(
    sound,
    Array.from({ length: 60 }, (_, each) => pso(`p${each}`, '20')),
  )
  t.match(many.at(-1), /^warn password settings objects: there are more than the 50 that were looked at/)

  for (const broken of [
    pso('odd', 'many'),
    pso('odd', '10', { 'msDS-LockoutObservationWindow': [] }),
    pso('odd', '', {}),
  ]) {
    t.match(
      (await compared(sound, [broken]))[1],
      /^warn password settings object odd: the service account cannot read/,
    )
  }
  t.match(await compared({ lockoutThreshold: ['10'] }, []), [
    /^warn lockout policy: the service account cannot read that of DC=corp/,
  ])
  t.match(await compared(policy('lockout', '1'), []), [
    /^warn lockout policy: the domain locks an account after 1 failure within 1 minute, .* → raise that threshold, such as to 10/,
  ])
  const forEver = pso('strict', '20', { 'msDS-LockoutDuration': ['-9223372036854775808'] })
  t.match(
    (await compared(sound, [forEver]))[1],
    /^ok password settings object strict: .*until an administrator unlocks it/,
  )
})

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
