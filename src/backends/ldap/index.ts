import { definePlugin } from '../../plugin.ts'
import { readCertificates, readClientCertificate } from './certificates.ts'
import { check } from './check/check.ts'
import { examine } from './doctor/examine.ts'
import { namedBy } from './doctor/named.ts'
import { idAttributeOf, isShielded, nestingOf, userFilterOf } from './effective.ts'
import { createLdapBackend } from './ldap-backend.ts'
import { type LdapOptions, options } from './options.ts'
import { presets } from './presets/presets.ts'
import { createDirectory } from './servers/directory.ts'
import type { Discovery } from './servers/directory-options.ts'
import { readSettings } from './settings.ts'

/** People of an LDAP directory or of Active Directory (docs/backends/ldap.md). */
export const ldapPlugin = definePlugin({
  type: 'ldap',
  apiVersion: 1,
  options,
  check,
  examine,
  on: ({ preset }) => presets[preset].on,
  implied: options => ({
    user_filter: userFilterOf(options),
    id_attribute: idAttributeOf(options),
    groups: { nesting: nestingOf(options) },
    lockout_shield: { enabled: isShielded(options) },
  }),
  files: ({ tls: { ca_file, cert_file, key_file } }) =>
    [ca_file, cert_file, key_file].filter(path => path !== undefined),
  async create(options, services) {
    const settings = readSettings(services.id, options)
    const directory = createDirectory(
      {
        endpoints: settings.endpoints,
        discover: discoveryOf(options),
        nameServers: options.dns_servers,
        ca: await readCertificates(options),
        minVersion: options.tls.min_version,
        servername: options.tls.servername,
        namedIn: namedBy(options.discover).where,
        connectTimeoutMs: options.connect_timeout,
        operationTimeoutMs: options.operation_timeout,
        clientCertificate: await readClientCertificate(options, services.log),
        service: settings.service,
        asksPolicy: settings.preset.asksPolicy,
        pool: {
          search: options.pool.search,
          bind: options.pool.bind,
          waiting: options.pool.waiting,
          idleTimeoutMs: options.pool.idle_timeout,
          maxAgeMs: options.pool.max_age,
          validateAfterMs: options.pool.validate_after,
        },
      },
      services,
    )
    return createLdapBackend(settings, directory, services)
  },
})

function discoveryOf({ discover: domain, tls, insecure }: LdapOptions): Discovery | undefined {
  if (domain === undefined) return undefined
  return { domain, security: tls.starttls ? 'starttls' : insecure ? 'none' : 'ldaps' }
}
