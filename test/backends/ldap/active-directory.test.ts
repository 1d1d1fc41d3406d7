/** The backend against a real Active Directory domain, served by Samba: what it answers, and what it sends to get there. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Accept, type Outcome, UnavailableError } from '../../../src/authentication/outcome.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import { createUsernameNormaliser, type Username } from '../../../src/authentication/username.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import { startDaemon } from '../../support/daemon.ts'
import { startLdapsListener } from '../../support/ldaps-listener.ts'
import { type Samba, startSamba } from '../../support/samba.ts'
import {
  expiresSoonMs,
  groupDn,
  type SambaPerson,
  sambaDomain,
  sambaLeaversDn,
  sambaPeople,
  sambaService,
} from '../../support/samba-people.ts'
import { type Desk, groupOptions, ldapOptions, openDesk, tlsOptions } from './ldap-login.ts'

const { alice, bob, carol, dave, locked, nested, neverExpires, patient } = sambaPeople
const people = Object.values<SambaPerson>(sambaPeople)
/** The domain's own lockout at work; shield.test.ts has the shield's. */
const unshielded = { enabled: false, window: 1_800_000 }
const soon = () => AbortSignal.timeout(5_000)
const samba = await startSamba(t)
const desk = await openDesk(t, sambaOptions(samba))

function sambaOptions(
  { ldapsUrl, caFile, serviceDn, servicePassword, baseDn }: Samba,
  changes: Partial<LdapOptions> = {},
): LdapOptions {
  return ldapOptions({
    preset: 'active-directory',
    urls: [ldapsUrl],
    tls: tlsOptions({ ca_file: caFile }),
    bind: { method: 'simple', dn: serviceDn, password: new Secret(servicePassword) },
    base_dn: baseDn,
    names: { netbios: sambaDomain.netbios, upn_suffixes: [sambaDomain.dns, sambaDomain.alternative] },
    ...changes,
  })
}

/** A name as the core hands it over. */
function typed(name: string, { backend }: Desk = desk): Username {
  const normalised = createUsernameNormaliser(backend.realm ? [backend.realm] : [])(name)
  if (!normalised.ok) throw new Error(normalised.problem)
  return normalised.username
}

function login(name: string, password: string, at = desk): Promise<Outcome> {
  return at.login(typed(name, at), password)
}

/** The id as the directory's own tool prints it. */
async function guidOf(sam: string): Promise<string> {
  return /^objectGUID: (\S+)$/m.exec(await samba.tool('user', 'show', sam))?.[1] ?? ''
}

/** Whom the directory itself takes this id for. */
async function whoHas(id: string): Promise<string | undefined> {
  return (await samba.accounts.read(`<GUID=${id}>`, 'sAMAccountName'))[0]
}

/** The id that a right password brings out, whatever the state of the account. */
function idIn(outcome: Outcome): string {
  if (outcome.outcome === 'accept') return outcome.user.id
  if ('subject' in outcome) return outcome.subject
  throw new Error(JSON.stringify(outcome))
}

/** Every bind of a person that reached the domain controller while `work` ran; the service account's stand apart. */
async function bindsDuring(work: () => Promise<unknown>, at = samba) {
  const before = (await at.authentications()).length
  await work()
  const seen = (await at.authentications()).slice(before)
  return seen
    .filter(({ account }) => account !== sambaService.sam)
    .map(({ account, status }) => `${account} ${status.replace('NT_STATUS_', '')}`)
}

function accepted(outcome: Outcome): Accept {
  if (outcome.outcome !== 'accept') throw new Error(JSON.stringify(outcome))
  return outcome
}

