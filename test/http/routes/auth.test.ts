import { array, assert, asyncProperty, string } from 'fast-check'
import t, { type Test } from 'tap'
import type { Verdict } from '../../../src/authentication/verdict.ts'
import type { Client } from '../../../src/http/clients.ts'
import { MAX_IDENTITY_BYTES } from '../../../src/http/identity-headers.ts'
import {
  alice,
  appWithKey,
  canary,
  createFakeCoreServer,
  type FakeCoreServer,
  rejected,
} from '../fake-core.ts'

const accepted: Verdict = { verdict: 'accepted', user: alice, warnings: [] }
const CHALLENGE = 'Basic realm="gatehouse", charset="UTF-8"'
const base64 = (text: string | Buffer) => Buffer.from(text).toString('base64')
const basic = (text: string | Buffer) => ({ authorization: `Basic ${base64(text)}` })
const asAlice = basic(`alice:${canary}`)

function ask(server: FakeCoreServer, headers: Record<string, string> = asAlice, url = '/auth') {
  return server.inject({ url, headers })
}

function serverWith(t: Test, answer: Verdict, options: Parameters<typeof createFakeCoreServer>[1] = {}) {
  const server = createFakeCoreServer(t, options)
  server.answer = answer
  return server
}

t.test('the right password is 200, and the headers say who it is', async t => {
  const server = serverWith(t, accepted)
  const reply = await ask(server)
  t.equal(reply.statusCode, 200)
  t.equal(reply.payload, '')
  t.match(reply.headers, {
    'remote-user': 'alice',
    'remote-name': 'Alice%20Liddell',
    'remote-email': 'alice@corp.example',
    'remote-groups': 'staff,wiki-editors',
    'remote-id': 'corp:6f9619ff-8b86-d011-b42d-00c04fc964ff',
    'cache-control': 'no-store',
  })
  t.notOk('www-authenticate' in reply.headers)
  t.match(server.attempts, [{ username: 'alice', address: '127.0.0.1', caller: { id: 'anonymous' } }])
  t.equal(server.attempts[0]?.password.reveal(), canary)
})

t.test(
  'what is not known is an empty header, so that a proxy has something to put over a forged one',
  async t => {
    const { displayName, email, ...nameless } = alice
    const server = serverWith(t, { ...accepted, user: { ...nameless, groups: [] } })
    t.match((await ask(server)).headers, { 'remote-name': '', 'remote-email': '', 'remote-groups': '' })
  },
)

t.test('no value ends its header, begins another or passes for two groups', async t => {
  const server = serverWith(t, accepted)
  const nasty = 'a\r\nRemote-User: admin, b;c|d "e" 100% é\u2028\u0000😀'
  server.answer = { ...accepted, user: { ...alice, username: nasty, groups: [nasty, 'staff'] } }
  const { headers } = await ask(server)
  const encoded =
    'a%0D%0ARemote-User:%20admin%2C%20b%3Bc%7Cd%20%22e%22%20100%25%20%C3%A9%E2%80%A8%00%F0%9F%98%80'
  t.equal(headers['remote-user'], encoded)
  t.equal(headers['remote-groups'], `${encoded},staff`)

  await assert(
    asyncProperty(string({ unit: 'grapheme' }), array(string({ unit: 'binary' })), async (name, groups) => {
      server.answer = { ...accepted, user: { ...alice, displayName: name, groups } }
      const { statusCode, headers } = await server.app.inject({ url: '/auth', headers: asAlice })
      if (statusCode !== 200) throw new Error(`${statusCode}`)
      for (const name of ['remote-name', 'remote-groups'])
        if (!/^[!-~]*$/.test(String(headers[name]))) throw new Error(String(headers[name]))
      const read = String(headers['remote-groups']).split(',').map(decodeURIComponent)
      return (
        decodeURIComponent(String(headers['remote-name'])) === name &&
        JSON.stringify(read) === JSON.stringify(groups.length === 0 ? [''] : groups)
      )
    }),
    { numRuns: 300 },
  )
})

