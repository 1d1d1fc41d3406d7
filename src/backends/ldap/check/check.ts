/** Rules over the options that their schema cannot say (config.md, Rules). Offline. */
import { normaliseDomain, type OptionProblem } from '../../../plugin.ts'
import { idAttributeOf, userFilterOf } from '../effective.ts'
import type { LdapOptions } from '../options.ts'
import { presets } from '../presets/presets.ts'
import { isNameServer } from '../servers/lookup.ts'
import { parseDn } from '../syntax/dn.ts'
import { parseFilterTemplate } from '../syntax/filter.ts'
import { isSaslMechanism } from '../wire/connection.ts'
import { parseEndpoint } from '../wire/endpoint.ts'
import { attempt, type ConfiguredBackend, type Finding, pointerKey } from './finding.ts'
import { checkGroups } from './groups.ts'
import { checkRealms, checkTwins } from './together.ts'

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
  return [...alone, ...checkTwins(backends), ...checkRealms(backends)]
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
    ...checkId(options),
    ...checkNames(options),
    ...checkShield(options),
    ...Object.entries(options.attributes).flatMap(([ours, theirs]) =>
      UNREADABLE.has(theirs.toLowerCase())
        ? [{ pointer: `/attributes/${pointerKey(ours)}`, message: `\`${theirs}\` is never handed to apps` }]
        : [],
    ),
  ]
}

/** What names somebody changes with the name, or is given to somebody else later (api.md: never a DN, UPN, login name or address). */
const NO_ID: ReadonlySet<string> = new Set([
  'dn',
  'entrydn',
  'distinguishedname',
  'cn',
  'name',
  'displayname',
  'sn',
  'givenname',
  'uid',
  'samaccountname',
  'userprincipalname',
  'krbprincipalname',
  'mail',
  'memberof',
  'objectclass',
  'objectsid',
])

function checkId(options: LdapOptions): Finding[] {
  const id = idAttributeOf(options)
  if (id === undefined) {
    return [{ pointer: '', message: 'the preset `custom` needs `id_attribute`', hint: 'such as entryUUID' }]
  }
  if (!NO_ID.has(id.toLowerCase())) return []
  const message = `\`${id}\` can change, or be somebody else's later: it is no id`
  return [{ pointer: '/id_attribute', message, hint: 'such as entryUUID, or objectGUID in Active Directory' }]
}

function checkNames({ names: { netbios, upn_suffixes } }: LdapOptions): Finding[] {
  const suffixes = upn_suffixes.map((domain, index) => ({ domain, pointer: `/names/upn_suffixes/${index}` }))
  const all = netbios === undefined ? suffixes : [...suffixes, { domain: netbios, pointer: '/names/netbios' }]
  return all.flatMap(({ domain, pointer }) => {
    if (!(attempt(() => Object(normaliseDomain(domain))) instanceof Error)) return []
    const hint = pointer === '/names/netbios' ? 'such as CORP' : 'such as corp.example, without the @'
    return [{ pointer, message: 'this cannot be a domain in a name', hint }]
  })
}

function checkShield({ preset, lockout_shield: { enabled, threshold } }: LdapOptions): Finding[] {
  if (presets[preset].countsBadPasswords || (enabled !== true && threshold === undefined)) return []
  const pointer = `/lockout_shield/${enabled === true ? 'enabled' : 'threshold'}`
  const message = `the preset \`${preset}\` has no lockout shield`
  return [{ pointer, message, hint: 'remove it: it is for `active-directory` and `samba`' }]
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
