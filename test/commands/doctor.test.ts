import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { Command } from 'commander'
import t, { type Test } from 'tap'
import { resolvePlugin } from '../../src/backends/registry.ts'
import { examineBackend } from '../../src/commands/doctor/backends.ts'
import { examineListeners } from '../../src/commands/doctor/listeners.ts'
import { examineServed } from '../../src/commands/doctor/served.ts'
import { silentLog } from '../../src/commands/doctor/silent-log.ts'
import { doctorCommand } from '../../src/commands/doctor.ts'
import { loadConfig } from '../../src/config/load.ts'
import { definePlugin, type Finding, Type } from '../../src/plugin.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { startDaemon } from '../support/daemon.ts'
import { startDnsServer } from '../support/dns-server.ts'
import { quietPort } from '../support/quiet-port.ts'
import { startSamba } from '../support/samba.ts'
import { sambaPeople } from '../support/samba-people.ts'
import { corpBackend, provideSlapd, type Slapd, startSlapd } from '../support/slapd.ts'

interface Seen extends Finding {
  readonly about: string
}

interface Ran {
  readonly findings: readonly Seen[]
  readonly out: string
  readonly err: string
  readonly code: number
  /** The findings that are not as they should be, a line each. */
  readonly bad: readonly string[]
}

/** Runs one command line as main.ts does, without a process. */
async function run(args: readonly string[], { color = false } = {}): Promise<Ran> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  let code = 0
  const context = {
    stdin,
    stdout,
    stderr,
    env: {},
    color,
    loadConfig: (file: string) => loadConfig({ file, env: {}, resolvePlugin }),
    setExitCode: (next: number) => {
      code = next
    },
  }
  const both = Promise.all([text(stdout), text(stderr)])
  await new Command().addCommand(doctorCommand(context)).parseAsync(['doctor', ...args], { from: 'user' })
  stdout.end()
  stderr.end()
  const [out, err] = await both
  const findings: Seen[] = args.includes('--json')
    ? out
        .split('\n')
        .filter(Boolean)
        .map(line => JSON.parse(line))
    : []
  const bad = findings
    .filter(({ status }) => status !== 'ok')
    .map(({ status, check, detail, advice }) => `${status} ${check}: ${detail} → ${advice}`)
  return { findings, out, err, code, bad }
}

/** A configuration of its own, ports and database free. */
function configure(t: Test, ...backends: readonly object[]): string {
  const folder = t.testdir()
  const file = join(folder, 'gatehouse.yaml')
  const config = {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    database: join(folder, 'data', 'gatehouse.db'),
    backends,
  }
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
  return file
}

/** What `doctor` says about the directory alone. */
async function examine(t: Test, backend: object, ...args: string[]): Promise<Ran> {
  const ran = await run(['--json', '--backend', 'corp', '--config', configure(t, backend), ...args])
  const findings = ran.findings.filter(({ about }) => about === 'corp')
  const bad = findings
    .filter(({ status }) => status !== 'ok')
    .map(({ status, check, detail, advice }) => `${status} ${check}: ${detail} → ${advice}`)
  t.notMatch(ran.out + ran.err, /gatehouse-secret-1/, 'no password is said')
  return { ...ran, findings, bad }
}

const statuses = ({ findings }: Ran) => findings.map(({ status, check }) => `${status} ${check}`)

t.test('a directory as it should be: every step is looked at, in order', async t => {
  const slapd = await startSlapd(t, { certificate: { validUntil: Date.now() + 100 * 86_400_000 } })
  const ran = await examine(t, corpBackend(slapd), '--user', 'alice')
  t.strictSame(
    statuses(ran).map(line => line.replaceAll(String(slapd.ldapsPort), 'PORT')),
    [
      'ok DNS localhost',
      'ok TCP localhost:PORT',
      'ok TLS ldaps://localhost:PORT',
      'ok certificate ldaps://localhost:PORT',
      'ok service account at ldaps://localhost:PORT',
      'ok directory ldaps://localhost:PORT',
      'ok base_dn dc=corp,dc=example',
      'ok person uid=alice,ou=people,dc=corp,dc=example',
      'ok groups of alice',
    ],
  )
  const detail = (check: RegExp) => ran.findings.find(finding => check.test(finding.check))?.detail ?? ''
  t.match(
    detail(/^TLS/),
    /^TLSv1\.3, the certificate is for localhost, 127\.0\.0\.1, issued by CN=Gatehouse test CA$/,
  )
  t.match(detail(/^certificate/), /^the certificate expires in 99 days, on /)
  t.match(detail(/^directory/), 'OpenLDAP, naming contexts: dc=corp,dc=example')
  t.match(
    detail(/^person/),
    /^id [0-9a-f-]{36}, name alice, Alice Liddell <alice@corp\.example>, state usable$/,
  )
  t.match(detail(/^groups/), /^.*staff.*, found by levels$/)
  t.equal(ran.code, 0)
  t.equal((await slapd.binds()).length, 1, 'the service account, and nobody else')
})

