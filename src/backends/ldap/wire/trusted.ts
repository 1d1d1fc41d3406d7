import { X509Certificate } from 'node:crypto'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/**
 * Whether one of the trusted CAs has this name, although none of them has issued the certificate: then it is another CA, or the
 * same with a new key.
 *
 * @param issuer on one line
 * @param pem the trusted CAs
 */
export function isNamesake(issuer: string, pem = ''): boolean {
  return [...pem.matchAll(CERTIFICATE)].some(([certificate]) => {
    try {
      return oneLine(new X509Certificate(certificate).subject) === issuer
    } catch {
      // What cannot be read is trusted by nobody either.
      return false
    }
  })
}

/** A name as node:crypto has it stands on several lines. */
export function oneLine(text: string): string {
  return text
    .trim()
    .replaceAll('\n', ', ')
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 200)
}
