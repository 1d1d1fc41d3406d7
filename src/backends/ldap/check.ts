/** Rules over the options that their schema cannot say (config.md, Rules). Offline. */
import type { OptionProblem } from '../../plugin.ts'
import { matchGroups } from './groups/group.ts'
import type { LdapOptions } from './options.ts'
import { presets } from './presets/presets.ts'
import { isNameServer } from './servers/lookup.ts'
import { canonicalDn, parseDn } from './syntax/dn.ts'
import { parseFilterTemplate, parseGroupFilterTemplate } from './syntax/filter.ts'
import { isSaslMechanism } from './wire/connection.ts'
import { parseEndpoint } from './wire/endpoint.ts'

type Finding = Omit<OptionProblem, 'backend' | 'severity'> & { readonly severity?: 'warning' }

interface ConfiguredBackend {
  readonly id: string
  readonly options: LdapOptions
}

/** No app gets these; and an attribute called `dn` would take the place of the entry's DN in ldapts. */
const UNREADABLE: ReadonlySet<string> = new Set([
  'dn',
  'userpassword',
  'unicodepwd',
  'sambantpassword',
  'sambalmpassword',
  'krbprincipalkey',
  'ipanthash',
])

/** Everything that is wrong with these backends, each on its own and all together. */
export function check(backends: readonly ConfiguredBackend[]): readonly OptionProblem[] {
  const alone = backends.flatMap(({ options }, backend) =>
    checkOne(options).map(finding => ({ severity: 'error' as const, ...finding, backend })),
  )
  return [...alone, ...checkTogether(backends)]
}

/** The filter that finds one person, or undefined where `custom` has none. */
export function userFilterOf({ user_filter, preset }: LdapOptions): string | undefined {
  return user_filter ?? presets[preset].userFilter
}

export function idAttributeOf({ id_attribute, preset }: LdapOptions): string | undefined {
  return id_attribute ?? presets[preset].idAttribute
}

function checkOne(options: LdapOptions): Finding[] {
  return [
    ...checkUrls(options),
    ...checkFilter(options),
    ...checkGroups(options),
    ...checkBind(options),
    ...(isSaslMechanism(options.bind.dn ?? '')
      ? [{ pointer: '/bind/dn', message: 'this is the name of a SASL mechanism, not of an account' }]
      : []),
    ...(parseDn(options.base_dn)
      ? []
      : [{ pointer: '/base_dn', message: 'this is no DN', hint: 'such as dc=corp,dc=example' }]),
    ...(idAttributeOf(options)
      ? []
      : [{ pointer: '', message: 'the preset `custom` needs `id_attribute`', hint: 'such as entryUUID' }]),
    ...Object.entries(options.attributes).flatMap(([ours, theirs]) =>
      UNREADABLE.has(theirs.toLowerCase())
        ? [{ pointer: `/attributes/${pointerKey(ours)}`, message: `\`${theirs}\` is never handed to apps` }]
        : [],
    ),
  ]
}

function checkBind({ bind: { method, dn, password }, tls }: LdapOptions): Finding[] {
  const findings: Finding[] = []
  if ((tls.cert_file === undefined) !== (tls.key_file === undefined)) {
    findings.push({ pointer: '/tls', message: '`cert_file` and `key_file` go together' })
  }
  if (method === 'simple') {
    if (dn === undefined) findings.push({ pointer: '/bind', message: 'the service account needs a `dn`' })
    if (password === undefined) {
      const hint = 'password_file: /run/secrets/…'
      findings.push({ pointer: '/bind', message: 'the service account needs a `password`', hint })
    }
    return findings
  }
  if (dn !== undefined || password !== undefined) {
    findings.push({ pointer: '/bind', message: `\`method: ${method}\` takes no \`dn\` and no \`password\`` })
  }
  if (method === 'external' && tls.cert_file === undefined) {
    findings.push({ pointer: '/bind/method', message: '`external` needs `tls.cert_file` and `tls.key_file`' })
  }
  return findings
}

