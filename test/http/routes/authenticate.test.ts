import { Buffer } from 'node:buffer'
import { gzipSync } from 'node:zlib'
import { assert, asyncProperty, nat, oneof, string, tuple, uint8Array } from 'fast-check'
import t from 'tap'
import type { AccountState } from '../../../src/authentication/outcome.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import type { Verdict } from '../../../src/authentication/verdict.ts'
import { runs } from '../../support/runs.ts'
import { alice, appWithKey, canary, createFakeCoreServer, rejected } from '../fake-core.ts'

const asApp = { authorization: 'Bearer portal-key' }
const portal = appWithKey('portal', 'portal-key', ['reveal_account_state', 'assert_client_ip'])
const states: AccountState[] = [
  ...(['disabled', 'expired', 'password_expired', 'password_must_change'] as const),
  ...(['logon_hours', 'workstation_not_allowed', 'locked', 'restricted'] as const),
]
const state = (name: AccountState, passwordVerified: boolean): Verdict => ({
  verdict: 'account_state',
  state: name,
  passwordVerified,
})

t.test('an accepted login tells who it is, in the words of the contract', async t => {
  const server = createFakeCoreServer(t)
  server.answer = {
    verdict: 'accepted',
    user: alice,
    warnings: [
      { code: 'password_expires', at: '2026-12-01T08:00:00Z' },
      { code: 'grace_logins', remaining: 2 },
    ],
  }
  const reply = await server.login()
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['content-type'], 'application/json; charset=utf-8')
  t.strictSame(reply.json(), {
    user: {
      id: 'corp:6f9619ff-8b86-d011-b42d-00c04fc964ff',
      backend: 'corp',
      username: 'alice',
      display_name: 'Alice Liddell',
      email: 'alice@corp.example',
      groups: ['staff', 'wiki-editors'],
      roles: ['editor'],
      attributes: { department: 'R&D', phones: ['1', '2'] },
    },
    warnings: [
      { code: 'password_expires', at: '2026-12-01T08:00:00Z' },
      { code: 'grace_logins', remaining: 2 },
    ],
  })
})

t.test('what is not known is left out, and what is not in the contract never leaves (S70)', async t => {
  const server = createFakeCoreServer(t)
  const { displayName, email, ...nameless } = alice
  const leaky = { ...nameless, dn: 'CN=alice', userPassword: canary, attributes: {} }
  server.answer = { verdict: 'accepted', user: leaky, warnings: [] }
  const reply = await server.login()
  t.strictSame(Object.keys(reply.json().user), ['id', 'backend', 'username', 'groups', 'roles', 'attributes'])
  t.strictSame(reply.json().warnings, [])
})

t.test('odd characters of directories come through unharmed', async t => {
  const server = createFakeCoreServer(t)
  const odd = 'Zoë "the\\" </script> \u2028 😀 \u0007'
  const attributes = JSON.parse('{"a\\nb":"x","constructor":["y","z"],"__proto__":"p","":""}')
  server.answer = {
    verdict: 'accepted',
    user: { ...alice, displayName: odd, groups: [odd], attributes },
    warnings: [],
  }
  const { user } = (await server.login()).json()
  t.equal(user.display_name, odd)
  t.strictSame(user.groups, [odd])
  t.equal(JSON.stringify(user.attributes), JSON.stringify(attributes))
})

t.test('the core gets what was sent, exactly, and the password as a Secret', async t => {
  const server = createFakeCoreServer(t)
  const password = `  ${canary}\t\u00e9e\u0301\u0000😀 `
  await server.login({ username: '  ALICE ', password })
  const [attempt] = server.attempts
  t.ok(attempt?.password instanceof Secret)
  t.equal(attempt?.password.reveal(), password, 'never trimmed, folded or truncated')
  t.equal(attempt?.username, '  ALICE ')
  t.equal(attempt?.address, '127.0.0.1')
  t.equal(attempt?.caller.id, 'anonymous')
  t.match(attempt?.requestId, /^[0-9a-f-]{36}$/)

  const long = 'x'.repeat(1024)
  await server.login({ username: 'alice', password: long })
  t.equal(server.attempts[1]?.password.reveal(), long)
})