t.test('every state gives its outcome with the right and a wrong password, by one bind at most', async t => {
  for (const { sam, password, state, subCodes = ['ok', '52e'] } of people) {
    const outcomes: Outcome[] = []
    for (const secret of [password, `${password} `]) {
      const binds = await bindsDuring(async () => outcomes.push(await login(sam, secret)))
      t.equal(binds.length, state === 'locked' ? 0 : 1, `${sam}: ${binds}`)
    }
    const [right, wrong] = outcomes as [Outcome, Outcome]
    const subject = idIn(right)
    t.equal(await whoHas(subject), sam)
    t.match(
      right,
      state === undefined
        ? { outcome: 'accept', user: { username: sam } }
        : { outcome: 'account_state', state, passwordVerified: subCodes[0] !== subCodes[1] },
      `${sam}, right`,
    )
    t.same(
      wrong,
      subCodes[1] === '52e'
        ? { outcome: 'wrong_password', subject }
        : { outcome: 'account_state', subject, state, passwordVerified: false },
      `${sam}, wrong`,
    )
  }
  await samba.reset()
})

t.test('every form of a name is the same person, with the same id', async t => {
  const id = await guidOf('alice')
  for (const name of [
    'alice',
    'ALICE',
    ' Alice ',
    'CORP\\alice',
    'corp\\Alice',
    'alice@corp.example',
    'Alice@CORP.example',
    'alice@alt.example',
    alice.upn,
    alice.upn.toUpperCase(),
    alice.mail,
    alice.mail.toUpperCase(),
  ]) {
    const binds = await bindsDuring(async () => {
      t.equal(accepted(await login(name, alice.password)).user.id, id, name)
    })
    t.same(binds, ['alice OK'], name)
  }
  for (const [name, person] of [
    ['bob', bob],
    [bob.upn, bob],
    [bob.mail, bob],
    ['carol@corp.example', carol],
    ['CORP\\carol', carol],
    [dave.upn, dave],
    [dave.mail, dave],
  ] as const) {
    t.equal(accepted(await login(name, person.password)).user.username, person.sam, name)
  }
})

t.test('a name that two people answer to is nobody’s, and no password is sent', async t => {
  const binds = await bindsDuring(async () => {
    const name = sambaPeople.shadow.upn
    t.match(await login(name, dave.password), { outcome: 'ambiguous', count: 2 })
    t.match(await login(name, sambaPeople.shadow.password), { outcome: 'ambiguous', count: 2 })
  })
  t.same(binds, [])
  for (const { sam, password } of [dave, sambaPeople.shadow]) {
    t.match(await login(sam, password), { outcome: 'accept' }, sam)
  }
})

t.test('a login name is its owner’s, whoever has it as a mail address', async t => {
  const { erin, mallory } = sambaPeople
  t.match(await login(erin.upn, erin.password), { outcome: 'accept', user: { username: 'erin' } })
  t.match(await login(mallory.mail, mallory.password), { outcome: 'wrong_password' })
  t.match(await login(mallory.upn, mallory.password), { outcome: 'accept', user: { username: 'mallory' } })
})

t.test('nobody, computers, groups and other realms are not found, and no password is sent', async t => {
  const binds = await bindsDuring(async () => {
    for (const name of [
      'nobody',
      'CORP\\nobody',
      'nobody@corp.example',
      'nobody@elsewhere.example',
      'dc1$',
      'DC1',
      'staff',
      alice.dn,
      '*',
      'alice*',
      'alice)(cn=*',
      'Alice Liddell',
    ]) {
      t.same(await login(name, alice.password), { outcome: 'unknown_user' }, name)
    }
    t.match(await desk.login({ ...typed('alice@alt.example'), domain: 'other.example' }, alice.password), {
      outcome: 'not_applicable',
    })
  })
  t.same(binds, [])
})

t.test('an empty password, or one that would be cut to nothing, sends no bind', async t => {
  const binds = await bindsDuring(async () => {
    for (const password of ['', '\0', `\0${alice.password}`]) {
      t.match(await login('alice', password), { outcome: 'deny' })
    }
  })
  t.same(binds, [])
})

