/**
 * Who gets past the door of the admin listener. It is on loopback, but so are a browser on this machine and whoever else
 * has an account here: hence a token, and no request that a web page could have made.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Secret } from '../authentication/secret.ts'
import type { SendAdminProblem } from './problem.ts'
import type { Readiness } from './readiness.ts'

export interface AdminDoorOptions {
  readonly token: Secret
  /** The host that the listener was configured with. */
  readonly host: string
  readonly readiness: () => Readiness
}

/** RFC 6750 section 2.1 */
const BEARER = /^bearer +([A-Za-z0-9_-]{1,512})$/i

/**
 * Makes the hook before every route of the admin listener: on loopback no web page may read even health, which names servers
 * and files. Elsewhere a scraper may know the listener by any name.
 */
export function createPageGuard(host: string, sendProblem: SendAdminProblem): onRequestHookHandler {
  return function pageGuard(request, reply, done) {
    const refused = whyNoOperator(request, host)
    if (refused === undefined || !isLoopback(unmapped(request.raw.socket.localAddress ?? ''))) done()
    else sendProblem(request, reply, 'admin_forbidden', { context: { refused } })
  }
}

/** Makes the hook before what needs an operator: no web page → token → ready; before the body is read. */
export function createAdminDoor(
  { token, host, readiness }: AdminDoorOptions,
  sendProblem: SendAdminProblem,
): onRequestHookHandler {
  const digest = digestOf(token.reveal())

  return function adminDoor(request, reply, done) {
    const refused = whyNoOperator(request, host)
    if (refused !== undefined) {
      sendProblem(request, reply, 'admin_forbidden', { context: { refused } })
      return
    }
    const presented = BEARER.exec(request.headers.authorization ?? '')?.[1]
    // Digests are of one length, so the time tells nothing about the token (security.md S34).
    if (presented === undefined || !timingSafeEqual(digestOf(presented), digest)) {
      const context = { token_presented: request.headers.authorization !== undefined }
      sendProblem(request, reply, 'admin_unauthenticated', { context })
      return
    }
    if (readiness().phase === 'serving') done()
    else sendProblem(request, reply, 'not_ready', { retryAfterMs: 1000 })
  }
}

/** Browsers name the page a request comes from; and a page that had its name point here (DNS rebinding) says so as Host. */
function whyNoOperator({ headers, raw }: FastifyRequest, configured: string): string | undefined {
  if (headers.origin !== undefined) return 'an Origin header'
  const host = hostOf(headers.host ?? '')
  const ours = [configured.toLowerCase(), 'localhost', unmapped(raw.socket.localAddress ?? '')]
  const known = host !== '' && (isLoopback(host) || ours.includes(host))
  return known ? undefined : 'a Host that is not ours'
}

/** `[::1]:8471` → `::1` */
function hostOf(header: string): string {
  const name = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/.exec(header)
  return (name?.[1] ?? name?.[2] ?? '').toLowerCase()
}

function isLoopback(host: string): boolean {
  return (isIP(host) === 4 && host.startsWith('127.')) || host === '::1'
}

function unmapped(address: string): string {
  return address.toLowerCase().replace(/^::ffff:/, '')
}

function digestOf(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
