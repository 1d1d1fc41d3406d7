/** What web servers demand of whoever they ask: Apache httpd's mod_auth_basic, nginx's auth_request. */
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { configurationsOfThePage, startNaiveApp, startNginx } from '../support/web-servers.ts'
import { type House, LOCAL, openHouse } from './house.ts'
import { addUser, disable, PASSWORD } from './local-people.ts'
import { conforms, differs } from './suite.ts'

const { alice, bob } = corpPeople
/** nginx is on this machine, and says where its users are. */
const PROXY = { clients: [{ id: 'nginx', cidr: '127.0.0.1' }], trusted_proxies: ['127.0.0.1'] }

const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
})

function outcomes(house: House): string[] {
  const steps = house.attempts().at(-1)?.fields.steps as { backend: string; outcome: string }[]
  return steps.map(({ backend, outcome }) => `${backend} ${outcome}`)
}

differs(
  'H01',
  'after an outage the next backend is asked, and what nobody accepts is 503; `on: { unavailable: stop }` stops as httpd does. A wrong password stops where it is set to (`on: { wrong_password: stop }`)',
  async t => {
    const slapd = await startSlapd(t)
    const corp = corpBackend(slapd, { on: { wrong_password: 'stop' } })
    const house = await openHouse(t, { backends: [corp, LOCAL], ...PROXY })
    await addUser(house, 'carla')
    await addUser(house, 'bob')
    const ask = async (name: string, password: string) =>
      (await house.ask('/auth', { headers: basic(name, password) })).status

    t.equal(await ask('carla', PASSWORD), 200)
    t.strictSame(outcomes(house), ['corp unknown_user', 'local accept'], 'not found: the next one')
    t.equal(await ask('bob', PASSWORD), 401)
    t.strictSame(outcomes(house), ['corp wrong_password'], 'denied: no other is asked')
    t.equal(await ask('bob', bob.password), 200)

    await slapd.stop()
    t.equal(await ask('carla', PASSWORD), 200)
    t.strictSame(outcomes(house), ['corp unavailable', 'local accept'])
    t.equal(await ask('alice', alice.password), 503, 'never 401: who knows')
    const stopping = { ...corp, on: { wrong_password: 'stop', unavailable: 'stop' } }
    t.match(await house.reload({ backends: [stopping, LOCAL], ...PROXY }), { outcome: 'reloaded' })
    t.equal(await ask('carla', PASSWORD), 503)
    t.strictSame(outcomes(house), ['corp unavailable'], 'an error: stop')
  },
)

conforms('N01', async t => {
  const slapd = await startSlapd(t)
  const corp = corpBackend(slapd)
  const config = { lockout: { max_attempts: 3 }, ...PROXY }
  const house = await openHouse(t, { backends: [corp, LOCAL], ...config })
  await addUser(house, 'carla')
  await addUser(house, 'disabled')
  await disable(house, 'disabled')
  const app = await startNaiveApp(t)
  const [page = ''] = await configurationsOfThePage('nginx')
  const nginx = await startNginx(t, { gatehouse: house.app.publicUrl, app: app.url, config: page })

  /** What we say, and what nginx makes of it. */
  async function bothSay(
    headers: Readonly<Record<string, string>>,
    direct: number,
    through: number,
    what: string,
  ) {
    const seen = app.seen.length
    const reply = await house.ask('/auth', { headers })
    t.equal(reply.status, direct, what)
    const passed = await fetch(`${nginx.url}/page`, { headers })
    await passed.arrayBuffer()
    t.equal(passed.status, through, `${what}, through nginx`)
    t.equal(passed.headers.get('www-authenticate'), reply.headers['www-authenticate'] ?? null, what)
    t.equal(
      app.seen.length,
      seen + (direct === 200 ? 1 : 0),
      `${what}: ${direct === 200 ? 'let' : 'not let'} through`,
    )
  }

  await bothSay(basic('alice', alice.password), 200, 200, 'right')
  await bothSay(basic('carla', PASSWORD), 200, 200, 'right, in the second backend')
  await bothSay({}, 401, 401, 'no credentials')
  await bothSay({ authorization: 'Bearer key-of-the-login-form' }, 401, 401, 'another scheme')
  await bothSay({ authorization: 'Basic !' }, 401, 401, 'unreadable')
  await bothSay(basic('alice', ''), 401, 401, 'no password')
  await bothSay(basic('nobody', PASSWORD), 401, 401, 'unknown')
  await bothSay(basic('disabled', PASSWORD), 401, 401, 'disabled')
  for (const guess of ['one', 'two', 'three']) await bothSay(basic('bob', guess), 401, 401, `guess ${guess}`)
  await bothSay(basic('bob', bob.password), 401, 401, 'locked out')
  t.equal(house.attempts().at(-1)?.fields.verdict, 'locked_out')

  await slapd.stop()
  // Another source than the one that has guessed.
  const elsewhere = { 'x-forwarded-for': '192.0.2.7' }
  await bothSay({ ...basic('carla', PASSWORD), ...elsewhere }, 200, 200, 'a backend is out, another accepts')
  await bothSay({ ...basic('alice', alice.password), ...elsewhere }, 503, 500, 'no verdict')

  await house.reload({ backends: [LOCAL], lockout: config.lockout })
  await bothSay(basic('carla', PASSWORD), 403, 403, 'the proxy is not known')
  await house.reload({ backends: [LOCAL], ...config })
  const wide = Array.from({ length: 30 }, (_, at) => ['--group', `${at}`.padEnd(250, '.')]).flat()
  await addUser(house, 'member-of-all', PASSWORD, wide)
  await bothSay({ ...basic('member-of-all', PASSWORD), ...elsewhere }, 403, 403, 'too many groups')
})
