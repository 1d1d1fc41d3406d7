/** Linux-PAM's tests of pam_faillock, and the rules of its stack. */
import t from 'tap'
import { corpPeople, corpPeopleDn } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { corpWith, personLdif, unitLdif } from './directory.ts'
import { LOCAL, openHouse } from './house.ts'
import { scriptedBackend } from './scripted-backend.ts'
import { conforms } from './suite.ts'

const { alice } = corpPeople
const REFUSED = { status: 401, code: 'invalid_credentials' }
const OUT = { status: 503, code: 'backend_unavailable' }
const others = 'ou=others,dc=corp,dc=example'
const slapd = await startSlapd(t, {
  ldif: corpWith(
    t,
    unitLdif('others'),
    personLdif('dora'),
    personLdif('dora', { under: others }).replace('dora-secret-1', 'another-secret-1'),
  ),
})
const people = (changes: object = {}) =>
  corpBackend(slapd, { id: 'people', base_dn: corpPeopleDn, ...changes })

conforms('P01', async t => {
  const house = await openHouse(t, { backends: [people()], lockout: { max_attempts: 2 } })
  t.match(await house.login('alice', alice.password), { status: 200 })
  t.match(await house.login('alice', 'wrong'), REFUSED)
  t.match(await house.login('alice', alice.password), { status: 200 })
  t.match(await house.login('alice', 'wrong 1'), REFUSED)
  t.match(await house.login('alice', 'wrong 2'), REFUSED, 'the last one that is allowed')
  for (const password of ['wrong 3', alice.password, 'wrong 3', alice.password]) {
    t.match(await house.login('alice', password), { status: 429, code: 'locked_out' }, password)
  }
})

conforms('P02', async t => {
  const second = corpBackend(slapd, { id: 'others', base_dn: others })
  const house = await openHouse(t, { backends: [people({ on: { accept: 'continue' } }), second, LOCAL] })
  t.match(await house.login('dora', 'another-secret-1'), REFUSED, 'the second alone would do')
  t.match(house.attempts().at(-1)?.fields, { reason: 'required', steps: [{ outcome: 'wrong_password' }] })
  const { username, password } = house.admin
  t.match(await house.login(username, password), REFUSED, 'nor one whom the required one does not know')
  const away = people({ urls: ['ldaps://127.0.0.1:1'], on: { accept: 'continue' } })
  const broken = await openHouse(t, { backends: [away, LOCAL] })
  t.match(await broken.login(broken.admin.username, broken.admin.password), OUT, 'nor while it is out')
})

conforms('P03', async t => {
  const user = { id: '1', username: 'x', groups: [], roles: [], attributes: {} }
  const answers = [
    true,
    1,
    'accept',
    undefined,
    null,
    {},
    [],
    { outcome: 'ACCEPT', user },
    { outcome: 'success', user },
    { outcome: 'accept' },
    { outcome: 'accept', user: { ...user, id: '' } },
  ]
  for (const answer of answers) {
    const odd = scriptedBackend('odd', () => answer)
    const house = await openHouse(t, { backends: [{ id: 'odd', type: 'odd' }] }, { plugins: { odd } })
    t.match(await house.login('x', 'whatever'), OUT, JSON.stringify(answer))
  }
  for (const [line, why] of [
    [{ on: { accept: 'sufficient' } }, /accept/],
    [{ on: { success: 'stop' } }, /success/],
    [{ on: 'required' }, /on/],
    [{ type: 'ldapp' }, /ldap/],
    [{ bind: { dn: slapd.serviceDn, secret: 'x' } }, /secret/],
  ] as const) {
    await t.rejects(openHouse(t, { backends: [people(line), LOCAL] }), { message: why }, JSON.stringify(line))
  }
})

conforms('P04', async t => {
  const house = await openHouse(t, { backends: [people(), LOCAL], lockout: { max_attempts: 3 } })
  const { body } = await house.login('alice', alice.password)
  t.same(
    (await house.guess('alice', 2)).map(({ status }) => status),
    [401, 401],
  )
  t.match(await house.getUser((body.user as { id: string }).id), { status: 200 }, 'looked up')
  t.match(await house.login('alice', ''), { status: 400 }, 'no attempt at all')
  const explained = await house.command(['explain', 'alice'])
  t.equal(explained.code, 0, explained.stderr)
  t.match((await house.guess('alice', 1))[0], REFUSED)
  t.match(
    await house.login('alice', alice.password),
    { status: 429, code: 'locked_out' },
    'the third one counted',
  )
})
