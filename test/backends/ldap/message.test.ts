import assert from 'node:assert/strict'
import { once as event } from 'node:events'
import { type AddressInfo, createServer, connect as open, type Socket } from 'node:net'
import fc from 'fast-check'
import {
  BindRequest,
  EqualityFilter,
  ExtendedRequest,
  MessageParser,
  PresenceFilter,
  SearchRequest,
  UnbindRequest,
} from 'ldapts'
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import { MalformedMessage } from '../../../src/backends/ldap/wire/ber.ts'
import { Connection } from '../../../src/backends/ldap/wire/connection.ts'
import { once } from '../../../src/backends/ldap/wire/dial.ts'
import {
  messageLength,
  readRequest,
  readResponse,
  writeResult,
} from '../../../src/backends/ldap/wire/message.ts'
import { MessageStream } from '../../../src/backends/ldap/wire/message-stream.ts'
import {
  bindResponse,
  extendedResponse,
  noticeOfDisconnection,
  searchDone,
  searchEntry,
  searchReference,
  startTlsOid,
} from '../../support/ldap-message.ts'
import { runs } from '../../support/runs.ts'

const requests = {
  // A new one each time: it is cleared once it has been sent.
  get bind() {
    return new BindRequest({ messageId: 2, dn: '', password: '' }).write()
  },
  search: new SearchRequest({
    messageId: 2,
    baseDN: '',
    filter: new PresenceFilter({ attribute: 'a' }),
  }).write(),
  extended: new ExtendedRequest({ messageId: 2, oid: startTlsOid }).write(),
  unbind: new UnbindRequest({ messageId: 3 }).write(),
}
const entry = searchEntry(2, 'cn=Łukasz,dc=corp', {
  cn: ['Łukasz', 'x'],
  objectGUID: Buffer.alloc(16, 0xff),
  none: [],
})
const golden = [
  bindResponse(2, { code: 49, diagnosticMessage: 'data 52e' }),
  bindResponse(2, { controls: [{ oid: '1.2.3', value: Buffer.from('x') }, { oid: '1.2.4' }] }),
  entry,
  searchReference(2, ['ldap://a', 'ldap://b']),
  searchDone(2, { code: 10, referrals: ['ldap://a'] }),
  extendedResponse(2, { oid: startTlsOid }),
]

const none = new Map()
const said = (code: number, message = '', controls: ReadonlyMap<string, Buffer> = none) => ({
  code,
  message,
  controls,
})

t.test('whole messages are read: entries, references, and the last word', async t => {
  const two = new Map([
    ['1.2.3', Buffer.from('x')],
    ['1.2.4', Buffer.alloc(0)],
  ])
  const attributes = new Map([
    ['cn', [Buffer.from('Łukasz'), Buffer.from('x')]],
    ['objectguid', [Buffer.alloc(16, 0xff)]],
    ['none', []],
  ])
  t.same(golden.map(readResponse), [
    { id: 2, to: 'bind', result: said(49, 'data 52e') },
    { id: 2, to: 'bind', result: said(0, '', two) },
    { id: 2, to: 'search', entry: { dn: 'cn=Łukasz,dc=corp', attributes } },
    { id: 2, to: 'search' },
    { id: 2, to: 'search', result: said(10) },
    { id: 2, to: 'extended', result: said(0) },
  ])
  t.equal(readResponse(noticeOfDisconnection()).id, 0)
  t.same(readRequest(requests.bind), { id: 2, operation: 'bind' })
  t.same(readRequest(requests.unbind), { id: 3, operation: 'unbind' })
  t.equal(messageLength(entry.subarray(0, 1)), undefined)
  t.equal(messageLength(entry), entry.length)
  const talkative = readResponse(bindResponse(2, { code: 49, diagnosticMessage: 'x'.repeat(60_000) }))
  t.equal(talkative.result?.message.length, 1_000, 'no more of it than anybody reads')
})

t.test('ldapts is told the code and nothing else, in words that it reads to the end', async t => {
  for (const to of ['bind', 'search', 'extended'] as const) {
    for (const [id, code] of [
      [1, 0],
      [127, 49],
      [65_536, 123],
      [2 ** 31 - 1, 2 ** 31 - 1],
    ] as const) {
      const message = writeResult(id, to, code)
      t.same(readResponse(message), { id, to, result: said(code) })
      const parsed = Promise.withResolvers<unknown>()
      const parser = new MessageParser()
      parser.on('message', parsed.resolve)
      parser.on('error', parsed.reject)
      parser.read(message, new Map())
      t.match(await parsed.promise, { messageId: id, status: code, controls: [] })
    }
  }
})