t.test('each verdict has its reply', async t => {
  const cases: [verdict: Verdict, status: number, code: string, retryAfter?: string][] = [
    [rejected, 401, 'invalid_credentials'],
    [{ verdict: 'locked_out', retryAfterMs: 300_000 }, 429, 'locked_out', '300'],
    [{ verdict: 'locked_out', retryAfterMs: 1001 }, 429, 'locked_out', '2'],
    [{ verdict: 'locked_out', retryAfterMs: 0.1 }, 429, 'locked_out', '1'],
    [{ verdict: 'locked_out', retryAfterMs: -5 }, 429, 'locked_out', '1'],
    [{ verdict: 'locked_out', retryAfterMs: Number.NaN }, 429, 'locked_out', '1'],
    [{ verdict: 'locked_out', retryAfterMs: 1e12 }, 429, 'locked_out', '86400'],
    [{ verdict: 'busy' }, 429, 'busy_retry', '1'],
    [{ verdict: 'unavailable', retryAfterMs: 5000 }, 503, 'backend_unavailable', '5'],
    [{ verdict: 'invalid', field: 'username', problem: 'too long' }, 400, 'invalid_request'],
    [state('disabled', true), 401, 'account_disabled'],
    [state('expired', true), 401, 'account_expired'],
    [state('password_expired', true), 401, 'password_expired'],
    [state('password_must_change', true), 401, 'password_must_change'],
    [state('logon_hours', true), 401, 'logon_hours'],
    [state('workstation_not_allowed', true), 401, 'workstation_not_allowed'],
    [state('locked', true), 401, 'invalid_credentials'],
    [state('restricted', true), 401, 'invalid_credentials'],
    ...states.map((name): [Verdict, number, string] => [state(name, false), 401, 'invalid_credentials']),
  ]
  const server = createFakeCoreServer(t, { clients: [portal] })
  for (const [verdict, status, code, retryAfter] of cases) {
    server.answer = verdict
    const reply = await server.login(undefined, asApp)
    const label = JSON.stringify(verdict)
    t.equal(reply.statusCode, status, label)
    t.equal(reply.headers['retry-after'], retryAfter, label)
    t.equal(reply.headers['content-type'], 'application/problem+json; charset=utf-8')
    t.equal(
      reply.headers['www-authenticate'],
      status === 401 ? 'Gatehouse realm="gatehouse"' : undefined,
      'S57',
    )
    const problem = reply.json()
    t.match(problem, { type: `urn:gatehouse:error:${code}`, status, code, title: String })
    t.equal(problem.request_id, reply.headers['x-request-id'])
    t.strictSame(
      problem.errors,
      verdict.verdict === 'invalid' ? [{ pointer: '/username', detail: 'too long' }] : undefined,
    )
  }
})

t.test('an app that may not know an account’s state sees a wrong password', async t => {
  const server = createFakeCoreServer(t)
  for (const name of states) {
    server.answer = state(name, true)
    t.equal((await server.login()).json().code, 'invalid_credentials', name)
  }
})

t.test('a hidden lockout is a wrong password to the byte, whoever asks', async t => {
  const server = createFakeCoreServer(t, { clients: [portal], lockoutDisclosure: 'hidden' })
  const ask = async (verdict: Verdict) => {
    server.answer = verdict
    const { statusCode, headers, payload } = await server.login(undefined, asApp)
    const id = String(headers['x-request-id'])
    const { 'x-request-id': _id, date: _date, ...rest } = headers
    return { statusCode, headers: Object.entries(rest), payload: payload.replace(id, 'id') }
  }
  const wrong = await ask(rejected)
  t.match(wrong, { statusCode: 401, payload: /invalid_credentials/ })
  for (const retryAfterMs of [1, 300_000, 1e12]) {
    t.strictSame(
      await ask({ verdict: 'locked_out', retryAfterMs }),
      wrong,
      'status, headers in their order, body',
    )
  }
  const busy = await ask({ verdict: 'busy' })
  t.match(busy, { statusCode: 429, payload: /busy_retry/ }, 'nothing else is hidden')

  server.service = { ...server.service, lockoutDisclosure: 'shown' }
  const shown = await ask({ verdict: 'locked_out', retryAfterMs: 300_000 })
  t.match(shown, { statusCode: 429, payload: /locked_out/ }, 'as the configuration in force says')
})

