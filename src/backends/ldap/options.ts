import { DurationOption, SecretOption, type Static, Type } from '../../plugin.ts'
import { type PresetName, presets } from './presets/presets.ts'

const attributeName = '^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\\.[0-9]+)+)$'

function WordOption<const W extends readonly string[]>(words: W, description: string, fallback?: W[number]) {
  return Type.Unsafe<W[number]>({
    type: 'string',
    enum: words,
    description,
    ...(fallback === undefined ? {} : { default: fallback }),
  })
}

function PatternsOption(description: string) {
  return Type.Array(Type.String({ minLength: 1 }), { default: [], uniqueItems: true, description })
}

function SizeOption(fallback: number, maximum: number, description: string) {
  return Type.Integer({ minimum: 1, maximum, default: fallback, description })
}

const tls = Type.Object(
  {
    starttls: Type.Boolean({
      default: false,
      description:
        'Encrypt `ldap://` connections by StartTLS before anything else is sent. Prefer `ldaps://`.',
    }),
    ca_file: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'PEM file with the only CAs to trust; without it the list that Node.js brings holds.',
      }),
    ),
    min_version: WordOption(['TLSv1.2', 'TLSv1.3'], 'Oldest TLS version to accept.', 'TLSv1.2'),
    servername: Type.Optional(
      Type.String({
        minLength: 1,
        description: "Name that the servers' certificates must carry, where it is not the host in `urls`.",
      }),
    ),
    cert_file: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'PEM file with the certificate that this daemon shows to the servers, its chain included.',
      }),
    ),
    key_file: Type.Optional(
      Type.String({ minLength: 1, description: 'PEM file with the private key of `cert_file`.' }),
    ),
  },
  { default: {}, description: 'How connections are encrypted. Certificates are always verified.' },
)

const bind = Type.Object(
  {
    method: WordOption(
      ['simple', 'external', 'anonymous'],
      'How the service account proves itself: by `dn` and `password`, by the client certificate of `tls` ' +
        '(SASL EXTERNAL), or not at all.',
      'simple',
    ),
    dn: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Service account that searches: its DN, or for Active Directory also its UPN. Reading is enough.',
      }),
    ),
    password: Type.Optional(SecretOption("The service account's password; better `password_file`.")),
  },
  { default: {}, description: 'The service account with which people are searched for.' },
)

const names = Type.Object(
  {
    upn_suffixes: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      uniqueItems: true,
      description: 'Domains of this directory, as in `alice@corp.example`. The first is the canonical one.',
    }),
    netbios: Type.Optional(
      Type.String({ minLength: 1, description: 'Down-level domain name, as in `CORP\\alice`.' }),
    ),
  },
  { default: {}, description: 'Which domains in a typed name mean this directory.' },
)

const groups = Type.Object(
  {
    required: PatternsOption('Only members of at least one of these may log in. Empty: everybody.'),
    denied: PatternsOption('Members of any of these may not log in, whatever else they are in.'),
    roles: Type.Record(Type.String({ minLength: 1 }), Type.String({ minLength: 1 }), {
      default: {},
      description: 'Group pattern to the role that its members get, such as `"CN=Wiki Admins,*": admin`.',
    }),
    nesting: Type.Optional(
      WordOption(
        ['auto', 'token_groups', 'in_chain', 'levels', 'direct'],
        'How groups within groups are found, instead of the preset’s way: `token_groups` and `in_chain` are Active ' +
          'Directory’s, `levels` asks level by level, `direct` leaves them out, `auto` takes what the server can do.',
      ),
    ),
    base_dn: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'Entry below which groups are; without it the naming context that `base_dn` lies in.',
      }),
    ),
    filter: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Filter that finds the groups of one person, for directories without `memberOf`: `{dn}` is the person’s DN, ' +
          '`{username}` the login name, such as `(&(objectClass=posixGroup)(memberUid={username}))`.',
      }),
    ),
    max_depth: SizeOption(10, 100, 'Groups within groups are followed so far; deeper ones are an outage.'),
    max: SizeOption(5_000, 100_000, 'Groups one person may have; more are an outage.'),
    cache: DurationOption('What is known of groups, not of people, is kept so long.', '5m'),
    timeout: DurationOption('For finding all groups of one person.', '2s'),
    when_unreadable: WordOption(
      ['refuse', 'omit'],
      'What a login is when the groups cannot be read: an outage, or one without groups and roles.',
      'refuse',
    ),
  },
  {
    default: {},
    description:
      'What groups mean. A pattern with `=` is matched against the DN, any other against the name; `*` is any text.',
  },
)

