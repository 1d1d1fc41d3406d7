/** Advisories on where a request says it comes from. */
import type { Test } from 'tap'
import { type House, type HouseConfig, LOCAL, openHouse } from './house.ts'
import { spelled } from './replies.ts'
import { addLocalPeople } from './stored-people.ts'
import { conforms } from './suite.ts'

const PASSWORD = 'a password of fifteen'
/** An app behind a proxy, which says where its users come from by the proxy's header. */
const BEHIND = { app: 'outsider' } as const
const PROXIED = { backends: [LOCAL], trusted_proxies: ['127.0.0.1/32'] }

async function openWithAnna(t: Test, config: HouseConfig): Promise<House> {
  const house = await openHouse(t, config)
  addLocalPeople(house, [{ username: 'anna', password: PASSWORD }])
  return house
}

/** Where the lockout took the latest attempt to come from. */
const lastAddress = (house: House) => house.attempts().at(-1)?.fields.source

conforms('advisory 52', async t => {
  const house = await openWithAnna(t, PROXIED)
  const unparsable = [
    ...[
      'x',
      'unknown',
      '',
      ',',
      '192.0.2.1,',
      ',192.0.2.1',
      '192.0.2.1,,192.0.2.2',
      '192.0.2.256',
      '192.0.2',
      '1',
      '0x7f.1',
    ],
    ...[
      '010.0.0.1',
      '192.0.2.1:80',
      '[2001:db8::1]',
      '[2001:db8::1]:80',
      'fe80::1%eth0',
      '2001:db8::g',
      'localhost',
      'for=192.0.2.1',
    ],
    ...[
      '192.0.2.1 192.0.2.2',
      '192.0.2.1;',
      '"192.0.2.1"',
      '192.0.2.1/32',
      '::ffff:192.0.2.999',
      'x, 192.0.2.1',
      '192.0.2.1, x',
    ],
    ...[Array(33).fill('192.0.2.1').join(',')],
  ]
  for (const header of unparsable) {
    for (const password of [PASSWORD, 'wrong']) {
      const reply = await house.login('anna', password, { ...BEHIND, headers: { 'x-forwarded-for': header } })
      t.match(reply, { status: 400, code: 'invalid_request' }, spelled(header))
    }
  }
  t.same(house.attempts(), [], 'nothing was skipped: there was no attempt at all')
  const sound = { ...BEHIND, headers: { 'x-forwarded-for': ' 2001:db8::1 , 192.0.2.9' } }
  t.equal((await house.login('anna', PASSWORD, sound)).status, 200)
  t.equal(
    (await house.login('anna', 'wrong', sound)).status,
    401,
    'and the password counts where it is sound',
  )
})

conforms('advisory 53', async t => {
  const house = await openWithAnna(t, PROXIED)
  const variants = [
    ...[
      'X_Forwarded_For',
      'X-Forwarded_For',
      'X_Forwarded-For',
      'x_forwarded_for',
      'HTTP_X_FORWARDED_FOR',
      'X.Forwarded.For',
    ],
    ...[
      'Forwarded',
      'X-Real-IP',
      'X-Client-IP',
      'True-Client-IP',
      'CF-Connecting-IP',
      'Client-IP',
      'X-Originating-IP',
      'X-Forwarded',
    ],
  ]
  for (const [at, name] of variants.entries()) {
    // The proxy's own word stands, whatever stands beside it.
    const headers = { [name]: '198.51.100.66', 'x-forwarded-for': '192.0.2.9' }
    const [reply] = await house.guess('anna', 1, { ...BEHIND, headers })
    t.equal(reply?.status, at < 5 ? 401 : 429, `${name} beside the proxy’s`)
    t.equal(lastAddress(house), '192.0.2.9', name)
    const [alone] = await house.guess(`nobody ${at}`, 1, { ...BEHIND, headers: { [name]: '198.51.100.66' } })
    t.equal(alone?.status, 401)
    t.equal(lastAddress(house), '127.0.0.1', `${name}, alone`)
  }
  const smuggled = { X_Forwarded_For: '203.0.113.1', 'x-forwarded-for': '192.0.2.9' }
  t.equal(
    (await house.login('anna', PASSWORD, { ...BEHIND, headers: smuggled })).status,
    429,
    'no way out of the lock',
  )
  for (const name of ['X_Forwarded_User', 'X-Forwarded-User', 'X_Auth_Request_User', 'Remote-User']) {
    const headers = { [name]: house.admin.username, 'x-forwarded-for': '192.0.2.10' }
    const [reply] = await house.guess('anna', 1, { ...BEHIND, headers })
    t.equal(reply?.status, 401, name)
  }
})

