/** Dovecot's tests and sources: penalties, name filters, what comes in with a request, and policy. */
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { beforeLocal, corpWith, personLdif, sentDuring } from './directory.ts'
import { type House, LOCAL, openHouse, type Reply, type Visit } from './house.ts'
import { scriptedBackend } from './scripted-backend.ts'
import { conforms, differs } from './suite.ts'

const { alice, bob } = corpPeople
const REFUSED = { status: 401, code: 'invalid_credentials' }
const INVALID = { status: 400, code: 'invalid_request' }
const LOCKED = { status: 429, code: 'locked_out' }
const slapd = await startSlapd(t, {
  ldif: corpWith(t, personLdif('tilde', { more: ['roomNumber: back\\slash', 'roomNumber: a(b)*c'] })),
})
const corp = (changes: object = {}) => corpBackend(slapd, changes)

/** So many wrong passwords, each for a name of its own. */
async function spray(house: House, times: number, visit: Visit): Promise<Reply[]> {
  const replies: Reply[] = []
  for (let i = 0; i < times; i++) {
    replies.push(await house.login(`nobody-${i}-${visit.from}`, `wrong ${i}`, visit))
  }
  return replies
}
const statuses = (replies: readonly Reply[]) => replies.map(({ status }) => status)

differs(
  'V01',
  'a source that fails too often is refused for a time that it is told, and not answered ever later; others are not touched',
  async t => {
    const lockout = { source: { max_attempts: 3, duration: '7m' } }
    const house = await openHouse(t, { backends: [LOCAL], lockout })
    t.same(statuses(await spray(house, 3, { from: '192.0.2.1' })), [401, 401, 401])
    const refused = await house.login(house.admin.username, house.admin.password)
    t.match(refused, LOCKED)
    t.ok(refused.retryAfter !== undefined && refused.retryAfter > 400 && refused.retryAfter <= 420)
    const elsewhere = { from: '198.51.100.1' }
    t.match(await house.login(house.admin.username, house.admin.password, elsewhere), { status: 200 })
  },
)

conforms('V02', async t => {
  const house = await openHouse(t, { backends: [LOCAL], lockout: { max_attempts: 5 } })
  const { username, password } = house.admin
  const replies: Reply[] = []
  // The fourth to sixth repeat what was tried; then A is fresher than B, and D pushes B out.
  for (const guess of ['A', 'B', 'C', 'A', 'A', 'A', 'D', 'A']) {
    replies.push(await house.login(username, `wrong guess ${guess}`))
  }
  for (let i = 0; i < 5; i++)
    t.match(await house.login(username, ''), INVALID, 'without one nothing is counted')
  t.same(statuses(replies), Array(8).fill(401), 'four different ones')
  t.match(await house.login(username, 'wrong guess B'), REFUSED, 'the fifth: it was forgotten')
  t.match(await house.login(username, password), LOCKED)
})

conforms('V04', async t => {
  const house = await openHouse(
    t,
    beforeLocal(corp({ user_filter: '(&(objectClass=inetOrgPerson)(roomNumber={input}))' })),
  )
  const sent = async (name: string) => {
    const { searches } = await sentDuring(slapd, () => house.login(name, 'tilde-secret-1'))
    return searches.map(({ filter }) => filter.toLowerCase())
  }
  t.same(await sent('a(b)*c'), ['(&(objectclass=inetorgperson)(roomnumber=a\\28b\\29\\2ac))'])
  t.same(
    await sent('a\\2ac'),
    ['(&(objectclass=inetorgperson)(roomnumber=a\\5c2ac))'],
    'no escape is taken as one',
  )
  t.match(await house.login('a(b)*c', 'tilde-secret-1'), {
    status: 200,
    body: { user: { username: 'tilde' } },
  })
  t.match(
    await house.login('back\\slash', 'tilde-secret-1'),
    { status: 200 },
    'the name as the directory has it',
  )
  t.match(await house.login('a*', 'tilde-secret-1'), REFUSED)
  t.match(await house.login('a\0', 'tilde-secret-1'), INVALID)
})

conforms('V05', async t => {
  const house = await openHouse(
    t,
    beforeLocal(corp({ username_filter: ['a*', 'b?b', '*@corp.example', '!al*e', '!*-admin'] })),
  )
  for (const [name, asked] of [
    ['abel', true],
    ['bob', true],
    ['carol@corp.example', true],
    ['BOB', true],
    ['boob', false],
    ['carol', false],
    ['alice', false],
    ['a-admin', false],
  ] as const) {
    await house.login(name, 'whatever')
    const [first] = (house.attempts().at(-1)?.fields.steps ?? []) as { outcome: string }[]
    t.ok(first)
    t.equal(first?.outcome !== 'not_applicable', asked, name)
  }
  t.match(await house.login('alice', alice.password), REFUSED, 'a negative wins over a right password')
  t.match(await house.login('bob', bob.password), { status: 200 })
})

