/** From the words of the YAML to those of the code: `max_in_flight` → `maxInFlight`, `timeout` → `timeoutMs`. */
import type { BackendPlugin } from '../plugin.ts'
import { toAudit } from './audit-config.ts'
import type { BackendConfig, ClientConfig, ClientIdentity, Config } from './config.ts'
import { deepFreeze } from './convert.ts'
import { toLockout } from './lockout-config.ts'
import { canonicalCidr } from './network.ts'
import type { ConfigValues } from './schema.ts'

/** What a backend's plugin is, and its converted options. */
export interface ReadyBackend {
  readonly plugin: BackendPlugin
  readonly options: unknown
}

/**
 * The configuration of sound values.
 *
 * @param backends in the order of `values.backends`
 */
export function toConfig(values: ConfigValues, backends: readonly ReadyBackend[]): Config {
  const { listen } = values
  return deepFreeze<Config>({
    listen: {
      host: listen.host,
      port: listen.port,
      ...(listen.tls && {
        tls: {
          certFile: listen.tls.cert_file,
          keyFile: listen.tls.key_file,
          ...(listen.tls.client_ca_file && { clientCaFile: listen.tls.client_ca_file }),
        },
      }),
    },
    admin: values.admin,
    database: values.database,
    deadlineMs: values.deadline,
    trustedProxies: values.trusted_proxies.map(canonicalCidr),
    allowAnonymousClients: values.allow_anonymous_clients,
    clients: values.clients.map(toClient),
    plugins: values.plugins,
    backends: values.backends.flatMap((common, index) => {
      const backend = backends[index]
      return backend ? [toBackend(common, backend)] : []
    }),
    checks: values.checks,
    lockout: toLockout(values.lockout),
    timing: { floorMs: values.timing.floor, jitterMs: values.timing.jitter },
    audit: toAudit(values.audit, values.database),
    log: {
      level: values.log.level,
      format: values.log.format,
      maxPerSecond: values.log.max_per_second,
    },
  })
}

function toClient(client: ConfigValues['clients'][number]): ClientConfig {
  return {
    id: client.id,
    identity: toIdentity(client),
    may: client.may,
    ...(client.backends && { backends: client.backends }),
    requiredGroups: client.required_groups,
    ...(client.attributes && { attributes: client.attributes }),
    ...(client.rate_limit && { rateLimit: { max: client.rate_limit.max, perMs: client.rate_limit.per } }),
  }
}

function toIdentity({ key_sha256, tls_subject, cidr }: ConfigValues['clients'][number]): ClientIdentity {
  if (key_sha256 !== undefined) return { by: 'key', sha256: key_sha256.toLowerCase() }
  if (tls_subject !== undefined) return { by: 'tls_subject', subject: tls_subject }
  return { by: 'cidr', cidr: canonicalCidr(cidr ?? '') }
}

/** Frozen here, so that the plugin in it, which is not ours, stays as it is. */
function toBackend(
  common: ConfigValues['backends'][number],
  { plugin, options }: ReadyBackend,
): BackendConfig {
  return Object.freeze({
    id: common.id,
    type: common.type,
    plugin,
    options,
    enabled: common.enabled,
    deny: common.deny,
    usernameFilter: common.username_filter,
    timeoutMs: common.timeout,
    maxInFlight: common.max_in_flight,
    on: Object.freeze({
      accept: common.on.accept,
      unknownUser: common.on.unknown_user,
      wrongPassword: common.on.wrong_password,
      unavailable: common.on.unavailable,
    }),
  })
}
