import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDocument } from 'yaml'
import type { Slapd } from './slapd.ts'

const EXAMPLE = new URL('../../config/openldap.yaml', import.meta.url)

/**
 * Writes the OpenLDAP example, pointed at this slapd and at free ports, into a folder: the only things an operator
 * would have to change. More changes come as paths into the document.
 */
export function writeOpenldapExample(
  directory: string,
  slapd: Slapd,
  changes: readonly (readonly [path: readonly (string | number)[], value: unknown])[] = [],
): string {
  const document = parseDocument(readFileSync(EXAMPLE, 'utf8'))
  const backends = document.toJS().backends as { type: string }[]
  const ldap = ['backends', backends.findIndex(({ type }) => type === 'ldap')] as const
  const passwordFile = join(directory, 'service-password')
  writeFileSync(passwordFile, `${slapd.servicePassword}\n`, { mode: 0o600 })
  for (const [path, value] of [
    [['listen'], { host: '127.0.0.1', port: 0 }],
    [['admin'], { host: '127.0.0.1', port: 0 }],
    [['database'], join(directory, 'gatehouse.db')],
    [['log'], { level: 'info', format: 'json' }],
    // Tests of other things need not wait for it.
    [['timing'], { floor: '1ms', jitter: '1ms' }],
    [[...ldap, 'urls'], [slapd.ldapsUrl]],
    [[...ldap, 'tls'], { ca_file: slapd.caFile }],
    [[...ldap, 'bind'], { dn: slapd.serviceDn, password_file: passwordFile }],
    [[...ldap, 'base_dn'], slapd.baseDn],
    ...changes,
  ] as const) {
    document.setIn(path, value)
  }
  document.delete('clients')
  const file = join(directory, 'openldap.yaml')
  writeFileSync(file, String(document))
  return file
}