t.test('what is no message, or only half of one, is refused', async t => {
  const refused = {
    'no result at all, which ldapts takes for success': '3005020102 6100',
    'a result without a code': '3009020102 6104 0400 0400',
    'a code without octets': '300b020102 6106 0a00 0400 0400',
    'a code of five octets': '3010020102 610b 0a050000000000 0400 0400',
    'a negative message id': '300c0201ff 6107 0a0100 0400 0400',
    'an element longer than its parent': '300c020102 6107 0a0100 0400 0405',
    'octets behind the message': '300c020102 6107 0a0100 0400 0400 00',
    'an entry whose attributes point past it, which spins ldapts': '300b020102 6406 0400 307f 0400',
    'an attribute that is no sequence': '300d020102 6408 0400 3004 0402047f',
    'a value that is no text': '3014020102 640f 0400 300b 3009 040161 3104 02020101',
    'a reference that is no text': '3008020102 7303 020101',
    'an intermediate response': '3007020102 7902 8000',
    'a request': requests.bind.toString('hex'),
    'two lists of controls': '3010020102 6107 0a0100 0400 0400 a000 a000',
    'a control without a type': '3010020102 6107 0a0100 0400 0400 a002 3000',
    'an indefinite length': '3080020102 6107 0a0100 0400 0400 0000',
    'a name that is no text': '300b020102 6406 0402fffe 3000',
    'one attribute twice': '3016020102 6411 0400 300d 3004040161 3100 3004 040141 3100',
  }
  for (const [what, hex] of Object.entries(refused)) {
    t.throws(() => readResponse(Buffer.from(hex.replaceAll(' ', ''), 'hex')), MalformedMessage, what)
  }
  t.throws(() => messageLength(Buffer.from('HTTP/1.1 400')), MalformedMessage)
  t.throws(() => messageLength(Buffer.from('3085ffffffffff', 'hex')), MalformedMessage)
  t.equal(
    messageLength(Buffer.from('30847fffffff', 'hex')),
    0x7fffffff + 6,
    'a declared length allocates nothing',
  )
})

t.test('what is read, or refused, is so in bounded time', async t => {
  const mutated = fc
    .tuple(
      fc.constantFrom(...golden),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
      fc.nat(200),
    )
    .map(([message, changes, length]) => {
      const copy = Buffer.from(length % 3 === 0 ? message.subarray(0, length) : message)
      for (const [at, octet] of changes) if (at < copy.length) copy[at] = octet
      return copy
    })
  let passed = 0
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 40 })), octets => {
      try {
        readResponse(Buffer.from(octets))
        passed++
      } catch (error) {
        assert.ok(error instanceof MalformedMessage)
      }
    }),
    { numRuns: runs(5_000) },
  )
  t.ok(passed > 100, `${passed} got past`)
})

t.test('four megabytes of the smallest elements cost no more than a moment', async t => {
  const empty = Buffer.from('0400', 'hex')
  const many = (count: number) => Buffer.concat(Array(count).fill(empty))
  const envelope = (tag: number, content: Buffer) => {
    const wrap = (tag: number, inside: Buffer) => {
      const header = Buffer.alloc(6)
      header.writeUInt8(tag)
      header.writeUInt8(0x84, 1)
      header.writeUInt32BE(inside.length, 2)
      return Buffer.concat([header, inside])
    }
    return wrap(0x30, Buffer.concat([Buffer.from('020102', 'hex'), wrap(tag, content)]))
  }
  for (const tag of [0x61, 0x65, 0x73, 0x78]) {
    const message = envelope(tag, many(2_000_000))
    const before = process.cpuUsage()
    t.throws(() => readResponse(message), /more than 100000 elements/)
    const { user, system } = process.cpuUsage(before)
    t.ok(user + system < 200_000, `${user + system} µs of CPU`)
  }
})

