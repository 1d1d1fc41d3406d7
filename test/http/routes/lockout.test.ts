import t, { type Test } from 'tap'
import type { Lock, LockDesk, ShowRequest, UnlockOrder } from '../../../src/authentication/locks.ts'
import { UnavailableError } from '../../../src/authentication/outcome.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import { createAdminServer } from '../../../src/http/server.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'

const token = 'T'.repeat(43)

const lock: Lock = {
  kind: 'pair',
  user: 'alice',
  userHash: '0123456789abcdef',
  subject: 'corp:1',
  address: '192.0.2.7',
  caller: 'wiki',
  tier: 2,
  forMs: 240_001,
  until: Date.UTC(2026, 0, 1, 12),
}
const presented = {
  kind: 'pair',
  user: 'alice',
  user_hash: '0123456789abcdef',
  subject: 'corp:1',
  source: '192.0.2.7',
  client: 'wiki',
  tier: 2,
  until: '2026-01-01T12:00:00.000Z',
  for_seconds: 241,
}
const person = {
  name: 'alice',
  subjects: ['corp:1'],
  silent: [{ backend: 'hr', reason: 'connect: refused' }],
}

function openDoor(t: Test, changes: Partial<LockDesk> = {}) {
  const asked: (number | ShowRequest | UnlockOrder)[] = []
  const lockDesk: LockDesk = {
    async list(most) {
      asked.push(most)
      const unknown = { kind: 'unfamiliar', tier: 1, forMs: 1, until: lock.until, watched: true } as const
      return { locks: [lock, unknown], more: true }
    },
    async show(request) {
      asked.push(request)
      const standing = { kind: 'pair', failures: 2, limit: 5, inFlight: 1 } as const
      const standings = { name: [standing], source: [], subjects: [{ subject: 'corp:1', ...standing }] }
      return { ok: true, person, ...(request.address !== undefined && { standings }), locks: [lock] }
    },
    async unlock(order) {
      asked.push(order)
      return { ok: true, ...(order.user !== undefined && { person }), ended: [lock] }
    },
    ...changes,
  }
  const app = createAdminServer({
    log: createLogRecorder(),
    readiness: () => ({ phase: 'serving', ready: true }),
    lockoutStore: () => ({ ok: true }),
    health: async () => [],
    config: () => ({ ok: true, loadedAt: 0, needsRestart: [] }),
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
    host: 'localhost',
    operators: {
      token: new Secret(token),
      explainer: () => ({
        explain: async () => {
          throw new UnavailableError('the store of the lockout is away', 'lookup')
        },
        callerOf: () => ({ id: 'admin', requiredGroups: [] }),
      }),
      lockDesk: () => lockDesk,
      reload: async () => ({ outcome: 'reloaded', needsRestart: [] }),
      clock: createFakeClock(),
    },
  })
  t.teardown(() => app.close())
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url: `/admin/${path}`,
      headers: {
        host: 'localhost',
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        ...headers,
      },
      payload: JSON.stringify(body),
    })
  return { post, asked }
}

t.test('locks are listed, a thousand unless another number is asked for', async t => {
  const { post, asked } = openDoor(t)
  const reply = await post('lockout/list', {})
  t.equal(reply.statusCode, 200)
  t.strictSame(reply.json(), {
    locks: [
      presented,
      { kind: 'unfamiliar', tier: 1, until: presented.until, for_seconds: 1, watched: true },
    ],
    more: true,
  })
  await post('lockout/list', { most: 10_000 })
  t.strictSame(asked, [1_000, 10_000])
})

t.test('a user, an address or both are shown', async t => {
  const { post, asked } = openDoor(t)
  t.strictSame((await post('lockout/show', { user: 'Alice' })).json(), { user: person, locks: [presented] })
  const standing = { key: 'pair', failures: 2, limit: 5, in_flight: 1 }
  t.strictSame((await post('lockout/show', { user: 'Alice', address: '2001:DB8::1' })).json(), {
    user: person,
    lockout: { name: [standing], source: [], subjects: [{ subject: 'corp:1', ...standing }] },
    locks: [presented],
  })
  await post('lockout/show', { address: '::ffff:192.0.2.7' })
  t.strictSame(asked, [
    { user: 'Alice' },
    { user: 'Alice', address: '2001:db8:0:0:0:0:0:1' },
    { address: '192.0.2.7' },
  ])
})

