import type { Attempt, Backend } from '../../../src/authentication/backend.ts'
import { type Clock, systemClock } from '../../../src/authentication/clock.ts'
import type { LocalUsers } from '../../../src/authentication/local-users.ts'
import type { Log } from '../../../src/authentication/log.ts'
import type { Outcome } from '../../../src/authentication/outcome.ts'
import { createRefusedAccounts } from '../../../src/authentication/refused-accounts.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import type { Username } from '../../../src/authentication/username.ts'
import { ldapPlugin } from '../../../src/backends/ldap/index.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import { type DirectoryEntry, readEntry } from '../../../src/backends/ldap/syntax/entry.ts'
import type { BackendServices } from '../../../src/plugin.ts'
import { createLogRecorder, type LogRecorder } from '../../support/log-recorder.ts'
import type { Slapd, TestScope } from '../../support/slapd.ts'

/** A directory has nothing to do with the daemon's own users. */
export const nobody: LocalUsers = {
  authenticateByUsername: () => Promise.reject(new Error('not for LDAP')),
  authenticateByEmail: () => Promise.reject(new Error('not for LDAP')),
  findByUsername: () => undefined,
  findByEmail: () => undefined,
  count: () => ({ all: 0, withEmail: 0 }),
  getUser: () => undefined,
  probe: () => ({ ok: true }),
}

/** Options as the configuration hands them over, defaults filled in. */
export function ldapOptions(changes: Partial<LdapOptions> & Pick<LdapOptions, 'urls'>): LdapOptions {
  return {
    preset: 'openldap',
    tls: tlsOptions(),
    insecure: false,
    bind: {
      method: 'simple',
      dn: 'cn=gatehouse,ou=services,dc=corp,dc=example',
      password: new Secret('gatehouse-secret-1'),
    },
    base_dn: 'dc=corp,dc=example',
    names: { upn_suffixes: [] },
    groups: groupOptions(),
    dns_servers: [],
    lockout_shield: { window: 1_800_000 },
    password_expiry_warning: 1_209_600_000,
    attributes: {},
    connect_timeout: 2_000,
    operation_timeout: 2_000,
    pool: {
      search: 2,
      bind: 8,
      waiting: 500,
      idle_timeout: 600_000,
      max_age: 3_600_000,
      validate_after: 30_000,
    },
    ...changes,
  }
}

export function groupOptions(changes: Partial<LdapOptions['groups']> = {}): LdapOptions['groups'] {
  return {
    required: [],
    denied: [],
    roles: {},
    max_depth: 10,
    max: 5_000,
    cache: 300_000,
    timeout: 2_000,
    when_unreadable: 'refuse',
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

/** What the daemon hands to the backend `corp`. */
export function ldapServices(log: Log, clock: Clock = systemClock, timeoutMs = 5_000): BackendServices {
  const refusedAccounts = createRefusedAccounts(clock)
  return { id: 'corp', log, clock, timeoutMs, localUsers: nobody, refusedAccounts }
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
  const backend = await ldapPlugin.create(options, ldapServices(log, clock))
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

/** An entry as the wire gives it. */
export function entryOf({
  dn,
  ...attributes
}: { readonly dn: string } & Record<string, string | Buffer | readonly (string | Buffer)[]>): DirectoryEntry {
  const octets = Object.entries(attributes).map(
    ([name, values]) => [name.toLowerCase(), [values].flat().map(value => Buffer.from(value))] as const,
  )
  return readEntry({ dn, attributes: new Map(octets) })
}