t.test(
  'one bind per attempt until the directory locks, none after, and none while it stays locked',
  async t => {
    const bare = await openDesk(t, sambaOptions(samba, { lockout_shield: unshielded }))
    const { id } = accepted(await login('dave', dave.password, bare)).user
    const guesses = ['one', 'two', 'three', 'four', dave.password]
    const binds = await bindsDuring(async () => {
      const outcomes = []
      for (const guess of guesses) outcomes.push(await login('dave', guess, bare))
      const wrong = { outcome: 'wrong_password', subject: id }
      const isLocked = { outcome: 'account_state', subject: id, state: 'locked', passwordVerified: false }
      t.same(outcomes, [wrong, wrong, wrong, isLocked, isLocked])
    })
    t.same(
      binds,
      Array.from({ length: sambaDomain.lockoutThreshold }, () => 'dave WRONG_PASSWORD'),
    )

    await samba.accounts.unlock(dave.dn)
    t.match(await login('dave', dave.password, bare), { outcome: 'accept' }, 'unlocked, it is let in at once')
    const none = await bindsDuring(async () => {
      t.match(await login('locked', locked.password), { outcome: 'account_state', state: 'locked' })
      t.match(await login('locked', 'wrong'), { outcome: 'account_state', state: 'locked' })
    })
    t.same(none, [], 'a lock from long before is seen without a bind')
  },
)

t.test('a wrong password, and any other answer about it, never goes to a second controller', async t => {
  const second = await startSamba(t)
  const both = await openDesk(
    t,
    sambaOptions(samba, { urls: [samba.ldapsUrl, second.ldapsUrl], tls: twoCas() }),
  )
  const atSecond = await bindsDuring(async () => {
    for (const { sam, password } of people) {
      if (sam === 'dave') continue
      await login(sam, password, both)
      await login(sam, 'wrong', both)
    }
  }, second)
  t.same(atSecond, [])
  await samba.stop()
  t.match(await login('alice', alice.password, both), { outcome: 'accept' }, 'but an outage does')
  t.same(await bindsDuring(() => login('bob', 'wrong, too', both), second), ['bob WRONG_PASSWORD'])
  await samba.start()
  await samba.reset()

  function twoCas() {
    const pem = [samba, second].map(({ certificateAuthority: { ca } }) => ca).join('\n')
    const ca_file = join(t.testdir(), 'ca.pem')
    writeFileSync(ca_file, pem)
    return tlsOptions({ ca_file })
  }
})

t.test(
  'the id is objectGUID as the directory’s own tools print it, and outlives a rename and a move',
  async t => {
    const id = accepted(await login('carol', carol.password)).user.id
    t.equal(id, await guidOf('carol'))
    t.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    t.match(await desk.backend.getUser(id, soon()), { id, username: 'carol' })

    await samba.accounts.move(carol.dn, `CN=Caroline \\"C\\" O\\, Jr.,${sambaLeaversDn}`)
    const moved = `CN=Caroline \\"C\\" O\\, Jr.,${sambaLeaversDn}`
    await samba.accounts.set(moved, 'sAMAccountName', 'caroline')
    t.match(await desk.backend.getUser(id, soon()), { id, username: 'caroline' })
    t.equal(accepted(await login('caroline', carol.password)).user.id, id)
    t.match(await login('carol', carol.password), { outcome: 'unknown_user' })

    await samba.accounts.remove(moved)
    t.equal(await desk.backend.getUser(id, soon()), undefined)
    t.equal(await desk.backend.getUser('00000000-0000-0000-0000-000000000000', soon()), undefined)
    t.equal(await desk.backend.getUser('carol', soon()), undefined)
    await samba.reset()
  },
)

t.test('by id people come with their state as far as their entry shows it', async t => {
  for (const { sam, password, state } of people) {
    const user = await desk.backend.getUser(idIn(await login(sam, password)), soon())
    t.equal(user?.username, sam)
    // Where, when and by which proof somebody may log on is decided at a logon only.
    const unseen = state === 'logon_hours' || state === 'workstation_not_allowed' || state === 'restricted'
    t.equal(user?.state, unseen ? undefined : state, sam)
  }
})

