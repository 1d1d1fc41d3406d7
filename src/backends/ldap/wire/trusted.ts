import { X509Certificate } from 'node:crypto'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/**
 * Whether one of the trusted CAs has this name, although none of them has issued the certificate: then it is another CA, or the
 * same with a new key.
 *
 * @param issuer on one line
 * @param pem the trusted CAs
 */
export function isNamesake(issuer: string, pem?: string): boolean {
  return readTrusted(pem).some(({ subject }) => subject === issuer)
}

/** A CA that `tls.ca_file` says to trust. */
export interface TrustedCa {
  readonly subject: string
  readonly issuer: string
  /** Milliseconds since the Unix epoch. */
  readonly validToMs: number
}

/**
 * The trusted CAs above a certificate, the nearest first. Of several with one name, as with a CA that was renewed, the one that
 * ends last.
 *
 * @param issuer of that certificate, on one line
 * @param pem the trusted CAs
 */
export function trustedAbove(issuer: string, pem: string | undefined): readonly TrustedCa[] {
  const left = [...readTrusted(pem)].sort((one, other) => other.validToMs - one.validToMs)
  const above: TrustedCa[] = []
  let next: string | undefined = issuer
  while (next !== undefined) {
    const name: string = next
    const ca = left.find(({ subject }) => subject === name)
    if (ca !== undefined) above.push(ca)
    next = ca === undefined || above.some(({ subject }) => subject === ca.issuer) ? undefined : ca.issuer
  }
  return above
}

function readTrusted(pem = ''): readonly TrustedCa[] {
  return [...pem.matchAll(CERTIFICATE)].flatMap(([text]) => {
    try {
      const { subject, issuer, validToDate } = new X509Certificate(text)
      // Without a subject Node gives undefined, whatever its types say.
      return [
        {
          subject: oneLine(subject ?? ''),
          issuer: oneLine(issuer ?? ''),
          validToMs: validToDate.getTime(),
        },
      ]
    } catch {
      // What cannot be read is trusted by nobody either.
      return []
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
