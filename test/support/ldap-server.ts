import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import {
  bindResponse,
  decodeRequest,
  extendedResponse,
  type LdapAttributes,
  type LdapRequest,
  searchDone,
  searchEntry,
  splitMessages,
  startTlsOid,
} from './ldap-message.ts'

/** An LDAP server that a test scripts byte by byte, for the faults that no real server gives. */

export interface LdapServer {
  readonly port: number
  /** `ldaps://` if it speaks TLS from the first byte, else `ldap://`. */
  readonly url: string
  /** Every connection that was ever accepted, in order. */
  readonly connections: readonly LdapServerConnection[]
  /** Every request that was understood, on any connection, in order. */
  readonly requests: readonly ReceivedRequest[]
  /** Everything that came in without TLS around it: search it for a password. */
  clearText(): Buffer
  /** Resolves with the first request, past or to come, that fits. */
  received(fits: (request: ReceivedRequest) => boolean): Promise<ReceivedRequest>
  /** Stops listening and drops every connection. */
  close(): Promise<void>
}

export interface ReceivedRequest extends LdapRequest {
  /** Came inside TLS. */
  readonly encrypted: boolean
  readonly connection: LdapServerConnection
}

export interface LdapServerConnection {
  /** All bytes as they came in, decrypted. */
  received(): Buffer
  send(...bytes: readonly Buffer[]): void
  /** Sends in pieces of so many bytes each, the last size repeated, one segment each. */
  sendSplit(bytes: Buffer, sizes: readonly number[], pauseMs?: number): Promise<void>
  /** Answers as a well-behaved directory without content would; see `LdapServerOptions.directory`. */
  behave(request: LdapRequest): Promise<void>
  /** Says yes to StartTLS; `injected` follows in clear, before the handshake, as an attacker's bytes would. */
  startTls(request: LdapRequest, injected?: Buffer): Promise<void>
  /** Sends FIN. */
  end(): void
  /** Sends RST. */
  reset(): void
  /** Resolves when the client's side is gone. */
  readonly closed: Promise<void>
}

export interface LdapServerOptions {
  /** PEM key and certificate; without, StartTLS is refused and `implicitTls` impossible. */
  readonly certificate?: { readonly key: string; readonly cert: string }
  /** Speak TLS from the first byte (ldaps). */
  readonly implicitTls?: boolean
  /** What `behave` knows: each search finds these entries that its filter's words occur in; a bind needs the password. */
  readonly directory?: readonly DirectoryEntry[]
  /** Decides what happens on a request; `connection.behave(request)` by default. */
  readonly onRequest?: (request: ReceivedRequest, connection: LdapServerConnection) => unknown
  /** Called when a connection is accepted and, with implicit TLS, before its handshake. */
  readonly onConnection?: (connection: LdapServerConnection, socket: Socket) => unknown
}

export interface DirectoryEntry {
  readonly dn: string
  readonly password?: string
  readonly attributes: LdapAttributes
}

