import assert from 'node:assert/strict'
import { once as event } from 'node:events'
import { type AddressInfo, createServer, connect as open, type Socket } from 'node:net'
import fc from 'fast-check'
import { EqualityFilter, PresenceFilter } from 'ldapts'
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import { MalformedMessage } from '../../../src/backends/ldap/wire/ber.ts'
import { Connection } from '../../../src/backends/ldap/wire/connection.ts'
import { messageLength, type Operation, readResponse } from '../../../src/backends/ldap/wire/message.ts'
import { bindRequest, extendedRequest, searchRequest } from '../../../src/backends/ldap/wire/request.ts'
import { type Exchange, Session } from '../../../src/backends/ldap/wire/session.ts'
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

const requests: Record<Operation, (id: number) => Buffer> = {
  bind: id => bindRequest(id, 'cn=a', new Secret('canary')),
  search: id =>
    searchRequest(
      id,
      {
        base: '',
        scope: 'sub',
        filter: new PresenceFilter({ attribute: 'a' }),
        attributes: [],
        sizeLimit: 0,
      },
      10,
    ),
  extended: id => extendedRequest(id, startTlsOid),
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
  t.equal(messageLength(entry.subarray(0, 1)), undefined)
  t.equal(messageLength(entry), entry.length)
  const talkative = readResponse(bindResponse(2, { code: 49, diagnosticMessage: 'x'.repeat(60_000) }))
  t.equal(talkative.result?.message.length, 1_000, 'no more of it than anybody reads')
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
    'a request': requests.bind(2).toString('hex'),
    'two lists of controls': '3010020102 6107 0a0100 0400 0400 a000 a000',
    'a control without a type': '3010020102 6107 0a0100 0400 0400 a002 3000',
    'an indefinite length': '3080020102 6107 0a0100 0400 0400 0000',
    'a name that is no text': '300b020102 6406 0402fffe 3000',
    'one attribute twice': '3016020102 6411 0400 300d 3004040161 3100 3004 040141 3100',
  }
  for (const [what, hex] of Object.entries(refused)) {
    t.throws(() => readResponse(Buffer.from(hex.replaceAll(' ', ''), 'hex')), MalformedMessage, what)
  }
  for (const hex of ['3000', '3003020102', '30023000', '300502010261003000']) {
    t.throws(() => readResponse(Buffer.from(hex, 'hex')), /it is no LDAP message/, hex)
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
  readonly session: Session
  /** The directory's side. */
  readonly directory: Socket
  /** Asks something, and resolves when the directory has the question. */
  ask(operation: Operation): Promise<{ readonly answer: Promise<Exchange>; readonly question: Buffer }>
}

/** A session on one end of a real connection. */
async function openWire(t: { teardown(end: () => unknown): void }): Promise<Wire> {
  const listener = createServer({ noDelay: true }).listen(0, '127.0.0.1')
  const accepted = event(listener, 'connection')
  await event(listener, 'listening')
  const socket = open((listener.address() as AddressInfo).port, '127.0.0.1')
  await event(socket, 'connect')
  const [directory] = (await accepted) as [Socket]
  directory.on('error', () => {})
  listener.close()
  const session = new Session(socket)
  t.teardown(() => {
    session.destroy()
    directory.destroy()
  })
  return {
    session,
    directory,
    async ask(operation) {
      const received = event(directory, 'data')
      const answer = session.ask(operation, 10_000, requests[operation])
      const [question] = (await received) as [Buffer]
      return { answer, question }
    },
  }
}

t.test('a session comes through whole, wherever the network cuts it', async t => {
  const { session, directory, ask } = await openWire(t)
  const whole = (id: number) =>
    Buffer.concat([
      searchEntry(id, 'cn=Łukasz', { cn: ['Łukasz'] }),
      searchReference(id, ['ldap://a']),
      searchDone(id, { code: 4 }),
    ])
  for (let cut = 1; cut < whole(2).length; cut++) {
    const { answer } = await ask('search')
    const octets = whole(cut + 1)
    directory.write(octets.subarray(0, cut))
    await new Promise(resolve => setImmediate(resolve))
    directory.write(octets.subarray(cut))
    const { entries, result } = await answer
    assert.deepEqual(entries, [{ dn: 'cn=Łukasz', attributes: new Map([['cn', [Buffer.from('Łukasz')]]]) }])
    assert.deepEqual(result, said(4))
  }
  t.equal(session.failure, undefined)
})

t.test('a message that drips in octet by octet takes no more room than it has octets', async t => {
  const { directory, ask } = await openWire(t)
  const { answer } = await ask('search')
  const message = searchEntry(2, 'cn=a', { x: Buffer.alloc(5_000) })
  for (const octet of message) directory.write(Buffer.from([octet]))
  directory.write(searchDone(2))
  t.match((await answer).entries, [{ dn: 'cn=a' }])
})

