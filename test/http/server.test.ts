import t from 'tap'
import { loggablePath } from '../../src/http/problem.ts'
import type { Readiness, StoreStatus } from '../../src/http/readiness.ts'
import { createAdminServer } from '../../src/http/server.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { alice, appWithKey, canary, createFakeCoreServer, openRaw } from './fake-core.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

t.test('every reply carries the same few headers, whatever its status', async t => {
  const server = createFakeCoreServer(t, { clients: [appWithKey('wiki', 'wiki-key')] })
  const headers = { authorization: 'Bearer wiki-key', 'content-type': 'application/json' }
  const login = {
    method: 'POST',
    url: '/authenticate',
    headers,
    payload: { username: 'a', password: canary },
  } as const
  const seen = new Set<number>()
  const look = async (options: Parameters<typeof server.inject>[0]) => {
    const reply = await server.inject(options)
    seen.add(reply.statusCode)
    t.match(reply.headers, {
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-request-id': uuid,
      'content-type': /^application\/(problem\+)?json; charset=utf-8$/,
    })
    for (const name of ['server', 'x-powered-by', 'etag', 'access-control-allow-origin'])
      t.notOk(name in reply.headers)
    if (reply.statusCode >= 400 && reply.payload !== '') {
      const { type, title, status, code, request_id, errors, ...rest } = reply.json()
      t.strictSame(rest, {}, 'nothing else in a problem')
      t.equal(type, `urn:gatehouse:error:${code}`)
      t.type(title, 'string')
      t.equal(status, reply.statusCode, 'S58')
      t.equal(request_id, reply.headers['x-request-id'])
      t.ok(errors === undefined || (code === 'invalid_request' && errors.length > 0))
    }
  }
  server.answer = { verdict: 'accepted', user: alice, warnings: [] }
  await look(login)
  server.answer = { verdict: 'rejected' }
  await look(login)
  server.answer = { verdict: 'busy' }
  await look(login)
  server.answer = { verdict: 'unavailable', retryAfterMs: 1 }
  await look(login)
  server.answer = () => Promise.reject(new Error('boom'))
  await look(login)
  await look({ ...login, headers: { ...headers, authorization: 'Bearer no' } })
  await look({ ...login, payload: '{' })
  await look({ ...login, payload: ' '.repeat(20_000) })
  await look({ ...login, headers: { ...headers, 'content-type': 'text/plain' } })
  await look({ url: '/users/x?include=unusable', headers })
  await look({ url: '/users/x', headers })
  await look({ url: '/users/%ZZ', headers })
  await look({ url: '/nothing' })
  await look({ url: '/authenticate' })
  await look({ method: 'HEAD', url: '/livez' })
  t.strictSame([...seen].sort(), [200, 400, 401, 403, 404, 405, 413, 415, 429, 500, 503])
})

t.test('only what is declared is served: 404 for other paths, 405 for other methods (S62)', async t => {
  const server = createFakeCoreServer(t)
  for (const url of [
    '/',
    '/Authenticate',
    '/authenticate/',
    '//authenticate',
    '/auth/',
    '/metrics',
    '/admin',
    '/users',
    '/users/a/b',
    '*',
  ]) {
    const reply = await server.inject({ method: 'POST', url, payload: '{' })
    t.equal(reply.statusCode, 404, url)
    t.equal(reply.json().code, 'not_found')
  }
  const allowed = {
    '/authenticate': 'POST',
    '/users/corp:1': 'GET, HEAD',
    '/auth': 'GET, HEAD',
    '/livez': 'GET, HEAD',
    '/readyz': 'GET, HEAD',
  }
  for (const [url, allow] of Object.entries(allowed)) {
    for (const method of [
      'GET',
      'HEAD',
      'POST',
      'PUT',
      'PATCH',
      'DELETE',
      'OPTIONS',
      'TRACE',
      'PROPFIND',
      'QUERY',
    ]) {
      if (allow.split(', ').includes(method)) continue
      // A body that would be refused, if it were read.
      const reply = await server.inject({
        method: method as 'PUT',
        url,
        headers: { 'content-type': 'application/json' },
        ...(method !== 'HEAD' && method !== 'GET' && { payload: '{' }),
      })
      t.equal(reply.statusCode, 405, `${method} ${url}`)
      t.equal(reply.headers.allow, allow)
      if (method !== 'HEAD') t.equal(reply.json().code, 'method_not_allowed')
    }
  }
  t.strictSame([server.attempts, server.lookups], [[], []])
})

