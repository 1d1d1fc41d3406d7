import { mock } from 'node:test'
import t from 'tap'
import { systemClock } from '../src/authentication/clock.ts'
import { createRefusedAccounts } from '../src/authentication/refused-accounts.ts'
import type { BackendConfig } from '../src/config/config.ts'
import { closeBackend, openLink } from '../src/links.ts'
import { backend } from './authentication/backends.ts'
import { nobody } from './backends/ldap/ldap-login.ts'
import { createLogRecorder } from './support/log-recorder.ts'

const answers = () => ({ outcome: 'unknown_user' })

t.test(
  'a plugin that makes its backend too late is told from one that is no good, and its backend closed',
  async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const making = Promise.withResolvers<ReturnType<typeof backend>>()
    const closed = Promise.withResolvers<void>()
    const plugin = { create: () => making.promise }
    const settings = { id: 'slow', plugin, options: {}, timeoutMs: 1_000 } as unknown as BackendConfig
    const refusedAccounts = createRefusedAccounts(systemClock)
    const link = openLink(settings, { users: nobody, refusedAccounts, log: createLogRecorder() })
    mock.timers.tick(10_000)
    await t.rejects(link, { message: 'backend slow: its plugin has not made it within 10 s' })
    making.resolve(backend('slow', answers, { close: async () => closed.resolve() }))
    await closed.promise
  },
)

t.test('a backend that does not close, or throws, holds up nobody and is told', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const log = createLogRecorder()
  const done = closeBackend(backend('mute', answers, { close: () => new Promise(() => {}) }), log)
  mock.timers.tick(5_000)
  await done
  await closeBackend(backend('rude', answers, { close: () => Promise.reject(new Error('no')) }), log)
  t.match(log.at('error'), [{ fields: { backend: 'mute' } }, { fields: { backend: 'rude' } }])
})
