import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { check } from '../../../src/backends/ldap/check/check.ts'
import { ldapPlugin } from '../../../src/backends/ldap/index.ts'
import { type LdapOptions, options as schema } from '../../../src/backends/ldap/options.ts'
import type { Preset } from '../../../src/backends/ldap/presets/preset.ts'
import { type PresetName, presets } from '../../../src/backends/ldap/presets/presets.ts'
import { parseEndpoint } from '../../../src/backends/ldap/wire/endpoint.ts'
import { resolvePlugin } from '../../../src/backends/registry.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { createCertificateAuthority } from '../../support/certificate-authority.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import { groupOptions, ldapOptions, ldapServices, tlsOptions } from './ldap-login.ts'

const sound = { urls: ['ldaps://dc1.corp.example'] }
const findings = (...backends: Partial<LdapOptions>[]) =>
  check(
    backends.map((changes, index) => ({ id: `b${index}`, options: ldapOptions({ ...sound, ...changes }) })),
  )

t.test('sound options have no findings', async t => {
  t.same(findings({}), [])
  t.same(
    findings({ preset: 'active-directory', bind: { ...ldapOptions(sound).bind, dn: 'svc@corp.example' } }),
    [],
  )
  t.same(findings({ urls: ['ldap://dc1'], tls: tlsOptions({ starttls: true }) }), [])
  t.same(findings({ preset: 'custom', user_filter: '(cn={input})', id_attribute: 'nsUniqueId' }), [])
  const dns_servers = ['192.0.2.53', '192.0.2.53:5353', '2001:db8::53', '[2001:db8::53]:53']
  t.same(findings({ urls: [], discover: 'corp.example', dns_servers }), [])
  const groups = groupOptions({
    filter: '(&(objectClass=posixGroup)(memberUid={username}))',
    nesting: 'levels',
  })
  t.same(findings({ groups: { ...groups, base_dn: 'ou=groups,dc=corp,dc=example' } }), [])
  t.same(
    findings({ groups: groupOptions({ when_unreadable: 'omit', roles: { 'S-1-5-32-544': 'admin' } }) }),
    [],
  )
})

