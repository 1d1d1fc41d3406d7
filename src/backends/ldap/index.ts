import { readFile } from 'node:fs/promises'
import { definePlugin } from '../../plugin.ts'
import { check } from './check.ts'
import { createDirectory } from './directory.ts'
import { createLdapBackend } from './ldap-backend.ts'
import { type LdapOptions, options } from './options.ts'
import { presets } from './presets.ts'
import { readSettings } from './settings.ts'

/** People of an LDAP directory or of Active Directory (docs/backends/ldap.md). */
export const ldapPlugin = definePlugin({
  type: 'ldap',
  apiVersion: 1,
  options,
  check,
  on: ({ preset }) => presets[preset].on,
  async create(options, services) {
    const settings = readSettings(services.id, options)
    const directory = createDirectory(
      {
        endpoints: settings.endpoints,
        ca: await readCertificates(options),
        minVersion: options.tls.min_version,
        servername: options.tls.servername,
        connectTimeoutMs: options.connect_timeout,
        operationTimeoutMs: options.operation_timeout,
        serviceDn: options.bind.dn,
        servicePassword: options.bind.password,
        pool: {
          search: options.pool.search,
          bind: options.pool.bind,
          waiting: options.pool.waiting,
          idleTimeoutMs: options.pool.idle_timeout,
          maxAgeMs: options.pool.max_age,
        },
      },
      services,
    )
    return createLdapBackend(settings, directory, services)
  },
})

/** @throws {Error} if the file can't be read or holds no certificate: trusting nobody would look like an outage */
async function readCertificates({ tls: { ca_file } }: LdapOptions): Promise<string | undefined> {
  if (ca_file === undefined) return undefined
  const pem = await readFile(ca_file, 'utf8')
  if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem
  throw new Error(`tls.ca_file: ${ca_file} holds no PEM certificate`)
}
