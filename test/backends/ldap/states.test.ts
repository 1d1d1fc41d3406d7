/** What an account's state makes of a login: by table, and against a real OpenLDAP with its password policy. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { AccountState, Outcome } from '../../../src/authentication/outcome.ts'
import { createLockedMemory } from '../../../src/backends/ldap/person/locked-memory.ts'
import type { Person } from '../../../src/backends/ldap/person/user.ts'
import { bindOutcome, bindWarnings } from '../../../src/backends/ldap/person/verdict.ts'
import type { EntryState } from '../../../src/backends/ldap/presets/preset.ts'
import { type PresetName, presets } from '../../../src/backends/ldap/presets/presets.ts'
import { parseGeneralizedTime } from '../../../src/backends/ldap/presets/values.ts'
import type { BindAnswer } from '../../../src/backends/ldap/wire/connection.ts'
import { DirectoryFailure } from '../../../src/backends/ldap/wire/failure.ts'
import type { PolicyAnswer } from '../../../src/backends/ldap/wire/policy.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { startSlapd } from '../../support/slapd.ts'
import { entryOf, openDesk, slapdOptions } from './ldap-login.ts'
import '../../support/runs.ts'

const NOW = Date.parse('2026-06-15T12:00:00Z')
const DAY = 86_400_000
const person = (state?: AccountState, passwordExpiresAtMs?: number) =>
  ({
    user: { id: 'id-1', username: 'alice', groups: [], roles: [], attributes: {}, ...(state && { state }) },
    ...(passwordExpiresAtMs !== undefined && { passwordExpiresAtMs }),
  }) as unknown as Person
const adMessage = (data: string) =>
  `80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data ${data}, v1db1\0`
const state = (state: AccountState, passwordVerified: boolean): Outcome => ({
  outcome: 'account_state',
  subject: 'id-1',
  state,
  passwordVerified,
})
const outcomeOf = (answer: BindAnswer, who: Person, preset: PresetName = 'active-directory') =>
  bindOutcome(answer, who, presets[preset])
const wrong: Outcome = { outcome: 'wrong_password', subject: 'id-1' }

t.test("Active Directory's sub-codes say what the table of its results says", async t => {
  const table: [data: string, outcome: Outcome][] = [
    ['52e', wrong],
    ['525', { outcome: 'unknown_user' }],
    ['52f', state('restricted', false)],
    ['530', state('logon_hours', true)],
    ['531', state('workstation_not_allowed', true)],
    ['532', state('password_expired', true)],
    ['533', state('disabled', true)],
    ['701', state('expired', true)],
    ['773', state('password_must_change', true)],
    ['775', state('locked', false)],
    ['569', state('restricted', false)],
    ['0', wrong],
    ['999', wrong],
  ]
  for (const [data, outcome] of table) {
    for (const spelling of [data, data.toUpperCase(), `0${data}`]) {
      t.same(outcomeOf({ code: 49, message: adMessage(spelling) }, person()), outcome, data)
    }
    // The sub-code counts with result 49 only.
    t.match(outcomeOf({ code: 80, message: adMessage(data) }, person()), { outcome: 'unavailable' })
  }
  t.same(outcomeOf({ code: 49, message: '' }, person()), wrong)
  t.match(outcomeOf({ code: 49, message: adMessage('80090346') }, person()), {
    outcome: 'unavailable',
    cause: /channel binding/,
    credentialSent: true,
  })
})

t.test('a state on the entry never hides a wrong password, and never survives a right one', async t => {
  const states = ['disabled', 'expired', 'password_expired', 'password_must_change', 'restricted'] as const
  for (const one of states) {
    t.same(outcomeOf({ code: 49, message: '' }, person(one)), wrong)
    t.same(outcomeOf({ code: 49, message: adMessage('52e') }, person(one)), wrong)
    t.same(outcomeOf({ code: 0, message: '' }, person(one)), state(one, true))
  }
  t.equal(outcomeOf({ code: 0, message: '' }, person()), undefined)
})

t.test('the password policy is heard beside yes and beside no', async t => {
  const rows: [code: number, policy: PolicyAnswer, entry: AccountState | undefined, Outcome | undefined][] = [
    [49, { error: 'password_expired' }, undefined, state('password_expired', true)],
    [49, { error: 'account_locked' }, undefined, state('locked', false)],
    [49, { error: 'account_locked' }, 'disabled', state('locked', false)],
    [49, { error: 'change_after_reset' }, undefined, wrong],
    [49, { expiresInSeconds: 5 }, undefined, wrong],
    [49, { graceLogins: 2 }, 'password_expired', wrong],
    [0, { error: 'change_after_reset' }, undefined, state('password_must_change', true)],
    [0, { error: 'password_expired' }, undefined, state('password_expired', true)],
    [0, { error: 'account_locked' }, undefined, state('locked', false)],
    [0, { graceLogins: 0 }, undefined, undefined],
    [0, { graceLogins: 2, error: 'password_expired' }, undefined, undefined],
    [0, { graceLogins: 2 }, 'password_expired', undefined],
    [0, { graceLogins: 2 }, 'disabled', state('disabled', true)],
    [0, { graceLogins: 2 }, 'password_must_change', state('password_must_change', true)],
    [0, { expiresInSeconds: 5 }, undefined, undefined],
  ]
  for (const [code, policy, entry, outcome] of rows) {
    t.same(
      outcomeOf({ code, message: '', policy }, person(entry), '389ds'),
      outcome,
      JSON.stringify({ code, policy, entry }),
    )
  }
})

t.test(
  '389 Directory Server and FreeIPA refuse before the password, in words, by control or as the entry says',
  async t => {
    const rows: [
      code: number,
      message: string,
      policy: PolicyAnswer | undefined,
      entry: AccountState | undefined,
      Outcome,
    ][] = [
      [19, 'Exceed password retry limit. Please try later.', undefined, undefined, state('locked', false)],
      [
        19,
        'Exceed password retry limit. Contact system administrator to reset.',
        undefined,
        'disabled',
        state('locked', false),
      ],
      [19, '', { error: 'account_locked' }, undefined, state('locked', false)],
      [19, '', undefined, 'locked', state('locked', false)],
      [
        19,
        'Account inactivity limit exceeded. Contact system administrator to reset.',
        undefined,
        undefined,
        state('expired', false),
      ],
      [
        19,
        'Invalid credentials, you now have exceeded the password retry limit.',
        undefined,
        undefined,
        wrong,
      ],
      [
        53,
        'Account inactivated. Contact system administrator.',
        undefined,
        undefined,
        state('disabled', false),
      ],
      [53, '', { error: 'account_locked' }, undefined, state('disabled', false)],
      [53, '', undefined, 'disabled', state('disabled', false)],
      [53, '', undefined, 'expired', state('expired', false)],
      [53, 'Too many failed logins.\n', undefined, undefined, state('locked', false)],
      [53, 'Entry permanently locked.\n', undefined, undefined, state('locked', false)],
      [53, 'Account (Kerberos principal) is expired', undefined, undefined, state('expired', false)],
    ]
    for (const [code, message, policy, entry, outcome] of rows) {
      const answer = { code, message, ...(policy && { policy }) }
      t.same(outcomeOf(answer, person(entry), '389ds'), outcome, `${code} ${message} ${entry}`)
    }
    for (const [code, entry] of [
      [19, undefined],
      [19, 'disabled'],
      [53, undefined],
      [53, 'password_expired'],
      [53, 'locked'],
    ] as const) {
      t.match(
        outcomeOf({ code, message: 'no' }, person(entry), '389ds'),
        { outcome: 'unavailable' },
        `${code} ${entry}`,
      )
    }
    for (const preset of ['active-directory', 'samba', 'openldap', 'lldap', 'google', 'jumpcloud'] as const) {
      for (const [code, message, policy, entry] of rows) {
        const answer = { code, message, ...(policy && { policy }) }
        t.match(
          outcomeOf(answer, person(entry), preset),
          { outcome: 'unavailable' },
          `of ${preset} ${code} says nothing about the account`,
        )
      }
    }
  },
)

t.test(
  'a domain controller that can ask nobody about an account says nothing about its password',
  async t => {
    for (const message of [
      adMessage('51f'),
      adMessage('54b'),
      adMessage('80090346'),
      '80090311: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 51f, v1db1\0',
    ]) {
      t.match(outcomeOf({ code: 49, message }, person()), { outcome: 'unavailable' }, message)
    }
  },
)

t.test('no result but success lets anybody in', async t => {
  for (let code = 1; code <= 123; code++) {
    for (const entry of [undefined, 'disabled', 'locked', 'password_expired'] as const) {
      for (const preset of ['active-directory', '389ds'] as const) {
        const answer = { code, message: '', policy: { graceLogins: 3 } }
        const outcome = outcomeOf(answer, person(entry), preset)
        t.ok(outcome && outcome.outcome !== 'accept')
        const speaks = preset === '389ds' ? [19, 49, 53] : [49]
        if (!speaks.includes(code)) t.match(outcome, { outcome: 'unavailable', credentialSent: true })
      }
    }
  }
})

t.test('who is let in is told of an expiry that is near, and of grace logins', async t => {
  const warn = (policy: PolicyAnswer | undefined, expiresAtMs?: number) =>
    bindWarnings(
      { code: 0, message: '', ...(policy && { policy }) },
      person(undefined, expiresAtMs),
      NOW,
      14 * DAY,
    )
  t.same(warn(undefined, NOW + DAY + 1), [{ code: 'password_expires', at: '2026-06-16T12:00:00Z' }])
  t.same(warn(undefined, NOW + 15 * DAY), [])
  t.same(warn(undefined, NOW), [], 'what has expired is no warning')
  t.same(warn(undefined, Infinity), [])
  t.same(warn(undefined, Number.NaN), [])
  t.same(warn({ expiresInSeconds: 3600 }), [{ code: 'password_expires', at: '2026-06-15T13:00:00Z' }])
  t.same(warn({ expiresInSeconds: 2 ** 31 - 1 }), [])
  t.same(warn({ graceLogins: 2 }, NOW + DAY), [{ code: 'grace_logins', remaining: 2 }])
  t.same(warn({ graceLogins: 0 }), [{ code: 'grace_logins', remaining: 0 }])
  t.same(warn(undefined), [])
})

const readState = (preset: PresetName, attributes: Record<string, string | string[] | Buffer>): EntryState =>
  presets[preset].readState(entryOf({ dn: 'cn=a', ...attributes }), NOW)
const read = readState
const fileTime = (ms: number) => String(BigInt(ms + 11_644_473_600_000) * 10_000n)

t.test('an entry of Active Directory says its state, the worst first', async t => {
  const rows: [Record<string, string>, EntryState][] = [
    [{}, {}],
    [{ userAccountControl: '512' }, {}],
    [{ userAccountControl: '514' }, { state: 'disabled' }],
    [{ accountExpires: '0' }, {}],
    [{ accountExpires: '9223372036854775807' }, {}],
    [{ accountExpires: fileTime(NOW + 1) }, {}],
    [{ accountExpires: fileTime(NOW) }, { state: 'expired' }],
    [{ accountExpires: fileTime(NOW), userAccountControl: '514' }, { state: 'disabled' }],
    [{ pwdLastSet: '0' }, { state: 'password_must_change' }],
    [{ pwdLastSet: '0', userAccountControl: String(512 | 0x10000) }, {}],
    [{ 'msDS-User-Account-Control-Computed': '16' }, { state: 'locked' }],
    [{ 'msDS-User-Account-Control-Computed': '8388608' }, { state: 'password_expired' }],
    [{ 'msDS-User-Account-Control-Computed': '8388608', pwdLastSet: '0' }, { state: 'password_must_change' }],
    [{ 'msDS-User-Account-Control-Computed': '8388624', userAccountControl: '512' }, { state: 'locked' }],
    [{ lockoutTime: fileTime(NOW - DAY) }, {}],
    [{ 'msds-userpasswordexpirytimecomputed': fileTime(NOW + DAY) }, { passwordExpiresAtMs: NOW + DAY }],
    [{ 'msDS-UserPasswordExpiryTimeComputed': '9223372036854775807' }, {}],
  ]
  for (const [attributes, expected] of rows) {
    t.same(read('active-directory', attributes), expected, JSON.stringify(attributes))
    t.same(read('samba', attributes), expected)
  }
})

t.test('entries of FreeIPA, 389 Directory Server and OpenLDAP say theirs', async t => {
  const past = '20260615115959Z'
  const future = '20260616120000Z'
  const rows: [PresetName, Record<string, string>, EntryState][] = [
    ['freeipa', {}, {}],
    ['freeipa', { nsAccountLock: 'TRUE' }, { state: 'disabled' }],
    ['freeipa', { nsaccountlock: 'true', krbPrincipalExpiration: past }, { state: 'disabled' }],
    ['freeipa', { nsAccountLock: 'FALSE' }, {}],
    ['freeipa', { krbPrincipalExpiration: past }, { state: 'expired' }],
    ['freeipa', { krbPrincipalExpiration: future }, {}],
    ['freeipa', { krbPasswordExpiration: past }, { state: 'password_expired' }],
    [
      'freeipa',
      { krbPasswordExpiration: past, krbLastPwdChange: '20260101000000Z' },
      { state: 'password_expired' },
    ],
    ['freeipa', { krbPasswordExpiration: past, krbLastPwdChange: past }, { state: 'password_must_change' }],
    ['freeipa', { krbPasswordExpiration: future }, { passwordExpiresAtMs: NOW + DAY }],
    ['389ds', { nsAccountLock: 'true' }, { state: 'disabled' }],
    ['389ds', { accountUnlockTime: future }, {}],
    ['389ds', { passwordExpirationTime: past }, { state: 'password_expired' }],
    ['389ds', { passwordExpirationTime: '19700101000000Z' }, { state: 'password_must_change' }],
    ['389ds', { passwordExpirationTime: '19700101000001Z' }, {}],
    ['389ds', { passwordExpirationTime: future }, { passwordExpiresAtMs: NOW + DAY }],
    ['openldap', { pwdAccountLockedTime: '000001010000Z' }, { state: 'locked' }],
    ['openldap', { pwdAccountLockedTime: past }, {}],
    ['openldap', { pwdReset: 'TRUE' }, { state: 'password_must_change' }],
    ['openldap', { pwdReset: 'FALSE' }, {}],
    ['lldap', { nsAccountLock: 'TRUE' }, {}],
    ['custom', { pwdReset: 'TRUE' }, {}],
  ]
  for (const [preset, attributes, expected] of rows) {
    t.same(read(preset, attributes), expected, `${preset} ${JSON.stringify(attributes)}`)
  }
})

t.test('a state that cannot be read is an outage, never a yes and never a crash', async t => {
  const deciding = Object.entries(presets).flatMap(([name, { stateAttributes }]) =>
    stateAttributes.map(attribute => [name as PresetName, attribute] as const),
  )
  for (const [preset, attribute] of deciding) {
    // It is looked at only where the password has expired.
    const beside: Record<string, string> =
      attribute === 'krbLastPwdChange' ? { krbPasswordExpiration: '20200101000000Z' } : {}
    const read = (preset: PresetName, attributes: Parameters<typeof readState>[1]) =>
      readState(preset, { ...beside, ...attributes })
    const several = { [attribute]: ['1', '2'] }
    t.throws(() => read(preset, several), /cannot be read/, `${preset} ${attribute}`)
    t.throws(() => read(preset, { [attribute]: Buffer.from([0xff, 0xfe]) }), /cannot be read/)
    for (const garbage of [
      '',
      'NaN',
      'x',
      '1e400',
      '0x10',
      '99999999999999999999',
      '20261315000000Z',
      ' 1',
    ]) {
      t.throws(
        () => read(preset, { [attribute]: garbage }),
        /cannot be read/,
        `${preset} ${attribute} ${garbage}`,
      )
    }
  }
  fc.assert(
    fc.property(fc.constantFrom(...deciding), fc.string(), ([preset, attribute], text) => {
      try {
        const found = read(preset, { [attribute]: text })
        return found.passwordExpiresAtMs === undefined || Number.isFinite(found.passwordExpiresAtMs)
      } catch (error) {
        return error instanceof DirectoryFailure
      }
    }),
  )
})

t.test('times are read in every spelling of RFC 4517', async t => {
  const at = (text: string) => {
    const ms = parseGeneralizedTime(text)
    return ms === undefined ? undefined : new Date(ms).toISOString()
  }
  t.equal(at('20260615120000Z'), '2026-06-15T12:00:00.000Z')
  t.equal(at('20260615120000.25Z'), '2026-06-15T12:00:00.250Z')
  t.equal(at('202606151200Z'), '2026-06-15T12:00:00.000Z')
  t.equal(at('2026061512.5Z'), '2026-06-15T12:30:00.000Z')
  t.equal(at('20260615120000+0200'), '2026-06-15T10:00:00.000Z')
  t.equal(at('20260615120000-03'), '2026-06-15T15:00:00.000Z')
  for (const none of [
    '',
    '20260615120000',
    '2026061512000Z',
    '20261315120000Z',
    '20260615250000Z',
    'x',
    '2026-06-15T12:00:00Z',
  ]) {
    t.equal(at(none), undefined, none)
  }
})

t.test('who was found locked is remembered for a minute, and a flood of them costs no memory', async t => {
  const clock = createFakeClock()
  const memory = createLockedMemory(clock)
  memory.remember('alice')
  t.equal(memory.isLocked('alice'), true)
  t.equal(memory.isLocked('bob'), false)
  clock.advance(59_999)
  t.equal(memory.isLocked('alice'), true)
  clock.advance(1)
  t.equal(memory.isLocked('alice'), false)
  for (let index = 0; index < 10_001; index++) memory.remember(`u${index}`)
  t.equal(memory.isLocked('u0'), false, 'the oldest goes')
  t.equal(memory.isLocked('u1'), true)
  t.equal(memory.isLocked('u10000'), true)
})

const generalized = (ms: number) => new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
const policyDn = (name: string) => `cn=${name},ou=policies,dc=corp,dc=example`
const policy = (name: string, ...settings: string[]) => `
dn: ${policyDn(name)}
objectClass: organizationalRole
objectClass: pwdPolicy
cn: ${name}
pwdAttribute: userPassword
${settings.join('\n')}
`
const account = (uid: string, ...more: string[]) => `
dn: uid=${uid},ou=people,dc=corp,dc=example
objectClass: inetOrgPerson
uid: ${uid}
cn: ${uid}
sn: ${uid}
userPassword: ${uid}-secret-1
${more.join('\n')}
`
const ldif = join(t.testdir(), 'policy.ldif')
const corp = readFileSync(new URL('../../../fixtures/ldap/corp.ldif', import.meta.url), 'utf8')
writeFileSync(
  ldif,
  [
    corp,
    '\ndn: ou=policies,dc=corp,dc=example\nobjectClass: organizationalUnit\nou: policies\n',
    policy('default', 'pwdMaxAge: 864000', 'pwdExpireWarning: 86400', 'pwdMustChange: TRUE'),
    policy('grace', 'pwdMaxAge: 86400', 'pwdGraceAuthNLimit: 2'),
    policy('lock', 'pwdLockout: TRUE', 'pwdMaxFailure: 2', 'pwdLockoutDuration: 3600'),
    account('fresh', `pwdChangedTime: ${generalized(Date.now())}`),
    account('expired', 'pwdChangedTime: 20200101000000Z'),
    account('graceful', 'pwdChangedTime: 20200101000000Z', `pwdPolicySubentry: ${policyDn('grace')}`),
    account('soon', `pwdChangedTime: ${generalized(Date.now() - 864_000_000 + 3_600_000)}`),
    account('reset', `pwdChangedTime: ${generalized(Date.now())}`, 'pwdReset: TRUE'),
    account('lockable', `pwdPolicySubentry: ${policyDn('lock')}`),
    account('forever', 'pwdAccountLockedTime: 000001010000Z', `pwdPolicySubentry: ${policyDn('lock')}`),
  ].join('\n'),
)
const slapd = await startSlapd(t, {
  ldif,
  serverConfig: 'moduleload ppolicy',
  databaseConfig: `overlay ppolicy\nppolicy_default "${policyDn('default')}"\nppolicy_use_lockout`,
})
const bindsDuring = async (work: () => Promise<unknown>) => {
  const before = (await slapd.binds()).length
  await work()
  return (await slapd.binds()).slice(before).filter(({ dn }) => dn !== slapd.serviceDn).length
}

t.test(
  'OpenLDAP: each state of its password policy is told, with right and with wrong passwords',
  async t => {
    const desk = await openDesk(t, slapdOptions(slapd))
    const right = (uid: string) => desk.login(uid, `${uid}-secret-1`)
    const wrongly = (uid: string) => desk.login(uid, 'wrong')
    t.match(await right('fresh'), { outcome: 'accept', warnings: [] })
    t.match(
      await right('alice'),
      { outcome: 'accept', warnings: [] },
      'an account that the policy knows nothing of',
    )
    t.match(await right('soon'), {
      outcome: 'accept',
      warnings: [{ code: 'password_expires', at: /^20.*Z$/ }],
    })
    const expired = { outcome: 'account_state', state: 'password_expired', passwordVerified: true }
    t.match(await right('expired'), expired)
    t.match(await wrongly('expired'), { outcome: 'wrong_password' })
    t.match(await right('graceful'), {
      outcome: 'accept',
      warnings: [{ code: 'grace_logins', remaining: 1 }],
    })
    t.match(await right('graceful'), {
      outcome: 'accept',
      warnings: [{ code: 'grace_logins', remaining: 0 }],
    })
    t.match(await right('graceful'), expired, 'after the last one')
    t.match(await right('reset'), {
      outcome: 'account_state',
      state: 'password_must_change',
      passwordVerified: true,
    })
    t.match(await wrongly('reset'), { outcome: 'wrong_password' })
  },
)

t.test(
  'OpenLDAP: an account that is locked is not bound against, nor soon after it was found so',
  async t => {
    const desk = await openDesk(t, slapdOptions(slapd))
    const locked = { outcome: 'account_state', state: 'locked', passwordVerified: false }
    const forever = await bindsDuring(async () => {
      t.match(await desk.login('forever', 'forever-secret-1'), locked)
    })
    t.equal(forever, 0, 'the entry says so')

    t.match(await desk.login('lockable', 'wrong'), { outcome: 'wrong_password' })
    t.match(await desk.login('lockable', 'wrong too'), { outcome: 'wrong_password' })
    const found = await bindsDuring(async () => {
      t.match(await desk.login('lockable', 'lockable-secret-1'), locked, 'even with the right password')
    })
    const remembered = await bindsDuring(async () => {
      t.match(await desk.login('lockable', 'lockable-secret-1'), locked)
    })
    t.same([found, remembered], [1, 0])
  },
)
