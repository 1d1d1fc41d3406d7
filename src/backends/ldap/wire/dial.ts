import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls, type PeerCertificate, type TLSSocket } from 'node:tls'
import type { ClientCertificate } from './client-certificate.ts'
import type { Endpoint } from './endpoint.ts'
import { DirectoryFailure, type Explanation, reasonOf } from './failure.ts'
import { extendedRequest } from './request.ts'
import { describe, SUCCESS } from './result.ts'
import { Session } from './session.ts'
import {
  explainTls,
  NO_ALTERNATIVE_NAMES,
  type PresentedCertificate,
  readChain,
  tellExplanation,
} from './tls-failure.ts'

export interface DialOptions {
  /** PEM; undefined trusts Node's own list. */
  readonly ca: string | undefined
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** Checked against the certificate instead of the host. */
  readonly servername: string | undefined
  /** Our own certificate and its key, PEM, for servers that ask for one. */
  readonly clientCertificate?: ClientCertificate | undefined
  /** For everything until the connection can be used. */
  readonly connectTimeoutMs: number
  /** Finds the addresses of a host; without it the system does. */
  readonly lookup?: LookupFunction | undefined
  /** Where `ca` is from, for who is to mend it. */
  readonly caFile?: string | undefined
  /** Where the server is named, for the same; "`urls`" if nothing is said. */
  readonly namedIn?: string | undefined
}

/** StartTLS (RFC 4511 section 4.14). */
const START_TLS = '1.3.6.1.4.1.1466.20037'
/** Finds the other side dead before a NAT forgets us, and keeps it from forgetting. */
const KEEP_ALIVE_MS = 30_000

/**
 * Opens a connection, encrypted as the endpoint says, in bounded time.
 *
 * @param signal gives up at once
 * @throws {DirectoryFailure} with phase `connect` or `tls`
 */
export async function dial(endpoint: Endpoint, options: DialOptions, signal: AbortSignal): Promise<Session> {
  let phase: 'connect' | 'tls' = 'connect'
  let givenUp: string | undefined
  const { host, port, security } = endpoint
  const socket = connectTcp({
    host,
    port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    ...(options.lookup && { lookup: options.lookup }),
  })
  ignoreLateErrors(socket)
  const giveUp = (why: string) => {
    givenUp ??= why
    socket.destroy()
  }
  const cancel = () => giveUp('it is not wanted any more')
  const timer = setTimeout(
    giveUp,
    options.connectTimeoutMs,
    `no connection within ${options.connectTimeoutMs} ms`,
  )
  signal.addEventListener('abort', cancel)
  if (signal.aborted) cancel()
  try {
    await established(socket, 'connect')
    if (security === 'none') return new Session(socket)
    phase = 'tls'
    if (security === 'starttls') await askForTls(socket, options.connectTimeoutMs)
    const secure = await encrypt(socket, host, options)
    const chain = readChain(secure.getPeerX509Certificate())
    const clientCertificate = options.clientCertificate !== undefined
    return new Session(secure, { version: secure.getProtocol() ?? 'unknown', chain, clientCertificate })
  } catch (error) {
    socket.destroy()
    if (givenUp === undefined && error instanceof TlsError) {
      const { explanation } = error
      const cause = `${endpoint.url}: ${tellExplanation(explanation)}`
      throw new DirectoryFailure(cause, { phase, connectionLost: true, explanation })
    }
    const reason = givenUp ?? reasonOf(error)
    throw new DirectoryFailure(`${endpoint.url}: ${reason}`, { phase, connectionLost: true })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
  }
}

/** Whatever this client learns in clear ends with it: the session is a fresh client's (RFC 4513 section 3.1.5). */
async function askForTls(socket: Socket, timeoutMs: number): Promise<void> {
  const session = new Session(socket)
  const { result } = await session.ask('extended', timeoutMs, id => extendedRequest(id, START_TLS))
  if (result === undefined) throw session.failure ?? new Error('StartTLS got no answer')
  if (result.code !== SUCCESS) throw new Error(`StartTLS was refused: ${describe(result)}`)
  session.release()
}

async function encrypt(socket: Socket, host: string, options: DialOptions): Promise<TLSSocket> {
  const name = options.servername ?? host
  const secure = connectTls({
    socket,
    host: name,
    // A name indication must not be an address (RFC 6066 section 3).
    servername: isIP(name) ? '' : name,
    ca: options.ca,
    minVersion: options.minVersion,
    ...options.clientCertificate,
    rejectUnauthorized: true,
    checkServerIdentity: (_, certificate) => checkName(name, certificate),
  })
  ignoreLateErrors(secure)
  let chain: readonly PresentedCertificate[] = []
  // Before it is verified: a certificate that is refused can't be read any more once the socket is destroyed.
  secure.prependOnceListener('secure', () => {
    chain = readChain(secure.getPeerX509Certificate())
  })
  try {
    await established(secure, 'secureConnect')
    return secure
  } catch (error) {
    const explanation = explainTls(error, { name, chain, ownCa: options.ca !== undefined, ...options })
    throw new TlsError(explanation)
  }
}

class TlsError extends Error {
  readonly explanation: Explanation

  constructor(explanation: Explanation) {
    super(explanation.reason)
    this.explanation = explanation
  }
}

/** By the subject alternative names only: the CN names nobody (RFC 6125 section 6.4.4), and Node would look at it. */
function checkName(name: string, certificate: PeerCertificate): Error | undefined {
  const nameless = {} as PeerCertificate['subject']
  if (certificate.subjectaltname) return checkServerIdentity(name, { ...certificate, subject: nameless })
  return Object.assign(new Error('no subjectAltName'), { code: NO_ALTERNATIVE_NAMES })
}

function established(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed the connection')))
  })
}

/** A socket may fail at any time, also when nobody listens any more; that must not end the process. */
function ignoreLateErrors(socket: Socket): void {
  socket.on('error', () => {})
}
