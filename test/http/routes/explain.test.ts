import { connect } from 'node:net'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import type { ExplainRequest, Explanation } from '../../../src/authentication/explanation.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import { isProof } from '../../../src/http/admin-proof.ts'
import type { Explainer } from '../../../src/http/routes/explain.ts'
import { createAdminServer } from '../../../src/http/server.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'

const token = 'T'.repeat(43)
const password = 'canary-password-7b1e'

function openDoor(t: Test, { phase = 'serving' }: { phase?: 'serving' | 'stopping' } = {}) {
  const asked: ExplainRequest[] = []
  const log = createLogRecorder()
  const explainer: Explainer = {
    async explain(request) {
      asked.push(request)
      return explanation(request)
    },
    callerOf: id =>
      id === 'nobody' ? undefined : { id: 'admin', requiredGroups: id ? [`group of ${id}`] : [] },
  }
  const app = createAdminServer({
    log,
    readiness: () => ({ phase, ready: true }),
    lockoutStore: () => ({ ok: true }),
    health: async () => [],
    config: () => ({ ok: true, loadedAt: 0, needsRestart: [] }),
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
    host: 'gatehouse.corp.example',
    operators: {
      token: new Secret(token),
      explainer: () => explainer,
      lockDesk: () => {
        throw new Error('nobody asked')
      },
      reload: async () => ({ outcome: 'reloaded', needsRestart: [] }),
      clock: createFakeClock(),
    },
  })
  t.teardown(() => app.close())
  const post = async (
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<LightMyRequestResponse> => {
    const reply = await app.inject({
      method: 'POST',
      url: '/admin/explain',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      payload: typeof body === 'string' ? body : JSON.stringify(body),
    })
    t.notOk(reply.payload.includes(password), 'no password in the reply')
    t.notOk(log.text().includes(password), 'no password in the log')
    t.notOk(log.text().includes(token), 'no token in the log')
    return reply
  }
  return { app, post, asked, log }
}

function explanation({ username, address }: ExplainRequest): Explanation {
  const standing = { kind: 'pair', failures: 2, limit: 5, inFlight: 0 } as const
  return {
    mode: 'look',
    given: username,
    username: { text: username, typed: username, user: username },
    address,
    lockout: {
      name: [
        { ...standing, lockedForMs: 1_001 },
        { ...standing, kind: 'unfamiliar', watched: true },
      ],
      source: [{ ...standing, kind: 'source' }],
      subjects: [{ subject: 'corp:1', ...standing }],
    },
    steps: [
      {
        backend: 'corp',
        type: 'ldap',
        outcome: 'found',
        facts: [{ what: 'filter', value: '(uid=alice)', durationMs: 1.234_56 }],
        rule: 'on.accept: stop',
        durationMs: 3,
      },
    ],
    conclusion: { verdict: 'depends_on_password', reason: 'with the right password this login is accepted' },
    durationMs: 4,
  }
}

t.test('an explanation is answered to whoever has the token', async t => {
  const { post, asked } = openDoor(t)
  const reply = await post({ username: 'alice' })
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['cache-control'], 'no-store')
  t.strictSame(reply.json(), {
    mode: 'look',
    given: 'alice',
    username: { text: 'alice', user: 'alice' },
    address: '127.0.0.1',
    lockout: {
      name: [
        { key: 'pair', failures: 2, limit: 5, in_flight: 0, locked_for_seconds: 2 },
        { key: 'unfamiliar', failures: 2, limit: 5, in_flight: 0, watched: true },
      ],
      source: [{ key: 'source', failures: 2, limit: 5, in_flight: 0 }],
      subjects: [{ subject: 'corp:1', key: 'pair', failures: 2, limit: 5, in_flight: 0 }],
    },
    steps: [
      {
        backend: 'corp',
        type: 'ldap',
        outcome: 'found',
        facts: [{ what: 'filter', value: '(uid=alice)', ms: 1.23 }],
        rule: 'on.accept: stop',
        ms: 3,
      },
    ],
    verdict: 'depends_on_password',
    reason: 'with the right password this login is accepted',
    ms: 4,
  })
  t.match(asked, [{ username: 'alice', caller: { id: 'admin', requiredGroups: [] } }])
  t.notOk(asked[0]?.password, 'nothing is tried without a password')
})

t.test('a password, a client and an address are handed on', async t => {
  const { post, asked } = openDoor(t)
  t.equal((await post({ username: 'alice', password, client: 'wiki', from: '2001:db8::1' })).statusCode, 200)
  t.equal(asked[0]?.password?.reveal(), password)
  t.match(asked[0], {
    address: '2001:db8:0:0:0:0:0:1',
    caller: { id: 'admin', requiredGroups: ['group of wiki'] },
  })
})

