/** Dovecot's rules of its chain of password databases, and what each answer of a directory means in it. */
import t from 'tap'
import { corpPeople, corpPeopleDn } from '../support/corp.ts'
import { corpBackend } from '../support/slapd.ts'
import { beforeLocal, personLdif, sentDuring, startPolicySlapd, unitLdif } from './directory.ts'
import { type House, LOCAL, openHouse, type Reply } from './house.ts'
import { scriptedBackend } from './scripted-backend.ts'
import { conforms, differs } from './suite.ts'

const { alice, bob, twinOne } = corpPeople
const REFUSED = { status: 401, code: 'invalid_credentials' }
const OUT = { status: 503, code: 'backend_unavailable' }
const others = 'ou=others,dc=corp,dc=example'
const retcodes = 'ou=retcodes,dc=corp,dc=example'
const CODES = [1, 32, 49, 50, 51, 52, 53, 80]
const password = (value: string) => `userPassword: ${value}`
const slapd = await startPolicySlapd(t, {
  entries: [
    unitLdif('others'),
    unitLdif('retcodes'),
    // Two directories that know the same names: dora by the same password, emil by another, finn may not log in at the first.
    personLdif('dora', { more: ['title: first', 'departmentNumber: first'] }),
    personLdif('dora', { under: others, more: ['title: second'] }),
    personLdif('emil', { more: ['title: first', 'departmentNumber: first', 'mail: emil@first.example'] }),
    personLdif('emil', { under: others, more: ['title: second', password('another-secret-1')] }).replace(
      `\n${password('emil-secret-1')}\n`,
      '\n',
    ),
    personLdif('finn', { more: ['pwdReset: TRUE'] }),
    personLdif('finn', { under: others }),
    ...CODES.map(code => personLdif(`b${code}`, { under: retcodes })),
  ],
  serverConfig: 'moduleload retcode',
  databaseConfig: [
    'overlay retcode',
    `retcode-parent "${retcodes}"`,
    ...CODES.map(code => `retcode-item "uid=b${code}" ${code} text="told to" op=bind`),
  ].join('\n'),
})
const attributes = { title: 'title', department: 'departmentNumber' }
const first = (changes: object = {}) =>
  corpBackend(slapd, { id: 'first', base_dn: corpPeopleDn, attributes, ...changes })
const second = (changes: object = {}) =>
  corpBackend(slapd, { id: 'second', base_dn: others, attributes, ...changes })
const away = (changes: object = {}) => first({ id: 'away', urls: ['ldaps://127.0.0.1:1'], ...changes })
const userOf = ({ body }: Reply) => body.user as Record<string, unknown> | undefined
const lastSteps = (house: House) =>
  ((house.attempts().at(-1)?.fields.steps ?? []) as { backend: string; outcome: string }[]).map(
    ({ backend, outcome }) => `${backend} ${outcome}`,
  )

conforms('V08', async t => {
  const house = await openHouse(t, { backends: [away(), first(), second(), LOCAL] })
  t.match(await house.login('dora', 'dora-secret-1'), { status: 200, body: { user: { backend: 'first' } } })
  t.same(lastSteps(house), ['away unavailable', 'first accept'])
  t.match(await house.login('emil', 'another-secret-1'), {
    status: 200,
    body: { user: { backend: 'second' } },
  })
  t.same(lastSteps(house), ['away unavailable', 'first wrong_password', 'second accept'])
})

differs(
  'V09',
  'with `on: { accept: continue }` the later backend must accept the password too, and the identity and all its fields are the later one’s alone',
  async t => {
    const house = await openHouse(t, { backends: [first({ on: { accept: 'continue' } }), second()] })
    const reply = await house.login('dora', 'dora-secret-1')
    t.match(reply, { status: 200, body: { user: { backend: 'second' } } })
    t.same(userOf(reply)?.attributes, { title: 'second' })
    t.same(lastSteps(house), ['first accept', 'second accept'])
    t.match(await house.login('emil', 'emil-secret-1'), REFUSED, 'right at the first alone')
    t.same(lastSteps(house), ['first accept', 'second wrong_password'])
    t.match(await house.login('emil', 'another-secret-1'), REFUSED, 'right at the second alone')
    t.same(lastSteps(house), ['first wrong_password'])
  },
)

conforms('V10', async t => {
  const on = { unknown_user: 'continue', wrong_password: 'continue', unavailable: 'continue' }
  const house = await openHouse(t, { backends: [first({ on }), second()] })
  t.match(await house.login('finn', 'finn-secret-1'), { status: 401, code: 'password_must_change' })
  t.same(lastSteps(house), ['first account_state'])
  const alone = await openHouse(t, { backends: [second()] })
  t.match(await alone.login('finn', 'finn-secret-1'), { status: 200 }, 'the other one would have accepted')
  const rule = openHouse(t, { backends: [first({ on: { account_state: 'continue' } })] })
  await t.rejects(rule, { message: /account_state/ }, 'and no rule can say otherwise')
})

