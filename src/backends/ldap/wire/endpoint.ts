import { isIP } from 'node:net'

/** One server of a directory. */
export interface Endpoint {
  /** For logs: scheme, host and port. */
  readonly url: string
  /** A name, or an address without brackets. */
  readonly host: string
  readonly port: number
  readonly security: 'ldaps' | 'starttls' | 'none'
}

/** Letters, digits, hyphens and, as some have them, underscores (RFC 1123 section 2.1). */
const HOST = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/

/**
 * Reads `ldaps://host`, `ldap://host:port`, `ldaps://[2001:db8::1]`.
 *
 * @throws {Error} in words for the operator
 */
export function parseEndpoint(url: string, starttls: boolean): Endpoint {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const secure = parsed?.protocol === 'ldaps:'
  if (!parsed?.hostname || (!secure && parsed.protocol !== 'ldap:')) {
    throw new Error('this is no LDAP URL: expected `ldaps://host` or `ldap://host`, with `:port` if need be')
  }
  if (parsed.username || parsed.password) throw new Error('an LDAP URL holds no credentials: `bind` does')
  if (!['', '/'].includes(parsed.pathname) || parsed.search || parsed.hash) {
    throw new Error('an LDAP URL here ends with its host and port: `base_dn` and `user_filter` say the rest')
  }
  if (secure && starttls)
    throw new Error('`ldaps://` is encrypted from the start: `tls.starttls` goes with `ldap://`')
  const host = parsed.hostname.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  if (!HOST.test(host) && isIP(host) === 0) throw new Error('this is no host: expected a name or an address')
  const port = parsed.port ? Number(parsed.port) : secure ? 636 : 389
  if (port === 0) throw new Error('port 0 is no port')
  return {
    url: `${parsed.protocol}//${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
    host,
    port,
    security: secure ? 'ldaps' : starttls ? 'starttls' : 'none',
  }
}