t.test('a missing or wrong token is refused before the body is read', async t => {
  const { post, asked, log } = openDoor(t)
  for (const authorization of [
    '',
    'Bearer',
    `Bearer ${token.slice(1)}`,
    `Bearer ${token}x`,
    `Basic ${token}`,
    token,
  ]) {
    const reply = await post('not even JSON', { authorization })
    t.equal(reply.statusCode, 401, authorization.slice(0, 12))
    t.equal(reply.json().code, 'admin_unauthenticated')
    t.match(reply.headers['www-authenticate'], /^Bearer /)
  }
  t.equal(asked.length, 0)
  t.equal(log.at('warn').length, 6, 'somebody should hear of it')
})

t.test('what a web page could have sent is refused, token or not', async t => {
  const { post, asked } = openDoor(t)
  for (const headers of [
    { origin: 'http://127.0.0.1:8471' },
    { origin: 'null' },
    { host: 'attacker.example' },
    { host: 'attacker.example:8471' },
    { host: '127.0.0.1.attacker.example' },
    { host: '[::1].attacker.example' },
    { host: 'localhost@attacker.example' },
  ] as Record<string, string>[]) {
    const reply = await post({ username: 'alice' }, headers)
    t.equal(reply.statusCode, 403, JSON.stringify(headers))
    t.equal(reply.json().code, 'admin_forbidden')
  }
  t.equal(asked.length, 0)
  for (const host of ['localhost:8471', '127.0.0.1:1', '[::1]:8471', 'Gatehouse.corp.example', 'LOCALHOST']) {
    t.equal((await post({ username: 'alice' }, { host })).statusCode, 200, host)
  }
})

t.test('a body that is not as the schema says is refused, and says where', async t => {
  const { post, asked } = openDoor(t)
  for (const [body, pointer] of [
    [{}, '/username'],
    [{ username: 7 }, '/username'],
    [{ username: 'alice', password: '' }, '/password'],
    [{ username: 'alice', sudo: true }, ''],
    [{ username: 'alice', client: 'nobody' }, '/client'],
    [{ username: 'alice', from: 'localhost' }, '/from'],
  ] as const) {
    const reply = await post(body)
    t.equal(reply.statusCode, 400, JSON.stringify(body))
    t.match(reply.json().errors, [{ pointer }])
  }
  t.equal((await post({ username: 'alice', password: 'x'.repeat(17_000) })).statusCode, 413)
  t.equal((await post('{}', { 'content-type': 'text/plain' })).statusCode, 415)
  t.equal(asked.length, 0)
})

t.test('while the daemon stops nothing is explained any more', async t => {
  const { post } = openDoor(t, { phase: 'stopping' })
  t.equal((await post({ username: 'alice' })).json().code, 'not_ready')
})

t.test('over a socket the Host of the listener itself will do', async t => {
  const { app } = openDoor(t)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  const body = JSON.stringify({ username: 'alice' })
  socket.end(
    [
      'POST /admin/explain HTTP/1.1',
      `Host: 127.0.0.1:${port}`,
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  )
  const heard = (await socket.setEncoding('utf8').toArray()).join('')
  t.match(heard, /^HTTP\/1\.1 200 /)
})

t.test('the daemon proves that it knows the token, to whoever asks, and for its own port only', async t => {
  const { app, post } = openDoor(t)
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const port = Number(new URL(base).port)
  const nonce = 'n'.repeat(43)
  const { proof } = (await (await fetch(`${base}/admin/proof?nonce=${nonce}`)).json()) as { proof: string }
  const place = { address: '127.0.0.1', port }
  t.ok(isProof(proof, new Secret(token), nonce, place))
  t.ok(isProof(proof, new Secret(token), nonce, { address: '::ffff:127.0.0.1', port }))
  t.notOk(isProof(proof, new Secret(token), nonce, { ...place, port: port + 1 }))
  t.notOk(
    isProof(proof, new Secret(token), nonce, { ...place, address: '127.0.0.2' }),
    'asked at another place',
  )
  t.notOk(isProof(proof, new Secret(token), 'm'.repeat(43), place))
  t.notOk(isProof(proof, new Secret('x'.repeat(43)), nonce, place))
  t.notOk(isProof(undefined, new Secret(token), nonce, place))
  t.equal((await fetch(`${base}/admin/proof?nonce=short`)).status, 400)
  t.equal(
    (await post({ username: 'alice' }, { authorization: `Bearer ${proof}` })).statusCode,
    401,
    'a proof is no token',
  )
})