t.test('a core that fails, or answers beyond its type, is our mistake and accepts nobody', async t => {
  const server = createFakeCoreServer(t)
  const failures: (() => Promise<Verdict>)[] = [
    () => Promise.reject(new Error('boom')),
    () => {
      throw new TypeError('boom')
    },
    ...[true, {}, null, undefined, { verdict: 'yes' }, { verdict: 'accepted' }, 'accepted'].map(
      wrong => async () => wrong as unknown as Verdict,
    ),
  ]
  for (const fail of failures) {
    server.answer = fail
    const before = server.log.at('error').length
    const reply = await server.login()
    t.equal(reply.statusCode, 500)
    t.equal(reply.json().code, 'internal_error')
    t.notMatch(reply.payload, /boom|at |\.ts|verdict/, 'no stack outside')
    t.equal(server.log.at('error').length, before + 1)
    t.equal(server.log.at('error').at(-1)?.fields.request_id, reply.json().request_id)
  }
  t.match(server.log.text(), /boom/, 'the operator sees it')
})

t.test('a body that is not as the contract says is refused and reaches nobody', async t => {
  const server = createFakeCoreServer(t, { clients: [portal] })
  const ok = { username: 'alice', password: canary }
  const raw = (text: string) => Buffer.from(text, 'latin1')
  const bodies: [body: unknown, pointer: string, detail?: RegExp][] = [
    ['', ''],
    [' ', ''],
    ['null', ''],
    ['true', ''],
    ['42', ''],
    [`"${canary}"`, ''],
    ['[]', ''],
    [[ok], ''],
    [{}, '/username', /missing/],
    [{ username: 'alice' }, '/password', /missing/],
    [{ password: canary }, '/username', /missing/],
    [{ ...ok, username: null }, '/username', /string/],
    [{ ...ok, username: 1 }, '/username', /string/],
    [{ ...ok, username: true }, '/username', /string/],
    [{ ...ok, username: ['alice'] }, '/username', /string/],
    [{ ...ok, username: { $ne: '' } }, '/username', /string/],
    [{ ...ok, username: '' }, '/username', /empty/],
    [{ ...ok, password: null }, '/password', /string/],
    [{ ...ok, password: 12345678 }, '/password', /string/],
    [{ ...ok, password: false }, '/password', /string/],
    [{ ...ok, password: [canary] }, '/password', /string/],
    [{ ...ok, password: { a: canary } }, '/password', /string/],
    [{ ...ok, password: '' }, '/password', /empty/],
    [{ ...ok, extra: 1 }, '', /not known/],
    [{ ...ok, [canary]: 1 }, '', /not known/],
    [{ ...ok, Password: canary }, '', /not known/],
    [{ ...ok, 'password ': canary }, '', /not known/],
    [{ ...ok, toString: 1 }, '', /not known/],
    [{ ...ok, hasOwnProperty: 1 }, '', /not known/],
    [{ ...ok, client: null }, '/client', /object/],
    [{ ...ok, client: '1.2.3.4' }, '/client', /object/],
    [{ ...ok, client: [] }, '/client', /object/],
    [{ ...ok, client: { ip: 1 } }, '/client/ip', /string/],
    [{ ...ok, client: { ip: null } }, '/client/ip', /string/],
    [{ ...ok, client: { ip: ['1.2.3.4'] } }, '/client/ip', /string/],
    [{ ...ok, client: { ip: '1.2.3.4', port: 1 } }, '/client', /not known/],
    [{ ...ok, client: { [canary]: 1 } }, '/client', /not known/],
    [{ ...ok, client: { ip: { a: { b: {} } } } }, '', /nested/],
    [{ ...ok, client: { ip: '' } }, '/client/ip', /address/],
    [{ ...ok, client: { ip: 'localhost' } }, '/client/ip', /address/],
    [{ ...ok, client: { ip: '010.0.0.1' } }, '/client/ip', /address/],
    [{ ...ok, client: { ip: '1.2.3.4:80' } }, '/client/ip', /address/],
    [`{"username":"alice","password":"${canary}"`, '', /JSON/],
    [`{"username":"alice","password":"${canary}"}}`, '', /JSON/],
    [`{"username":"alice","password":"${canary}",}`, '', /JSON/],
    [`{'username':'alice','password':'${canary}'}`, '', /JSON/],
    [`{username:"alice",password:"${canary}"}`, '', /JSON/],
    [`{"username":"alice","password":"${canary}\n"}`, '', /JSON/],
    [`{"username":"alice","password":"${canary}"} // x`, '', /JSON/],
    [`/**/{"username":"alice","password":"${canary}"}`, '', /JSON/],
    [`{"username":"alice","password":NaN}`, '', /JSON/],
    [`{"username":"alice","password":"\\x41"}`, '', /JSON/],
    [`username=alice&password=${canary}`, '', /JSON/],
    [`<login password="${canary}"/>`, '', /JSON/],
    [`\ufeff{"username":"alice","password":"${canary}"}`, '', /JSON/],
    [Buffer.from(JSON.stringify(ok), 'utf16le'), '', /JSON/],
    [gzipSync(JSON.stringify(ok)), '', /UTF-8/],
    [raw('{"username":"al\xefce","password":"x"}'), '', /UTF-8/],
    [raw('{"username":"\xc0\xafalice","password":"x"}'), '', /UTF-8/],
    [raw('{"username":"\xed\xa0\x80","password":"x"}'), '', /UTF-8/],
    ['{"username":"\\ud800","password":"x"}', '', /surrogate/],
    ['{"username":"a","password":"\\udfff"}', '', /surrogate/],
    [`{"username":"a","username":"b","password":"${canary}"}`, '', /twice/],
    [`{"username":"a","password":"x","password":"${canary}"}`, '', /twice/],
    [`{"username":"a","password":"x","p\\u0061ssword":"${canary}"}`, '', /twice/],
    [`{"\\u0075sername":"a","username":"b","password":"${canary}"}`, '', /twice/],
    [`{"username":"a","password":"x","client":{"ip":"1.1.1.1","ip":"2.2.2.2"}}`, '', /twice/],
    ['{"username":"a","password":"x","__proto__":{"admin":true}}', '', /not allowed/],
    ['{"username":"a","password":"x","client":{"__proto__":null}}', '', /not allowed/],
    ['{"username":"a","password":"x","constructor":{"prototype":{}}}', '', /not allowed/],
    [`${'{"client":'.repeat(200)}{}${'}'.repeat(200)}`, '', /nested/],
    ['['.repeat(4000) + ']'.repeat(4000), '', /nested/],
    ['{"username":1e999,"password":-0}', '/username', /string/],
  ]
  t.ok(bodies.length >= 60)
  for (const [body, pointer, detail] of bodies) {
    const reply = await server.login(body, asApp)
    const label = (typeof body === 'object' ? JSON.stringify(body) : String(body)).slice(0, 80)
    t.equal(reply.statusCode, 400, label)
    const problem = reply.json()
    t.equal(problem.code, 'invalid_request', label)
    t.match(problem.errors[0], { pointer, ...(detail && { detail }) }, label)
  }
  t.strictSame(server.attempts, [])
})

