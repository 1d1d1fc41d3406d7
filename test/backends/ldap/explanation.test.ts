/** What a bind says to whoever has the login explained: the result, what it means, and the server's words where they help. */
import t from 'tap'
import { stateInWords } from '../../../src/authentication/account-state.ts'
import type { Fact } from '../../../src/authentication/backend.ts'
import type { AccountState, Outcome } from '../../../src/authentication/outcome.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import { noteBind } from '../../../src/backends/ldap/explanation.ts'
import { type BindAnswer, Connection } from '../../../src/backends/ldap/wire/connection.ts'
import { dial } from '../../../src/backends/ldap/wire/dial.ts'
import { parseEndpoint } from '../../../src/backends/ldap/wire/endpoint.ts'
import { bindResponse } from '../../support/ldap-message.ts'
import { startLdapServer } from '../../support/ldap-server.ts'

function said(answer: BindAnswer, refusal?: Outcome): Record<string, string> {
  const facts: Fact[] = []
  noteBind(fact => facts.push(fact), answer, refusal, 1)
  return Object.fromEntries(facts.map(({ what, value }) => [what, value]))
}

const ad = (sub: string): BindAnswer => ({
  code: 49,
  message: `80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data ${sub}, v1db1\0`,
})
const state = (state: AccountState, passwordVerified: boolean): Outcome => ({
  outcome: 'account_state',
  subject: '1',
  state,
  passwordVerified,
})
const wrong: Outcome = { outcome: 'wrong_password', subject: '1' }

t.test(
  'Active Directory: the sub-code by its number and in words, without the text that is always the same',
  async t => {
    t.strictSame(said(ad('533'), state('disabled', true)), {
      bind: 'result 49, AD 533: the account is disabled; the password is right',
    })
    t.strictSame(said(ad('530'), state('logon_hours', true)), {
      bind: 'result 49, AD 530: the account may not log in at this hour; the password is right',
    })
    t.strictSame(said(ad('775'), state('locked', false)), {
      bind: 'result 49, AD 775: the directory has the account locked; nothing is said about the password',
    })
    t.strictSame(said(ad('52e'), wrong), { bind: 'result 49, AD 52e: wrong password' })
    t.strictSame(said({ code: 0, message: '' }), { bind: 'result 0: the password is right' })
  },
)

t.test('the word of a password policy is told beside the result', async t => {
  t.strictSame(said({ code: 49, message: '', policy: { error: 'account_locked' } }, state('locked', false)), {
    bind: 'result 49, password policy account locked: the directory has the account locked; nothing is said about the password',
  })
})

t.test('the server’s own words are told where the number does not say it all', async t => {
  t.strictSame(said({ code: 53, message: 'Account inactivated.\nContact x' }, state('disabled', false)), {
    bind: 'result 53: the account is disabled; nothing is said about the password',
    'server said': 'Account inactivated. Contact x',
  })
  const bindings: Outcome = { outcome: 'unavailable', cause: 'x', phase: 'bind', credentialSent: true }
  t.match(said(ad('80090346'), bindings), {
    bind: 'result 49, AD 80090346: says nothing about the password',
    'server said': /^80090308: LdapErr/,
  })
  t.match(said(ad('57'), wrong), { 'server said': /data 57/ }, 'a sub-code that nobody here knows')
  t.equal(said({ code: 49, message: 'x'.repeat(1_000) }, wrong)['server said']?.length, 200)
})

t.test('every state is said in words', async t => {
  for (const each of ['logon_hours', 'workstation_not_allowed', 'password_must_change'] as const) {
    t.notMatch(stateInWords(each), /_/)
    t.match(stateInWords(each), /^the (account|password) \w+ /)
  }
})

t.test('a message is the server’s own, without what the LDAP library hangs on it', async t => {
  let diagnosticMessage = 'Invalid credentials'
  const server = await startLdapServer(t, {
    onRequest: ({ id }, connection) => connection.send(bindResponse(id, { code: 49, diagnosticMessage })),
  })
  const dialing = {
    ca: undefined,
    minVersion: 'TLSv1.2',
    servername: undefined,
    connectTimeoutMs: 2_000,
  } as const
  const stream = await dial(parseEndpoint(server.url, false), dialing, AbortSignal.timeout(5_000))
  const connection = new Connection(stream, 2_000)
  t.teardown(() => connection.close())
  const bind = () => connection.bind('uid=alice', new Secret('wrong'))
  t.strictSame(await bind(), { code: 49, message: 'Invalid credentials' })
  diagnosticMessage = ''
  t.strictSame(await bind(), { code: 49, message: '' })
  diagnosticMessage = 'Code: 0x31 Code: 0x31'
  t.strictSame(
    await bind(),
    { code: 49, message: 'Code: 0x31 Code: 0x31' },
    'what the server says so itself stays',
  )
})