/** Listens on a free loopback port until the test ends. */
export async function startLdapServer(
  t: { teardown(end: () => unknown): void },
  options: LdapServerOptions = {},
): Promise<LdapServer> {
  const secureContext = options.certificate && createSecureContext(options.certificate)
  if (options.implicitTls && secureContext === undefined) throw new Error('implicit TLS needs a certificate')
  const connections: LdapServerConnection[] = []
  const requests: ReceivedRequest[] = []
  const clearText: Buffer[] = []
  const sockets = new Set<Socket>()
  const waiting = new Set<(request: ReceivedRequest) => void>()

  const listener = createServer({ noDelay: true }, socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const connection = acceptConnection(socket, {
      ...options,
      secureContext,
      sawClearText: bytes => clearText.push(bytes),
      sawRequest: request => {
        requests.push(request)
        for (const tell of waiting) tell(request)
      },
    })
    connections.push(connection)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo

  async function close(): Promise<void> {
    for (const socket of sockets) socket.destroy()
    if (!listener.listening) return
    listener.close()
    await once(listener, 'close')
  }
  t.teardown(close)

  return {
    port,
    url: `${options.implicitTls ? 'ldaps' : 'ldap'}://localhost:${port}`,
    connections,
    requests,
    clearText: () => Buffer.concat(clearText),
    received(fits) {
      const past = requests.find(fits)
      if (past !== undefined) return Promise.resolve(past)
      const { promise, resolve } = Promise.withResolvers<ReceivedRequest>()
      const tell = (request: ReceivedRequest) => {
        if (!fits(request)) return
        waiting.delete(tell)
        resolve(request)
      }
      waiting.add(tell)
      return promise
    },
    close,
  }
}

interface ConnectionOptions extends LdapServerOptions {
  readonly secureContext: SecureContext | undefined
  readonly sawClearText: (bytes: Buffer) => void
  readonly sawRequest: (request: ReceivedRequest) => void
}

function acceptConnection(plain: Socket, options: ConnectionOptions): LdapServerConnection {
  const received: Buffer[] = []
  let pending = Buffer.alloc(0)
  let encrypted = false
  let current: Socket = plain

  const connection: LdapServerConnection = {
    received: () => Buffer.concat(received),
    send(...bytes) {
      current.write(Buffer.concat(bytes))
    },
    async sendSplit(bytes, sizes, pauseMs = 0) {
      let rest = bytes
      for (let i = 0; rest.length > 0; i += 1) {
        const size = sizes[Math.min(i, sizes.length - 1)] ?? rest.length
        const socket = current
        await new Promise(resolve => socket.write(rest.subarray(0, size), resolve))
        rest = rest.subarray(size)
        if (rest.length > 0) await pause(pauseMs)
      }
    },
    behave: request => behave(connection, request, options),
    async startTls(request, injected = Buffer.alloc(0)) {
      const { secureContext } = options
      if (secureContext === undefined) throw new Error('StartTLS needs a certificate')
      plain.off('data', onClearText)
      plain.write(Buffer.concat([extendedResponse(request.id, { oid: startTlsOid }), injected]))
      upgrade(secureContext)
    },
    end: () => void current.end(),
    reset: () => void plain.resetAndDestroy(),
    closed: new Promise(resolve => plain.once('close', () => resolve())),
  }

  // A client that breaks off is what the tests are about.
  plain.on('error', () => {})
  void options.onConnection?.(connection, plain)
  if (options.implicitTls && options.secureContext) upgrade(options.secureContext)
  else plain.on('data', onClearText)
  return connection

  function upgrade(secureContext: SecureContext): void {
    const secure = new TLSSocket(plain, { isServer: true, secureContext })
    secure.on('error', () => {})
    secure.on('data', onBytes)
    current = secure
    encrypted = true
  }

  function understand(bytes: Buffer): LdapRequest[] {
    try {
      const { messages, rest } = splitMessages(Buffer.concat([pending, bytes]))
      pending = Buffer.from(rest)
      return messages.map(decodeRequest)
    } catch {
      // Not LDAP (a TLS handshake on the plain port, say): kept in `received`, and left unanswered.
      return []
    }
  }

  function onClearText(bytes: Buffer): void {
    options.sawClearText(bytes)
    onBytes(bytes)
  }

  function onBytes(bytes: Buffer): void {
    received.push(bytes)
    for (const understood of understand(bytes)) {
      const request: ReceivedRequest = { ...understood, encrypted, connection }
      options.sawRequest(request)
      const onRequest = options.onRequest ?? (() => connection.behave(request))
      void onRequest(request, connection)
    }
  }
}

async function behave(
  connection: LdapServerConnection,
  request: LdapRequest,
  options: ConnectionOptions,
): Promise<void> {
  const { id, operation } = request
  const directory = options.directory ?? []
  switch (operation.type) {
    case 'bind': {
      const known = directory.find(entry => entry.dn === operation.dn)
      const right =
        operation.dn === '' || (known?.password !== undefined && known.password === operation.password)
      return connection.send(bindResponse(id, { code: right ? 0 : 49 }))
    }
    case 'search': {
      const found = directory.filter(entry =>
        matches(entry, operation.base, operation.scope, operation.filter),
      )
      const entries = found.map(entry => searchEntry(id, entry.dn, entry.attributes))
      return connection.send(...entries, searchDone(id))
    }
    case 'extended':
      if (operation.oid === startTlsOid && options.secureContext) return connection.startTls(request)
      return connection.send(
        extendedResponse(id, { code: 2, diagnosticMessage: 'unsupported extended operation' }),
      )
    case 'sasl-bind':
      return connection.send(bindResponse(id, { code: 7 }))
    case 'unbind':
      return connection.end()
    case 'abandon':
    case 'other':
      return
  }
}

/** Crude on purpose: an entry fits if its DN is the base, or some value of it occurs as an assertion in the filter. */
function matches(entry: DirectoryEntry, base: string, scope: string, filter: string): boolean {
  if (scope === 'base') return entry.dn === base
  if (!entry.dn.endsWith(base)) return false
  return Object.entries(entry.attributes).some(([type, values]) =>
    [values].flat().some(value => filter.includes(`(${type}=${value})`) && type !== 'objectClass'),
  )
}