t.test('searches that are asked for together leave in one write, and each gets its own answer', async t => {
  const { session, directory } = await openWire(t)
  const received = event(directory, 'data')
  const asked = [1, 2, 3].map(() => session.ask('search', 10_000, requests.search))
  const [octets] = (await received) as [Buffer]
  t.same(octets, Buffer.concat([2, 3, 4].map(requests.search)))
  for (const id of [4, 2, 3]) directory.write(searchDone(id, { code: id }))
  t.match(await Promise.all(asked), [
    { result: { code: 2 } },
    { result: { code: 3 } },
    { result: { code: 4 } },
  ])
})

t.test('a question that could not be written is nobody’s, and the next one is whole', async t => {
  const { session, ask } = await openWire(t)
  const broken = {
    attribute: 'a',
    get value() {
      throw new Error('no')
    },
  }
  const filter = new EqualityFilter({ attribute: 'a', value: 'b' })
  Object.defineProperty(filter, 'value', Object.getOwnPropertyDescriptor(broken, 'value') ?? {})
  const search = { base: '', scope: 'sub', filter, attributes: ['a'], sizeLimit: 0 } as const
  await t.rejects(
    session.ask('search', 10_000, id => searchRequest(id, search, 10)),
    /no/,
  )
  const { question } = await ask('search')
  t.same(question, requests.search(3))
})

t.test('only the first word of a result counts, whatever stands behind it', async t => {
  // ldapts takes the fourth field for controls, and goes round for ever in it; the control for one that it knows.
  const sorted = Buffer.from('300830000484fffffff8', 'hex')
  const hostile = {
    'a field like a list of controls': Buffer.from('300f020102610a0a010004000400a00130', 'hex'),
    'a control that nobody asked for': bindResponse(2, {
      controls: [{ oid: '1.2.840.113556.1.4.473', value: sorted }],
    }),
  }
  for (const [what, octets] of Object.entries(hostile)) {
    const { session, directory } = await openWire(t)
    const connection = new Connection(session, 1_000)
    directory.once('data', () => directory.write(octets))
    t.match(await connection.bind('cn=a', new Secret('x')), { code: 0 }, what)
    await connection.close()
  }
})

