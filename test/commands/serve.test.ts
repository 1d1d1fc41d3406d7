import { once } from 'node:events'
import t from 'tap'
import { startDaemon } from '../support/daemon.ts'

/** Its `error` comes out of no request: nobody's `catch` is around it. */
const PLUGIN = `
import { EventEmitter } from 'node:events'
export const plugin = {
  type: 'careless',
  apiVersion: 1,
  options: { type: 'object', properties: {} },
  create: async (_options, { id }) => ({
    id,
    authenticate: ({ password }) => {
      const server = new EventEmitter()
      setImmediate(() => server.emit('error', new Error('no good: ' + password.reveal())))
      return new Promise(() => {})
    },
    getUser: async () => undefined,
    probe: async () => {},
    close: async () => {},
  }),
}
`

const CONFIG = `
listen: { host: 127.0.0.1, port: 0 }
admin: { host: 127.0.0.1, port: 0 }
database: gatehouse.db
plugins: [./careless.js]
backends: [{ id: careless, type: ./careless.js }]
log: { format: json }
`

t.test(
  'an exception outside of any request ends the process, without its message, which may hold a secret',
  async t => {
    const cwd = t.testdir({
      'gatehouse.yaml': CONFIG,
      'careless.js': PLUGIN,
      'package.json': '{"type":"module"}',
    })
    const daemon = await startDaemon(t, { config: 'gatehouse.yaml', cwd })
    const [[code]] = await Promise.all([
      once(daemon.process, 'close'),
      t.rejects(daemon.authenticate('alice', 'canary-7c1e'), 'nobody is let in'),
    ])
    t.equal(code, 1)
    t.match(daemon.lines.at(-1), { level: 'fatal', event: 'sys_crash', at: [/careless\.js/] })
    t.notMatch(JSON.stringify(daemon.lines) + daemon.stderr(), 'canary-7c1e')
  },
)