t.test('a password that expires soon is told, one that expires late or never is not', async t => {
  const { warnings = [] } = accepted(await login('expiressoon', sambaPeople.expiresSoon.password))
  t.match(warnings, [{ code: 'password_expires', at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/ }])
  const until = Date.parse(warnings[0]?.at ?? '') - Date.now()
  t.ok(until > expiresSoonMs - 600_000 && until <= expiresSoonMs, `${until} ms`)
  for (const { sam, password } of [alice, neverExpires]) {
    t.same(accepted(await login(sam, password)).warnings ?? [], [], sam)
  }
})

t.test('what an administrator changes holds from the next login on', async t => {
  const { accounts } = samba
  t.match(await login('bob', bob.password), { outcome: 'accept' })
  await accounts.setPassword(bob.dn, 'another-secret-2')
  t.match(await login('bob', bob.password), { outcome: 'wrong_password' })
  t.match(await login('bob', 'another-secret-2'), { outcome: 'accept' })
  await accounts.expirePassword(bob.dn)
  t.match(await login('bob', 'another-secret-2'), { state: 'password_must_change', passwordVerified: true })
  await accounts.disable(bob.dn)
  t.match(await login('bob', 'another-secret-2'), { state: 'disabled', passwordVerified: true })
  await samba.reset()
})

t.test(
  'with kept entries the bind still decides: what has changed since is never accepted nor charged',
  async t => {
    const { accounts } = samba
    const keeping = await openDesk(
      t,
      sambaOptions(samba, { entry_cache: 60_000, lockout_shield: unshielded }),
    )
    const asBob = (password: string) => login('bob', password, keeping)
    const { id } = accepted(await asBob(bob.password)).user
    t.same(await bindsDuring(() => asBob(bob.password)), ['bob OK'])
    t.same(await bindsDuring(() => asBob('wrong')), ['bob WRONG_PASSWORD'])
    await asBob(bob.password)

    await accounts.setPassword(bob.dn, 'another-secret-2')
    t.same(await asBob(bob.password), { outcome: 'wrong_password', subject: id })
    accepted(await asBob('another-secret-2'))
    await accounts.disable(bob.dn)
    t.match(await asBob('another-secret-2'), { state: 'disabled', passwordVerified: true })
    await accounts.enable(bob.dn)
    accepted(await asBob('another-secret-2'))
    await accounts.expirePassword(bob.dn)
    t.match(await asBob('another-secret-2'), { state: 'password_must_change', passwordVerified: true })
    await accounts.setPassword(bob.dn, bob.password)
    accepted(await asBob(bob.password))

    const moved = `CN=Bob,${sambaLeaversDn}`
    await accounts.move(bob.dn, moved)
    const atOldPlace = await bindsDuring(async () => {
      t.match(
        await asBob(bob.password),
        { outcome: 'unavailable' },
        'the old place says nothing about the password',
      )
    })
    t.equal(atOldPlace.length, 1)
    t.equal(accepted(await asBob(bob.password)).user.id, id, 'and the next login finds the new one')

    await accounts.lock(moved)
    t.match(await asBob(bob.password), { state: 'locked', passwordVerified: false })
    t.same(await bindsDuring(() => asBob(bob.password)), [], 'once 775 is known there is no bind')
    await samba.reset()
  },
)

t.test('a password is sent as it is, whatever it is made of', async t => {
  for (const secret of [
    'Пароль-ß-🔑',
    ' blanks at both ends ',
    'quote"\\<&>',
    'e\u0301 and \u00e9',
    'x'.repeat(200),
  ]) {
    await samba.accounts.setPassword(bob.dn, secret)
    t.match(await login('bob', secret), { outcome: 'accept' }, secret)
    t.match(await login('bob', `${secret}x`), { outcome: 'wrong_password' }, secret)
  }
  await samba.reset()
})