function checkUrls({ urls, discover, dns_servers, tls, insecure }: LdapOptions): Finding[] {
  if (urls.length === 0 && discover === undefined) {
    return [{ pointer: '', message: 'which servers? `urls` or `discover` says', hint: 'urls: [ldaps://…]' }]
  }
  if (urls.length > 0 && discover !== undefined) {
    return [{ pointer: '/discover', message: '`urls` and `discover` exclude each other' }]
  }
  const strangers = dns_servers.flatMap((server, index): Finding[] =>
    isNameServer(server)
      ? []
      : [
          {
            pointer: `/dns_servers/${index}`,
            message: 'this is no address of a name server',
            hint: 'such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53',
          },
        ],
  )
  const endpoints = urls.map(url => attempt(() => parseEndpoint(url, tls.starttls)))
  const findings = endpoints.flatMap((endpoint, index): Finding[] => {
    const pointer = `/urls/${index}`
    if (endpoint instanceof Error) return [{ pointer, message: endpoint.message }]
    if (endpoint.security !== 'none' || insecure) return []
    return [
      {
        pointer,
        message: 'passwords would cross the network unencrypted',
        hint: 'use ldaps://, or set `tls: { starttls: true }`',
      },
    ]
  })
  const isClear = discover !== undefined && !tls.starttls
  if (
    insecure &&
    (isClear || endpoints.some(endpoint => !(endpoint instanceof Error) && endpoint.security === 'none'))
  ) {
    const message = 'every password sent to this directory is readable on the network'
    findings.push({ pointer: '/insecure', message, hint: 'for tests only', severity: 'warning' })
  }
  return [...strangers, ...findings]
}

function checkFilter(options: LdapOptions): Finding[] {
  const filter = userFilterOf(options)
  if (filter === undefined) {
    return [
      { pointer: '', message: 'the preset `custom` needs `user_filter`', hint: 'such as (uid={username})' },
    ]
  }
  const template = attempt(() => parseFilterTemplate(filter))
  return template instanceof Error ? [{ pointer: '/user_filter', message: template.message }] : []
}

function checkGroups({ groups }: LdapOptions): Finding[] {
  return [...checkPatterns(groups), ...checkGroupSearch(groups)]
}

function checkGroupSearch({ base_dn, filter, nesting, ...groups }: LdapOptions['groups']): Finding[] {
  const findings: Finding[] = []
  if (base_dn !== undefined && !parseDn(base_dn)) {
    const hint = 'such as ou=groups,dc=corp,dc=example'
    findings.push({ pointer: '/groups/base_dn', message: 'this is no DN', hint })
  }
  const template = filter === undefined ? undefined : attempt(() => parseGroupFilterTemplate(filter))
  if (template instanceof Error) findings.push({ pointer: '/groups/filter', message: template.message })
  if (filter !== undefined && (nesting === 'token_groups' || nesting === 'in_chain')) {
    findings.push({
      pointer: '/groups/nesting',
      message: `\`${nesting}\` finds every group by itself and takes no \`filter\``,
      hint: 'remove groups.filter, or set `nesting: levels`',
    })
  }
  if (groups.when_unreadable === 'omit' && groups.required.length + groups.denied.length > 0) {
    findings.push({
      pointer: '/groups/when_unreadable',
      message: 'without their groups nobody can be held to `required` and `denied`',
      hint: 'when_unreadable: refuse',
    })
  }
  return findings
}

function checkPatterns(groups: LdapOptions['groups']): Finding[] {
  const patterns = [
    ...groups.required.map((pattern, index) => ({ pattern, pointer: `/groups/required/${index}` })),
    ...groups.denied.map((pattern, index) => ({ pattern, pointer: `/groups/denied/${index}` })),
    ...Object.keys(groups.roles).map(pattern => ({
      pattern,
      pointer: `/groups/roles/${pointerKey(pattern)}`,
    })),
  ]
  return patterns.flatMap(({ pattern, pointer }) => {
    const matcher = attempt(() => matchGroups([pattern]))
    return matcher instanceof Error ? [{ pointer, message: matcher.message }] : []
  })
}

/** Two views of one directory with different filters: which filter holds would be a matter of order (CVE-2022-30550). */
function checkTogether(backends: readonly ConfiguredBackend[]): OptionProblem[] {
  return backends.flatMap(({ options }, backend) => {
    const twin = backends
      .slice(0, backend)
      .find(
        other =>
          sharesServer(other.options, options) && userFilterOf(other.options) !== userFilterOf(options),
      )
    if (twin === undefined) return []
    return {
      backend,
      pointer: options.user_filter === undefined ? '' : '/user_filter',
      message: `the backend \`${twin.id}\` has the same server and base_dn but another filter`,
      hint: 'make them one backend, or give them different bases',
      severity: 'error' as const,
    }
  })
}

function sharesServer(one: LdapOptions, other: LdapOptions): boolean {
  const mine = new Set(one.urls.map(server))
  return base(one) === base(other) && other.urls.some(url => mine.has(server(url)))
}

function server(url: string): string {
  const endpoint = attempt(() => parseEndpoint(url, false))
  if (endpoint instanceof Error) return url
  // 389 and 636 lead to one server, whichever way it is encrypted.
  return endpoint.port === 389 || endpoint.port === 636 ? endpoint.host : `${endpoint.host}:${endpoint.port}`
}

function base({ base_dn }: LdapOptions): string {
  const rdns = parseDn(base_dn)
  return rdns ? canonicalDn(rdns) : base_dn
}

function pointerKey(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

function attempt<T extends object>(work: () => T): T | Error {
  try {
    return work()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
