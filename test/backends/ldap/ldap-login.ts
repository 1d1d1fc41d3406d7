import type { Attempt, Backend } from '../../../src/authentication/backend.ts'
import { type Clock, systemClock } from '../../../src/authentication/clock.ts'
import type { LocalUsers } from '../../../src/authentication/local-users.ts'
import type { Outcome } from '../../../src/authentication/outcome.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import type { Username } from '../../../src/authentication/username.ts'
import { ldapPlugin } from '../../../src/backends/ldap/index.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import { createLogRecorder, type LogRecorder } from '../../support/log-recorder.ts'
import type { Slapd, TestScope } from '../../support/slapd.ts'

/** A directory has nothing to do with the daemon's own users. */
export const nobody: LocalUsers = {
  authenticateByUsername: () => Promise.reject(new Error('not for LDAP')),
  authenticateByEmail: () => Promise.reject(new Error('not for LDAP')),
  getUser: () => undefined,
  probe: () => ({ ok: true }),
}

/** Options as the configuration hands them over, defaults filled in. */
export function ldapOptions(changes: Partial<LdapOptions> & Pick<LdapOptions, 'urls'>): LdapOptions {
  return {
    preset: 'openldap',
    tls: tlsOptions(),
    insecure: false,
    bind: { dn: 'cn=gatehouse,ou=services,dc=corp,dc=example', password: new Secret('gatehouse-secret-1') },
    base_dn: 'dc=corp,dc=example',
    names: { upn_suffixes: [] },
    groups: { required: [], denied: [], roles: {} },
    attributes: {},
    connect_timeout: 2_000,
    operation_timeout: 2_000,
    pool: { search: 2, bind: 8, waiting: 500, idle_timeout: 600_000, max_age: 3_600_000 },
    ...changes,
  }
}

export function tlsOptions(changes: Partial<LdapOptions['tls']> = {}): LdapOptions['tls'] {
  return { starttls: false, min_version: 'TLSv1.2', ...changes }
}

/** Options for a real slapd, over ldaps and with its CA. */
export function slapdOptions(slapd: Slapd, changes: Partial<LdapOptions> = {}): LdapOptions {
  return ldapOptions({ urls: [slapd.ldapsUrl], tls: tlsOptions({ ca_file: slapd.caFile }), ...changes })
}

export interface Desk {
  readonly backend: Backend
  readonly log: LogRecorder
  /** One login, with five seconds to answer. */
  login(name: string | Username, password: string, changes?: Partial<Attempt>): Promise<Outcome>
}

/** The backend as the daemon would have it, closed when the test ends. */
export async function openDesk(
  t: TestScope,
  options: LdapOptions,
  clock: Clock = systemClock,
): Promise<Desk> {
  const log = createLogRecorder()
  const services = { id: 'corp', log, clock, timeoutMs: 5_000, localUsers: nobody }
  const backend = await ldapPlugin.create(options, services)
  t.teardown(() => backend.close())
  return {
    backend,
    log,
    login: (name, password, changes) =>
      backend.authenticate({
        username: typeof name === 'string' ? { text: name, typed: name, user: name } : name,
        password: new Secret(password),
        signal: AbortSignal.timeout(5_000),
        log,
        mayVerify: async () => true,
        ...changes,
      }),
  }
}
