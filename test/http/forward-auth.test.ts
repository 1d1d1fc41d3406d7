import { createHash } from 'node:crypto'
import { request } from 'node:http'
import t, { type Test } from 'tap'
import { type House, LOCAL, openHouse } from '../conformance/house.ts'
import { configurationsOfThePage, startCaddy, startNaiveApp, startNginx } from '../support/web-servers.ts'

/** docs/forward-auth.md, with the proxies that it is about. */

const CLIENTS = { clients: [{ id: 'proxy', cidr: '127.0.0.1' }], trusted_proxies: ['127.0.0.1'] }
const password = 'correct horse: battery é'

async function addZoe(house: House): Promise<void> {
  const args = ['user', 'add', 'zoe', '--name', 'Zoë "the, admin"', '--group', 'staff', '--group', 'a, b']
  const { code, stderr } = await house.command([...args, '--password-stdin'], `${password}\n`)
  if (code !== 0) throw new Error(stderr)
}

const basic = (name: string, password: string) =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`

interface Reply {
  readonly status: number
  readonly challenge: string | undefined
  readonly text: string
}

/** Not fetch: it takes no forged header with these names in two spellings, and opens no password window. */
function visit(
  url: string,
  headers: Record<string, string> = {},
  { method = 'GET', body }: { method?: string; body?: readonly string[] } = {},
): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const sent = request(url, { method, headers, agent: false })
  sent.on('error', reject)
  sent.on('response', async response => {
    let text = ''
    for await (const chunk of response) text += chunk
    resolve({ status: response.statusCode ?? 0, challenge: response.headers['www-authenticate'], text })
  })
  for (const chunk of body ?? []) sent.write(chunk)
  sent.end()
  return promise
}

const FORGED = {
  ...{ 'Remote-User': 'admin', 'remote-email': 'admin@corp.example', 'REMOTE-GROUPS': 'admins' },
  ...{ 'Remote-Id': 'local:1', 'X-Forwarded-For': '198.51.100.66', 'X-Request-Id': 'mine' },
}

/** What every proxy of the page must do. */
async function prove(
  t: Test,
  start: typeof startNginx,
  { config, outage }: { readonly config: string; readonly outage: number },
): Promise<void> {
  const house = await openHouse(t, { backends: [LOCAL], ...CLIENTS, lockout: { max_attempts: 3 } })
  await addZoe(house)
  const app = await startNaiveApp(t)
  const proxy = await start(t, { gatehouse: house.app.publicUrl, app: app.url, config })
  const asZoe = { authorization: basic('zoe', password) }

  const first = await visit(proxy.url, FORGED)
  t.equal(first.status, 401, 'a browser is asked')
  t.match(first.challenge, /^Basic realm="gatehouse", charset="UTF-8"$/)
  t.equal((await visit(proxy.url, { authorization: basic('zoe', 'wrong') })).status, 401)
  t.strictSame(app.seen, [], 'nobody has come through')

  const reply = await visit(`${proxy.url}/page?password=of-the-app&x=1`, { ...asZoe, ...FORGED })
  t.strictSame([reply.status, reply.text], [200, 'the app'])
  const { headers } = app.seen[0] ?? {}
  t.match(headers, { 'remote-user': 'zoe', 'remote-name': 'Zo%C3%AB%20%22the%2C%20admin%22' })
  t.match(headers, { 'remote-groups': 'a%2C%20b,staff', 'remote-id': /^local:[0-9a-f-]{36}$/ })
  t.notOk(headers?.['remote-email'], 'she has none, and got none')
  t.notOk(headers?.authorization, 'the app is not sent the password')
  t.match(house.attempts().at(-1)?.fields, { client: 'proxy', source: '127.0.0.1', verdict: 'accepted' })

  const body = ['a body', ' in pieces']
  t.equal((await visit(proxy.url, asZoe, { method: 'POST', body })).status, 200)
  t.match(app.seen.at(-1), { method: 'POST', body: 'a body in pieces' })

  await house.command(['user', 'disable', 'zoe'])
  t.equal((await visit(proxy.url, asZoe)).status, 401, 'disabled')
  await house.command(['user', 'enable', 'zoe'])
  t.equal((await visit(proxy.url, asZoe)).status, 200)
  const guesses = ['a', 'b', 'c', 'd'].map(guess => ({ authorization: basic('zoe', `guess ${guess}`) }))
  for (const guess of guesses) t.equal((await visit(proxy.url, guess)).status, 401)
  t.equal((await visit(proxy.url, asZoe)).status, 401, 'locked out')
  t.equal(house.attempts().at(-1)?.fields.verdict, 'locked_out')

  await house.reload({ backends: [LOCAL] })
  const seen = app.seen.length
  t.equal((await visit(proxy.url, asZoe)).status, 403, 'the proxy is not known any more')
  await house.app.stop()
  t.equal((await visit(proxy.url, asZoe)).status, outage, 'nobody is let in while the daemon is away')
  t.equal(app.seen.length, seen)
}

t.test('nginx, as the page says', async t => {
  const [config = ''] = await configurationsOfThePage('nginx')
  await prove(t, startNginx, { config, outage: 500 })
})

t.test('Caddy, as the page says', async t => {
  const [config = ''] = await configurationsOfThePage('caddyfile')
  await prove(t, startCaddy, { config, outage: 502 })
})

t.test('nginx with a memory asks once, and for each password anew', async t => {
  const house = await openHouse(t, { backends: [LOCAL], ...CLIENTS })
  await addZoe(house)
  const app = await startNaiveApp(t)
  const [, config = ''] = await configurationsOfThePage('nginx')
  const proxy = await startNginx(t, { gatehouse: house.app.publicUrl, app: app.url, config })
  for (let i = 0; i < 5; i++) {
    const reply = await visit(`${proxy.url}/picture-${i}`, {
      ...FORGED,
      authorization: basic('zoe', password),
    })
    t.equal(reply.status, 200)
    t.match(app.seen.at(-1)?.headers['remote-id'], /^local:[0-9a-f-]{36}$/)
    t.notOk(app.seen.at(-1)?.headers['remote-user'])
  }
  t.equal(house.attempts().length, 1)
  t.equal((await visit(proxy.url, { authorization: basic('zoe', 'wrong') })).status, 401)
  t.equal((await visit(proxy.url, { authorization: basic('zoe', 'wrong') })).status, 401)
  t.equal((await visit(proxy.url)).status, 401)
  t.equal(house.attempts().length, 3, 'what was refused is not remembered')
})

t.test('a proxy that is known by a key sends it in a header of its own', async t => {
  const key_sha256 = createHash('sha256').update('key-of-nginx').digest('hex')
  const clients = [{ id: 'nginx', key_sha256 }]
  const house = await openHouse(t, { backends: [LOCAL], clients })
  await addZoe(house)
  const app = await startNaiveApp(t)
  const [page = ''] = await configurationsOfThePage('nginx')
  const config = page.replace('X-Gatehouse-Key ""', 'X-Gatehouse-Key "key-of-nginx"')
  const options = { gatehouse: house.app.publicUrl, app: app.url }
  const [known, unknown] = [
    await startNginx(t, { ...options, config }),
    await startNginx(t, { ...options, config: page }),
  ]
  const asZoe = { authorization: basic('zoe', password) }
  t.equal((await visit(known.url, { ...asZoe, 'X-Gatehouse-Key': 'of-the-user' })).status, 200)
  t.equal(house.attempts().at(-1)?.fields.client, 'nginx')
  t.equal((await visit(unknown.url, { ...asZoe, 'X-Gatehouse-Key': 'key-of-nginx' })).status, 403)
})
