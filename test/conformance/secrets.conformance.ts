/** Where a password may not be found: the line on it. Every way and every place is `npm run test:secrets`. */
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { findCanaries } from '../secrets/canary.ts'
import { openHouse } from '../secrets/house.ts'
import { LEAKY_PLUGIN } from '../secrets/leaky-plugin.ts'
import { conforms } from './suite.ts'

const PROBE = new URL('../secrets/heap-probe.ts', import.meta.url).href
/** How a string that is alive is spelt in a snapshot. */
const SPELT = /^plain$|^its/

conforms('X16', async t => {
  const house = openHouse(t)
  const plugin = house.input('leaky.js', LEAKY_PLUGIN)
  const listener = { host: '127.0.0.1', port: 0 }
  const config = {
    listen: listener,
    admin: listener,
    database: 'data/gatehouse.db',
    log: { level: 'debug', format: 'json' },
    plugins: [plugin],
    backends: [
      { id: 'leaky', type: plugin, username_filter: ['leaky-*'] },
      { id: 'local', type: 'local' },
    ],
  }
  house.input('gatehouse.yaml', JSON.stringify(config))
  house.allow('data/gatehouse.db.admin-token')
  const right = house.canary('a right password')
  await house.run(['user', 'add', 'inhouse', '--password-stdin', '--config', house.config], right.password)
  const daemon = await house.start({
    nodeArgs: ['--import', PROBE],
    env: { HEAP_PROBE_FOLDER: house.cwd },
  })
  const used = [right]
  const wrong = (name: string) => {
    const canary = house.canary(name)
    used.push(canary)
    return canary.password
  }
  t.equal(await daemon.login('leaky-message', wrong('at a backend that throws it')), 503)
  t.equal(await daemon.login('leaky-log', wrong('at a backend that logs it')), 503)
  t.equal(await daemon.login('inhouse', wrong('of somebody')), 401)
  t.equal(await daemon.login('nobody', wrong('of nobody')), 401)
  const broken = JSON.stringify({ username: 'inhouse', password: wrong('in broken JSON') }).slice(0, -1)
  t.match(await daemon.ask({ body: broken }), / 400 /)
  t.equal(await daemon.login('inhouse', right.password), 200)

  daemon.process.send?.('snapshot')
  const [{ files }] = (await once(daemon.process, 'message')) as [{ files: string[] }]
  for (const file of files) {
    t.same(findCanaries(readFileSync(file), used, SPELT), [], 'nothing of it is alive')
    rmSync(file)
  }
  house.holds(t)
})