conforms('advisory 54', async t => {
  // The peer is 127.0.0.1, and the only trusted proxy is another.
  const house = await openWithAnna(t, { backends: [LOCAL], trusted_proxies: ['192.0.2.1/32', '10.0.0.0/8'] })
  const forwarded = {
    'x-forwarded-for': '198.51.100.1, 10.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-port': '443',
    forwarded: 'for=198.51.100.1;host=evil.example;proto=https',
  }
  for (let turn = 0; turn < 7; turn++) {
    const headers = { ...forwarded, 'x-forwarded-for': `198.51.100.${turn}` }
    const { status, text, headers: said } = await house.login('anna', `wrong ${turn}`, { ...BEHIND, headers })
    t.equal(status, turn < 5 ? 401 : 429, 'counted where it really comes from')
    t.notMatch(`${text}${JSON.stringify(said)}`, /evil\.example|https:/)
    t.equal(lastAddress(house), '127.0.0.1')
  }
  t.equal((await house.login('anna', PASSWORD, { ...BEHIND, headers: forwarded })).status, 429)
  // Who says who asks must be allowed to: an outsider's word for a user's address is refused.
  const body = { username: 'anna', password: PASSWORD, client: { ip: '198.51.100.1' } }
  const reply = await house.ask('/authenticate', {
    method: 'POST',
    headers: { authorization: 'Bearer key-of-the-outsider' },
    body,
  })
  t.match(reply, { status: 403, code: 'client_forbidden' })
  t.notOk(house.log.text().includes('evil.example'))
})

conforms('advisory 55', async t => {
  const people = ['anna', 'bert', 'cleo'].map(username => ({ username, password: PASSWORD }))
  const house = await openHouse(t, {
    backends: [LOCAL],
    lockout: { source: { max_attempts: 6, accounts: 6 } },
  })
  addLocalPeople(house, people)
  // An address in all its texts is one source.
  const texts = [
    '192.0.2.9',
    '::ffff:192.0.2.9',
    '::FFFF:c000:209',
    '0:0:0:0:0:ffff:192.0.2.9',
    '::ffff:c000:0209',
    '0000::ffff:192.0.2.9',
  ]
  for (const [at, from] of texts.entries()) {
    t.equal((await house.login(`unknown ${at}`, 'wrong', { from })).status, 401, from)
  }
  for (const from of texts)
    t.equal((await house.login('anna', PASSWORD, { from })).status, 429, `${from} is locked`)
  // Others that are mapped are sources of their own, and so is what only looks like it.
  for (const from of [
    '::ffff:192.0.2.10',
    '::ffff:203.0.113.9',
    '192.0.2.8',
    '::192.0.2.9',
    '64:ff9b::192.0.2.9',
    '2001:db8::1',
  ]) {
    t.equal((await house.login('anna', PASSWORD, { from })).status, 200, `${from} is another`)
  }
  // Of the new protocol, a source is what one customer has: a /64.
  for (let turn = 0; turn < 6; turn++)
    await house.login(`someone ${turn}`, 'wrong', { from: `2001:db8:1:1::${turn + 1}` })
  t.equal((await house.login('bert', PASSWORD, { from: '2001:db8:1:1:ffff::9' })).status, 429, 'the same /64')
  t.equal((await house.login('bert', PASSWORD, { from: '2001:db8:1:2::1' })).status, 200, 'the next /64')
  const proxied = await openWithAnna(t, { ...PROXIED, lockout: { block: ['192.0.2.0/24'] } })
  for (const from of ['192.0.2.9', '::ffff:192.0.2.9']) {
    const visit = { ...BEHIND, headers: { 'x-forwarded-for': from } }
    t.equal((await proxied.login('anna', PASSWORD, visit)).status, 429, `${from} is on the block list`)
  }
})

conforms('advisory 56', async t => {
  const house = await openWithAnna(t, PROXIED)
  const names = [
    'localhost',
    'evil.example',
    'ALL',
    'LOCAL',
    'tty1',
    ':0',
    '127.1',
    'anna',
    '*',
    '.example',
    '0',
    '',
  ]
  for (const name of names) {
    const reply = await house.login('anna', PASSWORD, { from: name })
    t.match(reply, { status: 400, code: 'invalid_request' }, `${name} as an address`)
    const headers = { 'x-forwarded-for': name }
    t.equal((await house.login('anna', PASSWORD, { ...BEHIND, headers })).status, 400, `${name} as forwarded`)
  }
  for (const name of names.filter(name => name !== '')) {
    for (const [where, config] of Object.entries({
      trusted_proxies: { ...PROXIED, trusted_proxies: [name] },
      'lockout.block': { ...PROXIED, lockout: { block: [name] } },
      'lockout.allow': { ...PROXIED, lockout: { allow: [name] } },
      'clients.cidr': { ...PROXIED, clients: [{ id: 'x', cidr: name }] },
    })) {
      t.match(await house.reload(config), { outcome: 'refused' }, `${name} in ${where}`)
    }
  }
  t.equal((await house.login('anna', PASSWORD)).status, 200)
})
