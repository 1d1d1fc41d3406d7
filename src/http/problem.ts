/** Answers errors as `application/problem+json` (RFC 9457), and logs each once. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Log } from '../authentication/log.ts'
import { catalogue, type ErrorCode, errorType, type PublicErrorCode } from '../errors.ts'
import type { Limits } from './limits.ts'
import type { Fault } from './request-fault.ts'

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** On every reply, errors of framing included (api.md). Nothing here is to be kept, sniffed or named. */
export const FIXED_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const

export interface ProblemDetails {
  /** Where there is a better status than the usual one of the code. */
  readonly status?: 401 | 403 | 413 | 431 | 500 | 503
  /** `WWW-Authenticate` of a 401, if it is not the usual one. */
  readonly challenge?: string
  /** At least and at most what `Retry-After` may say is seen to here. */
  readonly retryAfterMs?: number
  readonly errors?: readonly Fault[]
  /** Methods that the path has. */
  readonly allow?: readonly string[]
  /** More for the log line, never for the reply. */
  readonly context?: object
}

export type SendProblem = (
  request: FastifyRequest,
  reply: FastifyReply,
  code: PublicErrorCode,
  details?: ProblemDetails,
) => FastifyReply

/** Of the admin listener, which may also answer what is private. */
export type SendAdminProblem = (
  request: FastifyRequest,
  reply: FastifyReply,
  code: ErrorCode,
  details?: ProblemDetails,
) => FastifyReply

export function createSendProblem(log: Log, limits: Pick<Limits, 'bodyBytes'>): SendAdminProblem {
  return function sendProblem(request, reply, code, details = {}) {
    const status = details.status ?? catalogue[code].status
    const level = catalogue[code].log
    if (level !== 'none') log[level](describe(request, code, status, details), catalogue[code].title)
    if (status === 401) reply.header('www-authenticate', details.challenge ?? challenge(code))
    if (status === 415) reply.header('accept', 'application/json')
    if (details.allow !== undefined) reply.header('allow', details.allow.join(', '))
    if (details.retryAfterMs !== undefined) reply.header('retry-after', retryAfter(details.retryAfterMs))
    if (hasLongUnreadBody(request, limits.bodyBytes)) reply.header('connection', 'close')
    return reply
      .code(status)
      .header('content-type', PROBLEM_TYPE)
      .send(writeProblem(code, request.id, status, details.errors))
  }
}

function describe(request: FastifyRequest, code: ErrorCode, status: number, details: ProblemDetails): object {
  return {
    request_id: request.id,
    method: request.method,
    path: loggablePath(request.raw.url ?? '', request.routeOptions.url),
    status,
    code,
    ...(details.errors && { errors: details.errors }),
    ...details.context,
  }
}

/**
 * Where a request went, for the log: by the pattern of its route or, if it is no path of ours, by its first plain word. The rest
 * is whatever somebody thought to belong there, a password too; and nothing can start a line of its own (CVE-2025-48432).
 *
 * @param route pattern such as `/users/:id`
 */
export function loggablePath(url: string, route?: string): string {
  if (route !== undefined) return route
  const path = /^\/[^?#;]*/.exec(url)?.[0] ?? ''
  const word = /^\/[A-Za-z_-]{0,32}(?=$|\/)/.exec(path)?.[0] ?? ''
  return word === path ? word : `${word === '/' ? '' : word}/…`
}

/** By code, what is the same in every body: the JSON text up to the request id. The rejected login must be cheap. */
const heads = new Map((Object.keys(catalogue) as ErrorCode[]).map(code => [code, writeHead(code)]))

function writeHead(code: ErrorCode, status: number = catalogue[code].status): string {
  const { title } = catalogue[code]
  return JSON.stringify({ type: errorType(code), title, status, code }).slice(0, -1)
}

/**
 * The body of a problem reply; its bytes depend on nothing but the arguments.
 *
 * @param requestId made of characters that JSON need not escape, as ours and `REQUEST_ID` are
 */
export function writeProblem(
  code: ErrorCode,
  requestId: string,
  status: number,
  errors?: readonly Fault[],
): string {
  const head = status === catalogue[code].status ? heads.get(code) : writeHead(code, status)
  const tail = errors === undefined ? '' : `,"errors":${JSON.stringify(errors)}`
  return `${head},"request_id":"${requestId}"${tail}}`
}

const BEARERS: ReadonlySet<ErrorCode> = new Set(['client_unauthenticated', 'admin_unauthenticated'])

/**
 * RFC 9110 section 11.6.1: every 401 carries a challenge. A user's wrong password gets a scheme of our own, because with
 * `Basic` browsers would open their login window.
 */
function challenge(code: ErrorCode): string {
  return `${BEARERS.has(code) ? 'Bearer' : 'Gatehouse'} realm="gatehouse"`
}

/** Whole seconds in 1..86400 (RFC 9110 section 10.2.3; lockout.md, Rules). */
function retryAfter(ms: number): number {
  return ms > 0 ? Math.min(Math.max(Math.ceil(ms / 1000), 1), 86_400) : 1
}

/** A reply that comes before its request has been read: only a short rest is worth reading to keep the connection. */
function hasLongUnreadBody({ raw, headers }: FastifyRequest, limitBytes: number): boolean {
  if (raw.complete) return false
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > limitBytes
}