t.test(
  'StartTLS is as good; without encryption the directory refuses, and the log says what to change',
  async t => {
    const { ldapUrl, caFile } = samba
    const tls = tlsOptions({ ca_file: caFile, starttls: true })
    const upgraded = await openDesk(t, sambaOptions(samba, { urls: [ldapUrl], tls }))
    t.match(await login('alice', alice.password, upgraded), { outcome: 'accept' })
    t.match(await login('alice', 'wrong', upgraded), { outcome: 'wrong_password' })

    const plain = await openDesk(
      t,
      sambaOptions(samba, { urls: [ldapUrl], tls: tlsOptions(), insecure: true }),
    )
    t.match(await login('alice', alice.password, plain), {
      outcome: 'unavailable',
      phase: 'service_bind',
      credentialSent: false,
      cause: /strongerAuthRequired.*(ldaps|starttls)/,
    })
  },
)

t.test('the service account may be named by DN, UPN or down-level name; it needs no rights', async t => {
  for (const dn of [sambaService.dn, sambaService.upn, 'CORP\\svc-gatehouse']) {
    const bind = { method: 'simple', dn, password: new Secret(sambaService.password) } as const
    const named = await openDesk(t, sambaOptions(samba, { bind }))
    t.match(await login('alice', alice.password, named), { outcome: 'accept' }, dn)
  }
})

t.test(
  'a service account whose password was changed is an outage, and one bind, so that it is not locked',
  async t => {
    const stale = await openDesk(t, sambaOptions(samba))
    await samba.accounts.setPassword(sambaService.dn, 'rotated-secret-2')
    const before = (await samba.authentications()).length
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      t.match(await login('alice', alice.password, stale), { outcome: 'unavailable', phase: 'service_bind' })
    }
    const seen = (await samba.authentications()).slice(before)
    t.match(seen, [{ account: sambaService.sam, status: 'NT_STATUS_WRONG_PASSWORD' }])
    t.equal(seen.length, 1)
    t.equal(stale.log.at('fatal').length, 1)
    await samba.reset()
  },
)

t.test('a controller that goes away is an outage, and its return needs nobody', async t => {
  const { id } = accepted(await login('alice', alice.password)).user
  await samba.stop('SIGKILL')
  t.match(await login('alice', alice.password), { outcome: 'unavailable', credentialSent: false })
  t.match(await login('alice', 'wrong'), { outcome: 'unavailable' })
  await t.rejects(desk.backend.getUser(id, soon()), UnavailableError)
  t.match(await desk.backend.probe(soon()), { ok: false })
  await samba.start()
  await until(async () => (await login('alice', alice.password)).outcome === 'accept')
  t.match(await login('alice', 'wrong'), { outcome: 'wrong_password' })
  t.match(await desk.backend.probe(soon()), { ok: true })
  await samba.reset()
})

const nestings = ['auto', 'token_groups', 'in_chain', 'levels'] as const
const ownGroups = {
  alice: ['Domain Users', 'Wiki Admins, R&D (EMEA)', 'staff'],
  nested: ['Domain Users', 'level 1', 'level 2', 'level 3', 'level 4'],
  primary: ['Domain Users', 'all readers', 'readers'],
} as const

const ways: readonly (readonly [name: string, changes: Partial<LdapOptions>])[] = [
  ...nestings.map(nesting => [`nesting: ${nesting}`, { groups: groupOptions({ nesting }) }] as const),
  ['preset: samba', { preset: 'samba' }],
]
for (const [way, changes] of ways) {
  t.test(`groups are complete by ${way}: four deep, round a cycle, and the primary one`, async t => {
    const at = await openDesk(t, sambaOptions(samba, changes))
    for (const [sam, groups] of Object.entries(ownGroups)) {
      const { user } = accepted(await login(sam, `${sam}-secret-1`, at))
      t.same([...user.groups].filter(isOurs).sort(), groups, sam)
      const byId = await at.backend.getUser(user.id, soon())
      t.same(new Set(byId?.groups), new Set(user.groups), `${sam} by id`)
    }
  })
}

