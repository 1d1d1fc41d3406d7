/** The files that `tls` names: which of them it is, and what is wrong with it. */
import { readFile } from 'node:fs/promises'
import type { Finding } from '../../../plugin.ts'
import { readCertificates, readClientCertificate } from '../certificates.ts'
import type { LdapOptions } from '../options.ts'
import { reasonOf } from '../wire/failure.ts'
import { fail } from './finding.ts'
import type { ReachOptions } from './reach.ts'

/** @returns undefined if one cannot be used: the findings say which */
export async function* readFiles(
  options: LdapOptions,
): AsyncGenerator<Finding, Pick<ReachOptions, 'ca' | 'caFile' | 'clientCertificate'> | undefined> {
  const { ca_file, cert_file, key_file } = options.tls
  const paths = { ca_file, cert_file, key_file }
  let unreadable = false
  for (const [key, path] of Object.entries(paths)) {
    if (path === undefined) continue
    try {
      await readFile(path)
    } catch (error) {
      unreadable = true
      yield whyUnreadable(`tls.${key}`, path, error)
    }
  }
  if (unreadable) return undefined
  try {
    const [ca, clientCertificate] = [await readCertificates(options), await readClientCertificate(options)]
    return { ca, caFile: ca_file, clientCertificate }
  } catch (error) {
    yield whyUseless(paths, reasonOf(error))
    return undefined
  }
}

/**
 * @param option such as `tls.ca_file`
 * @param error of opening or reading it
 */
export function whyUnreadable(option: string, path: string, error: unknown): Finding {
  const check = `${option} ${path}`
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return fail(check, 'it does not exist', `correct the path in \`${option}\``)
    case 'EACCES':
    case 'EPERM':
      return fail(
        check,
        'it is not readable by this user',
        'let the user that runs Gatehouse read it, and enter its folders',
      )
    case 'EISDIR':
      return fail(check, 'it is a folder', `name a file in \`${option}\``)
    default:
      return fail(check, reasonOf(error), `correct \`${option}\``)
  }
}

/** They can be read: what does not fit is said with the option in front, or with both. */
function whyUseless(
  paths: Readonly<Record<'ca_file' | 'cert_file' | 'key_file', string | undefined>>,
  reason: string,
): Finding {
  if (reason.includes('do not belong together')) {
    const check = `tls.cert_file ${paths.cert_file} and tls.key_file ${paths.key_file}`
    const detail = reason
      .replace(/^.*?(?=do not belong)/, 'they ')
      .replace(/: error:.*key values mismatch/, '')
    return fail(
      check,
      detail,
      'name the key that this certificate was made for, or the certificate of this key',
    )
  }
  for (const [key, path] of Object.entries(paths)) {
    const option = `tls.${key}`
    if (!reason.startsWith(`${option}: `)) continue
    const detail = reason
      .slice(option.length + 2)
      .replace(`${path} holds`, 'it holds')
      .replace(` in ${path}`, '')
    return fail(`${option} ${path}`, detail, `correct \`${option}\``)
  }
  return fail('certificate files', reason, 'correct `tls.ca_file`, `tls.cert_file` and `tls.key_file`')
}
