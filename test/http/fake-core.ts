import { createHash } from 'node:crypto'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import type { Identity } from '../../src/authentication/outcome.ts'
import type { AuthenticationRequest, Lookup, Verdict } from '../../src/authentication/verdict.ts'
import type { Client, Permission } from '../../src/http/clients.ts'
import { type CallerOptions, createCallers } from '../../src/http/security.ts'
import { createPublicServer, type PublicServerOptions } from '../../src/http/server.ts'
import type { Service } from '../../src/http/service.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLogRecorder, type LogRecorder } from '../support/log-recorder.ts'

/** The public listener around a core that answers what a test wants. */

/** In every request as the password: it must come back in no reply and in no line of the log. */
export const canary = 'c4nary-pa55word'

export const alice: Identity = {
  id: 'corp:6f9619ff-8b86-d011-b42d-00c04fc964ff',
  backend: 'corp',
  username: 'alice',
  displayName: 'Alice Liddell',
  email: 'alice@corp.example',
  groups: ['staff', 'wiki-editors'],
  roles: ['editor'],
  attributes: { department: 'R&D', phones: ['1', '2'] },
}

export const rejected: Verdict = { verdict: 'rejected' }

export function appWithKey(id: string, key: string, may: Permission[] = []): Client {
  const sha256 = createHash('sha256').update(key).digest('hex')
  return { id, credential: { kind: 'key', sha256 }, may: new Set(may), requiredGroups: [] }
}

export interface FakeCoreServer {
  readonly app: FastifyInstance
  readonly log: LogRecorder
  /** Who may call and who answers, as a reload swaps it. */
  service: Service
  /** Every attempt that reached the core. */
  readonly attempts: AuthenticationRequest[]
  /** Every id that was looked up. */
  readonly lookups: string[]
  /** What the core answers from now on; a function is called. */
  answer: Verdict | ((request: AuthenticationRequest) => Promise<Verdict>)
  found: Lookup | (() => Promise<Lookup>)
  inject(options: InjectOptions): Promise<LightMyRequestResponse>
  /** POST /authenticate with this body, or a plain one. */
  login(body?: unknown, headers?: Record<string, string>): Promise<LightMyRequestResponse>
  /** Starts to listen, and gives the port. */
  listen(): Promise<number>
}

export function createFakeCoreServer(
  t: Test,
  {
    clients = 'anonymous',
    trustedProxies = [],
    lockoutDisclosure = 'shown',
    ...options
  }: Partial<PublicServerOptions & CallerOptions & Pick<Service, 'lockoutDisclosure'>> = {},
): FakeCoreServer {
  const log = createLogRecorder()
  const server: FakeCoreServer = {
    log,
    service: {
      callers: createCallers({ clients, trustedProxies }, log),
      authenticate: async request => {
        server.attempts.push(request)
        return typeof server.answer === 'function' ? server.answer(request) : server.answer
      },
      getUser: async id => {
        server.lookups.push(id)
        return typeof server.found === 'function' ? server.found() : server.found
      },
      lockoutDisclosure,
    },
    attempts: [],
    lookups: [],
    answer: rejected,
    found: { lookup: 'not_found' },
    app: createPublicServer({
      readiness: () => ({ phase: 'serving', ready: true }),
      clock: createFakeClock(),
      log,
      service: () => server.service,
      ...options,
    }),
    async inject(injected) {
      const reply = await server.app.inject(injected)
      t.notOk(
        reply.payload.includes(canary) || JSON.stringify(reply.headers).includes(canary),
        'no password in the reply',
      )
      t.notOk(log.text().includes(canary), 'no password in the log')
      return reply
    },
    login: (body = { username: 'alice', password: canary }, headers = {}) =>
      server.inject({
        method: 'POST',
        url: '/authenticate',
        headers: { 'content-type': 'application/json', ...headers },
        payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
      }),
    async listen() {
      await server.app.listen({ host: '127.0.0.1', port: 0 })
      return (server.app.server.address() as AddressInfo).port
    },
  }
  t.teardown(() => server.app.close())
  return server
}

/** A login as it is on the wire. */
export function loginBytes(headers: readonly string[] = [], password = canary): string {
  const body = JSON.stringify({ username: 'alice', password })
  return [
    'POST /authenticate HTTP/1.1',
    'Host: gatehouse',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
    '',
    body,
  ].join('\r\n')
}

/** A connection that keeps what it hears. */
export interface RawConnection {
  readonly socket: Socket
  readonly heard: () => string
  /** Resolves as soon as what was heard matches. */
  until(pattern: RegExp): Promise<string>
  /** Resolves with all that was heard when the other side has closed. */
  readonly closed: Promise<string>
}

export function openRaw(t: Test, port: number, bytes = ''): RawConnection {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', chunk => {
    text += chunk
  })
  // A reset is a way to close; what was heard before it counts.
  socket.on('error', () => {})
  if (bytes !== '') socket.write(bytes, 'latin1')
  const closed = new Promise<string>(resolve => socket.once('close', () => resolve(text)))
  return {
    socket,
    heard: () => text,
    until: pattern =>
      new Promise((resolve, reject) => {
        const look = () => pattern.test(text) && resolve(text)
        socket.on('data', look)
        socket.once('close', () => reject(new Error(`closed after: ${text}`)))
        look()
      }),
    closed,
  }
}
