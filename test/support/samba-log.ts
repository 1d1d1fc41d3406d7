/** What Samba wrote about authentications: a JSON object a line (smb.conf(5), log level, auth_json_audit). */
import { readFile } from 'node:fs/promises'

export interface LoggedAuthentication {
  /** sAMAccountName of whom it was for, whatever name was sent; undefined if there is nobody. */
  readonly account: string | undefined
  /** The name as it was sent: a DN, a UPN, `CORP\alice`. */
  readonly name: string
  /** Such as `NT_STATUS_OK` or `NT_STATUS_WRONG_PASSWORD`. */
  readonly status: string
  /** The client's address. */
  readonly from: string
  /** Such as `simple bind/TLS`. */
  readonly how: string
}

/** Every authentication in the log, in order. A line is written before the answer leaves. */
export async function readAuthentications(file: string): Promise<LoggedAuthentication[]> {
  const log = await readFile(file, 'utf8').catch(error => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  return log
    .split('\n')
    .filter(line => line.trim().startsWith('{'))
    .flatMap(line => {
      const { type, Authentication: said } = JSON.parse(line)
      if (type !== 'Authentication') return []
      return {
        account: said.mappedAccount ?? undefined,
        name: said.clientAccount ?? '',
        status: said.status,
        // `ipv4:127.0.0.1:40000`
        from: String(said.remoteAddress).split(':')[1] ?? '',
        how: said.authDescription,
      }
    })
}