t.test('a control that was asked for and cannot be read is an outage', async t => {
  const policy = '1.3.6.1.4.1.42.2.27.8.5.1'
  for (const value of ['', '30', '3003810100ff', '3002a000', '3003820100']) {
    const { session, directory } = await openWire(t)
    const connection = new Connection(session, 1_000)
    const control = { oid: policy, value: Buffer.from(value, 'hex') }
    directory.once('data', () => directory.write(bindResponse(2, { code: 49, controls: [control] })))
    const failure = await connection.bind('cn=a', new Secret('x'), undefined, { policy: true }).catch(e => e)
    t.match(failure, { phase: 'bind', credentialSent: true, connectionLost: true }, value)
    t.equal(connection.usable, false)
  }
  const { session, directory } = await openWire(t)
  const connection = new Connection(session, 1_000)
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
  const { session, directory } = await openWire(t)
  const connection = new Connection(session, 1_000)
  directory.on('data', (octets: Buffer) => {
    const ids = new Map([
      ['alice', 0],
      ['bob', 50],
    ])
    let rest = octets
    while (rest.length > 0) {
      const message = rest.subarray(0, messageLength(rest))
      rest = rest.subarray(message.length)
      const id = message.readUInt8(message.indexOf(0x02) + 2)
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
    const { session, directory, ask } = await openWire(t)
    const { answer } = await ask('bind')
    directory.write(octets)
    t.match(await answer, { sent: true, result: undefined }, what)
    t.ok(session.failure, what)
    t.equal(session.destroyed, true)
  }
})

t.test('a bind is cleared once it has gone out, and what the directory gets of it is whole', async t => {
  const { session, directory } = await openWire(t)
  const received = event(directory, 'data')
  let written: Buffer | undefined
  let whole: Buffer | undefined
  const answer = session.ask('bind', 10_000, id => {
    written = requests.bind(id)
    whole = Buffer.from(written)
    return written
  })
  t.same((await received)[0], whole)
  directory.write(bindResponse(2))
  await answer
  t.ok(written?.every(octet => octet === 0))
})

t.test('an answer that never comes ends the session when its time is up, for all who wait', async t => {
  const { session, directory } = await openWire(t)
  directory.resume()
  const first = session.ask('search', 60, requests.search)
  const second = session.ask('search', 60, requests.search)
  t.match(await Promise.all([first, second]), [{ result: undefined }, { result: undefined }])
  t.match(session.failure, { message: /the search timed out: no answer within 60 ms/ })
  t.match(await session.ask('search', 60, requests.search), { sent: false, result: undefined })
})

t.test('time that passes between two questions is not theirs', async t => {
  const { session, directory } = await openWire(t)
  directory.on('data', () => setTimeout(() => directory.write(searchDone(id++)), 120))
  let id = 2
  for (let count = 0; count < 3; count++) {
    t.match(await session.ask('search', 200, requests.search), { result: { code: 0 } })
  }
})

t.test('a second answer to one question ends the connection', async t => {
  const { session, directory, ask } = await openWire(t)
  const { answer } = await ask('bind')
  directory.write(Buffer.concat([bindResponse(2, { code: 49 }), bindResponse(2, { code: 0 })]))
  await session.closed
  t.match(await answer, { result: { code: 49 } })
  t.match(session.failure, { message: /nobody waits for/ })
})

t.test('a search brings in a hundred thousand entries at most', async t => {
  const { session, directory, ask } = await openWire(t)
  await ask('search')
  const small = searchEntry(2, '', {})
  directory.write(Buffer.alloc(small.length * 100_001, small))
  await session.closed
  t.match(session.failure, { message: 'there are too many entries' })
})

t.test('a bind brings in 64 kilobytes at most', async t => {
  const { session, directory, ask } = await openWire(t)
  await ask('bind')
  directory.write(bindResponse(2, { diagnosticMessage: 'x'.repeat(70_000) }))
  await session.closed
  t.match(session.failure, { message: 'an answer is too long' })
})

t.test('an operation brings in four megabytes at most', async t => {
  const { session, directory, ask } = await openWire(t)
  await ask('search')
  const big = searchEntry(2, 'cn=a', { x: Buffer.alloc(1024 * 1024) })
  for (let count = 0; count < 4; count++) directory.write(big)
  await session.closed
  t.match(session.failure, { message: 'an answer is too long' })
})

t.test('a socket that ends or breaks closes the session, and no error is left unheard', async t => {
  for (const end of ['end', 'resetAndDestroy'] as const) {
    const { session, directory } = await openWire(t)
    directory[end]()
    await session.closed
    t.ok(session.failure, end)
    t.match(await session.ask('bind', 1_000, requests.bind), { sent: false, result: undefined })
    session.fail(new Error('late'))
    await new Promise(resolve => setImmediate(resolve))
  }
})

t.test('a socket is handed on for TLS only if nothing else came on it', async t => {
  for (const [injected, handedOn] of [
    [Buffer.alloc(0), true],
    [bindResponse(3), false],
    [Buffer.from([0x30]), false],
  ] as const) {
    const { session, directory, ask } = await openWire(t)
    const { answer } = await ask('extended')
    directory.write(Buffer.concat([extendedResponse(2), injected]))
    await answer
    if (handedOn) t.equal(session.release().destroyed, false)
    else t.throws(() => session.release())
  }
})

t.test('a connection that has ended asks nothing more, and never comes back', async t => {
  const password = new Secret('secret')
  const { session: closedBefore } = await openWire(t)
  closedBefore.fail(new Error('gone'))
  const stillborn = new Connection(closedBefore, 1_000)
  const failure = await stillborn.bind('cn=a', password).catch(error => error)
  t.match(failure, { message: 'gone', credentialSent: false, connectionLost: true })

  const { session, directory } = await openWire(t)
  const connection = new Connection(session, 1_000)
  directory.once('data', () => directory.write(bindResponse(2)))
  t.same(await connection.bind('cn=a', password), { code: 0, message: '' })
  directory.end()
  await session.closed
  const again = await connection.bind('cn=a', password).catch(error => error)
  t.match(again, { credentialSent: false, connectionLost: true })
})

t.test('a bind whose time is up before it begins is not sent', async t => {
  const { session, directory } = await openWire(t)
  const connection = new Connection(session, 1_000)
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
  const { session, directory } = await openWire(t)
  const connection = new Connection(session, 60_000)
  directory.pause()
  const flood = { base: 'x'.repeat(8_000_000), scope: 'base', attributes: ['1.1'], sizeLimit: 1 } as const
  const search = connection.search({ ...flood, filter: new PresenceFilter({ attribute: 'a' }) })
  search.catch(() => {})
  const startedAt = performance.now()
  await connection.close()
  t.ok(performance.now() - startedAt < 1_500)
  t.equal(session.destroyed, true)
  await t.rejects(search)
})

t.test('no bind is ever sent without a name and a password, or as a SASL mechanism', async t => {
  const { session, directory } = await openWire(t)
  const connection = new Connection(session, 1_000)
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