t.test('HEAD answers like GET, without the body', async t => {
  const server = createFakeCoreServer(t)
  server.found = { lookup: 'found', user: alice }
  for (const url of ['/livez', '/readyz', '/users/corp:1']) {
    const [get, head] = [await server.inject({ url }), await server.inject({ method: 'HEAD', url })]
    t.equal(head.statusCode, 200)
    t.equal(head.headers['content-length'], get.headers['content-length'])
    t.equal(head.payload, '')
  }
})

t.test('the request id is ours, but a known app may choose its own', async t => {
  const open = createFakeCoreServer(t)
  const reply = await open.login(undefined, { 'x-request-id': 'mine' })
  t.match(reply.headers['x-request-id'], uuid, 'nobody is known here')

  const server = createFakeCoreServer(t, { clients: [appWithKey('wiki', 'wiki-key')] })
  const authorization = 'Bearer wiki-key'
  const chosen = await server.login(undefined, { authorization, 'x-request-id': 'wiki-7.A_b' })
  t.equal(chosen.headers['x-request-id'], 'wiki-7.A_b')
  t.equal(chosen.json().request_id, 'wiki-7.A_b')
  t.equal(server.attempts[0]?.requestId, 'wiki-7.A_b')
  for (const id of ['', 'a b', 'a"b', '<x>', 'x'.repeat(65), 'a,b', '{}', 'é', '../x']) {
    const ignored = await server.login(undefined, { authorization, 'x-request-id': id })
    t.match(ignored.headers['x-request-id'], uuid, id)
  }
  const stranger = await server.login(undefined, { authorization: 'Bearer no', 'x-request-id': 'mine' })
  t.match(stranger.json().request_id, uuid)
})

t.test('until it serves, and from when it stops, nobody is asked', async t => {
  let now: Readiness = { phase: 'starting', ready: false }
  const server = createFakeCoreServer(t, { readiness: () => now, clients: [appWithKey('wiki', 'wiki-key')] })
  for (const phase of ['starting', 'stopping'] as const) {
    now = { phase, ready: true }
    for (const reply of [await server.login(), await server.inject({ url: '/users/corp:1' })]) {
      t.equal(reply.statusCode, 503)
      t.equal(reply.json().code, 'not_ready')
      t.equal(reply.headers['retry-after'], '1')
    }
    t.equal((await server.inject({ url: '/livez' })).statusCode, 200, 'it lives all the same')
    t.equal((await server.inject({ url: '/readyz' })).json().code, 'not_ready')
  }
  now = { phase: 'serving', ready: false }
  t.equal((await server.inject({ url: '/readyz' })).statusCode, 503, 'no backend can give verdicts')
  const login = await server.login(undefined, { authorization: 'Bearer wiki-key' })
  t.equal(login.statusCode, 401, 'but an attempt is what tells, so it is made')
  now = { phase: 'serving', ready: true }
  t.strictSame((await server.inject({ url: '/readyz' })).json(), { status: 'ok' })
  t.strictSame((await server.inject({ url: '/livez' })).json(), { status: 'ok' })
})

t.test('a core that never answers is given up on, and what was asked goes on', async t => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let now = 0
  const server = createFakeCoreServer(t, {
    limits: { answerMs: 5 },
    clock: { now: () => now++, wall: () => 0 },
  })
  // The last resort's timer alone would not keep this process alive.
  await server.listen()
  let finished = false
  server.answer = async () => {
    await promise
    finished = true
    return { verdict: 'rejected' }
  }
  const reply = await server.login()
  t.equal(reply.statusCode, 500)
  t.equal(reply.json().code, 'internal_error')
  t.match(server.log.text(), /gave no answer within 5 ms/)
  resolve()
  await promise
  t.ok(finished)
})

t.test('no web page reads what the admin listener on loopback tells', async t => {
  const app = createAdminServer({
    host: '127.0.0.1',
    log: createLogRecorder(),
    readiness: () => ({ phase: 'serving', ready: true }),
    lockoutStore: () => ({ ok: true }),
    health: async () => [],
    config: () => ({ ok: true, loadedAt: 0, needsRestart: [] }),
    metrics: async () => ({ contentType: 'text/plain', text: 'up 1' }),
  })
  t.teardown(() => app.close())
  const port = Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port)
  for (const [path, header, status] of [
    ['/readyz', 'Host: evil.example', 403],
    ['/metrics', 'Host: evil.example', 403],
    ['/readyz', 'Host: localhost\r\nOrigin: https://evil.example', 403],
    ['/readyz', 'Host: localhost:8471', 200],
    ['/metrics', 'Host: 127.0.0.1', 200],
  ] as const) {
    const request = `GET ${path} HTTP/1.1\r\n${header}\r\nConnection: close\r\n\r\n`
    t.match(await openRaw(t, port, request).closed, new RegExp(`^HTTP/1.1 ${status} `), `${path} ${header}`)
  }
})