t.test('what the schema cannot say is refused at its place', async t => {
  const groups = groupOptions()
  const refused: [Partial<LdapOptions>, string, RegExp][] = [
    [{ urls: ['ldaps://a', 'ldap://b'] }, '/urls/1', /unencrypted/],
    [{ urls: ['ldaps://'] }, '/urls/0', /no LDAP URL/],
    [{ urls: ['ldaps://user:pw@a'] }, '/urls/0', /no credentials/],
    [{ urls: ['ldaps://a/dc=corp?uid'] }, '/urls/0', /ends with its host/],
    [{ tls: tlsOptions({ starttls: true }) }, '/urls/0', /encrypted from the start/],
    [{ urls: [] }, '', /which servers/],
    [{ discover: 'corp.example' }, '/discover', /exclude/],
    [{ dns_servers: ['192.0.2.53', 'dns.corp.example'] }, '/dns_servers/1', /no address of a name server/],
    [{ dns_servers: ['192.0.2.53:port'] }, '/dns_servers/0', /no address/],
    [{ bind: { method: 'anonymous', dn: 'cn=x' } }, '/bind', /takes no/],
    [{ bind: { method: 'external' } }, '/bind/method', /cert_file/],
    [{ tls: tlsOptions({ cert_file: '/x.pem' }) }, '/tls', /go together/],
    [{ base_dn: 'corp.example' }, '/base_dn', /no DN/],
    [{ bind: { ...ldapOptions(sound).bind, dn: 'PLAIN' } }, '/bind/dn', /SASL/],
    [{ user_filter: '(uid={login})' }, '/user_filter', /no placeholder/],
    [{ preset: 'custom', id_attribute: 'x' }, '', /needs `user_filter`/],
    [{ preset: 'custom', user_filter: '(uid={username})' }, '', /needs `id_attribute`/],
    [{ attributes: { 'a/b~c': 'userPassword' } }, '/attributes/a~1b~0c', /never handed/],
    [{ attributes: { x: 'dn' } }, '/attributes/x', /never handed/],
    [{ groups: { ...groups, required: ['a', 'cn=\\zz'] } }, '/groups/required/1', /no pattern/],
    [{ groups: { ...groups, denied: ['cn="x"'] } }, '/groups/denied/0', /no pattern/],
    [{ groups: { ...groups, roles: { 'cn="x"': 'r' } } }, '/groups/roles/cn="x"', /no pattern/],
    [{ groups: { ...groups, denied: [' '] } }, '/groups/denied/0', /names no group/],
    [{ groups: { ...groups, roles: { '': 'r' } } }, '/groups/roles/', /names no group/],
    [{ groups: { ...groups, base_dn: 'groups' } }, '/groups/base_dn', /no DN/],
    [{ groups: { ...groups, filter: '(memberUid={input})' } }, '/groups/filter', /\{dn\} and \{username\}/],
    [{ groups: { ...groups, filter: '(memberUid={username}' } }, '/groups/filter', /no filter/],
    [
      { groups: { ...groups, filter: '(member={dn})', nesting: 'in_chain' } },
      '/groups/nesting',
      /no `filter`/,
    ],
    [{ user_filter: '(|(uid={username})(uid=carol))' }, '/user_filter', /matches for everybody/],
    ...['uid', 'MAIL', 'memberOf', 'sAMAccountName', 'entryDN', 'objectSid'].map(
      (id_attribute): [Partial<LdapOptions>, string, RegExp] => [{ id_attribute }, '/id_attribute', /no id/],
    ),
    [
      { names: { upn_suffixes: ['a.example', '@corp.example'] } },
      '/names/upn_suffixes/1',
      /cannot be a domain/,
    ],
    [{ names: { upn_suffixes: [], netbios: 'CORP\\' } }, '/names/netbios', /cannot be a domain/],
    [{ groups: { ...groups, required: ['CN=staff'] } }, '/groups/required/0', /no group has the DN/],
    [{ groups: { ...groups, when_unreadable: 'omit', denied: ['a'] } }, '/groups/when_unreadable', /held to/],
    [{ groups: { ...groups, when_unreadable: 'omit', required: ['a'] } }, '/groups/when_unreadable', /held/],
  ]
  for (const [changes, pointer, message] of refused) {
    const found = findings(changes)
    t.match(found, [{ backend: 0, severity: 'error', pointer, message }], JSON.stringify(changes))
    t.equal(found.length, 1)
  }
})

t.test('unencrypted connections need a word, and that word is warned about', async t => {
  t.match(findings({ urls: ['ldap://a'], insecure: true }), [
    { severity: 'warning', pointer: '/insecure', message: /readable on the network/ },
  ])
  t.same(findings({ insecure: true }), [], 'nothing is unencrypted')
  t.match(findings({ urls: [], discover: 'corp.example', insecure: true }), [{ pointer: '/insecure' }])
  const starttls = tlsOptions({ starttls: true })
  t.same(findings({ urls: [], discover: 'corp.example', insecure: true, tls: starttls }), [])
})

t.test('CVE-2022-30550: two backends on one server and base with different filters are refused', async t => {
  const staff = { user_filter: '(uid={username})' }
  t.match(findings({}, { ...staff, urls: ['LDAP://DC1.corp.example:389'], insecure: true }), [
    { backend: 1, severity: 'warning' },
    {
      backend: 1,
      severity: 'error',
      pointer: '/user_filter',
      message: /`b0` has the same server and base_dn/,
    },
  ])
  t.match(findings(staff, { base_dn: 'DC=Corp, dc=example' }), [{ backend: 1, pointer: '' }])
  t.same(findings({}, {}), [], 'the same filter twice')
  const discovered = { urls: [], discover: 'corp.example' }
  t.match(findings(discovered, { ...discovered, discover: 'Corp.Example', ...staff }), [
    { backend: 1, pointer: '/user_filter' },
  ])
  t.same(findings({}, { ...staff, base_dn: 'ou=staff,dc=corp,dc=example' }), [], 'another base')
  t.same(findings({}, { ...staff, urls: ['ldaps://dc2.corp.example'] }), [], 'another server')
  t.same(findings({}, { ...staff, urls: ['ldaps://dc1.corp.example:3269'] }), [], 'another port')
})

