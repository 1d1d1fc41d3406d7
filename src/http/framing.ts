/** What is refused before it is a request: broken framing, and headers that two readers could read in two ways (S66). */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Log } from '../authentication/log.ts'
import { catalogue, type PublicErrorCode } from '../errors.ts'
import type { Connections } from './connections.ts'
import { FIXED_HEADERS, PROBLEM_TYPE, writeProblem } from './problem.ts'
import { RequestFault } from './request-fault.ts'

// Not imported, as in listener.ts.
const { STATUS_CODES } = process.getBuiltinModule('node:http')

const MAX_HEADERS = 100

/** Of which Node silently takes the first, where others may take the last. */
const SINGLE_HEADERS = new Set(['authorization', 'content-type', 'content-length', 'host'])

/**
 * @throws RequestFault for too many headers, one twice that must be single, no Host in HTTP/1.1 (RFC 9112 section 3.2),
 *   or a body where none belongs
 */
export function checkHeaders({ rawHeaders, headers, httpVersion, method }: IncomingMessage): void {
  if (rawHeaders.length > 2 * MAX_HEADERS)
    throw new RequestFault({ detail: `more than ${MAX_HEADERS} headers` })
  if (Object.keys(headers).length * 2 !== rawHeaders.length) refuseDuplicates(rawHeaders)
  if (headers.host === undefined && httpVersion === '1.1')
    throw new RequestFault({ header: 'host', detail: 'missing' })
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  if (hasBody && (method === 'GET' || method === 'HEAD'))
    throw new RequestFault({ detail: `a body with ${method}` })
}

function refuseDuplicates(rawHeaders: readonly string[]): void {
  const seen = new Set<string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? ''
    if (!SINGLE_HEADERS.has(name)) continue
    if (seen.has(name)) throw new RequestFault({ header: name, detail: 'given twice' })
    seen.add(name)
  }
}

/**
 * Makes the handler of Node's `clientError`: a problem is written to the bare socket, which is then closed. Where an
 * earlier request on the connection still waits, it is closed without a word, because the words would be taken for the
 * reply to that one.
 */
export function createClientErrorHandler(connections: Connections, log: Log) {
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || !socket.writable || !connections.canAnswer(socket)) {
      socket.destroy()
      return
    }
    const { code, status } = diagnose(error.code)
    const requestId = randomUUID()
    // Never the error itself: it holds the raw bytes, and those may hold a password.
    log[catalogue[code].log](
      { request_id: requestId, status, code, reason: error.code },
      catalogue[code].title,
    )
    socket.write(writeReply(code, status, requestId))
    socket.destroySoon()
  }
}

function diagnose(code: string | undefined): {
  readonly code: 'invalid_request' | 'request_timeout'
  readonly status: number
} {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'request_timeout', status: catalogue.request_timeout.status }
    case 'HPE_HEADER_OVERFLOW':
      return { code: 'invalid_request', status: 431 }
    default:
      return { code: 'invalid_request', status: catalogue.invalid_request.status }
  }
}

function writeReply(code: PublicErrorCode, status: number, requestId: string): string {
  const body = writeProblem(code, requestId, status)
  const headers = {
    ...FIXED_HEADERS,
    'x-request-id': requestId,
    'content-type': PROBLEM_TYPE,
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`
}