t.test('a name with half a character is nobody: two users must not become one', async t => {
  const server = serverWith(t, { ...accepted, user: { ...alice, id: 'corp:\ud800' } })
  const reply = await ask(server)
  t.equal(reply.statusCode, 500)
  t.notOk('remote-id' in reply.headers)
})

t.test('a user who does not fit is refused, and no group is left out', async t => {
  const groups = Array.from({ length: 300 }, (_, at) => `department-${at}`.padEnd(20, '.'))
  const user = (count: number) => ({ ...alice, groups: groups.slice(0, count) })
  const server = serverWith(t, { ...accepted, user: user(280) })
  const fits = await ask(server)
  t.equal(String(fits.headers['remote-groups']).split(',').length, 280)
  t.ok(String(fits.headers['remote-groups']).length < MAX_IDENTITY_BYTES)

  server.answer = { ...accepted, user: user(300) }
  const reply = await ask(server)
  t.equal(reply.statusCode, 403)
  t.equal(reply.json().code, 'identity_too_large')
  t.notOk('remote-user' in reply.headers)
  const line = server.log.lines.find(({ fields }) => fields.code === 'identity_too_large')
  t.match(line, { level: 'warn', fields: { user: alice.id } })
})

t.test('only 200, 401 and 403 are answers; no verdict is 5xx, which a proxy takes for a failure', async t => {
  const state = (passwordVerified: boolean): Verdict => ({
    verdict: 'account_state',
    state: 'disabled',
    passwordVerified,
  })
  const cases: [Verdict, status: number, code: string, retryAfter?: string][] = [
    [rejected, 401, 'invalid_credentials'],
    [state(true), 401, 'invalid_credentials'],
    [state(false), 401, 'invalid_credentials'],
    [{ verdict: 'locked_out', retryAfterMs: 300_000 }, 401, 'locked_out', '300'],
    [{ verdict: 'invalid', field: 'password', problem: 'is empty' }, 401, 'invalid_credentials'],
    [{ verdict: 'busy' }, 503, 'busy_retry', '1'],
    [{ verdict: 'unavailable', retryAfterMs: 5000 }, 503, 'backend_unavailable', '5'],
  ]
  for (const [verdict, status, code, retryAfter] of cases) {
    const reply = await ask(serverWith(t, verdict))
    t.equal(reply.statusCode, status, code)
    t.match(reply.json(), { status, code })
    t.equal(reply.json().errors, undefined)
    t.equal(reply.headers['retry-after'], retryAfter, code)
    t.equal(reply.headers['www-authenticate'], status === 401 ? CHALLENGE : undefined, `${code}: S57`)
    for (const name of Object.keys(reply.headers)) t.notMatch(name, /^remote-/)
  }
  const broken = createFakeCoreServer(t)
  broken.answer = () => Promise.reject(new Error('boom'))
  t.equal((await ask(broken)).statusCode, 500)
  t.equal((await ask(serverWith(t, { verdict: 'nonsense' } as never))).statusCode, 500)
})

t.test('what apps are told, a proxy is told: states by permission, locks by setting', async t => {
  const may = { clients: [appWithKey('nginx', 'k', ['reveal_account_state'])] }
  const server = serverWith(t, { verdict: 'account_state', state: 'disabled', passwordVerified: true }, may)
  const reply = await ask(server, { ...asAlice, 'x-gatehouse-key': 'k' })
  t.match([reply.statusCode, reply.json().code], [401, 'account_disabled'])
  const hidden = serverWith(t, { verdict: 'locked_out', retryAfterMs: 9 }, { lockoutDisclosure: 'hidden' })
  const refused = await ask(hidden)
  t.match([refused.statusCode, refused.json().code], [401, 'invalid_credentials'])
  t.notOk('retry-after' in refused.headers)
})

t.test('whoever has not tried to log in is asked to, and nobody is asked about it', async t => {
  const server = serverWith(t, accepted)
  for (const headers of [
    {},
    { authorization: 'Bearer x' },
    { authorization: 'Negotiate YII=' },
    { authorization: '' },
  ]) {
    const reply = await ask(server, headers as Record<string, string>)
    t.equal(reply.statusCode, 401, JSON.stringify(headers))
    t.equal(reply.json().code, 'credentials_required')
    t.equal(reply.headers['www-authenticate'], CHALLENGE)
    t.equal(reply.json().errors, undefined)
  }
  t.strictSame(server.attempts, [])
})

