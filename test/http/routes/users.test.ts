import t from 'tap'
import type { Lookup } from '../../../src/authentication/verdict.ts'
import { alice, appWithKey, createFakeCoreServer } from '../fake-core.ts'

const portal = appWithKey('portal', 'portal-key', ['reveal_account_state'])
const guest = appWithKey('guest', 'guest-key')
const found: Lookup = { lookup: 'found', user: alice }
const disabled: Lookup = { lookup: 'found', user: { ...alice, state: 'disabled' } }

function get(url: string, key = 'guest-key') {
  return { method: 'GET' as const, url, headers: { authorization: `Bearer ${key}` } }
}

t.test('a usable user is shown as a login shows them', async t => {
  const server = createFakeCoreServer(t, { clients: [portal, guest] })
  server.found = found
  const reply = await server.inject(get(`/users/${alice.id}`))
  t.equal(reply.statusCode, 200)
  t.strictSame(reply.json(), {
    user: {
      id: alice.id,
      backend: 'corp',
      username: 'alice',
      display_name: 'Alice Liddell',
      email: 'alice@corp.example',
      groups: ['staff', 'wiki-editors'],
      roles: ['editor'],
      attributes: { department: 'R&D', phones: ['1', '2'] },
    },
  })
  t.strictSame(server.lookups, [alice.id])
})

t.test('each answer of a look-up has its reply', async t => {
  const server = createFakeCoreServer(t, { clients: [portal, guest] })
  const cases: [Lookup, number, string][] = [
    [{ lookup: 'not_found' }, 404, 'user_not_found'],
    [disabled, 404, 'user_not_found'],
    [{ lookup: 'unavailable', retryAfterMs: 4200 }, 503, 'backend_unavailable'],
    [{} as Lookup, 500, 'internal_error'],
  ]
  for (const [answer, status, code] of cases) {
    server.found = answer
    const reply = await server.inject(get('/users/corp:1'))
    t.equal(reply.statusCode, status)
    t.equal(reply.json().code, code)
    t.equal(reply.headers['retry-after'], status === 503 ? '5' : undefined)
    t.notMatch(reply.payload, /disabled|alice/)
  }
  server.found = () => Promise.reject(new Error('boom'))
  t.equal((await server.inject(get('/users/corp:1'))).statusCode, 500)
})

t.test('only an app that may know an account’s state can ask for unusable users', async t => {
  const server = createFakeCoreServer(t, { clients: [portal, guest] })
  server.found = disabled
  const shown = await server.inject(get('/users/corp:1?include=unusable', 'portal-key'))
  t.equal(shown.statusCode, 200)
  t.match(shown.json(), { user: { id: alice.id }, usable: false, state: 'disabled' })
  t.notOk('state' in shown.json().user)

  server.found = found
  const usable = (await server.inject(get('/users/corp:1?include=unusable', 'portal-key'))).json()
  t.equal(usable.usable, true)
  t.notOk('state' in usable)

  server.lookups.length = 0
  const refused = await server.inject(get('/users/corp:1?include=unusable'))
  t.equal(refused.statusCode, 403)
  t.equal(refused.json().code, 'client_forbidden')
  t.strictSame(server.lookups, [], 'and nobody was asked')
})

t.test('the id is decoded once', async t => {
  const server = createFakeCoreServer(t, { clients: [guest] })
  const cases: [path: string, id: string][] = [
    ['corp%3A1', 'corp:1'],
    ['corp:a%2Fb', 'corp:a/b'],
    ['corp:%252F', 'corp:%2F'],
    ['corp:%00%0d%0a', 'corp:\0\r\n'],
    ['corp:%C3%A9', 'corp:é'],
    ['nonsense', 'nonsense'],
    ['a+b', 'a+b'],
  ]
  for (const [path, id] of cases) {
    server.lookups.length = 0
    t.equal((await server.inject(get(`/users/${path}`))).statusCode, 404, path)
    t.strictSame(server.lookups, [id], path)
  }
  server.lookups.length = 0
  for (const path of ['%ZZ', '%', '%c3', '%ff%fe']) {
    const reply = await server.inject(get(`/users/${path}`))
    t.equal(reply.statusCode, 400, path)
    t.equal(reply.json().code, 'invalid_request')
    t.equal(reply.headers['cache-control'], 'no-store')
  }
  for (const path of ['x'.repeat(322), 'x'.repeat(4000), `${'%41'.repeat(330)}`]) {
    const reply = await server.inject(get(`/users/${path}`))
    t.equal(reply.json().code, 'user_not_found', 'too long for any id')
  }
  t.strictSame(server.lookups, [])
})

t.test('other query parameters are refused', async t => {
  const server = createFakeCoreServer(t, { clients: [portal] })
  for (const query of [
    'include=all',
    'include=',
    'include',
    'include=unusable&include=unusable',
    'x=1',
    '__proto__=1',
  ]) {
    const reply = await server.inject(get(`/users/corp:1?${query}`, 'portal-key'))
    t.equal(reply.statusCode, 400, query)
    t.equal(reply.json().code, 'invalid_request')
  }
  t.strictSame(server.lookups, [])
})
