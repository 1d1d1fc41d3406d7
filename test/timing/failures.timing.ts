/** Whether anybody can tell by the time or by the bytes of a refusal who exists (chain.md, Timing; security.md S31 and S32). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand, startDaemon } from '../support/daemon.ts'
import { startSamba } from '../support/samba.ts'
import { sambaPeople } from '../support/samba-people.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { compare, type Guess, type Kinds } from './scene.ts'

const [samba, slapd] = await Promise.all([startSamba(t), startSlapd(t)])
// Thousands of wrong passwords for one account: the directory itself must not lock it.
await samba.accounts.set(samba.baseDn, 'lockoutThreshold', '0')
const farAway = await startTcpProxy(t, { port: slapd.ldapsPort })
farAway.setFlow({ delayMs: 40 })

const BACKENDS = {
  ad: {
    id: 'ad',
    type: 'ldap',
    preset: 'active-directory',
    urls: [samba.ldapsUrl],
    tls: { ca_file: samba.caFile },
    bind: { dn: samba.serviceDn, password: samba.servicePassword },
    base_dn: samba.baseDn,
  },
  openldap: corpBackend(slapd, { id: 'openldap' }),
  /** 80 ms there and back. */
  'far openldap': corpBackend(slapd, { id: 'far', urls: [`ldaps://127.0.0.1:${farAway.port}`] }),
  email: { id: 'email', type: 'email' },
  local: { id: 'local', type: 'local' },
} as const
type Name = keyof typeof BACKENDS

const PASSWORD = 'a password that is long enough'
const { alice, disabled, locked } = sambaPeople
let guesses = 0
const guess =
  (username: string): Guess =>
  () => ({ username, password: `wrong ${++guesses}` })
const right =
  (username: string, password: string): Guess =>
  () => ({ username, password })

const DIRECTORY: Kinds = {
  unknown: guess('nobody'),
  'wrong in the directory': guess(alice.sam),
  'disabled in the directory, wrong': guess(disabled.sam),
  'disabled in the directory, right': right(disabled.sam, disabled.password),
  'locked in the directory': guess(locked.sam),
}
const LOCAL = {
  'wrong, local': guess('tweedle'),
  'disabled, local, wrong': guess('humpty'),
  'disabled, local, right': right('humpty', PASSWORD),
}
const ADDRESS = { 'wrong, by e-mail': guess('tweedle@home.example') }

async function play(
  t: Test,
  order: readonly Name[],
  kinds: Kinds,
  success: Guess,
  config: object = {},
): Promise<void> {
  const cwd = t.testdir()
  const file = join(cwd, 'gatehouse.yaml')
  const whole = {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    database: 'gatehouse.db',
    log: { format: 'json' },
    lockout: { mode: 'off' },
    backends: order.map(name => BACKENDS[name]),
    ...config,
  }
  writeFileSync(file, JSON.stringify(whole))
  const user = async (args: readonly string[], input = '') => {
    const { code, stderr } = await runCommand(['user', ...args, '--config', file], { cwd, input })
    if (code !== 0) throw new Error(stderr)
  }
  for (const name of ['tweedle', 'humpty']) {
    await user(['add', name, '--email', `${name}@home.example`, '--password-stdin'], PASSWORD)
  }
  await user(['disable', 'humpty'])
  const { url, stop } = await startDaemon(t, { config: file, cwd })
  await compare(t, { order: order.join(', '), url, kinds, right: success })
  t.equal(await stop(), 0)
}

const AD_ALICE = right(alice.sam, alice.password)
const TWEEDLE = right('tweedle', PASSWORD)

/** One of each, where an order has them. */
const MAIN: Kinds = {
  unknown: guess('nobody'),
  'wrong in the directory': guess(alice.sam),
  'disabled in the directory, right': right(disabled.sam, disabled.password),
  'locked in the directory': guess(locked.sam),
  'wrong, local': guess('tweedle'),
}

/** The first ones, with every kind, are played in a short form, too. */
const ORDERS: readonly (readonly [readonly Name[], Kinds, Guess])[] = [
  [['ad', 'email', 'local'], { ...DIRECTORY, ...LOCAL, ...ADDRESS }, AD_ALICE],
  [['local', 'ad'], { ...DIRECTORY, ...LOCAL }, TWEEDLE],
  [['local'], { unknown: guess('nobody'), ...LOCAL }, TWEEDLE],
  [['ad'], DIRECTORY, AD_ALICE],
  [['ad', 'local'], MAIN, AD_ALICE],
  [['ad', 'local', 'email'], MAIN, AD_ALICE],
  [['email', 'ad', 'local'], MAIN, AD_ALICE],
  [['email', 'local', 'ad'], MAIN, TWEEDLE],
  [['local', 'ad', 'email'], MAIN, TWEEDLE],
  [['local', 'email', 'ad'], MAIN, TWEEDLE],
  [['openldap', 'ad'], { ...DIRECTORY, 'wrong in the other directory': guess('bob') }, AD_ALICE],
]
const SHORT = 2
const orders = process.env.GATEHOUSE_TIMING_ORDERS === 'all' ? ORDERS : ORDERS.slice(0, SHORT)

for (const [order, kinds, success] of orders) {
  t.test(`${order.join(', ')}: failures cannot be told apart`, t => play(t, order, kinds, success))
}

t.test('nor where a directory is so far away that the floor is not what they wait for', async t => {
  const kinds = { unknown: guess('nobody'), 'wrong in the directory': guess('alice'), ...LOCAL }
  const success = right('alice', 'alice-secret-1')
  await play(t, ['far openldap', 'local'], kinds, success, { timing: { floor: '50ms' } })
})