differs(
  'V06',
  'there is no other process to hand a request over to; what a caller says of one counts only if this caller may say it, and an unknown field is refused',
  async t => {
    const house = await openHouse(t, { backends: [LOCAL] })
    const { username, password } = house.admin
    const ask = (key: string, body: object, headers: Record<string, string> = {}) =>
      house.ask('/authenticate', {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, ...headers },
        body: { username, password, ...body },
      })
    const asserted = { client: { ip: '203.0.113.7' } }
    t.match(await ask('key-of-the-login-form', asserted), { status: 200 })
    t.match(house.attempts().at(-1)?.fields, { source: '203.0.113.7', client: 'form' })
    t.match(await ask('key-of-the-outsider', asserted), { status: 403, code: 'client_forbidden' })
    const forged = { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https' }
    t.match(await ask('key-of-the-outsider', {}, forged), { status: 200 })
    t.match(house.attempts().at(-1)?.fields, { source: '127.0.0.1', client: 'outsider' })
    for (const flag of [
      { secured: true },
      { tls: true },
      { valid_client_cert: 'yes' },
      { client_id: 'form' },
    ]) {
      t.match(await ask('key-of-the-outsider', flag), INVALID, JSON.stringify(flag))
    }
    t.equal(house.attempts().length, 2)
  },
)

conforms('V07', async t => {
  const house = await openHouse(t, { backends: [LOCAL] })
  const { username, password } = house.admin
  const post = async (body: Uint8Array | string) => {
    const headers = { authorization: 'Bearer key-of-the-login-form', 'content-type': 'application/json' }
    const reply = await fetch(`${house.app.publicUrl}/authenticate`, {
      method: 'POST',
      headers,
      body: new Uint8Array(Buffer.from(body)),
    })
    await reply.arrayBuffer()
    return reply.status
  }
  const around = (bytes: number[], field: 'username' | 'password') => {
    const [left, right] = JSON.stringify({ username, password, [field]: '#' }).split('#') as [string, string]
    return Buffer.concat([Buffer.from(left), Buffer.from(bytes), Buffer.from(right)])
  }
  for (const bytes of [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0]]) {
    t.equal(await post(around(bytes, 'username')), 400, `username ${bytes}`)
    t.equal(await post(around(bytes, 'password')), 400, `password ${bytes}`)
  }
  t.equal(await post(''), 400)
  t.equal(await post('{'), 400)
  t.equal(await post('null'), 400)
  t.equal(await post('{"username":"\\ud800","password":"x"}'), 400)
  t.equal(await post(JSON.stringify({ username: 'a'.repeat(257), password })), 400)
  t.equal(await post(JSON.stringify({ username, password: 'a'.repeat(1_025) })), 400)
  t.equal(await post(JSON.stringify({ username, password: 'a'.repeat(20_000) })), 413)
  t.match(await house.login(username, password), { status: 200 })
})

conforms('V23', async t => {
  const lockout = {
    source: { max_attempts: 3 },
    subnet: { max_attempts: 5 },
    allow: ['2001:db8:ffff::/48'],
  }
  const house = await openHouse(t, { backends: [LOCAL], lockout })
  const from = (address: string, times: number) => spray(house, times, { from: address }).then(statuses)
  t.same(await from('2001:db8:1:1::a', 3), [401, 401, 401])
  t.same(await from('2001:db8:1:1:ffff::b', 1), [429], 'another address of one /64')
  t.same(await from('2001:db8:1:2::a', 2), [401, 401], 'another /64')
  t.same(await from('2001:db8:1:3::a', 1), [429], 'the fifth locked the /48')
  t.same(await from('2001:db8:2:1::a', 1), [401], 'another /48')
  t.same(await from('2001:db8:ffff:1::a', 8), Array(8).fill(401), 'a trusted one')
})

differs(
  'V26',
  'there is no policy server: the lockout rejects before any backend (429), an app’s `required_groups` after a right password, and each attempt leaves one event with its reason',
  async t => {
    let asked = 0
    const counting = scriptedBackend('counting', () => {
      asked++
      return { outcome: 'not_applicable' }
    })
    const backends = [{ id: 'counting', type: 'counting' }, LOCAL]
    const clients = [{ id: 'board', cidr: '127.0.0.0/8', required_groups: ['board'] }]
    const house = await openHouse(
      t,
      { backends, clients, lockout: { block: ['203.0.113.0/24'] } },
      { plugins: { counting } },
    )
    const { username, password } = house.admin
    t.match(await house.login(username, password, { from: '203.0.113.9' }), LOCKED)
    t.equal(asked, 0)
    t.match(await house.login(username, password), { status: 200 })
    t.match(await house.login(username, 'wrong'), REFUSED)
    t.match(await house.ask('/authenticate', { method: 'POST', body: { username, password } }), REFUSED)
    t.equal(asked, 3)
    t.match(
      house.attempts().map(({ fields }) => fields),
      [
        { verdict: 'locked_out', reason: /block list/ },
        { verdict: 'accepted' },
        { verdict: 'rejected', reason: 'credentials', steps: [{}, { outcome: 'wrong_password' }] },
        { verdict: 'rejected', reason: 'groups' },
      ],
    )
    t.equal(house.attempts().length, 4)
  },
)