t.test('two directories that would take each other’s names are refused before the start', async t => {
  const named = (netbios: string, ...upn_suffixes: string[]) => ({ names: { netbios, upn_suffixes } })
  const elsewhere = { urls: ['ldaps://dc2.corp.example'] }
  t.match(findings(named('CORP', 'a.example'), { ...named('corp', 'b.example'), ...elsewhere }), [
    { backend: 1, pointer: '/names', message: /^the domain corp belongs to two realms/, severity: 'error' },
  ])
  t.same(findings(named('CORP', 'a.example'), { ...named('CORP', 'a.example'), ...elsewhere }), [])
  t.same(findings(named('A', 'mail.example'), { ...named('B', 'mail.example'), ...elsewhere }), [])
})

t.test('servers are read from URLs, addresses included', async t => {
  t.same(parseEndpoint('ldaps://DC1.corp.example', false), {
    url: 'ldaps://dc1.corp.example:636',
    host: 'dc1.corp.example',
    port: 636,
    security: 'ldaps',
  })
  t.match(parseEndpoint('ldap://[2001:db8::1]', true), {
    url: 'ldap://[2001:db8::1]:389',
    host: '2001:db8::1',
    security: 'starttls',
  })
  t.match(parseEndpoint('ldap://192.0.2.1:1389/', false), { host: '192.0.2.1', port: 1389, security: 'none' })
  for (const url of [
    'http://a',
    'ldaps:a',
    'a',
    'ldaps://a:0',
    'ldaps://a:70000',
    'ldaps://a%00b',
    'ldaps://a%2fb',
    'ldaps://%zz',
  ]) {
    t.throws(() => parseEndpoint(url, false), url)
  }
})

t.test('a backend that cannot work stops the start', async t => {
  const services = ldapServices(createLogRecorder())
  const create = (changes: Partial<LdapOptions>) =>
    ldapPlugin.create(ldapOptions({ ...sound, ...changes }), services)
  const noCertificate = fileURLToPath(new URL('../../../package.json', import.meta.url))
  await t.rejects(create({ tls: tlsOptions({ ca_file: noCertificate }) }), /holds no PEM certificate/)
  const { ca } = await createCertificateAuthority(t.testdir())
  for (const [broken, which] of [
    [ca.replace('-----END CERTIFICATE-----\n', ''), /certificate 1 of 1 in .* cannot be read/],
    [`${ca.replace(/M/g, '#')}${ca}`, /certificate 1 of 2/],
    [`${ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`, /certificate 2 of 2/],
  ] as const) {
    const ca_file = join(t.testdirName, 'broken.pem')
    writeFileSync(ca_file, broken)
    await t.rejects(create({ tls: tlsOptions({ ca_file }) }), which)
  }
  const nowhere = '/nowhere/x.pem'
  await t.rejects(create({ tls: tlsOptions({ ca_file: nowhere }) }), { message: /^tls\.ca_file: ENOENT/ })
  const pair = { cert_file: noCertificate, key_file: nowhere }
  await t.rejects(create({ tls: tlsOptions(pair) }), { message: /^tls\.key_file: ENOENT/ })
  await t.rejects(create({ base_dn: 'x' }), /no DN/)
  const backend = await create({ urls: ['ldaps://dc1.invalid'] })
  t.equal(backend.id, 'corp', 'it comes up while its server is down')
  await backend.close()
})

