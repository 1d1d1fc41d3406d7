/** Reads `Authorization: Basic` (RFC 7617) in the one way in which it can be meant. */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { Secret } from '../authentication/secret.ts'

/** RFC 7617 section 2.1: the charset is only a promise of ours, that UTF-8 is what we read. */
export const BASIC_CHALLENGE = 'Basic realm="gatehouse", charset="UTF-8"'

export interface BasicCredentials {
  readonly username: string
  readonly password: Secret
}

/** `absent`: nobody has tried to log in. `problem` is in words and shows nothing of what was sent. */
export type ReadBasic =
  | { readonly read: 'credentials'; readonly credentials: BasicCredentials }
  | { readonly read: 'absent' }
  | { readonly read: 'unreadable'; readonly problem: string }

/** The scheme in any case (RFC 9110 section 11.1). */
const SCHEME = /^basic(?: +|$)/i
const TOKEN = /^[A-Za-z0-9+/]+={0,2}$/
/** A name and a password of 1,024 bytes each and the colon, in base64; the core says what each may be. */
const MAX_TOKEN = Math.ceil((2 * 1024 + 1) / 3) * 4

/**
 * Takes the credentials out of the request, so that from here on the password exists for it only inside the Secret.
 * Another scheme is no attempt to log in here. The first colon ends the name: it can hold none (section 2).
 */
export function takeBasic(request: IncomingMessage): ReadBasic {
  const { authorization } = request.headers
  forget(request)
  const scheme = authorization === undefined ? null : SCHEME.exec(authorization)
  if (authorization === undefined || scheme === null) return { read: 'absent' }
  const token = authorization.slice(scheme[0].length)
  if (token.length > MAX_TOKEN) return unreadable('longer than a name and a password can be')
  const bytes = Buffer.from(token, 'base64')
  // Node skips what is not base64: two readers of one header must see one login in it (advisories.md 19).
  if (!TOKEN.test(token) || bytes.toString('base64') !== token) return unreadable('not base64')
  if (!isUtf8(bytes)) return unreadable('not UTF-8')
  const text = bytes.toString('utf8')
  bytes.fill(0)
  const colon = text.indexOf(':')
  if (colon < 0) return unreadable('no colon between name and password')
  const password = new Secret(text.slice(colon + 1))
  return { read: 'credentials', credentials: { username: text.slice(0, colon), password } }
}

function unreadable(problem: string): ReadBasic {
  return { read: 'unreadable', problem }
}

function forget({ headers, rawHeaders }: IncomingMessage): void {
  delete headers.authorization
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() === 'authorization') rawHeaders[at + 1] = ''
  }
}
