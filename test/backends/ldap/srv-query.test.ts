/** SRV answers with compressed targets, as Samba's DNS and some proxies send them. */
import { createSocket, type Socket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { readingCompressed } from '../../../src/backends/ldap/servers/srv-query.ts'
import type { TestScope } from '../../support/slapd.ts'

const SERVICE = '_ldap._tcp.corp.example'
/** Where `corp.example` stands in a question for it. */
const POINTER = 0xc017
const found = [{ name: 'dc1.corp.example', port: 389, priority: 0, weight: 100 }]

/** One SRV record for the name in the question, the target as these octets. */
function answer(
  query: Buffer,
  target: Buffer = compressed('dc1', POINTER),
  { flags = 0x8580, count = 1 } = {},
): Buffer {
  const head = Buffer.from(query)
  head.writeUInt16BE(flags, 2)
  head.writeUInt16BE(count, 6)
  if (count === 0) return head
  const record = Buffer.from('c00c0021000100000384000000000064', 'hex')
  record.writeUInt16BE(6 + target.length, 10)
  return Buffer.concat([head, record, Buffer.from([389 >> 8, 389 & 0xff]), target])
}

function compressed(label: string, pointer: number): Buffer {
  return Buffer.from([label.length, ...Buffer.from(label), pointer >> 8, pointer & 0xff])
}

type Reply = (query: Buffer, send: (message: Buffer) => void) => void

async function serve(t: TestScope, reply: Reply, port = 0): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket('udp4')
  socket.on('message', (query, from) =>
    reply(query, message => socket.send(message, from.port, from.address)),
  )
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return { socket, port: socket.address().port }
}

function resolver(...ports: number[]) {
  const own = new Resolver({ timeout: 200, tries: 1 })
  own.setServers(ports.map(port => `127.0.0.1:${port}`))
  return { own, reading: readingCompressed(own) }
}

/** As if Node.js had asked these servers, and could not read the answer. */
function afterNode(servers: string[]) {
  const misformatted = Object.assign(new Error('misformatted'), { code: 'EBADRESP' })
  return readingCompressed({ resolveSrv: () => Promise.reject(misformatted), getServers: () => servers })
}

t.test('they are read, which Node.js alone does not do', async t => {
  const { port } = await serve(t, (query, send) => send(answer(query)))
  const { own, reading } = resolver(port)
  await t.rejects(own.resolveSrv(SERVICE), { code: 'EBADRESP' }, 'once this fails, srv-query.ts can go')
  t.same(await reading.resolveSrv(SERVICE), found)
})

t.test('answers that Node.js reads are left to it, and so are its failures', async t => {
  const plain = Buffer.from('\x03dc1\x04corp\x07example\0', 'latin1')
  let questions = 0
  const { port } = await serve(t, (query, send) => {
    questions += 1
    send(answer(query, plain))
  })
  t.match(await resolver(port).reading.resolveSrv(SERVICE), found)
  t.equal(questions, 1)
  const none = await serve(t, (query, send) => send(answer(query, plain, { flags: 0x8583, count: 0 })))
  await t.rejects(resolver(none.port).reading.resolveSrv(SERVICE), { code: 'ENOTFOUND' })
})

t.test('what somebody else may have written is passed over', async t => {
  const { port } = await serve(t, (query, send) => {
    const evil = answer(query, compressed('bad', POINTER))
    const [number, question, request] = [Buffer.from(evil), Buffer.from(evil), Buffer.from(evil)]
    number.writeUInt16BE(number.readUInt16BE(0) ^ 1, 0)
    question.write('x', 14)
    request.writeUInt16BE(0x0100, 2)
    for (const forged of [number, question, request, evil.subarray(0, 20), Buffer.alloc(0)]) send(forged)
    send(answer(query))
  })
  t.same(await resolver(port).reading.resolveSrv(SERVICE), found)
})

t.test('a long answer comes over TCP', async t => {
  const udp = await serve(t, (query, send) => send(answer(query, undefined, { flags: 0x8780 })))
  const overTcp = createServer(socket => {
    socket.once('data', (data: Buffer) => {
      const message = answer(data.subarray(2))
      const framed = Buffer.concat([Buffer.from([message.length >> 8, message.length & 0xff]), message])
      socket.write(framed.subarray(0, 5))
      setImmediate(() => socket.end(framed.subarray(5)))
    })
  }).listen(udp.port, '127.0.0.1')
  await once(overTcp, 'listening')
  t.teardown(() => overTcp.close())
  t.same(await resolver(udp.port).reading.resolveSrv(SERVICE), found)
})

t.test('a broken answer is a failure, and the next name server is asked', async t => {
  const broken = [
    compressed('loop', 0xc000 | 57),
    compressed('far', 0xffff),
    Buffer.from([0x40]),
    Buffer.from([63, 1]),
    Buffer.alloc(0),
  ]
  for (const target of broken) {
    const first = await serve(t, (query, send) => send(answer(query, target)))
    await t.rejects(resolver(first.port).reading.resolveSrv(SERVICE), target.toString('hex'))
    const second = await serve(t, (query, send) => send(answer(query)))
    const both = afterNode([`127.0.0.1:${first.port}`, `127.0.0.1:${second.port}`])
    t.same(await both.resolveSrv(SERVICE), found)
  }
})

t.test('that there is nothing is an answer, and no other name server is asked', async t => {
  for (const [flags, code] of [
    [0x8583, 'ENOTFOUND'],
    [0x8580, 'ENODATA'],
  ] as const) {
    const { port } = await serve(t, (query, send) => send(answer(query, undefined, { flags, count: 0 })))
    const both = afterNode([`127.0.0.1:${port}`, '[::1]:1'])
    await t.rejects(both.resolveSrv(SERVICE), { code })
  }
})

t.test('a silent or refusing name server is given up', async t => {
  const silent = await serve(t, () => {})
  const refusing = await serve(t, (query, send) =>
    send(answer(query, undefined, { flags: 0x8585, count: 0 })),
  )
  for (const { port } of [silent, refusing]) {
    const alone = afterNode([`127.0.0.1:${port}`])
    await t.rejects(alone.resolveSrv(SERVICE))
  }
})