conforms('V11', async t => {
  const house = await openHouse(t, { backends: [second({ id: 'banned', deny: true }), first()] })
  t.match(await house.login('dora', 'dora-secret-1'), REFUSED, 'found')
  t.same(lastSteps(house), ['banned deny'])
  t.match(await house.login('alice', alice.password), { status: 200 }, 'unknown')
  t.same(lastSteps(house), ['banned unknown_user', 'first accept'])
  const broken = await openHouse(t, { backends: [away({ id: 'banned', deny: true }), first()] })
  t.match(await broken.login('alice', alice.password), OUT, 'an internal error')
  t.same(lastSteps(broken), ['banned unavailable'])
})

conforms('V12', async t => {
  const house = await openHouse(t, { backends: [away(), first(), second()] })
  t.match(await house.login('alice', alice.password), { status: 200 })
  for (const [name, secret] of [
    ['alice', 'wrong'],
    ['nobody', 'whatever'],
  ] as const) {
    t.match(await house.login(name, secret), OUT, `${name}: it may have held the right password`)
  }
})

conforms('V13', async t => {
  const house = await openHouse(t, {
    backends: [first(), second()],
  })
  const reply = await house.login('emil', 'another-secret-1')
  t.match(reply, { status: 200, body: { user: { backend: 'second' } } })
  t.same(userOf(reply)?.attributes, { title: 'second' })
  t.equal(userOf(reply)?.email, undefined)
  t.same(userOf(await house.login('emil', 'emil-secret-1'))?.attributes, {
    title: 'first',
    department: 'first',
  })
})

differs(
  'V14',
  'a name that no backend is for is nobody’s: 401 as for any unknown one, charged to nobody, and the event shows who was passed over',
  async t => {
    const skipping = [first({ username_filter: ['*@corp.example'] }), second({ username_filter: ['!*'] })]
    const house = await openHouse(t, { backends: skipping, lockout: { max_attempts: 2 } })
    for (let i = 0; i < 4; i++) t.match(await house.login('alice', `guess ${i}`), REFUSED)
    t.same(lastSteps(house), ['first not_applicable', 'second not_applicable'])
    t.match(house.attempts().at(-1), { fields: { verdict: 'rejected' } })
  },
)

conforms('V15', async t => {
  let asked = 0
  const counting = scriptedBackend('counting', () => {
    asked++
    return { outcome: 'unknown_user' }
  })
  const backends = [{ id: 'counting', type: 'counting' }, first()]
  const house = await openHouse(t, { backends }, { plugins: { counting } })
  const { binds, searches } = await sentDuring(slapd, async () => {
    for (const control of ['\0', '\x01', '\t', '\n', '\r', '\x1b', '\x7f']) {
      const reply = await house.login('alice', `${alice.password}${control}`)
      t.match(reply, { status: 400, code: 'invalid_request' }, JSON.stringify(control))
    }
  })
  t.same([...binds, ...searches], [])
  t.equal(asked, 0)
  t.match(await house.login('alice', alice.password), { status: 200 })
  t.equal(asked, 1)
})

differs(
  'V24',
  'several matches are 401 with an error in the log and no bind, since no try will change them; a base that is not there is an outage, since it says nothing of anybody',
  async t => {
    const whole = (changes: object = {}) => corpBackend(slapd, changes)
    const house = await openHouse(t, beforeLocal(whole()))
    const { binds } = await sentDuring(slapd, async () => {
      t.match(await house.login('twins@corp.example', twinOne.password), REFUSED)
    })
    t.same(binds, [])
    t.match(house.attempts().at(-1), { level: 'error', fields: { reason: 'ambiguous' } })
    const baseless = await openHouse(t, beforeLocal(whole({ base_dn: 'ou=nowhere,dc=corp,dc=example' })))
    t.match(await baseless.login('nobody', 'whatever'), OUT, 'noSuchObject of the base')
    t.match(await house.login('nobody', 'whatever'), REFUSED, 'nobody below it')
    t.match(await house.login('bob', `${bob.password}!`), REFUSED, '49')
    for (const code of CODES) {
      const alone = await openHouse(t, { backends: [whole()], lockout: { max_attempts: 1 } })
      const replies = [await alone.login(`b${code}`, 'guess 1'), await alone.login(`b${code}`, 'guess 2')]
      const expected = code === 49 ? [401, 429] : [503, 503]
      t.same(
        replies.map(({ status }) => status),
        expected,
        `${code}`,
      )
    }
  },
)

differs(
  'V25',
  '400 before any backend, where Dovecot has a mismatch: without a password nothing was tried, so nobody is charged',
  async t => {
    const house = await openHouse(t, { backends: [first()], lockout: { max_attempts: 2 } })
    const { binds, searches } = await sentDuring(slapd, async () => {
      for (let i = 0; i < 4; i++) {
        t.match(await house.login('alice', ''), { status: 400, code: 'invalid_request' })
      }
    })
    t.same([...binds, ...searches], [])
    t.match(await house.login('alice', alice.password), { status: 200 })
  },
)
