import { DurationOption, SecretOption, type Static, Type } from '../../plugin.ts'
import { type PresetName, presets } from './presets.ts'

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
        description: "PEM file with the only CAs to trust; without it the system's own list holds.",
      }),
    ),
    min_version: WordOption(['TLSv1.2', 'TLSv1.3'], 'Oldest TLS version to accept.', 'TLSv1.2'),
    servername: Type.Optional(
      Type.String({
        minLength: 1,
        description: "Name that the servers' certificates must carry, where it is not the host in `urls`.",
      }),
    ),
  },
  { default: {}, description: 'How connections are encrypted. Certificates are always verified.' },
)

const bind = Type.Object(
  {
    dn: Type.String({
      minLength: 1,
      description:
        'Service account that searches: its DN, or for Active Directory also its UPN. Reading is enough.',
    }),
    password: SecretOption("The service account's password; better `password_file`."),
  },
  { description: 'The service account with which people are searched for.' },
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
  },
  {
    default: {},
    description:
      'What groups mean. A pattern with `=` is matched against the DN, any other against the name; `*` is any text.',
  },
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
    max_age: DurationOption(
      'A connection is replaced after this time, so that changes in DNS are seen.',
      '1h',
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
      minItems: 1,
      uniqueItems: true,
      description:
        'Servers of this one directory, in order; the next is used when no connection can be made.',
    },
  ),
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
        'Filter that finds one person, instead of the preset’s: `{username}` is the name without our domain, ' +
        '`{input}` the whole name.',
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
  connect_timeout: DurationOption('For connecting to one server, TLS included.', '2s'),
  operation_timeout: DurationOption('For one answer of the directory.', '4s'),
  pool,
})

export type LdapOptions = Static<typeof options>
