/** Each example in config/ is what logs people of its kind of directory in: pointed at a slapd that stands in for it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import t from 'tap'
import { parseDocument } from 'yaml'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import { type PresetName, presets } from '../../../src/backends/ldap/presets/presets.ts'
import { resolvePlugin } from '../../../src/backends/registry.ts'
import { checkCommand } from '../../../src/commands/check.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { bindResponse } from '../../support/ldap-message.ts'
import { startSlapd, type TestScope } from '../../support/slapd.ts'
import { type Desk, openDesk } from './ldap-login.ts'
import * as scripted from './scripted.ts'

const folder = t.testdir()
const fixture = (name: string) => fileURLToPath(new URL(`../../../fixtures/ldap/${name}`, import.meta.url))
const example = (name: PresetName) => fileURLToPath(new URL(`../../../config/${name}.yaml`, import.meta.url))
const soon = new Date(Math.floor(Date.now() / 1000) * 1000 + 2 * 86_400_000)
const ldif = join(folder, 'other-directories.ldif')
writeFileSync(
  ldif,
  readFileSync(fixture('other-directories.ldif'), 'utf8').replaceAll(
    /\bSOON$/gm,
    soon.toISOString().replaceAll(/[-:T]|\.\d+/g, ''),
  ),
)
const slapd = await startSlapd(t, {
  ldif,
  serverConfig: `
include ${fixture('other-directories.schema')}
TLSVerifyClient try
authz-regexp "^cn=google-client$" "cn=gatehouse,ou=services,dc=corp,dc=example"
`,
})
const own = await slapd.certificateAuthority.issue({ commonName: 'google-client', names: [] })

/** The shipped example with only that changed which tells one directory from another. */
async function desk(t: TestScope, name: PresetName): Promise<Desk> {
  const source = readFileSync(example(name), 'utf8').replaceAll('dc=jumpcloud,dc=com', 'dc=corp,dc=example')
  const document = parseDocument(source)
  const backend = ['backends', 0]
  document.setIn([...backend, 'urls'], [slapd.ldapsUrl])
  document.setIn([...backend, 'tls', 'ca_file'], slapd.caFile)
  if (document.hasIn([...backend, 'tls', 'cert_file'])) {
    document.setIn([...backend, 'tls', 'cert_file'], own.certFile)
    document.setIn([...backend, 'tls', 'key_file'], own.keyFile)
  } else {
    document.setIn([...backend, 'bind'], { dn: slapd.serviceDn, password: slapd.servicePassword })
  }
  const bytes = Buffer.from(String(document))
  const readFile = async () => ({ bytes, mode: 0o600 })
  const { config } = await loadConfig({ file: example(name), env: {}, resolvePlugin, readFile })
  return openDesk(t, config.backends[0]?.options as LdapOptions)
}

const accept = (username: string, id: RegExp, ...groups: string[]) => ({
  outcome: 'accept',
  user: { id, username, email: `${username}@corp.example`, groups },
  warnings: [],
})
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const state = (state: string, passwordVerified = true) => ({
  outcome: 'account_state',
  state,
  passwordVerified,
})
const warning = { code: 'password_expires', at: soon.toISOString().replace('.000Z', 'Z') }

interface Expected {
  readonly alice: string
  readonly accept: ReturnType<typeof accept>
  /** Outcome of the right password, by login name. */
  readonly others?: Record<string, object>
}

const kinds: Partial<Record<PresetName, Expected>> = {
  openldap: { alice: 'ol-alice', accept: accept('ol-alice', uuid, 'ol-staff', 'ol-all') },
  custom: { alice: 'ol-alice', accept: accept('ol-alice', uuid, 'ol-staff', 'ol-all') },
  '389ds': {
    alice: 'ds-alice',
    accept: accept('ds-alice', /^5c4f8d01-0b2b11ef-9c3dbe8c-00000001$/, 'ds-staff', 'ds-all'),
    others: {
      'ds-disabled': state('disabled'),
      'ds-unlocked': { outcome: 'accept' },
      'ds-expired': state('password_expired'),
      'ds-reset': state('password_must_change'),
      'ds-soon': { outcome: 'accept', warnings: [warning] },
    },
  },
  freeipa: {
    alice: 'ipa-alice',
    accept: accept('ipa-alice', uuid, 'ipa-staff', 'ipa-all'),
    others: {
      'ipa-disabled': state('disabled'),
      'ipa-expired': state('expired'),
      'ipa-old': state('password_expired'),
      'ipa-reset': state('password_must_change'),
      'ipa-soon': { outcome: 'accept', warnings: [warning] },
    },
  },
  lldap: { alice: 'll-alice', accept: accept('ll-alice', uuid, 'll-staff') },
  google: { alice: 'go-alice', accept: accept('go-alice', uuid, 'go-staff') },
  jumpcloud: { alice: 'jc-alice', accept: accept('jc-alice', uuid, 'jc-staff') },
}

