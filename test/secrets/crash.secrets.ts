/** The end of the process: by a plugin that throws where nobody can catch it, and by signals that make Node.js tell of itself. */
import { readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { type House, openHouse } from './house.ts'
import { LEAKY_PLUGIN } from './leaky-plugin.ts'
import type { WatchedDaemon } from './watched-daemon.ts'

const inEnvironment = 'SECRET_OF_THE_COUNTS'

async function open(
  house: House,
  format: 'json' | 'pretty',
  nodeArgs: string[] = [],
): Promise<WatchedDaemon> {
  const plugin = house.input('leaky.js', LEAKY_PLUGIN)
  const listener = { host: '127.0.0.1', port: 0 }
  const counting = house.canary('a secret in the environment')
  house.input(
    'gatehouse.yaml',
    JSON.stringify({
      listen: listener,
      admin: listener,
      database: 'data/gatehouse.db',
      log: { level: 'debug', format },
      plugins: [plugin],
      lockout: { secret: `\${${inEnvironment}}` },
      backends: [{ id: 'leaky', type: plugin }],
    }),
  )
  house.allow('data/gatehouse.db.admin-token')
  return house.start({ env: { [inEnvironment]: counting.core.repeat(2) }, nodeArgs })
}

for (const format of ['json', 'pretty'] as const) {
  for (const name of ['leaky-crash', 'leaky-crash-text']) {
    t.test(
      `${name} ends the daemon without a word of what was thrown, with the log in ${format}`,
      async t => {
        const house = openHouse(t)
        const daemon = await open(house, format)
        await daemon.login(name, house.canary('a password').password)
        t.equal(await daemon.ended, 1)
        t.match(daemon.output(), /nobody caught it/)
        if (name === 'leaky-crash') t.match(daemon.output(), /leaky\.js:\d+/, 'but where')
        house.holds(t)
      },
    )
  }
}

t.test('a report that an operator has asked Node.js for shows no environment', async t => {
  const house = openHouse(t)
  const args = ['--report-on-signal', '--report-signal=SIGUSR2', '--report-uncaught-exception']
  const daemon = await open(house, 'json', args)
  await daemon.login('leaky-outage', house.canary('a password').password)
  daemon.process.kill('SIGUSR2')
  for (let waited = 0; reports(house).length === 0 && waited < 10_000; waited += 50) await pause(50)
  t.equal(reports(house).length, 1)
  await daemon.login('leaky-outage', house.canary('another password').password)
  house.holds(t)
  await daemon.stop()
})

t.test(
  'SIGUSR1 opens no debugger, through which anybody on this machine could read every password',
  async t => {
    const house = openHouse(t)
    const daemon = await open(house, 'json')
    daemon.process.kill('SIGUSR1')
    await daemon.login('leaky-outage', house.canary('a password').password)
    t.notMatch(daemon.output(), /debugger|inspector/i)
    house.holds(t)
    t.equal(await daemon.stop(), 0)
  },
)

function reports({ cwd }: House): readonly string[] {
  return readdirSync(cwd).filter(name => /^report\..*\.json$/.test(name))
}
