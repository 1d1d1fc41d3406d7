import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { Chance } from '../support/chance.ts'
import {
  bindResponse,
  decodeRequest,
  extendedResponse,
  type LdapRequest,
  noticeOfDisconnection,
  searchDone,
  searchEntry,
  searchReference,
  splitMessages,
} from '../support/ldap-message.ts'

/**
 * A directory for millions of attempts: it knows everybody called `u` and a number, keeps nothing of what it saw, and answers
 * as chance has it. What it never does is say yes to a wrong password in an answer that counts: the first well-formed one to
 * an open bind, in time, is always true.
 */
export interface FaultyDirectory {
  readonly port: number
  /** Faults so far, by kind. */
  readonly injected: ReadonlyMap<string, number>
  close(): void
}

export interface FaultyDirectoryOptions {
  readonly chance: Chance
  /** How long a client waits for an answer, in milliseconds: what is late comes after that. */
  readonly clientTimeoutMs: number
  /** PEM: then it speaks TLS from the first octet. */
  readonly certificate?: { readonly key: string; readonly cert: string }
  /** Something was done to an operation of this person. */
  readonly onFault: (uid: string) => void
}

export const SERVICE = { dn: 'cn=gatehouse,dc=corp', password: 'gatehouse-secret-1' }
export const passwordOf = (uid: string) => `right-${uid}`
const dnOf = (uid: string) => `uid=${uid},dc=corp`

/** How often something goes wrong, by operation. A server that refuses connections for long is of no use here. */
const RATES = { connection: 0.0005, service: 0.001, search: 0.25, bind: 0.75 }
const RESULTS = [1, 3, 8, 10, 11, 13, 19, 48, 51, 52, 53, 80, 123] as const
const MAX_LATE = 256

interface Exchange {
  readonly id: number
  readonly kind: 'bind' | 'search'
  /** What is true. */
  readonly answer: Buffer
  /** The same under another id, that of no open question. */
  readonly astray: Buffer
  /** What is not true: it may be sent only where it must not count. */
  readonly lie: Buffer
  readonly socket: Socket
}

type Fault = (exchange: Exchange) => void