t.test('credentials that can be read in two ways are not read at all (advisories.md 19)', async t => {
  const server = serverWith(t, accepted)
  const good = base64('alice:pw')
  const tokens = [
    ...[
      '',
      ' ',
      '=',
      `${good}=`,
      `${good}==`,
      good.slice(0, -1),
      `${good.slice(0, -1)}-`,
      `${good} `,
      `${good},x`,
    ],
    ...[`${good.slice(0, 4)} ${good.slice(4)}`, `"${good}"`, `${good}, Basic ${good}`, `${good}\t`],
    // The last character carries bits that nobody reads.
    ...['YWxpY2U6cHc9', base64('alice')].map(token => token.replace(/=*$/, '==')),
    base64('no colon at all'),
    base64(Buffer.from('alice:p\xe9', 'latin1')),
    base64(Buffer.from([0xc0, 0xaf, 0x3a, 0x41])),
    base64(`alice:${'x'.repeat(4000)}`),
  ]
  for (const token of tokens) {
    const reply = await ask(server, { authorization: `Basic ${token}` })
    t.equal(reply.statusCode, 401, token.slice(0, 40))
    t.equal(reply.json().code, 'credentials_required')
    t.match(reply.json().errors, [{ header: 'authorization', detail: String }])
    t.equal(reply.headers['www-authenticate'], CHALLENGE)
  }
  t.equal(
    (await ask(server, { authorization: `Basic ${base64('ab:cd').replace('Y2Q=', 'Y2R=')}` })).statusCode,
    401,
  )
  t.strictSame(server.attempts, [])
})

t.test('the first colon ends the name, and nothing is trimmed', async t => {
  const server = serverWith(t, accepted)
  const pairs = [
    ['alice', ' a:b::c '],
    ['', 'x'],
    ['alice', ''],
    ['ALICE é', 'пароль😀'],
    ['n'.repeat(1024), 'p'.repeat(1024)],
  ] as const
  for (const [name, password] of pairs) {
    await ask(server, basic(`${name}:${password}`))
    const attempt = server.attempts.at(-1)
    t.strictSame([attempt?.username, attempt?.password.reveal()], [name, password])
  }
  for (const scheme of ['basic', 'BASIC', 'Basic ']) {
    await ask(server, { authorization: `${scheme} ${base64('bob:pw')}` })
    t.equal(server.attempts.at(-1)?.username, 'bob', scheme)
  }
})

t.test('the request forgets the password', async t => {
  const server = createFakeCoreServer(t)
  let headers: unknown
  server.app.addHook('onSend', async request => {
    headers = [request.headers, request.raw.headers, request.raw.rawHeaders]
  })
  await ask(server)
  t.notMatch(JSON.stringify(headers), base64(`alice:${canary}`))
  t.match(JSON.stringify(headers), 'authorization', 'it was there')
})

t.test('the proxy is known by its own key, network or certificate, never by what its users send', async t => {
  const network: Client = {
    id: 'traefik',
    credential: { kind: 'cidr', cidr: '127.0.0.1' },
    may: new Set(),
    requiredGroups: [],
  }
  const clients = [appWithKey('nginx', 'nginx-key'), network]
  const server = serverWith(t, accepted, { clients, trustedProxies: ['127.0.0.1'] })
  const forwarded = { ...asAlice, 'x-forwarded-for': '203.0.113.9' }
  t.equal((await ask(server, { ...forwarded, 'x-gatehouse-key': 'nginx-key' })).statusCode, 200)
  t.match(server.attempts.at(-1), { caller: { id: 'nginx' }, address: '203.0.113.9' })
  t.equal((await ask(server, forwarded)).statusCode, 200)
  t.match(server.attempts.at(-1), { caller: { id: 'traefik' }, address: '203.0.113.9' })

  const asked = server.attempts.length
  for (const key of ['wrong', '', 'nginx-key, nginx-key']) {
    const reply = await ask(server, { ...forwarded, 'x-gatehouse-key': key })
    t.equal(reply.statusCode, 403, 'a key decides alone')
    t.equal(reply.json().code, 'client_unauthenticated')
    t.notOk('www-authenticate' in reply.headers, 'no browser asks for a password that cannot help')
  }
  const elsewhere = serverWith(t, accepted, {
    clients: [{ ...network, credential: { kind: 'cidr', cidr: '203.0.113.0/24' } }],
    trustedProxies: ['127.0.0.1'],
  })
  t.equal(
    (await ask(elsewhere, forwarded)).statusCode,
    403,
    'the address of the user is not the address of the proxy',
  )
  t.equal(server.attempts.length, asked)
})