t.test('each wrong knob is found and named', async t => {
  const slapd = await startSlapd(t)
  const dns = await startDnsServer(t)
  const namesake = await createCertificateAuthority(join(t.testdir(), 'namesake'))
  const own = await clientCertificate(slapd)
  const knobs: readonly (readonly [what: string, changes: object, says: RegExp, args?: readonly string[]])[] =
    [
      [
        'a base that does not exist',
        { base_dn: 'ou=peple,dc=corp,dc=example' },
        /^fail base_dn ou=peple,.* nearest that exists above it is dc=corp,dc=example → correct `base_dn`: the part before/,
      ],
      [
        'a base of another directory',
        { base_dn: 'dc=other,dc=example' },
        /^fail base_dn dc=other,dc=example: it is not of this directory .*has dc=corp,dc=example → set `base_dn: dc=corp,dc=example`/,
      ],
      [
        'a base without people',
        { base_dn: 'ou=groups,dc=corp,dc=example' },
        /^fail base_dn: nobody like this is below ou=groups,.* → set `base_dn: ou=people,dc=corp,dc=example`/,
      ],
      [
        'an object class that nobody has',
        { user_filter: '(&(objectClass=user)(uid={username}))' },
        /^fail user_filter: the clause \(objectClass=user\) matches nothing .* → write \(objectClass=inetOrgPerson\) instead/,
      ],
      [
        'a clause that matches nobody',
        { user_filter: '(&(objectClass=inetOrgPerson)(employeeType=staff)(uid={username}))' },
        /^fail user_filter: the clause \(employeeType=staff\) matches nothing .* → correct it; without it everybody else gets in, too/,
      ],
      [
        'an attribute that nobody has',
        { user_filter: '(&(objectClass=inetOrgPerson)(sAMAccountName={username}))' },
        /^fail user_filter: people are there .*no sAMAccountName .* → in `user_filter` look for the name in uid or mail/,
      ],
      [
        'a person known by another attribute',
        { user_filter: '(&(objectClass=inetOrgPerson)(uid={username}))' },
        /^fail user alice@corp\.example: found by mail, in which `user_filter` does not look .* → add \(mail=\{mail\}\) to/,
        ['--user', 'alice@corp.example'],
      ],
      [
        'a person below another base',
        {
          base_dn: 'ou=services,dc=corp,dc=example',
          user_filter: '(&(objectClass=*)(|(uid={username})(cn={input})))',
        },
        /^fail user alice: nobody like this is below ou=services,.* → set `base_dn: ou=people,dc=corp,dc=example`/,
        ['--user', 'alice'],
      ],
      [
        'a person kept out by one clause',
        { user_filter: '(&(objectClass=inetOrgPerson)(mail=bob@corp.example)(uid={username}))' },
        /^fail user alice: there is uid=alice,.* does not match the filter → `user_filter`: the clause \(mail=bob@corp\.example\) keeps/,
        ['--user', 'alice'],
      ],
      [
        'a person who is nowhere',
        {},
        /^fail user nobody: nobody that the service account can see has this name in uid, mail, /,
        ['--user', 'nobody'],
      ],
      [
        'a name of several',
        {},
        /^warn user twins@corp\.example: several entries match: .*twin1.*twin2.* → make `user_filter` find one only/,
        ['--user', 'twins@corp.example'],
      ],
      [
        'an id attribute that is not there',
        { id_attribute: 'objectGUID' },
        /^fail id_attribute objectGUID: .* shows no objectGUID.* → set `id_attribute: entryUUID`, which is there/,
        ['--user', 'alice'],
      ],
      [
        'the preset of another kind of directory',
        { preset: 'freeipa', id_attribute: 'entryUUID' },
        /^warn preset: `preset: freeipa` is not for OpenLDAP → set `preset: openldap`/,
      ],
      [
        'a wrong password of the service account',
        { bind: { dn: slapd.serviceDn, password: 'wrong' } },
        /^fail service account at .*result 49 .* → `bind\.dn` or `bind\.password` is wrong: correct it/,
      ],
      [
        'a service account that is no DN',
        { bind: { dn: 'gatehouse', password: 'x' } },
        /^fail service account at .*result 34 .* → `bind\.dn` is no DN: correct it/,
      ],
      [
        'a service account without a certificate for EXTERNAL',
        { tls: { ca_file: slapd.caFile, ...(await clientCertificate(slapd)) }, bind: { method: 'external' } },
        /^fail service account at .*result 7 .* → the server does not allow this `bind\.method`/,
      ],
      [
        'a CA that is missing',
        { tls: {} },
        /^fail TLS .* the CA "CN=Gatehouse test CA", which is not in the list of CAs that Node\.js trusts → put that CA's certificate into `tls\.ca_file`/,
      ],
      [
        'a CA file that is not there',
        { tls: { ca_file: '/nowhere/ca.pem' } },
        /^fail tls\.ca_file \/nowhere\/ca\.pem: it does not exist → correct the path in `tls\.ca_file`$/,
      ],
      [
        'a name that the certificate has not',
        { tls: { ca_file: slapd.caFile, servername: 'dc1.corp.example' } },
        /^fail TLS .* it is for localhost, 127\.0\.0\.1, and not for dc1\.corp\.example → correct `tls\.servername`, or take it out/,
      ],
      [
        'a port on which nobody listens',
        { urls: [`ldaps://localhost:${slapd.ldapsPort + 1}`] },
        /^fail TCP localhost:\d+: .*ECONNREFUSED.* → nothing listens on port \d+ there: correct host and port in `urls`, where ldaps:\/\/ is on 636/,
      ],
      [
        'the port of plain LDAP for ldaps',
        { urls: [`ldaps://localhost:${slapd.ldapPort}`] },
        /^fail TLS .* → .*is it the right port\? 636 is for ldaps/,
      ],
      [
        'a DNS name that is unknown',
        { urls: ['ldaps://no-such-host.invalid'] },
        /^fail DNS no-such-host\.invalid: .* → correct the name in `urls`, or name a DNS server that knows it in `dns_servers`/,
      ],
      [
        'a domain without SRV records',
        { urls: [], discover: 'no-such-domain.invalid', dns_servers: [dns.address] },
        /^fail DNS SRV no-such-domain\.invalid: .*neither an SRV record.* → correct `discover`, name a DNS server/,
      ],
      [
        'a name server that is not there, asked for the servers of a domain',
        { urls: [], discover: 'corp.example', dns_servers: ['127.0.0.1:9'] },
        /^fail DNS SRV corp\.example: the name server 127\.0\.0\.1:9 does not answer \(querySrv ECONNREFUSED.* → correct `dns_servers`/,
      ],
      [
        'a name server that is not there, asked for a host',
        { urls: ['ldaps://dc1.corp.example'], dns_servers: ['127.0.0.1:9'] },
        /^fail DNS dc1\.corp\.example: the name server 127\.0\.0\.1:9 does not answer .* → correct `dns_servers`/,
      ],
      [
        'a CA of the same name with another key',
        { tls: { ca_file: namesake.caFile } },
        new RegExp(
          `^fail TLS .*the CA "CN=Gatehouse test CA" in tls\\.ca_file is another CA of the same name.* → put the CA that has signed it into \`tls\\.ca_file\` \\(${namesake.caFile}\\)$`,
        ),
      ],
      [
        'a CA file without a certificate',
        { tls: { ca_file: own.key_file } },
        /^fail tls\.ca_file \S+: it holds no PEM certificate → correct `tls\.ca_file`$/,
      ],
      [
        'a CA file that is a folder',
        { tls: { ca_file: t.testdirName } },
        /^fail tls\.ca_file \S+: it is a folder → name a file in `tls\.ca_file`$/,
      ],
      [
        'a key file that is not there',
        { tls: { ca_file: slapd.caFile, ...own, key_file: '/nowhere/own.key' } },
        /^fail tls\.key_file \/nowhere\/own\.key: it does not exist → correct the path in `tls\.key_file`$/,
      ],
      [
        'a key of another certificate',
        { tls: { ca_file: slapd.caFile, ...own, key_file: (await clientCertificate(slapd)).key_file } },
        /^fail tls\.cert_file \S+ and tls\.key_file \S+: they do not belong together → name the key that this/,
      ],
      [
        'a down-level domain that is in no names',
        {},
        /^fail user CORP\\alice: the domain CORP is in no `names`.*without it uid=alice,.* is found → if CORP is this directory's, set `names: \{ netbios: CORP \}`$/,
        ['--user', 'CORP\\alice'],
      ],
      [
        'a down-level domain that is misspelled in names',
        { names: { netbios: 'CROP' } },
        /^fail user CORP\\alice: .* set `names: \{ netbios: CORP \}`, which is CROP now$/,
        ['--user', 'CORP\\alice'],
      ],
      [
        'a suffix that is in no names',
        { names: { upn_suffixes: ['alt.example'] } },
        /^fail user nomail@corp\.example: the domain corp\.example is in no `names`.* → .* set `names: \{ upn_suffixes: \[alt\.example, corp\.example\] \}`/,
        ['--user', 'nomail@corp.example'],
      ],
      [
        'a required group that is misspelled',
        { groups: { required: ['stfaf', 'wiki-editors'] } },
        /^fail groups\.required "stfaf": matches no group .*, so nobody gets in by it → did you mean "staff"\?$/,
      ],
      [
        'a denied group that is misspelled',
        { groups: { denied: ['formr'] } },
        /^warn groups\.denied "formr": matches no group .*: it is misspelled and keeps nobody out, or the group cannot be seen → correct it, or let/,
      ],
      [
        'a role of a group that is misspelled',
        { groups: { roles: { 'wiki-editor': 'author' } } },
        /^warn groups\.roles "wiki-editor": matches no group .*, so nobody gets the role author → did you mean "wiki-editors"\?$/,
      ],
      [
        'a denied group by a DN that is not there',
        { groups: { denied: ['cn=stafff,ou=groups,dc=corp,dc=example'] } },
        /^warn groups\.denied "cn=stafff,.*": matches no group .* → did you mean "cn=staff,ou=groups,dc=corp,dc=example"\? If not, correct it/,
      ],
      [
        'a denied folder of groups',
        { groups: { denied: ['ou=groups,dc=corp,dc=example'] } },
        /^warn groups\.denied "ou=groups,.*": matches no group/,
      ],
      [
        'a denied pattern with a star that matches nothing',
        { groups: { denied: ['leavers-*'] } },
        /^warn groups\.denied "leavers-\*": matches no group .* → correct it/,
      ],
      [
        'a person who is in no required group',
        { groups: { required: ['wiki-editors'] } },
        /^warn user bob: this person is not let in: .* → put them into one of these, or correct `groups\.required`: wiki-editors$/,
        ['--user', 'bob'],
      ],
      [
        'a base of groups that does not exist',
        { groups: { base_dn: 'ou=gruops,dc=corp,dc=example' } },
        /^fail groups\.base_dn ou=gruops,.* nearest that exists above it is dc=corp,dc=example → correct `groups\.base_dn`/,
      ],
      [
        'a base of groups beside the groups',
        { groups: { base_dn: 'ou=services,dc=corp,dc=example', denied: ['staff'] } },
        /^warn groups\.denied "staff": cn=staff,ou=groups,.* is not below `groups\.base_dn`.* → correct `groups\.base_dn`$/,
      ],
      [
        'more groups than allowed',
        { groups: { max: 1 } },
        /^fail groups of alice: there are more groups than groups\.max allows \(1\) → raise `groups\.max`/,
        ['--user', 'alice'],
      ],
      [
        'a way to groups that only Active Directory has',
        { groups: { nesting: 'in_chain' } },
        /^fail groups\.nesting in_chain: only Active Directory can do that, and this is OpenLDAP → set `groups\.nesting: levels`/,
      ],
      [
        'the preset of another kind, and no id of that kind',
        { preset: 'freeipa' },
        /^fail preset: uid=.* shows no ipaUniqueID, in which `preset: freeipa` looks for the id → set `preset: openldap`$/,
      ],
      [
        'the preset of another kind, whose filter finds nobody',
        { preset: 'active-directory' },
        /^fail preset: its filter \(&\(objectCategory=person\).* finds nobody in OpenLDAP → set `preset: openldap`$/,
      ],
      [
        'a filter of alternatives, none of which fits',
        {
          user_filter:
            '(|(&(objectClass=user)(uid={username}))(&(objectClass=inetOrgPerson)(sAMAccountName={username})))',
        },
        /^fail user_filter: none of its branches matches anybody: of \(&\(objectClass=user\).* nothing matches \(objectClass=user\); of \(&\(objectClass=inetOrgPerson\).* nobody who matches the rest has sAMAccountName → correct one of them: uid=.* has uid and mail/,
      ],
      [
        'an attribute for apps that nobody has',
        { attributes: { phone: 'telephonNumber' } },
        /^warn attributes\.phone: nobody has telephonNumber that the service account can read → correct `attributes\.phone`/,
      ],
    ]
  for (const [what, changes, says, args = []] of knobs) {
    await t.test(what, async t => {
      const { bad, code } = await examine(t, corpBackend(slapd, changes), ...args)
      t.ok(
        bad.some(line => says.test(line)),
        bad.join('\n') || 'nothing was found wrong',
      )
      t.equal(code, bad.some(line => line.startsWith('fail')) ? 1 : 0)
    })
  }
})

async function clientCertificate(slapd: Slapd) {
  const { certFile, keyFile } = await slapd.certificateAuthority.issue({ commonName: 'gatehouse' })
  return { cert_file: certFile, key_file: keyFile }
}

t.test('a certificate that has expired, and one that soon will', async t => {
  const expired = await startSlapd(t, { certificate: { validUntil: Date.now() - 60_000 } })
  const { bad } = await examine(t, corpBackend(expired))
  t.match(bad.join(), /^fail TLS .*expired on \d{4}-.* → renew it on the server/)
  const soon = await startSlapd(t)
  const later = await examine(t, corpBackend(soon))
  t.match(later.bad.join(), /^warn certificate .* expires in 0 days, on .* → renew it on the server/)
  t.equal(later.code, 0, 'a warning is no failure')
})

t.test('a server that takes no password in clear says what to change', async t => {
  const slapd = await startSlapd(t, { serverConfig: 'security simple_bind=128' })
  const clear = { urls: [slapd.ldapUrl], tls: {}, insecure: true }
  const { bad } = await examine(t, corpBackend(slapd, clear))
  t.match(bad, [
    /^warn TLS ldap:.*: none: every password sent there is readable.* → use `ldaps:\/\/`/,
    /^fail service account at .*result 13 .* → use `ldaps:\/\/` in `urls`, or `tls: \{ starttls: true \}`/,
  ])
  const encrypted = await examine(
    t,
    corpBackend(slapd, { urls: [slapd.startTlsUrl], tls: { ca_file: slapd.caFile, starttls: true } }),
  )
  t.notMatch(encrypted.bad.join('\n'), /^fail/m, 'and with StartTLS it is content')
})

t.test('a refused service account is not tried on the next server', async t => {
  const slapd = await startSlapd(t)
  const twice = {
    urls: [slapd.ldapsUrl, slapd.ldapsUrl.replace('localhost', '127.0.0.1')],
    bind: { dn: slapd.serviceDn, password: 'wrong' },
  }
  const { bad } = await examine(t, corpBackend(slapd, twice))
  t.match(
    bad.join('\n'),
    /^fail service account at ldaps:\/\/127\.0\.0\.1:\d+: not tried: ldaps:\/\/localhost:\d+ has refused it/m,
  )
  t.equal((await slapd.binds()).length, 1)
})

t.test('what the service account may not read is said, and no option is blamed for it', async t => {
  const account = 'cn=gatehouse,ou=services,dc=corp,dc=example'
  const within = async (access: string, changes: object, ...args: string[]) =>
    (await examine(t, corpBackend(await startSlapd(t, { access, ...fresh }), changes), ...args)).bad
  t.match(
    await within(`access to dn.subtree="ou=people,dc=corp,dc=example" by dn.exact="${account}" none`, {}),
    [
      /^fail people: no person is to be seen below dc=corp,dc=example, with whatever filter: the service account may not read them, or they are elsewhere → let cn=gatehouse,\S+ read the entries of people/,
    ],
    'not even the account itself is proposed',
  )
  t.match(
    await within(
      `access to dn.subtree="ou=people,dc=corp,dc=example" attrs=objectClass by dn.exact="${account}" none`,
      {},
    ),
    [
      /^fail user_filter: the clause \(objectClass=inetOrgPerson\) .* → let the service account read objectClass/,
    ],
  )
  const nothing = `access to dn.subtree="dc=corp,dc=example" by dn.exact="${account}" none by anonymous auth`
  t.match(await within(nothing, {}), [
    /^fail base_dn dc=corp,dc=example: it exists, but the service account may not read it → let the service account read it/,
  ])
  t.match(await within(nothing, { base_dn: 'ou=people,dc=corp,dc=example' }), [
    /^fail base_dn ou=people,\S+: nothing is to be seen, not even dc=corp,dc=example, which exists: the service account may not read it → let/,
  ])
  t.match(await within(`access to attrs=uid by dn.exact="${account}" search`, {}, '--user', 'alice'), [
    /^warn person uid=alice,\S+: no uid that the service account can read, so apps are told the id for a name → let the service account read uid$/,
  ])
  t.match(
    await within(
      `access to dn.subtree="ou=groups,dc=corp,dc=example" by dn.exact="${account}" none`,
      { groups: { denied: ['all-hands'] } },
      '--user',
      'alice',
    ),
    [
      /^warn nested groups: memberOf of alice lists cn=.*, which the service account cannot read: groups that contain it are not found, and `groups\.denied` see.* only direct members → let the service account read groups/,
      /^warn groups: no group is to be seen below dc=corp,dc=example, so nobody can say whether these match any: denied "all-hands" → let the service account read the groups/,
    ],
  )
})

t.test('a directory that lets nobody in anonymously says so, and not that it is slow', async t => {
  const anonymous = { bind: { method: 'anonymous' } }
  for (const [serverConfig, said] of [
    ['require authc', /result 53 \(unwillingToPerform\): "authentication required"/],
    ['require bind', /result 1 \(operationsError\): "BIND required"/],
  ] as const) {
    const { bad } = await examine(t, corpBackend(await startSlapd(t, { ...fresh, serverConfig }), anonymous))
    t.match(bad, [
      /^fail directory ldaps:\S+: `bind\.method: anonymous` is not allowed here: .* → take out `bind\.method: anonymous` and give `bind` an account/,
    ])
    t.match(bad.join(), said)
  }
  const open = await startSlapd(t, {
    ...fresh,
    access: 'access to * attrs=userPassword by * auth\naccess to * by * read',
  })
  t.same((await examine(t, corpBackend(open, anonymous))).bad, [], 'where it is allowed nobody minds')
})

t.test('without a name, somebody who is in a required group is looked for', async t => {
  const slapd = await startSlapd(t, { ldif: await posixLdif(t), ...(await posixSchema()), ...fresh })
  const groups = { filter: '(&(objectClass=posixGroup)(memberUid={username}))', required: ['staff'] }
  const found = await examine(t, corpBackend(slapd, { groups }))
  t.same(found.bad, [])
  t.match(
    found.findings.map(({ check }) => check),
    [/./, /./, /./, /./, /./, /./, /./, /^person uid=alice,/, 'groups of alice'],
    'although aaron comes first',
  )
  const empty = await examine(t, corpBackend(slapd, { groups: { ...groups, required: ['nobody'] } }))
  t.match(empty.bad, [
    /^warn groups\.required: nobody was found who is in one of these: nobody → try with `--user`/,
    /^warn groups\.filter: it finds no group of aaron, though there are groups with memberUid, such as cn=staff,/,
  ])
  const denied = await examine(
    t,
    corpBackend(slapd, { groups: { ...groups, required: [], denied: ['staff'] } }),
    '--user',
    'alice',
  )
  t.match(denied.bad, [
    /^warn user alice: this person is not let in: .* staff → take them out of that group, or correct/,
  ])
})

t.test('a groups.filter that finds nothing says which part of it', async t => {
  const slapd = await startSlapd(t, { ldif: await posixLdif(t), ...(await posixSchema()), ...fresh })
  const wrong = async (filter: string) =>
    (await examine(t, corpBackend(slapd, { groups: { filter } }), '--user', 'alice')).bad
  t.match(await wrong('(&(objectClass=groupOfNames)(memberUid={username}))'), [
    /^warn groups\.filter: its clause \(objectClass=groupOfNames\) matches nothing below dc=corp,dc=example → correct/,
  ])
  t.match(await wrong('(&(objectClass=posixGroup)(member={dn}))'), [
    /^warn groups\.filter: no group below \S+ has member that the service account can read → look for members in another/,
  ])
  t.match(await wrong('(&(objectClass=posixGroup)(memberUid={dn}))'), [
    /^warn groups\.filter: it finds no group of alice, .*, such as cn=\w+,ou=groups,\S+ → .*is it \{dn\} or \{username\}\?$/,
  ])
})

t.test('an attribute that somebody else has is no mistake', async t => {
  const slapd = await startSlapd(t, fresh)
  const { bad } = await examine(
    t,
    corpBackend(slapd, { attributes: { first: 'givenName' } }),
    '--user',
    'bob',
  )
  t.same(bad, [])
})

t.test('a server that speaks no TLS 1.3 and says nothing about it', async t => {
  const slapd = await startSlapd(t, { ...fresh, serverConfig: 'TLSCipherSuite NORMAL:-VERS-TLS1.3' })
  const strict = { tls: { ca_file: slapd.caFile, min_version: 'TLSv1.3' } }
  t.match((await examine(t, corpBackend(slapd, strict))).bad, [
    /^fail TLS .* the server hung up .*does it speak TLS 1\.3\? If not, set `tls\.min_version: TLSv1\.2`/,
  ])
})

t.test('no advice on a filter lets in whom it keeps out', async t => {
  const slapd = await startSlapd(t, fresh)
  const about = async (user_filter: string) => (await examine(t, corpBackend(slapd, { user_filter }))).bad
  t.match(
    await about(
      '(&(objectClass=inetOrgPerson)(memberOf=cn=stafff,ou=groups,dc=corp,dc=example)(uid={username}))',
    ),
    [
      /^fail user_filter: the clause \(memberOf=cn=stafff,\S+ matches nothing .* → correct it; without it everybody else gets in, too/,
    ],
  )
  t.match(
    await about(
      '(&(memberOf=cn=wiki-editors,ou=groups,dc=corp,dc=example)(mail=bob@corp.example)(uid={username}))',
    ),
    [
      /^fail user_filter: each clause matches some entry .* → correct one of them; without it everybody else gets in, too: \(memberOf=/,
    ],
  )
  t.match(await about('(&(objectClass=inetOrgPerson)(objectClass=vpnUsr)(uid={username}))'), [
    /^fail user_filter: the clause \(objectClass=vpnUsr\) matches nothing .* → correct it; without it everybody else/,
  ])
  t.match(await about('(&(objectClass=vpnUsr)(uid={username}))'), [
    / → correct it; without it everybody else/,
  ])
  t.match(
    await about('(&(objectClass=person)(objectClass=inetOrgPerson)(objectClass=user)(uid={username}))'),
    [/ → correct it; without it everybody else/],
  )
  const { bad } = await examine(
    t,
    corpBackend(await startSlapd(t, { access: hidden('employeeType'), ...fresh }), {
      user_filter: '(&(objectClass=inetOrgPerson)(!(employeeType=left))(uid={username}))',
    }),
  )
  t.match(bad, [/ → correct it; without it everybody else gets in, too; or let the service account read/])
})

/** A rule that keeps an attribute from the service account. */
function hidden(attribute: string): string {
  return `access to attrs=${attribute} by dn.exact="cn=gatehouse,ou=services,dc=corp,dc=example" none`
}

t.test('a name that no person has moves no base and adds no attribute', async t => {
  const slapd = await startSlapd(t, { ...fresh, ldif: await ldifWith(t, strangers) })
  const about = async (user: string, changes: object) =>
    (await examine(t, corpBackend(slapd, changes), '--user', user)).bad
  const people = { base_dn: 'ou=people,dc=corp,dc=example' }
  for (const user of ['staff', 'gatehouse', 'left', 'printer']) {
    t.match(
      await about(user, people),
      [/^fail user \w+: nobody that the service account can see has this name/],
      user,
    )
  }
  t.match(await about('staff', { user_filter: '(uid={username})' }), [
    /^fail user staff: nobody .* \(cn=staff,ou=groups,\S+ has it, and is no person\) → is the name right\?/,
  ])
  t.match(await about('visitor', people), [
    /^fail user visitor: uid=visitor,ou=guests,\S+ lies outside `base_dn`, below which there are people → if whoever else is below dc=corp,dc=example may get in, too, set `base_dn: dc=corp,dc=example`/,
  ])
  for (const user_filter of [
    '(&(objectClass=top)(uid={username}))',
    '(&(!(employeeType=left))(uid={username}))',
  ]) {
    const { bad } = await examine(
      t,
      corpBackend(slapd, { base_dn: 'ou=groups,dc=corp,dc=example', user_filter }),
    )
    t.match(
      bad,
      [/^fail base_dn: nobody like this is below ou=groups,.* → set `base_dn: ou=\w+,dc=corp,dc=example`/],
      user_filter,
    )
  }
})

t.test('the clause that is proposed finds the name as it is there', async t => {
  const slapd = await startSlapd(t, { ...fresh, ldif: await ldifWith(t, strangers) })
  const names = { upn_suffixes: ['corp.example'] }
  const about = async (changes: object, ...args: string[]) =>
    (await examine(t, corpBackend(slapd, { names, ...changes }), ...args)).bad
  const cloud = { base_dn: 'ou=cloud,dc=corp,dc=example' }
  const nowhere = { user_filter: '(&(objectClass=inetOrgPerson)(employeeNumber={username}))' }
  t.match(await about({ base_dn: 'ou=mailonly,dc=corp,dc=example', ...nowhere }), [
    /^fail user_filter: people are there .* → .* look for the name in mail or cn, such as \(mail=\{mail\}\)/,
  ])
  t.match(await about({ ...cloud, ...nowhere }), [
    / → .* look for the name in uid or cn, such as \(uid=\{input\}\)/,
  ])
  t.match(await about({ ...cloud, user_filter: '(uid={username})' }, '--user', 'zoe@corp.example'), [
    /^fail user zoe@corp\.example: uid of uid=zoe@corp\.example,\S+ is zoe@corp\.example, and .* another part .* → write \(uid=\{input\}\) in `user_filter`/,
  ])
  t.match(await about({ user_filter: '(mail={mail})' }, '--user', 'alice'), [
    /^fail user alice: found by uid, .* → add \(uid=\{username\}\) to `user_filter`: \(\|\(mail=\{mail\}\)\(uid=\{username\}\)\)$/,
  ])
  // A clause alone in its place would lose the class that the preset asks for.
  t.match(await about({}, '--user', 'Alice Liddell'), [
    /^fail user Alice Liddell: found by cn, .* → set `user_filter: \(&\(objectClass=inetOrgPerson\)\(\|\(uid=\{username\}\)\(mail=\{mail\}\)\(cn=\{username\}\)\)\)`$/,
  ])
  t.match(await about({ names: { netbios: 'CORP' } }, '--user', 'nomail@corp.example'), [
    / set `names: \{ netbios: CORP, upn_suffixes: \[corp\.example\] \}`$/,
  ])
})

t.test('a denied group that cannot be read is not said to keep nobody out', async t => {
  const slapd = await startSlapd(t, {
    ...fresh,
    access: 'access to dn.exact="cn=wiki-editors,ou=groups,dc=corp,dc=example" by * none',
  })
  const { bad, code } = await examine(
    t,
    corpBackend(slapd, { groups: { denied: ['wiki-editors'] } }),
    '--user',
    'bob',
  )
  t.match(bad, [
    /^warn groups\.denied "wiki-editors": .*, or the group cannot be seen → correct it, or let the service account read the group$/,
  ])
  t.equal(code, 0)
})

t.test('a base that only the directory can read is said, although everybody is found', async t => {
  const slapd = await startSlapd(t, fresh)
  for (const base_dn of [
    'ou=people,domainComponent=corp,domainComponent=example',
    'organizationalUnitName=people,dc=corp,dc=example',
  ]) {
    const { bad, code } = await examine(t, corpBackend(slapd, { base_dn }), '--user', 'alice')
    t.match(bad, [
      /^fail person uid=alice,.* so every login fails → write `base_dn` as the server does: `base_dn: ou=people,dc=corp,dc=example`$/,
    ])
    t.equal(code, 1)
  }
})

/** The directory of all tests, with more in it. */
async function ldifWith(t: Test, more: string): Promise<string> {
  const file = join(t.testdir(), 'more.ldif')
  writeFileSync(file, readFileSync('fixtures/ldap/corp.ldif', 'utf8') + more)
  return file
}

/** People in other places, and what has the name of somebody and is nobody. */
const strangers = `
dn: ou=guests,dc=corp,dc=example
objectClass: organizationalUnit
ou: guests

dn: uid=visitor,ou=guests,dc=corp,dc=example
objectClass: inetOrgPerson
uid: visitor
cn: Visitor
sn: Visitor

dn: cn=left,ou=groups,dc=corp,dc=example
objectClass: organizationalRole
cn: left

dn: cn=deleted users,dc=corp,dc=example
objectClass: organizationalRole
cn: deleted users

dn: uid=left,cn=deleted users,dc=corp,dc=example
objectClass: inetOrgPerson
uid: left
cn: Left
sn: Left

dn: cn=printer,ou=services,dc=corp,dc=example
objectClass: organizationalRole
cn: printer

dn: ou=mailonly,dc=corp,dc=example
objectClass: organizationalUnit
ou: mailonly

dn: cn=Mo,ou=mailonly,dc=corp,dc=example
objectClass: inetOrgPerson
cn: Mo
sn: Mo
mail: mo@corp.example

dn: ou=cloud,dc=corp,dc=example
objectClass: organizationalUnit
ou: cloud

dn: uid=zoe@corp.example,ou=cloud,dc=corp,dc=example
objectClass: inetOrgPerson
uid: zoe@corp.example
cn: Zoe
sn: Zoe
`

/** With a certificate that nobody has to be warned of. */
const fresh = { certificate: { validUntil: Date.now() + 100 * 86_400_000 } }

async function posixLdif(t: Test): Promise<string> {
  const ldif = join(t.testdir(), 'posix.ldif')
  writeFileSync(ldif, posixCorp)
  return ldif
}

async function posixSchema() {
  const { root } = await provideSlapd()
  return { serverConfig: `include ${root}/etc/ldap/schema/nis.schema` }
}

t.test('a directory without memberOf: groups.filter is proposed, and is what helps', async t => {
  const slapd = await startSlapd(t, { ldif: await posixLdif(t), ...(await posixSchema()) })
  const without = await examine(t, corpBackend(slapd), '--user', 'alice')
  const proposed =
    /^warn groups: nobody below `base_dn` has memberOf .*cn=staff.* → set `groups\.filter: (.*)`, or have/m
  const [, filter] = proposed.exec(without.bad.join('\n')) ?? []
  t.equal(filter, '(&(objectClass=posixGroup)(memberUid={username}))', without.bad.join('\n'))
  const helped = await examine(t, corpBackend(slapd, { groups: { filter } }), '--user', 'alice')
  t.match(helped.findings.at(-1), { status: 'ok', check: 'groups of alice', detail: /^staff, found by / })
})

/** Groups as Unix has them: the members are names. */
const posixCorp = `
dn: dc=corp,dc=example
objectClass: dcObject
objectClass: organization
dc: corp
o: Corp Example

dn: ou=groups,dc=corp,dc=example
objectClass: organizationalUnit
ou: groups

dn: ou=services,dc=corp,dc=example
objectClass: organizationalUnit
ou: services

dn: cn=gatehouse,ou=services,dc=corp,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gatehouse
userPassword: gatehouse-secret-1

dn: uid=aaron,dc=corp,dc=example
objectClass: inetOrgPerson
uid: aaron
cn: Aaron
sn: Aaron
mail: aaron@corp.example
userPassword: aaron-secret-1

dn: uid=alice,dc=corp,dc=example
objectClass: inetOrgPerson
uid: alice
cn: Alice Liddell
sn: Liddell
mail: alice@corp.example
userPassword: alice-secret-1

dn: cn=staff,ou=groups,dc=corp,dc=example
objectClass: posixGroup
cn: staff
gidNumber: 1000
memberUid: alice

dn: cn=nobody,ou=groups,dc=corp,dc=example
objectClass: posixGroup
cn: nobody
gidNumber: 1001
`

t.test(
  'Active Directory: its kind, its lockout policy, its servers by DNS, and what its results mean',
  async t => {
    const samba = await startSamba(t)
    const backend = (changes: object = {}): object => ({
      id: 'corp',
      type: 'ldap',
      preset: 'active-directory',
      urls: [samba.ldapsUrl],
      tls: { ca_file: samba.caFile },
      bind: { dn: samba.serviceDn, password: samba.servicePassword },
      base_dn: samba.baseDn,
      ...changes,
    })
    const said = ({ findings }: Ran) =>
      findings.map(({ status, check, detail }) => `${status} ${check}: ${detail}`).join('\n')

    await t.test('what is as it should be, and what should be changed', async t => {
      const ran = await examine(
        t,
        backend({ urls: [], discover: 'corp.example', dns_servers: [samba.address] }),
        '--user',
        'alice',
      )
      const text = said(ran)
      t.match(
        text,
        /^ok DNS SRV corp\.example: 1 server, in this order: ldaps:\/\/dc1\.corp\.example:636 \(priority/m,
      )
      t.match(text, /^ok DNS dc1\.corp\.example: 127\./m)
      t.match(text, /^ok directory .*: Samba AD \(4\..*naming contexts: DC=corp,DC=example and /m)
      t.match(text, /^ok clock .*: (the same as ours|\d+ s )/m)
      t.match(text, /^ok groups of alice: (?=.*staff)(?=.*Domain Users).*, found by token_groups$/m)
      t.match(
        text,
        /^ok rights of the service account: in no group of administrators, may write nothing of CN=Alice/m,
      )
      t.match(
        text,
        /^ok lockout policy: the domain locks an account after 3 failures within 30 min.*; the shield lets 1 through from unfamiliar sources and 2 in all/m,
      )
      t.match(text, /^warn password settings objects: the service account may not see whether there are any/m)
      t.equal(ran.code, 0)
    })

    await t.test('the preset of another kind', async t => {
      const { bad } = await examine(t, backend({ preset: 'openldap' }))
      t.match(
        bad.join('\n'),
        /^warn preset: `preset: openldap` is not for Samba AD .* → set `preset: samba`/m,
      )
      t.match(
        bad.join('\n'),
        /^fail preset: its filter \(&\(objectClass=inetOrgPerson\).* finds nobody in Samba AD .* → set `preset: samba`$/m,
      )
    })

    await t.test('a password in clear is refused with result 8', async t => {
      const { bad } = await examine(t, backend({ urls: [samba.ldapUrl], tls: {}, insecure: true }))
      t.match(
        bad.join('\n'),
        /^fail service account at .*result 8 \(strongerAuthRequired\).* → use `ldaps:\/\/` in `urls`, or/m,
      )
    })

    await t.test('a service account that may not log in, in words', async t => {
      const { disabled, mustChange } = sambaPeople
      const of = (who: { dn: string; password: string }) =>
        examine(t, backend({ bind: { dn: who.dn, password: who.password } }))
      t.match(
        (await of(disabled)).bad.join('\n'),
        /^fail service account at .*data 533.* → the account is disabled: enable it/m,
      )
      t.match(
        (await of(mustChange)).bad.join('\n'),
        /^fail service account at .*data 773.* → the account's password must be changed/m,
      )
      const wrong = await of({ dn: samba.serviceDn, password: 'wrong' })
      t.match(
        wrong.bad.join('\n'),
        /^fail service account at .*data 52e.* → `bind\.dn` or `bind\.password` is wrong/m,
      )
    })

    await t.test('a service account that may do everything', async t => {
      await samba.tool('group', 'addmembers', 'Domain Admins', 'svc-gatehouse')
      const ran = await examine(t, backend())
      t.match(
        ran.bad.join('\n'),
        /^warn rights of the service account: it is in Domain Admins.* → take an ordinary user/m,
      )
      // Who may see them is told what they say.
      t.match(said(ran), /^ok password settings object Patient: .*locks an account after 5 failures/m)
    })
  },
)

t.test('a server that says nothing is waited for no longer than its deadlines', async t => {
  const silent = createServer(() => {})
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const { port } = silent.address() as { port: number }
  const slow = {
    id: 'corp',
    type: 'ldap',
    preset: 'openldap',
    urls: [`ldaps://127.0.0.1:${port}`],
    bind: { dn: 'cn=x', password: 'y' },
    base_dn: 'dc=corp,dc=example',
    connect_timeout: '300ms',
  }
  const startedAt = performance.now()
  const { bad } = await examine(t, slow)
  t.match(bad, [/^fail TLS .*no connection within 300 ms/])
  t.ok(performance.now() - startedAt < 5_000)
})

t.test('local users are counted, and the database is looked at', async t => {
  const file = configure(t, { id: 'email', type: 'email' }, { id: 'local', type: 'local' })
  const before = await run(['--json', '--config', file])
  t.match(before.findings, [
    { about: 'configuration', status: 'ok' },
    { about: 'configuration', status: 'ok', check: /^configuration file/ },
    { about: 'daemon', check: 'database', detail: /does not exist yet/ },
    { about: 'daemon', check: /^listener/ },
    { about: 'daemon', check: /^admin listener/ },
    { about: 'daemon', check: 'clients' },
    { about: 'email', status: 'warn', detail: /nobody has an address/ },
    { about: 'local', status: 'warn', detail: /there are none/ },
  ])
  const daemon = await startDaemon(t, { config: file, cwd: t.testdirName })
  const during = await run(['--json', '--config', file])
  t.match(
    during.findings.find(({ about }) => about === 'local'),
    { status: 'ok', detail: '1 in the database' },
  )
  t.match(
    during.findings.find(({ about }) => about === 'email'),
    { status: 'warn', detail: /nobody has an address/ },
  )
  t.equal(during.code, 0)
  await daemon.stop()

  const database = join(t.testdirName, 'data', 'gatehouse.db')
  chmodSync(database, 0o644)
  const open = await run(['--json', '--config', file])
  t.match(open.bad, [/^warn database permissions: .*mode 644.* → chmod 600 /, /^warn users of/])
  writeFileSync(database, 'this is no database at all, but it is long enough to be looked at as one')
  const broken = await run(['--json', '--config', file])
  t.match(broken.bad.join('\n'), /^fail database: .* cannot be opened: file is not a database/m)
  t.equal(broken.code, 1)
})

t.test('a port that somebody else has is told from one that is ours', async t => {
  const stranger = createServer(socket => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi'))
  stranger.listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  t.teardown(() => stranger.close())
  const { port } = stranger.address() as { port: number }
  const folder = t.testdir()
  const file = join(folder, 'gatehouse.yaml')
  const admin = quietPort()
  writeFileSync(
    file,
    `listen: { port: ${port} }\nadmin: { port: ${admin} }\ndatabase: ${join(folder, 'g.db')}\nlog: { format: json }\nbackends: [{ id: local, type: local }]\n`,
    { mode: 0o600 },
  )
  const { bad } = await run(['--json', '--config', file])
  t.match(
    bad.join('\n'),
    new RegExp(`^fail listener 127.0.0.1:${port}: another program has this port → end that one`, 'm'),
  )

  writeFileSync(file, readFileSync(file, 'utf8').replace(`port: ${port}`, `port: ${admin + 1}`))
  await startDaemon(t, { config: file, cwd: folder })
  const ours = await run(['--json', '--config', file])
  t.match(
    ours.findings.filter(({ check }) => check.includes('listener')),
    [
      { status: 'ok', detail: 'a Gatehouse answers there' },
      { status: 'ok', detail: 'a Gatehouse answers there' },
    ],
  )
  t.match(
    ours.findings.filter(({ check }) => /served|token/.test(check)),
    [{ status: 'ok', check: 'configuration served', detail: /^as it was read on 20/ }],
  )
  rmSync(join(folder, 'g.db.admin-token'))
  const robbed = await run(['--json', '--config', file])
  t.match(robbed.bad.join('\n'), /^warn admin token: there is no .*, which the daemon wrote .* restart it$/m)
})

t.test('a daemon that serves something else than what is on disk says so', async t => {
  const database = join(t.testdir({ 'g.db.admin-token': '' }), 'g.db')
  let answer = ''
  const daemon = createHttpServer((_, response) => response.writeHead(503).end(answer))
  daemon.listen(0, '127.0.0.1')
  await once(daemon, 'listening')
  t.teardown(() => daemon.close())
  const { port } = daemon.address() as { port: number }
  const examined = async () => {
    const findings: object[] = []
    const admin = { host: '127.0.0.1', port }
    for await (const finding of examineServed({ admin, database } as never)) findings.push(finding)
    return findings
  }
  const config = { ok: true, loaded_at: '2026-11-24T08:00:00.000Z', needs_restart: [] as string[] }
  answer = JSON.stringify({ config: { ...config, ok: false, reason: 'g.yaml:3:1: unknown key' } })
  t.match(await examined(), [
    {
      status: 'warn',
      detail: /refused the last one and serves that of 2026-11-24.*: g\.yaml:3:1: unknown key$/,
    },
  ])
  answer = JSON.stringify({ config: { ...config, needs_restart: ['listen', 'log'] } })
  t.match(await examined(), [
    { status: 'warn', detail: /^listen, log changed/, advice: 'restart the daemon' },
  ])
  for (const nonsense of ['', '{}', 'null', '{"config":1}', `{"config":"${'x'.repeat(2_000_000)}"}`]) {
    answer = nonsense
    t.same(await examined(), [], 'what is no daemon of ours says nothing')
  }
})

t.test('secret files that others may read, and keys that everybody would guess', async t => {
  const folder = t.testdir()
  mkdirSync(join(folder, 'secrets'))
  const secret = join(folder, 'secrets', 'corp')
  writeFileSync(secret, 'x', { mode: 0o640 })
  const authority = await createCertificateAuthority(join(folder, 'tls'))
  const file = join(folder, 'gatehouse.yaml')
  const guessable = '2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'
  writeFileSync(
    file,
    JSON.stringify({
      listen: { port: 0 },
      admin: { port: 0 },
      database: join(folder, 'g.db'),
      clients: [
        { id: 'wiki', key_sha256: guessable },
        { id: 'all', cidr: '0.0.0.0/0' },
      ],
      backends: [
        {
          id: 'corp',
          type: 'ldap',
          preset: 'openldap',
          enabled: false,
          urls: ['ldaps://dc1.corp.example'],
          tls: { ca_file: authority.caFile },
          bind: { dn: 'cn=x', password_file: secret },
          base_dn: 'dc=corp,dc=example',
        },
        { id: 'local', type: 'local' },
      ],
    }),
    { mode: 0o666 },
  )
  chmodSync(file, 0o666)
  const { bad, findings } = await run(['--json', '--config', file])
  const said = bad.join('\n')
  t.match(said, /^warn configuration file .*mode 666: others may change it → chmod go-w /m)
  t.match(said, /^warn secret file .*corp: mode 640: others may read it → chmod 600 /m)
  t.match(said, /^fail client wiki: its key is one that everybody would guess → make a new one/m)
  t.match(said, /^warn client all: 0\.0\.0\.0\/0 is everybody/m)
  t.match(
    findings.find(({ about }) => about === 'corp'),
    { status: 'ok', check: 'enabled: false' },
  )
})

t.test('mistakes in the configuration come first, and alone', async t => {
  const { out, code } = await run(['--config', 'fixtures/yaml/invalid/all-at-once.yaml'])
  t.match(
    out,
    /^configuration\n(.*\n)* {2}FAIL {2}fixtures\/yaml\/invalid\/all-at-once\.yaml:3:1: unknown key `dedline`\n/,
  )
  t.match(out, /\n0 ok, \d+ warnings?, 11 failed\n$/)
  t.equal(code, 1)
})

t.test(
  'for people there is colour on a terminal only, and a backend that is not there is wrong usage',
  async t => {
    const file = configure(t, { id: 'local', type: 'local' })
    const plain = await run(['--config', file])
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colour starts with one
    t.notMatch(plain.out, /\u001b/)
    const coloured = await run(['--config', file], { color: true })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colour starts with one
    t.match(coloured.out, /\u001b\[32m ok /)
    const wrong = await run(['--config', file, '--backend', 'corp'])
    t.match(wrong.err, 'no backend has the id "corp": there are local\n')
    t.equal(wrong.code, 2)
  },
)

/** What `doctor` makes of a plugin that looks at things so, if it has so long. */
async function examineSlowly(examine: () => AsyncGenerator<Finding>, longestMs: number) {
  const plugin = definePlugin({
    type: 'slow',
    apiVersion: 1,
    options: Type.Object({}),
    examine,
    create: () => Promise.reject(new Error('not made')),
  })
  const settings = { id: 'slow', type: 'slow', enabled: true, plugin, options: {}, timeoutMs: 1_000 }
  const parts = {
    log: silentLog,
    config: { lockout: { maxAttempts: 5, windowMs: 1_000 } },
    person: undefined,
  }
  const findings: Finding[] = []
  const startedAt = performance.now()
  for await (const finding of examineBackend(settings as never, parts as never, longestMs))
    findings.push(finding)
  return { findings, tookMs: performance.now() - startedAt }
}

t.test('a backend that takes too long is told to close what it has open, and not waited for', async t => {
  let closed = false
  const talkative = await examineSlowly(async function* () {
    try {
      for (;;) {
        await pause(20)
        yield { status: 'ok', check: 'something', detail: 'seen' }
      }
    } finally {
      closed = true
    }
  }, 200)
  t.match(talkative.findings.at(-1), {
    status: 'fail',
    check: 'examination',
    detail: /^not done within 0\.2 s$/,
  })
  t.ok(closed, 'or its connections keep the process from ending')

  const silent = await examineSlowly(async function* () {
    await new Promise(() => {})
  }, 200)
  t.match(silent.findings, [{ status: 'fail', check: 'examination' }])
  t.ok(silent.tookMs < 10_000, `${silent.tookMs} ms`)

  const angry = await examineSlowly(async function* () {
    try {
      await pause(500)
      yield { status: 'ok', check: 'something', detail: 'seen' }
    } finally {
      await Promise.reject(new Error('it does not close'))
    }
  }, 200)
  t.match(angry.findings, [{ status: 'fail', check: 'examination' }], 'what it throws then is nobody’s')
})

t.test('a refused service account is not tried by the next backend that has it', async t => {
  const slapd = await startSlapd(t)
  const wrong = { bind: { dn: slapd.serviceDn, password: 'wrong' } }
  const shared = ['people', 'services', 'groups'].map(id => ({
    ...corpBackend(slapd, { ...wrong, base_dn: `ou=${id},dc=corp,dc=example` }),
    id,
  }))
  const { bad } = await run(['--json', '--config', configure(t, ...shared)])
  t.match(
    bad.filter(line => line.startsWith('fail')),
    [
      /^fail service account at ldaps:\S+: result 49/,
      /^fail service account at ldaps:\S+: not tried: ldaps:\/\/localhost:\d+ has refused it, and each try may count/,
      /^fail service account at ldaps:\S+: not tried: /,
    ],
  )
  t.equal((await slapd.binds()).length, 1, 'three would lock it where three are allowed')
})

t.test('a program that answers byte by byte, for ever, is not waited for', async t => {
  const body = 'content-type: text/plain\r\n\r\nhello'
  for (const greeting of ['HTTP/1.1 200 OK\r\n', `HTTP/1.1 200 OK\r\n${body}`]) {
    const dripping = createServer(socket => {
      socket.write(greeting)
      const drip = setInterval(() => socket.write(greeting.endsWith('hello') ? 'o' : 'x-more: y\r\n'), 200)
      socket.on('error', () => {}).on('close', () => clearInterval(drip))
    })
    dripping.listen(0, '127.0.0.1')
    await once(dripping, 'listening')
    t.teardown(() => dripping.close())
    const { port } = dripping.address() as { port: number }
    const listen = { host: '127.0.0.1', port }
    const findings: Finding[] = []
    const startedAt = performance.now()
    const config = { listen, admin: { ...listen, port: 0 } }
    for await (const finding of examineListeners(config as never)) findings.push(finding)
    t.match(findings[0], { status: 'fail', detail: 'another program has this port' })
    const tookMs = performance.now() - startedAt
    t.ok(tookMs < 5_000, `${tookMs} ms`)
  }
})

t.test('a name is understood by the domains of all backends, as a login understands it', async t => {
  const slapd = await startSlapd(t, fresh)
  const two = (corp: object, other: object) =>
    configure(t, corpBackend(slapd, { base_dn: 'ou=people,dc=corp,dc=example', ...corp }), {
      ...corpBackend(slapd, { base_dn: 'ou=services,dc=corp,dc=example', ...other }),
      id: 'services',
    })
  const say = async (file: string, user: string, ...args: string[]) =>
    (await run(['--json', '--config', file, '--user', user, ...args])).findings
      .filter(({ check }) => /^(user|person) /.test(check))
      .map(({ about, status, detail, advice }) => `${about} ${status}: ${detail} → ${advice}`)

  const names = { upn_suffixes: ['corp.example'] }
  const shared = two({ names }, { names: { ...names, netbios: 'SVC' } })
  t.match(await say(shared, 'nomail@corp.example', '--backend', 'corp'), [
    /^corp fail: the domain corp\.example is in the `names` of several backends, so the whole is looked for; without it uid=nomail,\S+ is found → /,
  ])
  t.match(await say(two({ names }, {}), 'nomail@corp.example', '--backend', 'corp'), [/^corp ok: id /, /./])

  const separate = two({ names: { netbios: 'CORP' } }, { names: { netbios: 'SVC' } })
  t.match(
    (await say(separate, 'SVC\\alice'))[0],
    /^corp ok: not asked for this name: the domain svc is in the `names` of another/,
  )
  t.match((await say(separate, 'CORP\\alice')).join(' | '), /^corp ok: id [^|]*.*\| services ok: not asked/)

  const filtered = two({ username_filter: ['!adm-*'] }, { username_filter: ['svc-*'] })
  t.match(
    (await say(filtered, 'alice')).join(' | '),
    /^corp ok: id [^|]*.*\| services ok: not asked .*`username_filter`/m,
  )
  t.match((await say(filtered, 'adm-alice')).at(-1), /^chain warn: no backend is asked for this name/)
  t.match(await say(filtered, 'a\u0007b'), [
    /^user \S+ fail: this cannot be the name of a user: it contains a control/,
  ])
})

t.test('a local user is found by any spelling of the name', async t => {
  const file = configure(t, { id: 'local', type: 'local' })
  const daemon = await startDaemon(t, { config: file, cwd: t.testdirName })
  await daemon.stop()
  const { findings } = await run(['--json', '--config', file, '--user', ' ADMIN '])
  t.match(findings.at(-1), { status: 'ok', check: 'user  ADMIN ', detail: /name admin$/ })
})