/** The domain puts its own groups around everybody's (`Users`), and by which way they show is the directory's matter. */
function isOurs(name: string): boolean {
  return name !== 'Users'
}

t.test('all groups cost one round trip more than the person, once the groups are known', async t => {
  const between = await startLdapsListener(t, samba.address, samba.certificateAuthority)
  for (const [nesting, searches] of [
    ['direct', 1],
    ['token_groups', 2],
    ['in_chain', 2],
    ['auto', 2],
  ] as const) {
    const changes = { urls: [between.url], groups: groupOptions({ nesting }) }
    const at = await openDesk(t, sambaOptions(samba, changes))
    accepted(await login('nested', nested.password, at))
    const before = between.requests.length
    await login('nested', nested.password, at)
    const types = between.requests.slice(before).map(({ type }) => type)
    t.equal(types.filter(type => type === 'search').length, searches, nesting)
    t.equal(types.filter(type => type === 'bind').length, 1, nesting)
  }
})

t.test('groups of groups let in, keep out and give roles', async t => {
  const rules = (changes: Partial<LdapOptions['groups']>) =>
    openDesk(t, sambaOptions(samba, { groups: groupOptions(changes) }))
  const required = await rules({
    required: [`${groupDn('level 4')}`],
    roles: { 'level 3': 'deep', staff: 'staff' },
  })
  t.match(await login('nested', nested.password, required), { outcome: 'accept', user: { roles: ['deep'] } })
  t.match(await login('alice', alice.password, required), { outcome: 'deny' })
  const denied = await rules({ denied: ['all readers'] })
  const primary = sambaPeople.primary
  t.match(await login('primary', primary.password, denied), { outcome: 'deny' }, 'by the primary group')
  t.match(await login('nested', nested.password, denied), { outcome: 'accept' })
})

t.test('who joins a group has it at the next login, whatever is kept of groups', async t => {
  const groups = async () => accepted(await login('bob', bob.password)).user.groups
  t.notOk((await groups()).includes('level 4'))
  await samba.accounts.join(groupDn('level 1'), bob.dn)
  t.ok((await groups()).includes('level 4'))
  await samba.accounts.leave(groupDn('level 1'), bob.dn)
  t.notOk((await groups()).includes('level 4'))
})

t.test('the controllers are found by the domain’s own DNS, and verified by the name found there', async t => {
  const found = await openDesk(
    t,
    sambaOptions(samba, { urls: [], discover: sambaDomain.dns, dns_servers: [samba.address] }),
  )
  t.match(await login('alice', alice.password, found), { outcome: 'accept' })
  t.match(await login('alice', 'wrong', found), { outcome: 'wrong_password' })

  const other = await startSamba(t, { certificate: { names: ['DNS:dc2.corp.example'] } })
  const misnamed = await openDesk(
    t,
    sambaOptions(other, { urls: [], discover: sambaDomain.dns, dns_servers: [other.address] }),
  )
  t.match(await login('alice', alice.password, misnamed), {
    outcome: 'unavailable',
    phase: 'tls',
    credentialSent: false,
    cause: /dc2\.corp\.example/,
  })
})