const example = (name: string) => fileURLToPath(new URL(`../../../config/${name}.yaml`, import.meta.url))

t.test('every option is described, in the schema, in every example and in the guide', async t => {
  const names = (properties: object): string[] =>
    Object.entries(properties).flatMap(([name, inner]) => {
      t.ok(inner.description, `${name} has a description`)
      return [name, ...names(inner.properties ?? {})]
    })
  const guide = fileURLToPath(new URL('../../../docs/backends/ldap.md', import.meta.url))
  for (const page of [...Object.keys(presets).map(example), guide]) {
    const text = readFileSync(page, 'utf8')
    const missing = names(schema.properties).filter(name => !text.includes(name))
    t.same(missing, [], page)
  }
})

t.test(
  'only a directory that counts as Active Directory does has a shield, on unless it is turned off',
  t => {
    for (const preset of Object.keys(presets) as PresetName[]) {
      const hasOne = preset === 'active-directory' || preset === 'samba'
      const of = (lockout_shield: Partial<LdapOptions['lockout_shield']>) =>
        ldapOptions({
          preset,
          urls: ['ldaps://dc1.corp.example'],
          user_filter: '(uid={username})',
          id_attribute: 'entryUUID',
          lockout_shield: { window: 1_800_000, ...lockout_shield },
        })
      const problems = (options: LdapOptions) =>
        ldapPlugin.check?.([{ id: 'corp', options }], []).map(({ pointer }) => pointer)
      t.same(problems(of({})), [], preset)
      t.same(problems(of({ enabled: false })), [], preset)
      t.same(problems(of({ enabled: true })), hasOne ? [] : ['/lockout_shield/enabled'], preset)
      t.same(problems(of({ threshold: 5 })), hasOne ? [] : ['/lockout_shield/threshold'], preset)
      const isOn = (options: LdapOptions) => ldapPlugin.implied?.(options).lockout_shield
      t.same(isOn(of({})), { enabled: hasOne }, preset)
      t.same(isOn(of({ enabled: false })), { enabled: false }, preset)
    }
    t.end()
  },
)

t.test('every example passes, as it is and with what is commented out', async t => {
  for (const name of Object.keys(presets)) {
    const file = example(name)
    const asIs = await loadConfig({ file, env: {}, resolvePlugin })
    t.match(asIs.config.backends[0], { type: 'ldap', plugin: ldapPlugin, options: { preset: name } })
    // A commented option is a `# key: value`; `names` of an example may have its children commented too.
    const full = readFileSync(file, 'utf8')
      .replace(/^(\s+)# (?=[a-z_]+:(?: |$))/gm, '$1')
      .replace(/^(\s+)# {3}(?=[a-z_]+:)/gm, '$1  ')
    const bytes = Buffer.from(full)
    const loaded = await loadConfig({
      file,
      env: {},
      resolvePlugin,
      readFile: async () => ({ bytes, mode: 0o600 }),
    })
    t.match(loaded.config.backends[0]?.options, {
      id_attribute: /.+/,
      user_filter: /.+/,
      connect_timeout: 2_000,
      entry_cache: 30_000,
      pool: { validate_after: 30_000 },
      groups: { nesting: /.+/, base_dn: /.+/ },
      tls: { cert_file: /.+/ },
    })
  }
})

t.test('what an example shows as the default of its preset is that', async t => {
  for (const [name, preset] of Object.entries(presets) as [PresetName, Preset][]) {
    const text = readFileSync(example(name), 'utf8')
    const shown = (option: string) => new RegExp(`^ +(?:# )?${option}: (\\S+)`, 'm').exec(text)?.[1]
    t.equal(shown('nesting'), preset.nesting, name)
    if (preset.userFilter === undefined) continue
    t.equal(shown('user_filter'), preset.userFilter, name)
    t.equal(shown('id_attribute'), preset.idAttribute, name)
  }
})