t.test('the admin listener tells reasons, and nothing of the public one', async t => {
  let now: Readiness = { phase: 'serving', ready: true }
  let store: StoreStatus = { ok: true }
  const log = createLogRecorder()
  const app = createAdminServer({
    host: '127.0.0.1',
    log,
    readiness: () => now,
    lockoutStore: () => store,
    health: async () => [
      {
        id: 'corp',
        ok: false,
        reason: 'connect ECONNREFUSED ldaps://dc1.corp.example',
        servers: [
          {
            server: 'ldaps://dc1.corp.example:636',
            ok: false,
            reason: 'ECONNREFUSED',
            certificateExpiresAt: 1_795_477_667_000,
          },
          { server: 'ldaps://dc2.corp.example:636', ok: true },
        ],
      },
      { id: 'local', ok: true },
    ],
    config: () => ({
      ok: false,
      reason: 'gatehouse.yaml:3:1: error: no',
      loadedAt: 1_795_477_667_000,
      needsRestart: ['listen'],
    }),
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'up 1\n' }),
  })
  t.teardown(() => app.close())
  const details = {
    config: {
      ok: false,
      reason: 'gatehouse.yaml:3:1: error: no',
      loaded_at: '2026-11-23T23:47:47.000Z',
      needs_restart: ['listen'],
    },
    lockout_store: { ok: true },
    backends: [
      {
        id: 'corp',
        ok: false,
        reason: 'connect ECONNREFUSED ldaps://dc1.corp.example',
        servers: [
          {
            server: 'ldaps://dc1.corp.example:636',
            ok: false,
            reason: 'ECONNREFUSED',
            certificate_expires: '2026-11-23T23:47:47.000Z',
          },
          { server: 'ldaps://dc2.corp.example:636', ok: true },
        ],
      },
      { id: 'local', ok: true },
    ],
  }
  const ready = await app.inject('/readyz')
  t.equal(ready.statusCode, 200)
  t.strictSame(ready.json(), { ready: true, phase: 'serving', ...details })
  const metrics = await app.inject('/metrics')
  t.match(metrics, {
    statusCode: 200,
    payload: 'up 1\n',
    headers: { 'content-type': /^text\/plain; version/ },
  })
  now = { phase: 'serving', ready: false }
  const unready = await app.inject('/readyz')
  t.equal(unready.statusCode, 503)
  t.strictSame(unready.json(), { ready: false, phase: 'serving', ...details })
  now = { phase: 'serving', ready: true }
  store = { ok: false, reason: 'Redis: connect ECONNREFUSED 192.0.2.9:6379' }
  const degraded = await app.inject('/readyz')
  t.equal(degraded.statusCode, 200, 'where this process counts by itself meanwhile')
  t.strictSame(degraded.json(), { ready: true, phase: 'serving', ...details, lockout_store: store })
  now = { phase: 'stopping', ready: true }
  t.equal((await app.inject('/readyz')).statusCode, 503)
  t.equal((await app.inject('/livez')).statusCode, 200)
  t.match((await app.inject('/livez')).headers, {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  for (const url of ['/authenticate', '/users/corp:1']) {
    t.equal((await app.inject({ method: 'POST', url, payload: {} })).statusCode, 404)
  }
})

t.test(
  'the log has of a path no more than a word and nothing of the caller’s making (CVE-2025-48432)',
  async t => {
    const paths: [url: string, path: string][] = [
      ['/nothing?x=1', '/nothing'],
      ['/nothing#x', '/nothing'],
      ['/nothing;x=1', '/nothing'],
      ['/', '/'],
      ['/login/alice/a%20password', '/login/…'],
      ['/login/', '/login/…'],
      [`/${'x'.repeat(500)}`, '/…'],
      ['/hunter2', '/…'],
      ['/%0d%0aforged', '/…'],
      ['/caf\u00e9\u001b[31m', '/…'],
      ['//host/x', '/…'],
      ['http://user:pw@host/nothing', ''],
    ]
    for (const [url, path] of paths) {
      t.equal(loggablePath(url), path, url)
    }
    t.equal(loggablePath('/users/a%20password?x', '/users/:id'), '/users/:id')
  },
)