const lockoutShield = Type.Object(
  {
    enabled: Type.Optional(
      Type.Boolean({
        description:
          'Keep every account below the number of wrong passwords that locks it in the directory. With the presets ' +
          '`active-directory` and `samba` it is on unless this says `false`; no other has it.',
      }),
    ),
    threshold: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 999,
        description:
          'So many wrong passwords may lock an account where the directory does not show it: the lowest of your password ' +
          'settings objects. Without it the domain’s own threshold holds, or 3 where that cannot be read either.',
      }),
    ),
    window: DurationOption(
      'After so long the directory forgets a wrong password, where it does not show it.',
      '30m',
    ),
  },
  { default: {}, description: 'How nobody is locked out of Windows by wrong passwords that are typed here.' },
)

const pool = Type.Object(
  {
    search: SizeOption(2, 32, 'Connections that search, each for several logins at once.'),
    bind: SizeOption(8, 128, 'Connections that check passwords, each for one login at a time.'),
    waiting: SizeOption(
      500,
      100_000,
      'Logins that may wait for a connection; one more is refused as unavailable.',
    ),
    idle_timeout: DurationOption(
      'An idle connection is closed after this time. Stay below firewalls.',
      '10m',
    ),
    max_age: DurationOption('A connection is replaced after this time, however well it works.', '1h'),
    validate_after: DurationOption(
      'A connection idle for this time is tried with a small search before a login uses it.',
      '30s',
    ),
  },
  { default: {}, description: 'Connections that are kept open, for this backend.' },
)

export const options = Type.Object({
  preset: WordOption(
    Object.keys(presets) as PresetName[],
    'Kind of directory: sets filter, id and attributes.',
  ),
  urls: Type.Array(
    Type.String({ pattern: '^[Ll][Dd][Aa][Pp][Ss]?://', 'x-expected': '`ldaps://host` or `ldap://host`' }),
    {
      default: [],
      uniqueItems: true,
      description:
        'Servers of this one directory, in order; the next is used when the ones before it give no answer.',
    },
  ),
  discover: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$',
      'x-expected': 'a DNS domain',
      description:
        'DNS domain whose SRV records name the servers, instead of `urls`: `_ldaps._tcp`, or `_ldap._tcp` with the ' +
        'port and encryption that `tls` asks for.',
    }),
  ),
  dns_servers: Type.Array(Type.String({ minLength: 1 }), {
    default: [],
    uniqueItems: true,
    description:
      'Name servers to ask for `discover` and for the hosts of servers, as `address` or `address:port`; without them the ' +
      'system’s. For containers that cannot resolve the directory’s domain.',
  }),
  tls,
  insecure: Type.Boolean({
    default: false,
    description:
      'Allow `ldap://` without encryption: every password is readable on the network. For tests only.',
  }),
  bind,
  base_dn: Type.String({ minLength: 1, description: 'Entry below which people are searched for.' }),
  user_filter: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Filter that finds one person, instead of the preset’s: `{username}` is the name without our domain, `{input}` the ' +
        'whole name, and `{mail}` the same where it is an address and nobody has the name.',
    }),
  ),
  id_attribute: Type.Optional(
    Type.String({
      pattern: attributeName,
      'x-expected': 'the name of an attribute',
      description:
        'Attribute that never changes and is never given again, instead of the preset’s. Goes into user ids.',
    }),
  ),
  names,
  groups,
  attributes: Type.Record(
    Type.String({ minLength: 1 }),
    Type.String({ pattern: attributeName, 'x-expected': 'the name of an attribute' }),
    {
      default: {},
      description:
        'Further attributes of the user to hand to apps: their name here to their name in the directory.',
    },
  ),
  lockout_shield: lockoutShield,
  password_expiry_warning: DurationOption(
    'A password that expires within this time is told to the app, where the entry says when it does.',
    '336h',
  ),
  entry_cache: Type.Optional(
    DurationOption(
      'A found person and their groups are kept so long, so that a login is one bind. Without it nothing is kept.',
    ),
  ),
  connect_timeout: DurationOption('For connecting to one server, TLS included.', '2s'),
  operation_timeout: DurationOption('For one answer of the directory.', '4s'),
  pool,
})

export type LdapOptions = Static<typeof options>