interface Wire {
  readonly stream: MessageStream
  /** The directory's side. */
  readonly directory: Socket
  /** What ldapts gets. */
  readonly passed: Buffer[]
}

/** A stream on one end of a real connection. */
async function openWire(t: { teardown(end: () => unknown): void }): Promise<Wire> {
  const listener = createServer({ noDelay: true }).listen(0, '127.0.0.1')
  const accepted = event(listener, 'connection')
  await event(listener, 'listening')
  const socket = open((listener.address() as AddressInfo).port, '127.0.0.1')
  await event(socket, 'connect')
  const [directory] = (await accepted) as [Socket]
  directory.on('error', () => {})
  listener.close()
  const stream = new MessageStream(socket)
  const passed: Buffer[] = []
  stream.on('data', message => passed.push(message))
  t.teardown(() => {
    stream.destroy()
    directory.destroy()
  })
  return { stream, directory, passed }
}

function closed(stream: MessageStream): Promise<unknown> {
  return stream.closed ? Promise.resolve() : event(stream, 'close')
}

t.test('a session comes through whole, wherever the network cuts it', async t => {
  const { stream, directory, passed } = await openWire(t)
  const session = Buffer.concat([entry, searchReference(2, ['ldap://a']), searchDone(2, { code: 4 })])
  for (let cut = 1; cut < session.length; cut++) {
    passed.length = 0
    const exchange = stream.announce()
    stream.write(requests.search)
    await event(directory, 'data')
    directory.write(session.subarray(0, cut))
    await new Promise(resolve => setImmediate(resolve))
    directory.write(session.subarray(cut))
    await event(stream, 'data')
    assert.deepEqual(passed, [writeResult(2, 'search', 4)])
    assert.deepEqual(exchange.entries, [readResponse(entry).entry])
    assert.deepEqual(exchange.result, said(4))
  }
  t.equal(stream.failure, undefined)
})

t.test('a message that drips in octet by octet takes no more room than it has octets', async t => {
  const { stream, directory } = await openWire(t)
  const exchange = stream.announce()
  stream.write(requests.search)
  await event(directory, 'data')
  const message = searchEntry(2, 'cn=a', { x: Buffer.alloc(5_000) })
  for (const octet of message) directory.write(Buffer.from([octet]))
  directory.write(searchDone(2))
  await event(stream, 'data')
  t.match(exchange.entries, [{ dn: 'cn=a' }])
})

t.test('only the first word of a result counts, whatever stands behind it', async t => {
  // ldapts would take the fourth field for controls, and go round for ever in it; the control for one that it knows.
  const sorted = Buffer.from('300830000484fffffff8', 'hex')
  const hostile = {
    'a field like a list of controls': Buffer.from('300f020102610a0a010004000400a00130', 'hex'),
    'a control that nobody asked for': bindResponse(2, {
      controls: [{ oid: '1.2.840.113556.1.4.473', value: sorted }],
    }),
  }
  for (const [what, octets] of Object.entries(hostile)) {
    const { stream, directory } = await openWire(t)
    const connection = new Connection(stream, 1_000)
    directory.once('data', () => directory.write(octets))
    t.match(await connection.bind('cn=a', new Secret('x')), { code: 0 }, what)
    await connection.close()
  }
})

t.test('a control that was asked for and cannot be read is an outage', async t => {
  const policy = '1.3.6.1.4.1.42.2.27.8.5.1'
  for (const value of ['', '30', '3003810100ff', '3002a000', '3003820100']) {
    const { stream, directory } = await openWire(t)
    const connection = new Connection(stream, 1_000)
    const control = { oid: policy, value: Buffer.from(value, 'hex') }
    directory.once('data', () => directory.write(bindResponse(2, { code: 49, controls: [control] })))
    const failure = await connection.bind('cn=a', new Secret('x'), undefined, { policy: true }).catch(e => e)
    t.match(failure, { phase: 'bind', credentialSent: true, connectionLost: true }, value)
    t.equal(connection.usable, false)
  }
  const { stream, directory } = await openWire(t)
  const connection = new Connection(stream, 1_000)
  const control = { oid: '1.2.840.113556.1.4.319', value: Buffer.from('3003020100', 'hex') }
  directory.once('data', () => directory.write(searchDone(2, { controls: [control] })))
  const search = {
    base: '',
    scope: 'sub',
    filter: new PresenceFilter({ attribute: 'a' }),
    attributes: ['1.1'],
  } as const
  const paged = connection.search({ ...search, sizeLimit: 10, pageSize: 5 })
  t.match(await paged.catch(e => e), { phase: 'search', connectionLost: true })
})

