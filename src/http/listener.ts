/** The Node server under Fastify, with every limit of the socket side set (security.md S68). */
import type { RequestListener, Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createSecureContext, type SecureContextOptions, Server as TlsServer } from 'node:tls'
import type { Limits } from './limits.ts'

// Not imported: an import has Node.js load all that the module could give, its `fetch` included, for 20 ms of each start.
const { createServer } = process.getBuiltinModule('node:http')

export interface TlsOptions {
  /** PEM, intermediates included. */
  readonly cert: string | Buffer
  readonly key: string | Buffer
  /** PEM of the CAs whose client certificates count; without it none is asked for. */
  readonly clientCa?: string | Buffer
}

/** @throws Error for a certificate or key that cannot be read */
export function createListener(
  handler: RequestListener,
  limits: Limits,
  tls: TlsOptions | undefined,
): Server {
  const options = {
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    // Node enforces the first two only when it looks, by default every 30 s.
    connectionsCheckingInterval: Math.min(limits.headersMs, 1000),
    // `checkHeaders` does it, so that the reply is a problem like any other.
    requireHostHeader: false,
  }
  const server =
    tls === undefined
      ? createServer(options, handler)
      : createTlsServer(
          {
            ...options,
            ...contextOf(tls),
            handshakeTimeout: limits.headersMs,
            // A client without a good certificate may still have a key; `certificateSubject` looks at the verdict.
            ...(tls.clientCa !== undefined && { requestCert: true, rejectUnauthorized: false }),
          },
          handler,
        )
  server.maxConnections = limits.connections
  // Beyond a maximum Node drops headers silently, a proxy's X-Forwarded-For first; their bytes are limited anyway.
  server.maxHeadersCount = 0
  // An unknown expectation may be ignored (RFC 9110 section 10.1.1); Node would answer it in its own words.
  server.on('checkExpectation', handler)
  return server
}

function contextOf({ cert, key, clientCa }: TlsOptions): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(clientCa !== undefined && { ca: clientCa }) }
}

/** @throws Error for a certificate or key that cannot be read, or that do not belong together */
export function checkTls(tls: TlsOptions): void {
  createSecureContext(contextOf(tls))
}

/** New connections get this certificate. Nothing on a server without TLS. */
export function setTls(server: Server, tls: TlsOptions): void {
  if (server instanceof TlsServer) server.setSecureContext(contextOf(tls))
}
