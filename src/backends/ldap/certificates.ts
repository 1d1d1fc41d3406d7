/** The files that `tls` names. */
import { X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import type { Log } from '../../plugin.ts'
import type { LdapOptions } from './options.ts'
import { type ClientCertificate, checkClientCertificate } from './wire/client-certificate.ts'
import { reasonOf } from './wire/failure.ts'

/** @throws {Error} if the file can't be read or holds no certificate: trusting nobody would look like an outage */
export async function readCertificates({ tls: { ca_file } }: LdapOptions): Promise<string | undefined> {
  if (ca_file === undefined) return undefined
  const pem = await read('tls.ca_file', ca_file)
  const blocks = pem.match(/-----BEGIN [^-]*CERTIFICATE-----.*?(?:-----END [^-]*-----|$)/gs) ?? []
  if (blocks.length === 0) throw new Error(`tls.ca_file: ${ca_file} holds no PEM certificate`)
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch {
      // OpenSSL would leave it out, and all that stand before it, without a word.
      throw new Error(
        `tls.ca_file: certificate ${index + 1} of ${blocks.length} in ${ca_file} cannot be read`,
      )
    }
  }
  return pem
}

const EVERYBODY_MAY_READ = 0o004

/**
 * @param log told if the key is open to everybody
 * @throws {Error} if a file can't be read or the two do not go together
 */
export async function readClientCertificate(
  { tls: { cert_file, key_file } }: LdapOptions,
  log?: Log,
): Promise<ClientCertificate | undefined> {
  if (cert_file === undefined || key_file === undefined) return undefined
  const [cert, key] = [await read('tls.cert_file', cert_file), await read('tls.key_file', key_file)]
  const { mode } = await stat(key_file)
  if (mode & EVERYBODY_MAY_READ) {
    log?.warn({ file: key_file }, 'every user of this machine may read tls.key_file: chmod o-r the file')
  }
  return checkClientCertificate({ cert, key })
}

/** @throws {Error} that names the option: what the system says names the file only */
async function read(option: string, file: string): Promise<string> {
  return readFile(file, 'utf8').catch(error => {
    throw new Error(`${option}: ${reasonOf(error)}`)
  })
}