t.test('an unlock is handed on with who claims to ask, and tells what it ended', async t => {
  const { post, asked } = openDoor(t)
  const body = { user: 'alice', subject: 'corp:1', address: '192.0.2.7', operator: 'olga' }
  const reply = await post('lockout/unlock', body)
  t.strictSame(reply.json(), { user: person, ended: [presented] })
  t.strictSame(asked, [{ requestId: reply.headers['x-request-id'], ...body }])
  t.strictSame((await post('lockout/unlock', { address: '192.0.2.7' })).json(), { ended: [presented] })
})

t.test('what is not as the schema says is refused, and says where', async t => {
  const { post, asked } = openDoor(t, {
    show: async () => ({ ok: false, problem: 'is empty' }),
    unlock: async () => ({ ok: false, problem: 'is empty' }),
  })
  for (const [path, body, pointer] of [
    ['list', { most: 0 }, '/most'],
    ['list', { most: 10_001 }, '/most'],
    ['list', { most: 1.5 }, '/most'],
    ['list', { user: 'alice' }, ''],
    ['list', [], ''],
    ['show', {}, ''],
    ['show', { user: '' }, '/user'],
    ['show', { address: 'localhost' }, '/address'],
    ['show', { user: ' ' }, '/user'],
    ['unlock', {}, ''],
    ['unlock', { operator: 'olga' }, ''],
    ['unlock', { user: ' ' }, '/user'],
    ['unlock', { address: '192.0.2.0/24' }, '/address'],
    ['unlock', { subject: 'alice' }, '/subject'],
    ['unlock', { subject: 'corp:' }, '/subject'],
    ['unlock', { subject: ':1' }, '/subject'],
    ['unlock', { user: 'alice', operator: '' }, '/operator'],
    ['unlock', { user: 'alice', operator: 'x'.repeat(129) }, '/operator'],
    ['unlock', { user: 7 }, '/user'],
    ['unlock', { user: 'alice', all: true }, ''],
  ] as const) {
    const reply = await post(`lockout/${path}`, body)
    t.equal(reply.statusCode, 400, JSON.stringify(body))
    t.match(reply.json(), { code: 'invalid_request', errors: [{ pointer }] }, JSON.stringify(body))
  }
  t.equal((await post('lockout/list', {}, { 'content-type': 'text/plain' })).statusCode, 415)
  t.strictSame(asked, [])
})

t.test('only an operator sees or ends a lock', async t => {
  const { post, asked } = openDoor(t)
  for (const path of ['list', 'show', 'unlock']) {
    const body = { user: 'alice' }
    t.equal((await post(`lockout/${path}`, body, { authorization: 'Bearer x' })).statusCode, 401)
    t.equal((await post(`lockout/${path}`, body, { origin: 'http://localhost' })).statusCode, 403)
    t.equal((await post(`lockout/${path}`, body, { host: 'evil.example' })).statusCode, 403)
  }
  t.strictSame(asked, [])
})

t.test('while the store is away nobody can say who is locked: 503, with what is out', async t => {
  const out = async () => {
    throw new UnavailableError('the store of the lockout is away', 'lookup')
  }
  const { post } = openDoor(t, { list: out, show: out, unlock: out })
  for (const [path, body] of [
    ['lockout/list', {}],
    ['lockout/show', { user: 'alice' }],
    ['lockout/unlock', { user: 'alice' }],
    ['explain', { username: 'alice' }],
  ] as const) {
    const reply = await post(path, body)
    t.equal(reply.statusCode, 503, path)
    t.equal(reply.headers['retry-after'], '5', path)
    t.match(reply.json(), {
      code: 'backend_unavailable',
      errors: [{ detail: 'the store of the lockout is away' }],
    })
  }
})

t.test('a bug is no outage', async t => {
  const { post } = openDoor(t, { list: () => Promise.reject(new Error('canary of a bug')) })
  const reply = await post('lockout/list', {})
  t.match(reply.json(), { status: 500, code: 'internal_error' })
  t.notMatch(reply.payload, 'canary')
})
