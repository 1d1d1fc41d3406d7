import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import type { Verdict } from '../../src/authentication/verdict.ts'
import { createConnections } from '../../src/http/connections.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { appWithKey, canary, createFakeCoreServer, loginBytes, openRaw, rejected } from './fake-core.ts'

const get = (path: string, ...headers: string[]) =>
  [`GET ${path} HTTP/1.1`, 'Host: x', ...headers, '', ''].join('\r\n')
const head = 'POST /authenticate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'

/** A core that answers when the test lets it. */
function createGate() {
  const { promise, resolve } = Promise.withResolvers<Verdict>()
  const asked = Promise.withResolvers<void>()
  return {
    answer: () => {
      asked.resolve()
      return promise
    },
    asked: asked.promise,
    open: () => resolve(rejected),
  }
}

t.test(
  'all that must look like a wrong password is the same on the wire, byte for byte (S31, X14)',
  async t => {
    const server = createFakeCoreServer(t, {
      clients: [appWithKey('portal', 'key', ['reveal_account_state']), appWithKey('guest', 'other')],
    })
    const port = await server.listen()
    const replies = new Set<string>()
    const verdicts: [Verdict, key: string][] = [
      [rejected, 'key'],
      [rejected, 'other'],
      ...(['disabled', 'expired', 'password_expired', 'locked'] as const).flatMap(
        (state): [Verdict, string][] => [
          [{ verdict: 'account_state', state, passwordVerified: false }, 'key'],
          [{ verdict: 'account_state', state, passwordVerified: true }, 'other'],
        ],
      ),
      [{ verdict: 'account_state', state: 'locked', passwordVerified: true }, 'key'],
    ]
    for (const [verdict, key] of verdicts) {
      server.answer = verdict
      const reply = await openRaw(t, port, loginBytes([`Authorization: Bearer ${key}`, 'Connection: close']))
        .closed
      t.match(reply, /^HTTP\/1\.1 401 /)
      const [id] = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(reply) ?? []
      replies.add(reply.replaceAll(id ?? '', '<id>').replace(/^Date: .*$/m, 'Date: <now>'))
    }
    t.equal(replies.size, 1, [...replies].join('\n'))
  },
)