for (const [name, { alice, accept, others = {} }] of Object.entries(kinds) as [PresetName, Expected][]) {
  t.test(`${name}: its example logs people in, with groups and states`, async t => {
    const { login, backend } = await desk(t, name)
    const outcome = await login(alice, `${alice}-secret-1`)
    t.match(outcome, { ...accept, user: { ...accept.user, groups: Array } })
    if (outcome.outcome === 'accept') {
      t.same(outcome.user.groups.toSorted(), accept.user.groups.toSorted(), 'whatever their order')
    }
    t.match(await login(alice, 'wrong'), { outcome: 'wrong_password' })
    t.same(await login('nobody', 'wrong'), { outcome: 'unknown_user' })
    if (name !== 'custom') {
      t.same(await login(`${alice}@corp.example`, `${alice}-secret-1`), outcome, 'by mail address')
    }
    if (outcome.outcome === 'accept') {
      t.match(
        await backend.getUser(outcome.user.id, AbortSignal.timeout(5_000)),
        { username: alice },
        'by id',
      )
    }
    for (const [uid, expected] of Object.entries(others)) {
      const found = await login(uid, `${uid}-secret-1`)
      t.match(found, expected, uid)
      if (found.outcome === 'accept') t.notOk('state' in found.user, uid)
      const locked = 'state' in expected && expected.state === 'locked'
      t.match(await login(uid, 'wrong'), locked ? expected : { outcome: 'wrong_password' }, uid)
    }
  })
}

t.test('an expired password is proof only where the directory looks at the password first', async t => {
  const looksFirst: PresetName[] = ['openldap', '389ds']
  const policy = { oid: '1.3.6.1.4.1.42.2.27.8.5.1', value: Buffer.from('3003810100', 'hex') }
  for (const preset of Object.keys(presets) as PresetName[]) {
    if (!presets[preset].asksPolicy) continue
    const script = scripted.onUserBind((request, connection) =>
      connection.send(bindResponse(request.id, { code: 49, controls: [policy] })),
    )
    const own = { user_filter: '(uid={username})', id_attribute: 'entryUUID' }
    const { desk } = await scripted.stage(t, script, { preset, ...own })
    t.match(
      await desk.login('alice', 'x'),
      { ...state('password_expired', looksFirst.includes(preset)), subject: scripted.uuid },
      preset,
    )
  }
})

t.test('every preset is tried here or against a real domain', async t => {
  const tried = [...Object.keys(kinds), 'active-directory', 'samba']
  t.same(tried.toSorted(), Object.keys(presets).toSorted())
})

t.test('every example passes `gatehouse check`, offline', async t => {
  for (const name of Object.keys(presets) as PresetName[]) {
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
    const context = {
      stdin,
      stdout,
      stderr,
      env: {},
      color: false,
      loadConfig: (file: string) => loadConfig({ file, env: {}, resolvePlugin }),
      setExitCode: (code: number) => t.equal(code, 0, name),
    }
    const program = new Command().addCommand(checkCommand(context))
    await program.parseAsync(['check', '--config', example(name)], { from: 'user' })
    t.match(await text(stdout.end()), /is valid: 3 backends \(corp → email → local\)/, name)
  }
})

t.test('the ten lines of docs/directories.md are a configuration, for every preset', async t => {
  const page = readFileSync(new URL('../../../docs/directories.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, block = '']) => block)
  const found = await Promise.all(
    blocks.map(async block => {
      t.ok(block.trimEnd().split('\n').length <= 10)
      const bytes = Buffer.from(`backends:\n${block.replace(/^/gm, '  ')}`)
      const readFile = async (path: string) => ({
        bytes: path.endsWith('ten-lines.yaml') ? bytes : Buffer.from('secret'),
        mode: 0o600,
      })
      const { config } = await loadConfig({ file: 'ten-lines.yaml', env: {}, resolvePlugin, readFile })
      return (config.backends[0]?.options as LdapOptions | undefined)?.preset
    }),
  )
  t.same(found.toSorted(), Object.keys(presets).toSorted())
})