t.test('the first questions of a connection get each its own answer', async t => {
  const { stream, directory } = await openWire(t)
  const connection = new Connection(stream, 1_000)
  directory.on('data', (octets: Buffer) => {
    const ids = new Map([
      ['alice', 0],
      ['bob', 50],
    ])
    let rest = octets
    while (rest.length > 0) {
      const message = rest.subarray(0, messageLength(rest))
      rest = rest.subarray(message.length)
      const { id } = readRequest(message)
      const [name = '', code] = [...ids].find(([name]) => message.includes(name)) ?? []
      directory.write(
        code === 0
          ? Buffer.concat([searchEntry(id, `cn=${name}`, {}), searchDone(id)])
          : searchDone(id, { code }),
      )
    }
  })
  const ask = (name: string) =>
    connection.search({
      base: '',
      scope: 'sub',
      filter: new EqualityFilter({ attribute: 'cn', value: name }),
      attributes: ['1.1'],
      sizeLimit: 2,
    })
  const [alice, bob] = await Promise.all([ask('alice'), ask('bob')])
  t.match(alice, { code: 0, entries: [{ dn: 'cn=alice' }] })
  t.match(bob, { code: 50, entries: [] })
})

t.test('anything but the answer to an open question ends the connection, and is never passed on', async t => {
  const wrong = {
    'an answer to nothing': bindResponse(3),
    'another kind of answer': searchDone(2),
    'an extended answer': extendedResponse(2),
    'a notice of disconnection': noticeOfDisconnection(),
    'a result without a code': Buffer.from('30050201026100', 'hex'),
    garbage: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    'two gigabytes announced': Buffer.from('30847fffffff0201', 'hex'),
    'five megabytes announced': Buffer.from('308400500000', 'hex'),
  }
  for (const [what, octets] of Object.entries(wrong)) {
    const { stream, directory, passed } = await openWire(t)
    const exchange = stream.announce()
    stream.write(requests.bind)
    await event(directory, 'data')
    directory.write(octets)
    await closed(stream)
    t.ok(stream.failure, what)
    t.same([passed, exchange.result], [[], undefined], what)
  }
})

t.test('a bind is cleared once it has gone out, and what the directory gets of it is whole', async t => {
  const { stream, directory } = await openWire(t)
  const bind = new BindRequest({ messageId: 2, dn: 'uid=alice', password: 'canary' }).write()
  const sent = Buffer.from(bind)
  const received = event(directory, 'data')
  stream.announce()
  await new Promise(resolve => stream.write(bind, resolve))
  t.ok(bind.every(octet => octet === 0))
  t.same((await received)[0], sent)
})

t.test('a second answer to one question ends the connection', async t => {
  const { stream, directory, passed } = await openWire(t)
  const exchange = stream.announce()
  stream.write(requests.bind)
  await event(directory, 'data')
  directory.write(Buffer.concat([bindResponse(2, { code: 49 }), bindResponse(2, { code: 0 })]))
  await closed(stream)
  t.equal(exchange.result?.code, 49)
  t.match(passed.map(readResponse), [{ id: 2, to: 'bind', result: { code: 49 } }])
  t.equal(passed.length, 1)
})

t.test('a search brings in a hundred thousand entries at most', async t => {
  const { stream, directory } = await openWire(t)
  stream.announce()
  stream.write(requests.search)
  await event(directory, 'data')
  const small = searchEntry(2, '', {})
  directory.write(Buffer.alloc(small.length * 100_001, small))
  await closed(stream)
  t.match(stream.failure, { message: 'there are too many entries' })
})

t.test('a bind brings in 64 kilobytes at most', async t => {
  const { stream, directory } = await openWire(t)
  stream.announce()
  stream.write(requests.bind)
  await event(directory, 'data')
  directory.write(bindResponse(2, { diagnosticMessage: 'x'.repeat(70_000) }))
  await closed(stream)
  t.match(stream.failure, { message: 'an answer is too long' })
})