t.test('what is not HTTP is answered 400 and closed (S66, F35)', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  const cases: [why: string, bytes: string, status?: number][] = [
    ['both lengths', `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    [
      'both lengths, the other way',
      `${head}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
    ],
    ['two lengths', `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
    ['the same length twice', `${head}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
    ['a list of lengths', `${head}Content-Length: 5, 5\r\n\r\nhello`],
    ['a negative length', `${head}Content-Length: -1\r\n\r\n`],
    ['a length with a plus', `${head}Content-Length: +5\r\n\r\nhello`],
    ['a huge length', `${head}Content-Length: 99999999999999999999\r\n\r\n`],
    ['chunked that is not', `${head}Transfer-Encoding: xchunked\r\n\r\n`],
    ['chunked and then something', `${head}Transfer-Encoding: chunked, gzip\r\n\r\n`],
    ['chunked twice', `${head}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n`],
    ['a bad chunk size', `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n`],
    ['a chunk that overflows', `${head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n`],
    ['obsolete line folding', `${head}X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n`],
    ['bare line feeds', 'GET /livez HTTP/1.1\nHost: x\n\n'],
    ['a bare line feed in the header', 'GET /livez HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n'],
    ['a bare carriage return', 'GET /livez HTTP/1.1\r\nHost: x\rX-A: b\r\n\r\n'],
    ['NUL in a header', `${head}X-A: b\0c\r\nContent-Length: 0\r\n\r\n`],
    ['NUL in the path', 'GET /li\0vez HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a blank before the colon', 'GET /livez HTTP/1.1\r\nHost : x\r\n\r\n'],
    ['a header without a name', 'GET /livez HTTP/1.1\r\n: x\r\n\r\n'],
    ['another version', 'GET /livez HTTP/3.7\r\nHost: x\r\n\r\n'],
    ['HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an unknown method', 'LOGIN /authenticate HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['garbage', `${canary}\r\n\r\n`],
    ['a header that is too large', get('/livez', `X-A: ${'x'.repeat(20_000)}`), 431],
  ]
  for (const [why, bytes, status = 400] of cases) {
    const reply = await openRaw(t, port, bytes).closed
    t.match(reply, new RegExp(`^HTTP/1\\.1 ${status} [A-Z]`), why)
    const [headers = '', body = ''] = reply.split('\r\n\r\n')
    for (const name of ['cache-control: no-store', 'x-content-type-options: nosniff', 'connection: close']) {
      t.ok(headers.includes(name), `${why}: ${name}`)
    }
    t.match(
      JSON.parse(body),
      { code: 'invalid_request', status, type: 'urn:gatehouse:error:invalid_request' },
      why,
    )
    t.match(headers, `x-request-id: ${JSON.parse(body).request_id}`)
  }
  t.strictSame(server.attempts, [])
  t.notOk(server.log.text().includes(canary), 'raw bytes are not logged')
})

t.test('what two readers could read in two ways is refused', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  const cases: [why: string, bytes: string, fault: object][] = [
    ['no Host', 'GET /livez HTTP/1.1\r\n\r\n', { header: 'host', detail: 'missing' }],
    ['two Hosts', get('/livez', 'Host: y'), { header: 'host', detail: 'given twice' }],
    [
      'two keys',
      get('/livez', 'Authorization: Bearer a', 'authorization: Bearer b'),
      { header: 'authorization' },
    ],
    [
      'two types',
      loginBytes(['Content-Type: application/json']),
      { header: 'content-type', detail: 'given twice' },
    ],
    ['a body with GET', get('/livez', 'Content-Length: 2').concat('{}'), { detail: 'a body with GET' }],
    [
      'a chunked body with GET',
      get('/livez', 'Transfer-Encoding: chunked').concat('0\r\n\r\n'),
      { detail: 'a body with GET' },
    ],
    [
      'too many headers',
      get('/livez', ...Array.from({ length: 3000 }, () => 'a:b')),
      { detail: 'more than 100 headers' },
    ],
  ]
  for (const [why, bytes, fault] of cases) {
    const connection = openRaw(t, port, bytes)
    const reply = await connection.until(/\r\n\r\n\{.*\}$/)
    t.match(reply, /^HTTP\/1\.1 400 /, why)
    t.match(JSON.parse(reply.split('\r\n\r\n')[1] ?? ''), { code: 'invalid_request', errors: [fault] }, why)
    connection.socket.destroy()
  }
  t.strictSame(server.attempts, [])
  const old = await openRaw(t, port, 'GET /livez HTTP/1.0\r\n\r\n').closed
  t.match(old, /^HTTP\/1\.1 200 /, 'HTTP/1.0 needs no Host')
})

t.test('CONNECT is closed, and an upgrade or an expectation is not taken up', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  t.equal(await openRaw(t, port, 'CONNECT a:80 HTTP/1.1\r\nHost: x\r\n\r\n').closed, '')
  const upgrade = get('/livez', 'Connection: upgrade, close', 'Upgrade: h2c')
  t.match(await openRaw(t, port, upgrade).closed, /^HTTP\/1\.1 200 /)
  const expecting = await openRaw(t, port, loginBytes(['Expect: miracles', 'Connection: close'])).closed
  t.match(expecting, /^HTTP\/1\.1 401 .*cache-control: no-store/s)
})

t.test('replies to pipelined requests come in order, and garbage behind one is not its reply', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  const gate = createGate()
  server.answer = gate.answer
  const ordered = openRaw(t, port, loginBytes() + get('/livez', 'Connection: close'))
  await gate.asked
  t.equal(ordered.heard(), '', 'the quick one waits for the slow one')
  gate.open()
  t.match(await ordered.closed, /^HTTP\/1\.1 401 .*HTTP\/1\.1 200 /s)

  const second = createGate()
  server.answer = second.answer
  const broken = openRaw(t, port, loginBytes())
  await second.asked
  broken.socket.write('garbage\r\n\r\n')
  t.equal(await broken.closed, '', 'closed without a word')
  second.open()
})

t.test('an endless body is cut at 16 KiB while it is read (F33)', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  const connection = openRaw(t, port, `${head}Transfer-Encoding: chunked\r\n\r\n`)
  const chunk = `1000\r\n${' '.repeat(0x1000)}\r\n`
  let sent = 0
  const pump = () => {
    while (!connection.socket.destroyed && sent < 64 * 1024 * 1024) {
      sent += 0x1000
      if (!connection.socket.write(chunk)) {
        connection.socket.once('drain', pump)
        return
      }
    }
  }
  pump()
  t.match(await connection.closed, /^HTTP\/1\.1 413 /)
  t.ok(sent < 16 * 1024 * 1024, `${sent} bytes went into buffers`)
  t.strictSame(server.attempts, [])
})

