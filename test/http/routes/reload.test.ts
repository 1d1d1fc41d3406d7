import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import type { Reload } from '../../../src/http/routes/reload.ts'
import { createAdminServer } from '../../../src/http/server.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'

const token = 'a-token-of-the-daemon'

t.test('POST /admin/reload tells what came of it, and only to whoever has the token', async t => {
  let result: Awaited<ReturnType<Reload>> = { outcome: 'reloaded', needsRestart: [] }
  let reloads = 0
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
      explainer: () => {
        throw new Error('nobody asked')
      },
      lockDesk: () => {
        throw new Error('nobody asked')
      },
      reload: async () => {
        reloads++
        return result
      },
      clock: createFakeClock(),
    },
  })
  t.teardown(() => app.close())
  const post = (headers: Record<string, string> = { authorization: `Bearer ${token}` }) =>
    app.inject({ method: 'POST', url: '/admin/reload', headers: { host: 'localhost', ...headers } })

  const taken = await post()
  t.match({ status: taken.statusCode, body: taken.json() }, { status: 200, body: { needs_restart: [] } })
  result = { outcome: 'reloaded', needsRestart: ['listen', 'lockout.memory'] }
  t.strictSame((await post()).json(), { needs_restart: ['listen', 'lockout.memory'] })
  const reasons = ['gatehouse.yaml:3:1: unknown key `backend`', 'gatehouse.yaml:1:1: `backends` is missing']
  result = { outcome: 'refused', reasons }
  const refused = await post()
  t.equal(refused.statusCode, 409)
  t.match(refused.headers['content-type'], /^application\/problem\+json/)
  t.match(refused.json(), {
    code: 'config_refused',
    errors: reasons.map(detail => ({ detail })),
  })
  t.equal(reloads, 3)
  t.equal((await post({})).statusCode, 401)
  t.equal((await post({ authorization: `Bearer ${token}x` })).statusCode, 401)
  t.equal((await post({ authorization: `Bearer ${token}`, origin: 'http://localhost' })).statusCode, 403)
  t.equal((await app.inject({ method: 'GET', url: '/admin/reload' })).statusCode, 405)
  t.equal(reloads, 3, 'nobody else set anything going')
})
