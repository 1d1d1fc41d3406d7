import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** A certificate authority made on the spot with the openssl command; its keys are worth nothing. */

const run = promisify(execFile)

export interface CertificateAuthority {
  readonly caFile: string
  /** The CA's certificate as PEM. */
  readonly ca: string
  issue(request?: CertificateRequest): Promise<Certificate>
}

export interface CertificateRequest {
  /** Subject alternative names in openssl's notation; `DNS:localhost` and `IP:127.0.0.1` by default. */
  readonly names?: readonly string[]
  /** The subject's CN, `localhost` by default; empty for a subject without any. Clients must not look at it. */
  readonly commonName?: string
  /** Milliseconds since the Unix epoch; yesterday by default. */
  readonly validFrom?: number
  /** Milliseconds since the Unix epoch; tomorrow by default. In the past: an expired certificate. */
  readonly validUntil?: number
  /** A weak one: a key of 1024 bits, or a signature over SHA-1. */
  readonly weak?: 'key' | 'signature'
}

export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
  /** PEM. */
  readonly cert: string
  /** PEM. */
  readonly key: string
}

const dayMs = 86_400_000
const weakKey = ['-newkey', 'rsa:1024', '-nodes']
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/**
 * @param directory where keys and certificates are written; made if it does not exist
 * @param name the CA's common name: another one makes an authority that nobody trusts
 * @param validUntil end of the CA's own certificate, in milliseconds since the Unix epoch; in a year by default
 */
export async function createCertificateAuthority(
  directory: string,
  name = 'Gatehouse test CA',
  validUntil?: number,
): Promise<CertificateAuthority> {
  await mkdir(directory, { recursive: true })
  const file = (base: string) => join(directory, base)
  const caFile = file('ca.pem')
  const caKeyFile = file('ca.key')
  const openssl = (...args: string[]) => run('openssl', args, { cwd: directory })
  await openssl(
    ...[
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      caKeyFile,
      '-out',
      caFile,
      '-days',
      '365',
      '-subj',
      `/CN=${name}`,
    ],
    ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
  )

  if (validUntil !== undefined) {
    const settingsFile = file('ca.cnf')
    await writeFile(settingsFile, settings(directory, 'ca', [], 'sha256'))
    await writeFile(file('ca.index'), '')
    await openssl('x509', '-x509toreq', '-in', caFile, '-signkey', caKeyFile, '-out', file('ca.csr'))
    await openssl(
      ...['ca', '-batch', '-notext', '-selfsign', '-config', settingsFile, '-extensions', 'authority'],
      ...['-in', file('ca.csr'), '-keyfile', caKeyFile, '-out', caFile, '-outdir', directory],
      ...['-startdate', asn1Time(validUntil - 365 * dayMs), '-enddate', asn1Time(validUntil)],
    )
  }

  let issued = 0
  return { caFile, ca: await readFile(caFile, 'utf8'), issue }

  async function issue(request: CertificateRequest = {}): Promise<Certificate> {
    issued += 1
    const base = `server-${issued}`
    const names = request.names ?? ['DNS:localhost', 'IP:127.0.0.1']
    const certFile = file(`${base}.pem`)
    const keyFile = file(`${base}.key`)
    const requestFile = file(`${base}.csr`)
    const settingsFile = file(`${base}.cnf`)
    await writeFile(file(`${base}.index`), '')
    const digest = request.weak === 'signature' ? 'sha1' : 'sha256'
    await writeFile(settingsFile, settings(directory, base, names, digest))
    const keyOptions = request.weak === 'key' ? weakKey : newKey
    const { commonName = 'localhost' } = request
    const subject = commonName === '' ? '/' : `/CN=${commonName}`
    await openssl('req', '-new', ...keyOptions, '-keyout', keyFile, '-out', requestFile, '-subj', subject)
    await openssl(
      ...['ca', '-batch', '-notext', '-config', settingsFile, '-in', requestFile, '-out', certFile],
      ...['-cert', caFile, '-keyfile', caKeyFile, '-outdir', directory],
      ...['-startdate', asn1Time(request.validFrom ?? Date.now() - dayMs)],
      ...['-enddate', asn1Time(request.validUntil ?? Date.now() + dayMs)],
    )
    return { certFile, keyFile, cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') }
  }
}

/** `openssl ca` is the only command of OpenSSL 3.0 that takes a start and an end date. */
function settings(directory: string, base: string, names: readonly string[], digest: string): string {
  const alternative = names.length > 0 ? `subjectAltName = ${names.join(',')}` : ''
  return `
[ca]
default_ca = test
[test]
# A database of its own for each certificate, so that two can be issued at once.
database = ${join(directory, `${base}.index`)}
default_md = ${digest}
policy = any
x509_extensions = server
rand_serial = yes
[any]
commonName = optional
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[server]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth,clientAuth
${alternative}
`
}

/** `20260101120000Z` */
function asn1Time(epochMs: number): string {
  return new Date(epochMs).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
}