t.test('a slow header, a slow body and a silent connection are cut (S68, F32)', async t => {
  const limits = { headersMs: 60, requestMs: 120 }
  const server = createFakeCoreServer(t, { limits })
  const port = await server.listen()
  const cases: [why: string, bytes: string][] = [
    ['nothing at all', ''],
    ['half a header', 'POST /authenticate HTTP/1.1\r\nHost: x\r\n'],
    ['half a body', `${head}Content-Length: 100\r\n\r\n{"username":`],
    ['half a chunked body', `${head}Transfer-Encoding: chunked\r\n\r\n5\r\n{"use\r\n`],
  ]
  const replies = await Promise.all(cases.map(([, bytes]) => openRaw(t, port, bytes).closed))
  for (const [at, reply] of replies.entries()) {
    t.match(reply, /^HTTP\/1\.1 408 .*connection: close.*"code":"request_timeout"/s, cases[at]?.[0] ?? '')
  }
  t.ok(server.log.at('debug').some(({ fields }) => fields.code === 'request_timeout'))
  t.strictSame(server.attempts, [])
})

t.test('connections over the cap are closed, and those within it are served', async t => {
  const server = createFakeCoreServer(t, { limits: { connections: 2 } })
  const port = await server.listen()
  const kept = [openRaw(t, port, get('/livez')), openRaw(t, port, get('/livez'))]
  for (const connection of kept) t.match(await connection.until(/ok"}$/), /^HTTP\/1\.1 200 /)
  t.equal(await openRaw(t, port, get('/livez')).closed, '')
  kept[0]?.socket.write(get('/livez', 'Connection: close'))
  t.match(await kept[0]?.closed, /200 OK.*200 OK/s)
})

t.test('a caller that hangs up cancels nothing', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const gate = createGate()
  server.answer = async () => {
    const verdict = await gate.answer()
    end()
    return verdict
  }
  const caller = openRaw(t, port, loginBytes())
  await gate.asked
  caller.socket.destroy()
  await caller.closed
  gate.open()
  await ended
  t.equal(server.attempts.length, 1)
  t.match(
    await openRaw(t, port, get('/livez', 'Connection: close')).closed,
    /^HTTP\/1\.1 200 /,
    'and it serves on',
  )
  t.strictSame(server.log.at('error'), [])
})

t.test('a mistake of ours is logged even when its caller has hung up', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  const gate = createGate()
  // A look-up, because Node takes its request, whose body nobody read, for broken off.
  server.found = async () => {
    await gate.answer()
    throw new Error('boom')
  }
  const accepted = once(server.app.server, 'connection')
  const caller = openRaw(t, port, get('/users/corp:1'))
  await gate.asked
  const [socket] = await accepted
  caller.socket.resetAndDestroy()
  await new Promise(resolve => socket.once('close', resolve))
  gate.open()
  const deadline = performance.now() + 2000
  while (server.log.at('error').length === 0 && performance.now() < deadline) await new Promise(setImmediate)
  t.match(server.log.text(), /boom/)
})

t.test('a body that breaks off reaches nobody and is nobody’s error', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  const caller = openRaw(t, port, `${head}Content-Length: 100\r\n\r\n{"username":"a","pass`)
  await once(server.app.server, 'request')
  const gone = new Promise(resolve => server.app.server.getConnections((_error, count) => resolve(count)))
  caller.socket.resetAndDestroy()
  await gone
  t.match(await openRaw(t, port, get('/livez', 'Connection: close')).closed, /^HTTP\/1\.1 200 /)
  t.strictSame([server.attempts, server.log.at('error')], [[], []])
})