export async function startFaultyDirectory(options: FaultyDirectoryOptions): Promise<FaultyDirectory> {
  const { chance, clientTimeoutMs, certificate, onFault } = options
  const injected = new Map<string, number>()
  const sockets = new Set<Socket>()
  let late = 0

  const cutAt = ({ answer, socket }: Exchange) =>
    socket.write(answer.subarray(0, chance.below(answer.length)))
  /** Of no open question: there is one bind at a time on a connection, but many searches. */
  const otherId = (id: number, kind: 'bind' | 'search') =>
    id + (kind === 'bind' ? chance.pick([1, 2, 1000]) : 500 + chance.below(500))
  const yes = (id: number) => bindResponse(id)

  const faults: Readonly<Record<string, Fault>> = {
    'reset at a random octet': exchange => {
      cutAt(exchange)
      reset(exchange.socket)
    },
    'closed at a random octet': exchange => {
      cutAt(exchange)
      exchange.socket.end()
    },
    garbage({ socket }) {
      const octets = Buffer.from(Array.from({ length: 1 + chance.below(40) }, () => chance.below(256)))
      // Chance alone writes no well-formed yes; a header that could begin one is taken away all the same.
      octets[0] = (octets[0] ?? 0) === 0x30 ? 0x31 : (octets[0] ?? 0)
      socket.write(octets)
    },
    'a yes to nobody': ({ id, kind, socket }) => socket.write(yes(otherId(id, kind))),
    'a yes to the question before': ({ id, kind, socket }) =>
      socket.write(yes(kind === 'bind' && id > 1 ? id - 1 : id + 1_000)),
    'the answer under another id': ({ astray, socket }) => socket.write(astray),
    'an answer of another kind': ({ id, kind, socket }) =>
      socket.write(kind === 'search' ? yes(id) : chance.pick([searchDone, extendedResponse])(id)),
    'the answer and its contrary': ({ answer, lie, socket }) => socket.write(Buffer.concat([answer, lie])),
    'the answer twice': ({ answer, socket }) => socket.write(Buffer.concat([answer, answer])),
    'a yes after the time is up': ({ id, socket }) => {
      if (late >= MAX_LATE) return
      late++
      setTimeout(() => {
        late--
        // The client has given this one up; whoever has the connection now, if anybody, must not take it.
        if (socket.writable) socket.write(yes(id))
      }, clientTimeoutMs * 2)
    },
    'a yes without a code': ({ id, socket }) =>
      socket.write(Buffer.from([0x30, 0x05, 0x02, 0x01, id & 0x7f, 0x61, 0x00])),
    'in single octets': ({ answer, socket }) => {
      for (const octet of answer) socket.write(Buffer.of(octet))
    },
    'in two pieces': ({ answer, socket }) => {
      const cut = 1 + chance.below(answer.length - 1)
      socket.write(answer.subarray(0, cut))
      setTimeout(() => socket.writable && socket.write(answer.subarray(cut)), chance.below(4))
    },
    delayed: ({ answer, socket }) =>
      void setTimeout(() => socket.writable && socket.write(answer), chance.below(clientTimeoutMs / 4)),
    nothing: () => {},
    'a notice of disconnection': ({ socket }) => socket.write(noticeOfDisconnection()),
    'a notice before the answer': ({ answer, socket }) =>
      socket.write(Buffer.concat([noticeOfDisconnection(), answer])),
    'another result': ({ id, kind, socket }) => {
      const code = chance.pick(RESULTS)
      socket.write(kind === 'bind' ? bindResponse(id, { code }) : searchDone(id, { code }))
    },
    'a length beyond its element': ({ id, socket }) =>
      socket.write(
        Buffer.from([
          0x30,
          0x0c,
          0x02,
          0x01,
          id & 0x7f,
          0x61,
          0x07,
          0x0a,
          0x01,
          0x00,
          0x04,
          0x00,
          0x04,
          0x05,
        ]),
      ),
    'two gigabytes announced': ({ socket }) => socket.write(Buffer.from('30847fffffff0201', 'hex')),
    'references beside it': ({ answer, id, kind, socket }) =>
      socket.write(kind === 'search' ? Buffer.concat([searchReference(id, ['ldap://dc2']), answer]) : answer),
  }
  const kinds = Object.keys(faults) as [string, ...string[]]

  function count(kind: string): void {
    injected.set(kind, (injected.get(kind) ?? 0) + 1)
  }

  function reply(exchange: Exchange, uid: string, rate: number): void {
    if (!chance.happens(rate)) {
      exchange.socket.write(exchange.answer)
      return
    }
    const kind = chance.pick(kinds)
    count(kind)
    onFault(uid)
    faults[kind]?.(exchange)
  }

  function answerService(id: number, socket: Socket): void {
    if (!chance.happens(RATES.service)) {
      socket.write(bindResponse(id))
      return
    }
    count('the service account gets no answer')
    reset(socket)
  }

  function handle({ id, operation }: LdapRequest, socket: Socket): void {
    if (operation.type === 'bind' && operation.dn === SERVICE.dn) answerService(id, socket)
    else if (operation.type === 'bind') {
      const uid = /^uid=(u\d+),/.exec(operation.dn)?.[1] ?? ''
      const code = operation.password === passwordOf(uid) ? 0 : 49
      const [answer, lie] = [bindResponse(id, { code }), bindResponse(id, { code: code === 0 ? 49 : 0 })]
      const astray = bindResponse(otherId(id, 'bind'), { code })
      reply({ id, kind: 'bind', answer, astray, lie, socket }, uid, RATES.bind)
    } else if (operation.type === 'search') {
      const uid = /\(uid=(u\d+)\)/.exec(operation.filter)?.[1]
      const found = (id: number, uid: string) =>
        Buffer.concat([searchEntry(id, dnOf(uid), { uid, entryUUID: `id-${uid}` }), searchDone(id)])
      // Without a name it is a sign of life that is asked for.
      if (uid === undefined) socket.write(searchDone(id))
      else {
        const [answer, lie] = [found(id, uid), found(id, 'u0')]
        const astray = found(otherId(id, 'search'), uid)
        reply({ id, kind: 'search', answer, astray, lie, socket }, uid, RATES.search)
      }
    } else if (operation.type === 'unbind') socket.end()
  }

  function accept(socket: Socket): void {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
    if (chance.happens(RATES.connection)) {
      count('the connection is reset')
      reset(socket)
      return
    }
    let pending: Buffer = Buffer.alloc(0)
    socket.on('data', (octets: Buffer) => {
      const { messages, rest } = splitMessages(pending.length > 0 ? Buffer.concat([pending, octets]) : octets)
      pending = rest
      for (const message of messages) handle(decodeRequest(message), socket)
    })
  }

  const server: Server = certificate
    ? createTlsServer({ ...certificate, noDelay: true }, accept)
    : createServer({ noDelay: true }, accept)
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    injected,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** RST where the socket has one to send; a TLS socket just goes. */
function reset(socket: Socket): void {
  try {
    socket.resetAndDestroy()
  } catch {
    socket.destroy()
  }
}