t.test('the daemon in front of Active Directory', async t => {
  const key = 'portal-key'
  const cwd = t.testdir({
    'gatehouse.yaml': `
listen: { host: 127.0.0.1, port: 0 }
admin: { host: 127.0.0.1, port: 0 }
log: { format: json }
clients:
  - { id: local, cidr: 127.0.0.1/32 }
  - { id: portal, key_sha256: ${createHash('sha256').update(key).digest('hex')}, may: [reveal_account_state] }
backends:
  - id: corp
    type: ldap
    preset: active-directory
    urls: [${samba.ldapsUrl}]
    tls: { ca_file: ${samba.caFile} }
    bind: { dn: "${sambaService.upn}", password: ${sambaService.password} }
    base_dn: DC=corp,DC=example
    names: { netbios: CORP, upn_suffixes: [corp.example, alt.example] }
    lockout_shield: { enabled: false }
    attributes: { department: department }
`,
  })
  const daemon = await startDaemon(t, { config: 'gatehouse.yaml', cwd })
  const asPortal = { authorization: `Bearer ${key}` }
  const refused = { status: 401, body: { code: 'invalid_credentials' } }

  await t.test('lets the right ones in, as the contract says', async t => {
    const id = `corp:${await guidOf('alice')}`
    const { status, body } = await daemon.authenticate(alice.mail, alice.password)
    t.equal(status, 200)
    t.match(body, {
      user: {
        id,
        backend: 'corp',
        username: 'alice',
        display_name: 'Alice Liddell',
        email: alice.mail,
        attributes: { department: 'R&D' },
      },
    })
    t.same(new Set([body.user].flatMap(user => Object.keys(user as object))).has('dn'), false)
    const byId = await fetch(`${daemon.url}/users/${id}`)
    t.match(await byId.json(), { user: { id, username: 'alice' } })
  })

  await t.test('tells the state only to an app that may know, and only with the right password', async t => {
    const codes = {
      disabled: 'account_disabled',
      expired: 'account_expired',
      password_expired: 'password_expired',
      password_must_change: 'password_must_change',
      logon_hours: 'logon_hours',
      workstation_not_allowed: 'workstation_not_allowed',
      locked: 'invalid_credentials',
      restricted: 'invalid_credentials',
    } as const
    for (const { sam, password, state } of people) {
      if (state === undefined) continue
      t.match(
        await daemon.authenticate(sam, password, asPortal),
        { status: 401, body: { code: codes[state] } },
        state,
      )
      t.match(await daemon.authenticate(sam, password), refused, `${state}, not revealed`)
      t.match(await daemon.authenticate(sam, 'wrong', asPortal), refused, `${state}, wrong password`)
    }
    t.match(await daemon.authenticate('nobody', 'wrong', asPortal), refused)
  })

  await t.test('warns of a password that expires soon', async t => {
    const { expiresSoon } = sambaPeople
    const { status, body } = await daemon.authenticate(expiresSoon.sam, expiresSoon.password)
    t.equal(status, 200)
    t.match(body.warnings, [{ code: 'password_expires', at: /^\d{4}-\d\d-\d\dT/ }])
  })

  await t.test('counts every spelling of one person together, and then asks nobody', async t => {
    const spellings = ['patient', 'CORP\\PATIENT', 'patient@alt.example', patient.upn, patient.mail]
    const binds = await bindsDuring(async () => {
      for (const [index, name] of spellings.entries()) {
        t.match(await daemon.authenticate(name, `guess ${index}`), refused, name)
      }
      for (const name of spellings) {
        const { status, headers, body } = await daemon.authenticate(name, patient.password)
        t.match({ status, code: body.code }, { status: 429, code: 'locked_out' }, name)
        t.ok(Number(headers.get('retry-after')) > 0)
      }
    })
    t.same(
      binds,
      Array.from({ length: 5 }, () => 'patient WRONG_PASSWORD'),
    )
  })

  await t.test('says 503 while the domain is away', async t => {
    await samba.stop()
    t.match(await daemon.authenticate('alice', alice.password), {
      status: 503,
      body: { code: 'backend_unavailable' },
    })
    await samba.start()
  })
})

/** Waits for what comes by itself, ten seconds at most. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const giveUp = performance.now() + 10_000
  while (!(await holds())) {
    if (performance.now() > giveUp) throw new Error('it never came')
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}