t.test('closing answers what is in flight, cuts what is idle and is quick', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  const silent = openRaw(t, port)
  const idle = openRaw(t, port, get('/livez'))
  await idle.until(/ok"}$/)
  const halfway = openRaw(t, port, 'POST /authenticate HTTP/1.1\r\nHost: x\r\n')
  await once(halfway.socket, 'connect')

  const gate = createGate()
  server.answer = gate.answer
  const inFlight = openRaw(t, port, loginBytes(['Connection: keep-alive']))
  await gate.asked

  const startedAt = performance.now()
  const closed = server.app.close()
  t.equal(await silent.closed, '')
  t.match(await idle.closed, /200 OK/)
  t.equal(await halfway.closed, '')
  t.equal(inFlight.heard(), '')

  inFlight.socket.write(loginBytes())
  const refused = connect(port, '127.0.0.1')
  const refusal = await new Promise<NodeJS.ErrnoException>(resolve => refused.once('error', resolve))
  t.equal(refusal.code, 'ECONNREFUSED')
  gate.open()
  t.match(await inFlight.closed, /^HTTP\/1\.1 401 .*"code":"invalid_credentials"/s)
  await closed
  t.ok(performance.now() - startedAt < 2000)
  t.equal(server.attempts.length, 1, 'what came after was not tried')
})

t.test('a reply that was in flight at the closing says so, the last on its connection', async t => {
  const server = createFakeCoreServer(t)
  const port = await server.listen()
  const gate = createGate()
  server.answer = gate.answer
  const pipelined = openRaw(t, port, loginBytes() + loginBytes())
  await gate.asked
  const closed = server.app.close()
  gate.open()
  const replies = (await pipelined.closed).split(/(?=HTTP\/1\.1 )/)
  t.equal(replies.length, 2, 'both are answered')
  t.notMatch(replies[0], /connection: close/i)
  t.match(replies[1], /connection: close/i)
  await closed
})

t.test('a connection whose reply is on its way when all are renewed is closed behind it', async t => {
  const connections = createConnections()
  const body = Buffer.alloc(16 * 1024 * 1024, 'x')
  const written = Promise.withResolvers<void>()
  let requests = 0
  const server = createServer((_, response) => {
    requests++
    response.end(body)
    written.resolve()
  })
  connections.watch(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => {})
  // It reads nothing until it is told to, so that the reply cannot leave.
  client.pause()
  client.write(get('/'))
  await written.promise
  connections.renew()
  let received = 0
  let askedAgain = false
  client.on('data', chunk => {
    received += chunk.length
    if (received < body.length || askedAgain) return
    askedAgain = true
    client.write(get('/', 'Connection: close'))
  })
  client.resume()
  await once(client, 'close')
  t.ok(received >= body.length, 'the whole reply has come')
  t.equal(requests, 1, 'and no other request was taken')
})

t.test('what does not finish is cut when the grace is over', async t => {
  const server = createFakeCoreServer(t, { limits: { drainMs: 50 } })
  const port = await server.listen()
  const gate = createGate()
  server.answer = gate.answer
  const stuck = openRaw(t, port, loginBytes())
  await gate.asked
  const closed = server.app.close()
  t.equal(await stuck.closed, '')
  await closed
  gate.open()
})

t.test(
  'over TLS: not below 1.2, and closing waits neither for idle connections nor for handshakes',
  async t => {
    const authority = await createCertificateAuthority(t.testdir())
    const { cert, key } = await authority.issue()
    const server = createFakeCoreServer(t, { tls: { cert, key } })
    const port = await server.listen()

    const old = connectTls({
      port,
      host: '127.0.0.1',
      ca: authority.ca,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    const [refusal] = await once(old, 'error')
    t.match(refusal.code, /PROTOCOL_VERSION/, 'it is the server that refuses')

    const bare = openRaw(t, port)
    await once(bare.socket, 'connect')
    const idle = connectTls({ port, host: '127.0.0.1', ca: authority.ca })
    idle.write(get('/livez'))
    const [reply] = await once(idle, 'data')
    t.match(String(reply), /^HTTP\/1\.1 200 /)

    const gate = createGate()
    server.answer = gate.answer
    const inFlight = connectTls({ port, host: '127.0.0.1', ca: authority.ca })
    inFlight.write(loginBytes())
    await gate.asked
    const startedAt = performance.now()
    const closed = server.app.close()
    await Promise.all([bare.closed, once(idle, 'close')])
    gate.open()
    const [answer] = await once(inFlight, 'data')
    t.match(String(answer), /^HTTP\/1\.1 401 .*connection: close/is)
    await closed
    t.ok(performance.now() - startedAt < 2000)
  },
)