t.test('what comes from an end user through the proxy is not believed (S65)', async t => {
  const server = serverWith(t, rejected, { clients: [appWithKey('nginx', 'k')] })
  const forged = {
    ...{
      'remote-user': 'admin',
      'remote-groups': 'admins',
      'remote-id': 'local:1',
      'x-forwarded-user': 'admin',
    },
    ...{
      'x-request-id': 'chosen-by-the-user',
      'x-forwarded-for': '198.51.100.1',
      'x-original-url': '/public',
    },
  }
  const reply = await ask(server, { ...asAlice, ...forged, 'x-gatehouse-key': 'k' })
  t.equal(reply.statusCode, 401)
  t.match(server.attempts, [{ username: 'alice', address: '127.0.0.1' }])
  t.not(reply.headers['x-request-id'], 'chosen-by-the-user')
  server.answer = accepted
  t.equal(
    (await ask(server, { ...asAlice, ...forged, 'x-gatehouse-key': 'k' })).headers['remote-user'],
    'alice',
  )
})

t.test(
  'a request that is not as it must be is 403, and is not let through for it (CVE-2024-47070)',
  async t => {
    const server = serverWith(t, accepted, { trustedProxies: ['127.0.0.1'] })
    const bad: [Record<string, string>, string][] = [
      [{ ...asAlice, 'x-forwarded-for': 'unknown' }, '/auth'],
      [{ ...asAlice, 'content-length': '5' }, '/auth'],
      [asAlice, '/auth?password=x'],
    ]
    for (const [headers, url] of bad) {
      const reply = await ask(server, headers, url)
      t.equal(reply.statusCode, 403, JSON.stringify([headers, url]))
      t.equal(reply.json().code, 'invalid_request')
    }
    t.strictSame(server.attempts, [])
    t.equal((await ask(server, asAlice, '/auth?page=1&x[]=2')).statusCode, 200, 'another query says nothing')
  },
)

t.test('an app over its rate limit, and a daemon that is not ready, give no verdict', async t => {
  const clients: Client[] = [{ ...appWithKey('nginx', 'k'), rateLimit: { max: 1, perMs: 60_000 } }]
  const server = serverWith(t, accepted, { clients })
  const headers = { ...asAlice, 'x-gatehouse-key': 'k' }
  t.equal((await ask(server, headers)).statusCode, 200)
  const limited = await ask(server, headers)
  t.match(
    [limited.statusCode, limited.json().code, limited.headers['retry-after']],
    [503, 'rate_limited', /^\d+$/],
  )
  const starting = serverWith(t, accepted, { readiness: () => ({ phase: 'starting', ready: false }) })
  const reply = await ask(starting)
  t.match([reply.statusCode, reply.json().code], [503, 'not_ready'])
})

t.test('HEAD asks like GET; other methods are 405', async t => {
  const server = serverWith(t, accepted)
  const head = await server.inject({ method: 'HEAD', url: '/auth', headers: asAlice })
  t.match([head.statusCode, head.headers['remote-user']], [200, 'alice'])
  const post = await server.inject({ method: 'POST', url: '/auth', headers: asAlice })
  t.match([post.statusCode, post.headers.allow], [405, 'GET, HEAD'])
  t.equal(server.attempts.length, 1)
})