t.test('no bytes make a body our mistake, and what gets through is what JSON.parse reads (F34)', async t => {
  const server = createFakeCoreServer(t)
  const plain = Buffer.from(JSON.stringify({ username: 'alice', password: 'x', client: {} }))
  const spliced = tuple(nat(plain.length), nat(4), uint8Array({ maxLength: 6 })).map(([at, drop, bytes]) =>
    Buffer.concat([plain.subarray(0, at), bytes, plain.subarray(at + drop)]),
  )
  await assert(
    asyncProperty(oneof(spliced, uint8Array().map(Buffer.from), string().map(Buffer.from)), async body => {
      server.attempts.length = 0
      // A body is cleared once it has been read.
      const { statusCode } = await server.login(Buffer.from(body))
      const [attempt] = server.attempts
      if (attempt === undefined) return statusCode === 400
      const { username, password } = JSON.parse(body.toString())
      return statusCode === 401 && attempt.username === username && attempt.password.reveal() === password
    }),
    { numRuns: runs(300) },
  )
})

t.test('the octets of a body are cleared once they have been read, whatever came of them', async t => {
  const server = createFakeCoreServer(t)
  for (const [text, status] of [
    [JSON.stringify({ username: 'alice', password: canary }), 401],
    [`{"username":"alice","password":"${canary}`, 400],
    [`{"username":"alice","password":"${canary}"}${' '.repeat(20_000)}`, 413],
  ] as const) {
    const body = Buffer.from(text)
    t.equal((await server.login(body)).statusCode, status)
    // One that is too long by what its header says is not read at all.
    t.equal(body.includes(canary), status === 413)
  }
})

t.test('a body over 16 KiB is 413, and one of 16 KiB is read', async t => {
  const server = createFakeCoreServer(t)
  const pad = (bytes: number) => {
    const body = JSON.stringify({ username: 'alice', password: canary })
    return body + ' '.repeat(bytes - body.length)
  }
  t.equal((await server.login(pad(16_384))).statusCode, 401)
  const reply = await server.login(pad(16_385))
  t.equal(reply.statusCode, 413)
  t.match(reply.json(), { code: 'invalid_request', status: 413, type: 'urn:gatehouse:error:invalid_request' })
  t.equal(server.attempts.length, 1)
})

