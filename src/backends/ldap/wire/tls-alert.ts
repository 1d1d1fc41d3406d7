import type { Explanation } from './failure.ts'
import type { TlsAttempt } from './tls-failure.ts'

/** What to do about a server that is too old for us. */
export const ALLOW_OLDER = 'set `tls.min_version: TLSv1.2`'

/**
 * What it means that a server, or our side, ended a handshake in words of TLS (RFC 8446 section 6).
 *
 * @param code as Node.js makes it of OpenSSL's
 */
export function explainAlert(
  code: string,
  { minVersion = 'TLSv1.2', namedIn = '`urls`' }: Pick<TlsAttempt, 'minVersion' | 'namedIn'> = {},
): Explanation | undefined {
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW/.test(code)) {
    return {
      reason: `the server speaks no TLS as new as ${minVersion}`,
      advice: minVersion === 'TLSv1.3' ? `${ALLOW_OLDER}, or update the server` : 'update the server',
    }
  }
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/.test(code)) {
    return {
      reason: 'what answers there does not speak TLS',
      advice: 'is it the right port? 636 is for ldaps://; for 389 use ldap:// with `tls: { starttls: true }`',
    }
  }
  if (code.endsWith('_DH_KEY_TOO_SMALL')) {
    return {
      reason: 'the Diffie-Hellman parameters of the server are too small',
      advice: 'have it offer ECDHE, or give it parameters of 2048 bits or more',
    }
  }
  if (/KEY_TOO_SMALL|MD_TOO_WEAK|WEAK/.test(code)) {
    return {
      reason: 'the certificate or key of the server is too weak',
      advice: 'have one issued with RSA of 2048 bits or more, or ECDSA, and SHA-256',
    }
  }
  const alert = /ALERT_([A-Z_]+)$/.exec(code)?.[1]
  switch (alert) {
    case undefined:
      return undefined
    case 'HANDSHAKE_FAILURE':
    case 'INSUFFICIENT_SECURITY':
      return {
        reason: 'the server shares no cipher with us, or wants a client certificate',
        advice: 'allow it ECDHE with AES-GCM, or set `tls.cert_file` and `tls.key_file`',
      }
    case 'CERTIFICATE_REQUIRED':
      return {
        reason: 'the server wants a client certificate',
        advice: 'set `tls.cert_file` and `tls.key_file`',
      }
    case 'UNRECOGNIZED_NAME':
      return {
        reason: 'the server does not know the name it was asked for',
        advice: `correct the name in ${namedIn}, or \`tls.servername\``,
      }
    case 'UNKNOWN_CA':
    case 'BAD_CERTIFICATE':
    case 'CERTIFICATE_UNKNOWN':
    case 'CERTIFICATE_EXPIRED':
    case 'CERTIFICATE_REVOKED':
    case 'UNSUPPORTED_CERTIFICATE':
    case 'ACCESS_DENIED':
    case 'DECRYPT_ERROR':
      return {
        reason: `the server refuses our client certificate (${alert.toLowerCase().replaceAll('_', ' ')})`,
        advice: 'is `tls.cert_file` valid, issued by a CA that the server trusts, and with its chain?',
      }
    default:
      return { reason: `the server ended TLS with the alert ${alert.toLowerCase().replaceAll('_', ' ')}` }
  }
}
