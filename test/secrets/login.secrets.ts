/** Every way through the daemon that a login can take, at the level `debug` and in both formats of the log. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { adoptCanary } from './canary.ts'
import { startCanaryDirectory } from './directory.ts'
import { openHouse } from './house.ts'
import { LEAKY_NAMES, LEAKY_PLUGIN } from './leaky-plugin.ts'
import { statusOf } from './watched-daemon.ts'

for (const format of ['json', 'pretty'] as const) {
  t.test(`no way of a login leaves a secret anywhere, with the log in ${format}`, async t => {
    const house = openHouse(t)
    const { slapd, service, people } = await startCanaryDirectory(t, house, t.testdir())
    const key = adoptCanary('the API key', house.canary('a part of the API key').core.repeat(2))
    house.add(key)
    const counting = house.canary('lockout.secret')
    const local = house.canary('the right password of a local user')
    const off = house.canary('the right password of a disabled user')
    const wrong = house.canary('a wrong password')
    const plugin = house.input('leaky.js', LEAKY_PLUGIN)
    house.input('service-password', service.password)
    house.input('lockout-secret', counting.password + counting.core)
    const listener = { host: '127.0.0.1', port: 0 }
    house.input(
      'gatehouse.yaml',
      JSON.stringify({
        listen: listener,
        admin: listener,
        database: 'data/gatehouse.db',
        log: { level: 'debug', format },
        plugins: [plugin],
        clients: [
          {
            id: 'wiki',
            key_sha256: createHash('sha256').update(key.password).digest('hex'),
            may: ['reveal_account_state', 'assert_client_ip'],
          },
        ],
        lockout: { secret_file: join(house.cwd, 'lockout-secret') },
        backends: [
          { id: 'leaky', type: plugin, username_filter: ['leaky-*'] },
          {
            id: 'corp',
            type: 'ldap',
            preset: 'openldap',
            urls: [slapd.ldapsUrl],
            tls: { ca_file: slapd.caFile },
            base_dn: slapd.baseDn,
            bind: { dn: slapd.serviceDn, password_file: join(house.cwd, 'service-password') },
            entry_cache: '30s',
          },
          { id: 'mail', type: 'email' },
          { id: 'local', type: 'local' },
        ],
      }),
    )
    for (const [name, { password }] of [
      ['inhouse', local],
      ['gone', off],
    ] as const) {
      const added = await house.run(
        [
          'user',
          'add',
          name,
          '--email',
          `${name}@corp.example`,
          '--password-stdin',
          '--config',
          house.config,
        ],
        `${password}\n`,
      )
      t.equal(added.code, 0, added.stderr)
    }
    t.equal((await house.run(['user', 'disable', 'gone', '--config', house.config])).code, 0)

    const daemon = await house.start({ headers: { authorization: `Bearer ${key.password}` } })
    const token = readFileSync(join(house.cwd, 'data/gatehouse.db.admin-token'), 'utf8').trim()
    house.allow('data/gatehouse.db.admin-token')
    house.add(adoptCanary('the admin token', token))
    const { ask, login, send } = daemon
    const status = async (request: Parameters<typeof ask>[0]) => statusOf(await ask(request))
    const body = (password: string, more: object = {}) =>
      JSON.stringify({ username: 'inhouse', password, ...more })

    await t.test('verdicts', async t => {
      t.equal(await login('fine', people.fine.password), 200)
      t.equal(await login('fine', people.fine.password), 200, 'from the cache of entries')
      t.equal(await login('fine', wrong.password), 401)
      t.equal(await login('nobody', wrong.password), 401)
      t.match(
        await ask({ body: JSON.stringify({ username: 'reset', password: people.reset.password }) }),
        /must_change/,
      )
      t.equal(await login('reset', wrong.password), 401)
      t.equal(await login('locked', people.locked.password), 401)
      t.equal(await login('inhouse', local.password), 200)
      t.equal(await login('inhouse@corp.example', local.password), 200)
      t.equal(await login('inhouse', wrong.password), 401)
      t.match(
        await ask({ body: JSON.stringify({ username: 'gone', password: off.password }) }),
        /account_disabled/,
      )
      t.equal(await login('gone', wrong.password), 401)
    })

    await t.test('what is no password, or stands where none belongs', async t => {
      const { password, core } = wrong
      const inUrl = encodeURIComponent(password)
      const refused: Record<string, Parameters<typeof ask>[0]> = {
        'a control character': { body: body(`${core}\u0007`) },
        'too long': { body: body(core.repeat(60)) },
        'a lone surrogate': { body: `{"username":"inhouse","password":"${core}\\ud800"}` },
        'no name': { body: JSON.stringify({ username: '', password }) },
        'a name that is none': { body: JSON.stringify({ username: `a\n${core}`, password }) },
        'a name too long': { body: JSON.stringify({ username: core.repeat(60), password }) },
        'a number for a name': { body: JSON.stringify({ username: 1, password }) },
        'a list of passwords': { body: JSON.stringify({ username: 'inhouse', password: [password] }) },
        'the query': { path: `/authenticate?password=${inUrl}`, body: body(password) },
        'the query, spelled otherwise': { path: `/authenticate?pwd=${inUrl}`, body: body(password) },
        'the query of a GET': { method: 'GET', path: `/authenticate?password=${inUrl}` },
        'an unknown member': { body: body(password, { pwd: password }) },
        'an unknown key': { body: body(password, { [password]: 1 }) },
        'an unknown member within': {
          body: body(password, { client: { ip: '10.0.0.1', [core]: password } }),
        },
        'an address that is none': { body: body(password, { client: { ip: password } }) },
        'a key twice': { body: `{"username":"inhouse","password":"${core}","password":"${core}"}` },
        'a key of a prototype': {
          body: `{"username":"inhouse","password":"x","__proto__":{"password":"${core}"}}`,
        },
        'too deep': { body: `{"username":"inhouse","password":[[[[["${core}"]]]]]}` },
        'cut off': { body: `{"username":"inhouse","password":"${core}` },
        'no quotes': { body: `{"username":"inhouse","password":${core}}` },
        'no JSON': { body: `username=inhouse&password=${core}` },
        'more behind it': { body: `${body(password)} ${core}` },
        'a byte order mark': { body: `\ufeff${body(password)}` },
        'no UTF-8': {
          body: Buffer.concat([Buffer.from(body(core).slice(0, -2)), Buffer.from([0xff]), Buffer.from('"}')]),
        },
        'a text for a body': { body: JSON.stringify(password) },
      }
      for (const [what, request] of Object.entries(refused)) {
        const got = await status(request)
        t.ok(got === 400 || (got === 405 && request.method === 'GET'), `${what}: ${got}`)
      }
      t.equal(await status({ body: `{"username":"inhouse","password":"${core.repeat(1_000)}"}` }), 413)
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', `application/json; p=${core}`]) {
        t.equal(await status({ headers: { 'content-type': type }, body: body(password) }), 415, type)
      }
      t.equal(await status({ headers: { 'content-encoding': core }, body: body(password) }), 415)
      t.equal(await status({ path: '/auth', body: body(password) }), 405)
      const basic = (text: string) => ({
        authorization: `Basic ${Buffer.from(text).toString('base64')}`,
        'x-gatehouse-key': key.password,
        'content-length': '0',
      })
      for (const credentials of [`inhouse:${password}`, `${password}:x`, password, `inhouse:${core}\u0007`]) {
        const asked = { method: 'GET', headers: basic(credentials) }
        t.equal(await status({ ...asked, path: '/auth' }), 401, 'a reverse proxy asks')
        t.equal(await status({ ...asked, path: `/auth?password=${inUrl}` }), 403)
      }
      t.equal(await status({ method: 'PUT', body: body(password) }), 405)
      const { core: part } = wrong
      t.equal(await login(password, wrong.password), 401, 'the password for a name')
      t.equal(await login(part, 'x'), 401)
      t.equal(await login(`${part}@corp.example`, 'x'), 401)
      t.equal(
        await status({ method: 'GET', path: `/users/local:${part}`, headers: { 'content-length': '0' } }),
        404,
      )
    })

    await t.test('headers, and what is no HTTP', async t => {
      const { core, password } = wrong
      const basic = Buffer.from(`inhouse:${password}`).toString('base64')
      for (const authorization of [
        `Basic ${basic}`,
        `Bearer ${core}`,
        core,
        `Digest username="x", response="${core}"`,
      ]) {
        t.equal(
          await status({ headers: { authorization }, body: body(password) }),
          401,
          authorization.slice(0, 6),
        )
      }
      for (const name of ['x-password', 'cookie', 'x-forwarded-for', 'user-agent', 'referer', 'x-api-key']) {
        t.ok([400, 401].includes(await status({ headers: { [name]: core }, body: body(password) })), name)
      }
      const head = `POST /authenticate HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key.password}\r\ncontent-type: application/json\r\n`
      const text = body(core)
      const length = Buffer.byteLength(text)
      for (const [what, octets] of [
        ['garbage', `${core} ${core} ${core}\r\n\r\n`],
        ['a header without a colon', `${head}${core}\r\n\r\n${text}`],
        ['two lengths', `${head}content-length: ${length}\r\ncontent-length: 1\r\n\r\n${text}`],
        [
          'a length and chunks',
          `${head}content-length: ${length}\r\ntransfer-encoding: chunked\r\n\r\n${text}`,
        ],
        ['a chunk without a length', `${head}transfer-encoding: chunked\r\n\r\n${core}\r\n${text}\r\n`],
        ['a chunk longer than it says', `${head}transfer-encoding: chunked\r\n\r\n5\r\n${text}\r\n0\r\n\r\n`],
        ['a NUL in a header', `${head}x-p: ${core}\0\r\ncontent-length: ${length}\r\n\r\n${text}`],
        ['a header for ever', `${head}x-p: ${core.repeat(2_000)}\r\n\r\n`],
        ['an encoding that is none', `POST /authenticate?p=%${core} HTTP/9.9\r\n\r\n${text}`],
        ['a path that is not encoded', `GET /%zz${core} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`],
        ['a TLS handshake', Buffer.from(`\x16\x03\x01\x02\x00\x01\x00${core}`, 'latin1')],
        [
          'more octets than it says',
          `${head}connection: close\r\ncontent-length: ${length - 4}\r\n\r\n${text}${core}`,
        ],
      ] as const) {
        const reply = await send(octets)
        // A connection that is closed with octets unread is reset, and may take the reply along.
        t.match(reply, /^(HTTP\/1\.1 4\d\d |$)/, what)
      }
      for (const sent of [length, 12, length - 2]) {
        await send(`${head}content-length: ${length}\r\n\r\n${text.slice(0, sent)}`, { hangUp: true })
      }
      await send(`${head}transfer-encoding: chunked\r\n\r\n${length.toString(16)}\r\n${text}\r\n`, {
        hangUp: true,
      })
    })

    await t.test('a plugin that lets it slip', async t => {
      t.ok(LEAKY_NAMES.length > 25)
      for (const name of LEAKY_NAMES) {
        const reply = await ask({ body: JSON.stringify({ username: name, password: wrong.password }) })
        t.match(reply, /^HTTP\/1\.1 (200|401|503) /, name)
      }
    })

    // What follows is the same in either format.
    if (format === 'json')
      await t.test('the operators’ side', async t => {
        const authorization = `Bearer ${token}`
        const operator = (
          path: string,
          content: object,
          headers: Record<string, string> = { authorization },
        ) => ask({ admin: true, path, headers, body: JSON.stringify(content) })
        for (const [username, { password }] of [
          ['fine', people.fine],
          ['fine', wrong],
          ['reset', people.reset],
          ['locked', people.locked],
          ['inhouse', local],
          ['inhouse@corp.example', wrong],
          ['gone', off],
          ['nobody', wrong],
          ...LEAKY_NAMES.map(name => [name, wrong] as const),
        ] as const) {
          const reply = await operator('/admin/explain', { username, password })
          t.match(reply, /^HTTP\/1\.1 200 /, `explained: ${username}`)
        }
        t.match(
          await operator('/admin/explain', { username: 'fine', password: wrong.password, pwd: wrong.core }),
          / 400 /,
        )
        t.match(await operator('/admin/explain', { username: 'fine', client: wrong.core }), / 400 /)
        t.match(
          await operator('/admin/explain', { username: 'fine' }, { authorization: `Bearer ${wrong.core}` }),
          / 401 /,
        )
        t.match(await operator('/admin/lockout/list', {}), / 200 /)
        t.match(await operator('/admin/lockout/show', { user: 'fine' }), / 200 /)
        t.match(await operator('/admin/lockout/unlock', { user: 'fine', operator: 'me' }), / 200 /)
        t.match(await operator('/admin/reload', {}), / 200 /)
        for (const path of ['/metrics', '/readyz', '/livez', `/admin/proof?nonce=${'a'.repeat(43)}`]) {
          t.match(
            await ask({
              admin: true,
              method: 'GET',
              path,
              headers: { 'content-length': '0', authorization },
            }),
            / 200 /,
          )
        }
        for (const args of [
          ['explain', 'fine', '--password-stdin', '--admin', daemon.adminUrl],
          ['explain', 'fine', '--password-stdin', '--json', '--admin', daemon.adminUrl],
          ['explain', 'leaky-note', '--password-stdin', '--admin', daemon.adminUrl],
        ]) {
          const ran = await house.run([...args, '--config', house.config], `${wrong.password}\n`)
          t.equal(ran.code, 1, ran.stderr)
        }
        const right = [
          'explain',
          'fine',
          '--password-stdin',
          '--admin',
          daemon.adminUrl,
          '--config',
          house.config,
        ]
        t.equal((await house.run(right, people.fine.password)).code, 0)
        for (const args of [
          ['lockout', 'list'],
          ['lockout', 'show', 'fine'],
          ['lockout', 'unlock', 'inhouse'],
        ]) {
          await house.run([...args, '--admin', daemon.adminUrl, '--config', house.config])
        }
      })

    await t.test('locked out here, and in a crowd', async t => {
      const statuses: number[] = []
      for (let guess = 1; guess <= 12; guess++)
        statuses.push(await login('inhouse', `${wrong.password}-${guess}`))
      t.ok(statuses.includes(429), `${statuses}`)
      t.equal(await login('inhouse', local.password), 429)
      const crowd = await Promise.all(
        Array.from({ length: 40 }, (_, guess) => login('gone', `${wrong.password}-${guess}`)),
      )
      t.match(daemon.replies(), /busy_retry|locked_out/, `${new Set(crowd)}`)
    })

    await t.test('reloads that are refused', async t => {
      const before = readFileSync(house.config, 'utf8')
      const reload = async (text: string) => {
        house.input('gatehouse.yaml', text)
        const headers = { authorization: `Bearer ${token}` }
        return statusOf(await ask({ path: '/admin/reload', admin: true, headers, body: '{}' }))
      }
      for (const broken of [
        before.replace('"backends"', `"lockout_secret":"${counting.core}","backends"`),
        before.replace('"secret_file"', '"secret"').replace(join(house.cwd, 'lockout-secret'), counting.core),
        before.replace(
          join(house.cwd, 'service-password'),
          service.password.replaceAll('"', '').replace('\\', ''),
        ),
        `{"lockout": {"secret": ${counting.core}\n: ${wrong.core}`,
      ]) {
        t.not(broken, before)
        t.equal(await reload(broken), 409)
      }
      t.equal(await reload(before), 200)
    })

    t.equal(await login('fine', people.fine.password), 200, 'it serves to the end')
    house.holds(t)
    t.equal(await daemon.stop(), 0)
    house.holds(t)
  })
}
