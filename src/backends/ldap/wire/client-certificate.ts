import { createSecureContext } from 'node:tls'
import { reasonOf } from './failure.ts'

/** What this daemon shows to servers that ask who it is. */
export interface ClientCertificate {
  /** PEM, with the chain if the server needs it. */
  readonly cert: string
  /** PEM, not encrypted. */
  readonly key: string
}

/**
 * Makes sure that the two can be used and belong together: found at the start, and not at the first login.
 *
 * @throws {Error} in words for the operator
 */
export function checkClientCertificate(certificate: ClientCertificate): ClientCertificate {
  if (!certificate.cert.includes('-----BEGIN CERTIFICATE-----')) {
    throw new Error('tls.cert_file: it holds no PEM certificate')
  }
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(certificate.key)) {
    throw new Error('tls.key_file: the key is encrypted, and nothing here knows its passphrase: decrypt it')
  }
  if (!/-----BEGIN ([A-Z]+ )?PRIVATE KEY-----/.test(certificate.key)) {
    throw new Error('tls.key_file: it holds no PEM private key')
  }
  try {
    createSecureContext(certificate)
  } catch (error) {
    throw new Error(`tls.cert_file and tls.key_file do not belong together: ${reasonOf(error)}`)
  }
  return certificate
}