t.test('only application/json without compression is read, in whatever spelling', async t => {
  const server = createFakeCoreServer(t)
  const body = { username: 'alice', password: canary }
  const good = [
    ...[
      'application/json',
      'Application/JSON',
      'application/json;charset=utf-8',
      'application/json ; charset=UTF-8',
    ],
    ...['application/json;\tcharset=utf-8', 'application/json; charset="utf-8"'],
  ]
  for (const type of good) t.equal((await server.login(body, { 'content-type': type })).statusCode, 401, type)
  t.equal((await server.login(body, { 'content-encoding': 'identity' })).statusCode, 401)
  t.equal(server.attempts.length, good.length + 1)

  const bad = [
    ...[
      '',
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'json',
      '*/*',
    ],
    ...['application/json;', 'application/json; charset=latin1', 'application/json; charset=utf-8; x=y'],
    ...[
      'application/json, text/plain',
      'application/json;charset=utf-8;charset=utf-16',
      'application/json-patch+json',
    ],
    ...[
      'application/jsonx',
      'application /json',
      'application/json; foo',
      'application/json\u00a0',
      'application/*',
    ],
  ]
  for (const type of bad) {
    const reply = await server.login(body, { 'content-type': type })
    t.equal(reply.statusCode, 415, type)
    t.equal(reply.json().code, 'unsupported_media_type')
    t.equal(reply.headers.accept, 'application/json')
  }
  for (const encoding of ['gzip', 'br', 'deflate', 'identity, gzip', 'x']) {
    t.equal((await server.login(gzipSync('x'), { 'content-encoding': encoding })).statusCode, 415, encoding)
  }
  t.equal((await server.inject({ method: 'POST', url: '/authenticate' })).statusCode, 415, 'no body at all')
  t.equal(server.attempts.length, good.length + 1)
})

t.test('client.ip is the address only for an app that may assert it', async t => {
  const guest = appWithKey('guest', 'guest-key')
  const server = createFakeCoreServer(t, { clients: [portal, guest] })
  const body = { username: 'alice', password: canary, client: { ip: '::FFFF:198.51.100.7' } }
  await server.login(body, asApp)
  t.equal(server.attempts[0]?.address, '198.51.100.7', 'in its canonical text')
  await server.login({ ...body, client: { ip: '2001:DB8::1' } }, asApp)
  t.equal(server.attempts[1]?.address, '2001:db8:0:0:0:0:0:1')
  await server.login({ ...body, client: {} }, { authorization: 'Bearer guest-key' })
  t.equal(server.attempts[2]?.address, '127.0.0.1', 'an empty client says nothing')

  for (const ip of ['198.51.100.7', 'garbage']) {
    const reply = await server.login({ ...body, client: { ip } }, { authorization: 'Bearer guest-key' })
    t.equal(reply.statusCode, 403)
    t.equal(reply.json().code, 'client_forbidden')
  }
  t.equal(server.attempts.length, 3)
})

t.test('a password in the query string is refused, and is in no log', async t => {
  const server = createFakeCoreServer(t)
  const body = { username: 'alice', password: canary }
  for (const query of [
    `password=${canary}`,
    `p%61ssword=${canary}`,
    `PASSWORD=${canary}`,
    `a=1&password=${canary}`,
  ]) {
    for (const url of ['/authenticate', '/users/corp:1', '/livez', '/nothing']) {
      const reply = await server.inject({
        method: url === '/authenticate' ? 'POST' : 'GET',
        url: `${url}?${query}`,
        ...(url === '/authenticate' && { payload: body }),
      })
      t.equal(reply.statusCode, 400, `${url}?${query}`)
      t.strictSame(reply.json().errors, [{ parameter: 'password', detail: 'not in a URL' }])
    }
  }
  for (const url of [
    `/authenticate;password=${canary}`,
    `/authenticate?x=${canary}`,
    `/authenticate?${canary}`,
  ]) {
    t.ok((await server.inject({ method: 'POST', url, payload: body })).statusCode >= 400, url)
  }
  t.strictSame(server.attempts, [])
  t.ok(server.log.lines.length > 10, 'the refusals were logged')
})