t.test('an operation brings in four megabytes at most', async t => {
  const { stream, directory } = await openWire(t)
  stream.announce()
  stream.write(requests.search)
  await event(directory, 'data')
  const big = searchEntry(2, 'cn=a', { x: Buffer.alloc(1024 * 1024) })
  for (let count = 0; count < 4; count++) directory.write(big)
  await closed(stream)
  t.match(stream.failure, { message: 'an answer is too long' })
})

t.test('a socket that ends or breaks closes the stream, and no error is left unheard', async t => {
  for (const end of ['end', 'resetAndDestroy'] as const) {
    const { stream, directory } = await openWire(t)
    directory[end]()
    await closed(stream)
    t.ok(stream.failure, end)
    stream.write(requests.bind, () => {})
    stream.removeAllListeners('error')
    stream.fail(new Error('late'))
    await new Promise(resolve => setImmediate(resolve))
  }
})

t.test('a socket is handed on for TLS only if nothing else came on it', async t => {
  for (const [injected, handedOn] of [
    [Buffer.alloc(0), true],
    [bindResponse(3), false],
    [Buffer.from([0x30]), false],
  ] as const) {
    const { stream, directory } = await openWire(t)
    stream.announce()
    stream.write(requests.extended)
    await event(directory, 'data')
    directory.write(Buffer.concat([extendedResponse(2), injected]))
    await Promise.race([event(stream, 'data'), closed(stream)])
    if (handedOn) t.equal(stream.release().destroyed, false)
    else t.throws(() => stream.release())
  }
})

t.test('a client never gets a second socket, nor one that is closed', async t => {
  const password = new Secret('secret')
  const { stream: closedBefore } = await openWire(t)
  closedBefore.fail(new Error('gone'))
  const stillborn = new Connection(closedBefore, 1_000)
  const failure = await stillborn.bind('cn=a', password).catch(error => error)
  t.match(failure, { message: 'gone', credentialSent: false, connectionLost: true })

  const { stream, directory } = await openWire(t)
  const connection = new Connection(stream, 1_000)
  directory.once('data', () => directory.write(bindResponse(2)))
  t.same(await connection.bind('cn=a', password), { code: 0, message: '' })
  directory.end()
  await closed(stream)
  const again = await connection.bind('cn=a', password).catch(error => error)
  t.match(again, { credentialSent: false, connectionLost: true })
  t.throws(() => once(stream)(), 'as does a factory of its own')
})

t.test('a bind whose time is up before it begins is not sent', async t => {
  const { stream, directory } = await openWire(t)
  const connection = new Connection(stream, 1_000)
  let received = 0
  directory.on('data', ({ length }) => {
    received += length
  })
  const failure = await connection.bind('cn=a', new Secret('secret'), AbortSignal.abort()).catch(e => e)
  t.match(failure, { phase: 'bind', credentialSent: false, connectionLost: true })
  await event(directory, 'close')
  t.equal(received, 0)
})

t.test('good-bye takes no longer than half a second, also of one who does not listen', async t => {
  const { stream, directory } = await openWire(t)
  const connection = new Connection(stream, 60_000)
  directory.pause()
  const flood = { base: 'x'.repeat(8_000_000), scope: 'base', attributes: ['1.1'], sizeLimit: 1 } as const
  const search = connection.search({ ...flood, filter: new PresenceFilter({ attribute: 'a' }) })
  search.catch(() => {})
  const startedAt = performance.now()
  await connection.close()
  t.ok(performance.now() - startedAt < 1_500)
  t.equal(stream.destroyed, true)
  await t.rejects(search)
})

t.test('no bind is ever sent without a name and a password, or as a SASL mechanism', async t => {
  const { stream, directory } = await openWire(t)
  const connection = new Connection(stream, 1_000)
  let received = 0
  directory.on('data', ({ length }) => {
    received += length
  })
  for (const dn of ['', 'EXTERNAL', 'PLAIN', 'DIGEST-MD5', 'SCRAM-SHA-1']) {
    await t.rejects(connection.bind(dn, new Secret('secret')), TypeError, dn)
  }
  for (const password of ['', '\0', '\0x', '\udfff']) {
    await t.rejects(connection.bind('cn=a', new Secret(password)), TypeError)
  }
  await connection.close()
  t.equal(received, 0)
})
