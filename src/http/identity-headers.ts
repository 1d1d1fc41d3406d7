/** A user as a reverse proxy hands them on to the app behind it (docs/forward-auth.md). */
import type { Identity } from '../authentication/outcome.ts'

/** All of them on every acceptance: what is not known is empty, so that nothing of an end user's own takes its place. */
export type IdentityHeaders = Readonly<
  Record<'remote-user' | 'remote-name' | 'remote-email' | 'remote-groups' | 'remote-id', string>
>

/**
 * Values together, in bytes. What the proxy must buffer (nginx: `proxy_buffer_size`) and the app must read is this and little
 * more, and neither takes more than 8 KiB without being told to.
 */
export const MAX_IDENTITY_BYTES = 6 * 1024

/** What is not printable ASCII, what apps split lists at or quote with, and the percent sign that all of it is written by. */
const UNSAFE = /[^!-~]|[%,;|"]/gu

/**
 * Percent-encoded UTF-8 (RFC 3986 section 2.1): no value can end its header, begin another or seem to be two groups.
 *
 * @returns undefined when it is too long; groups are never left out, because an app may refuse by one
 * @throws URIError for a lone surrogate: two users must not become one by it
 */
export function presentIdentity(user: Identity): IdentityHeaders | undefined {
  const headers = {
    'remote-user': encode(user.username),
    'remote-name': encode(user.displayName ?? ''),
    'remote-email': encode(user.email ?? ''),
    'remote-groups': user.groups.map(encode).join(','),
    'remote-id': encode(user.id),
  }
  const bytes = Object.values(headers).reduce((sum, value) => sum + value.length, 0)
  return bytes > MAX_IDENTITY_BYTES ? undefined : headers
}

function encode(value: string): string {
  return value.replace(UNSAFE, character => encodeURIComponent(character))
}
