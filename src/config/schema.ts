/** Every section of the YAML file but the options of the backends: names, types, defaults and meaning, each once. */
import { type Static, type TSchema, Type } from 'typebox'
import { DurationOption } from '../plugin.ts'
import { AuditTrail } from './audit-schema.ts'
import type { JsonSchema } from './json-schema.ts'
import { Lockout } from './lockout-schema.ts'
import { IdOption, PathOption, ReactionOption, WordOption } from './options.ts'

const Port = (fallback: number) =>
  Type.Integer({
    minimum: 0,
    maximum: 65535,
    default: fallback,
    description: 'TCP port; 0 takes a free one.',
  })

const Listen = Type.Object(
  {
    host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address or name to listen on.' }),
    port: Port(8470),
    tls: Type.Optional(
      Type.Object(
        {
          cert_file: PathOption('PEM file with the certificate and its chain.'),
          key_file: PathOption('PEM file with the private key.'),
          client_ca_file: Type.Optional(
            PathOption(
              'PEM file with the authorities whose client certificates are trusted; needed for `tls_subject`.',
            ),
          ),
        },
        { description: 'Serve HTTPS. Absent: plain HTTP.' },
      ),
    ),
  },
  { default: {}, description: 'The public listener, for the apps of the intranet.' },
)

const Admin = Type.Object(
  {
    host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address or name to listen on.' }),
    port: Port(8471),
  },
  { default: {}, description: 'The admin listener, for operators. Keep it on this machine.' },
)

const Client = Type.Object({
  id: IdOption('Name of the app, for logs and the audit trail.'),
  key_sha256: Type.Optional(
    Type.String({
      pattern: '^[0-9a-fA-F]{64}$',
      description: "SHA-256 of the app's API key in hexadecimal, as `gatehouse client add` prints it.",
      'x-file': true,
      'x-expected': 'a SHA-256 in 64 hexadecimal digits',
    }),
  ),
  tls_subject: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        "Subject of the app's client certificate, such as `CN=wiki`. Needs `listen.tls.client_ca_file`.",
    }),
  ),
  cidr: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'Network or address the app calls from, such as `192.0.2.0/24`.',
    }),
  ),
  may: Type.Array(
    Type.Unsafe<'assert_client_ip' | 'reveal_account_state'>({
      type: 'string',
      enum: ['assert_client_ip', 'reveal_account_state'],
    }),
    {
      uniqueItems: true,
      default: [],
      description:
        '`assert_client_ip`: tell the address of the end user. `reveal_account_state`: learn that an account is disabled or expired, once the password was right.',
    },
  ),
  backends: Type.Optional(
    Type.Array(Type.String(), {
      minItems: 1,
      uniqueItems: true,
      description: 'Ids of the backends that answer for this app. Absent: all of them.',
    }),
  ),
  attributes: Type.Optional(
    Type.Array(Type.String({ minLength: 1 }), {
      uniqueItems: true,
      description: 'Names of the attributes that this app is told. Absent: all that the backend gives.',
    }),
  ),
  required_groups: Type.Array(Type.String({ minLength: 1 }), {
    uniqueItems: true,
    default: [],
    description: 'A user must be in at least one of these groups. Empty: no demand.',
  }),
  rate_limit: Type.Optional(
    Type.Object(
      {
        max: Type.Integer({ minimum: 1, description: 'Requests within the time.' }),
        per: DurationOption('The time over which requests are counted.'),
      },
      { description: 'Requests over this limit are answered 429. Absent: no limit for this app.' },
    ),
  ),
})

/** The keys that every backend has. What stands beside them is the plugin's. */
export const BackendCommon = Type.Object({
  id: IdOption('Goes into every user id, `<backend>:<id>`: never rename it.'),
  type: Type.String({
    minLength: 1,
    description: 'What answers: a built-in type, or one that is listed under `plugins`.',
  }),
  enabled: Type.Boolean({ default: true, description: '`false` leaves the backend out of the chain.' }),
  deny: Type.Boolean({
    default: false,
    description: 'A deny list: nobody who is known here may log in. Its own outage ends the attempt.',
  }),
  username_filter: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
    default: [],
    description:
      'Ask only for names that match one of these globs (`*`, `?`) and none with `!` in front. Empty: all.',
  }),
  timeout: DurationOption('How long one attempt may take here; then the backend counts as out.', '5s'),
  max_in_flight: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    default: 256,
    description: 'Attempts that this backend works on at once; over it the backend counts as out.',
  }),
  on: Type.Object(
    {
      accept: ReactionOption('`continue`: the backends after it must accept too.', 'stop'),
      unknown_user: ReactionOption('Nobody here has this name.', 'continue'),
      wrong_password: ReactionOption('The user is here, the password is wrong.', 'continue'),
      unavailable: ReactionOption('No verdict; `stop` answers 503 at once.', 'continue'),
    },
    { default: {}, description: 'What the chain does after an outcome: `stop` or `continue`.' },
  ),
})

const Check = Type.Object({
  user: Type.String({ minLength: 1, maxLength: 256, description: 'A name, as somebody would type it.' }),
  backend: Type.String({
    minLength: 1,
    description: 'Id of the backend that is asked. No password is involved.',
  }),
  expect: Type.Object(
    {
      found: Type.Boolean({
        default: true,
        description: 'Whether this person may log in there, given the right password.',
      }),
      groups: Type.Array(Type.String({ minLength: 1 }), {
        default: [],
        description: 'Groups that this person must be in, as apps are told them.',
      }),
      roles: Type.Array(Type.String({ minLength: 1 }), {
        default: [],
        description: 'Roles that this person must have.',
      }),
    },
    { default: {}, description: 'What must be so.' },
  ),
})

const Timing = Type.Object(
  {
    floor: DurationOption('No failure is answered sooner; at most `3s`.', '250ms'),
    jitter: DurationOption('Up to so much later, by chance; at most `1s`.', '20ms'),
  },
  {
    default: {},
    description:
      'When failures are answered: after the floor or the time that 95 of 100 recent logins needed, whichever is longer, so that the time tells nobody which names exist.',
  },
)

const Log = Type.Object(
  {
    level: WordOption(
      ['debug', 'info', 'warn', 'error'],
      'The least important line that is written.',
      'info',
    ),
    format: WordOption(
      ['auto', 'pretty', 'json'],
      '`auto` is pretty on a terminal and JSON otherwise.',
      'auto',
    ),
    max_per_second: Type.Integer({
      minimum: 10,
      maximum: 1_000_000,
      default: 200,
      description:
        'Lines of one kind within a second; how many more there were is one line. The audit trail has them all.',
    }),
  },
  { default: {}, description: 'The log, on standard output.' },
)

/** The file as it is after its defaults. */
const ConfigSchema = Type.Object({
  listen: Listen,
  admin: Admin,
  database: Type.String({
    minLength: 1,
    default: 'data/gatehouse.db',
    description: 'SQLite file for local users. Made at the first start.',
  }),
  deadline: DurationOption('How long a whole attempt may take, all backends together; at most `30s`.', '8s'),
  trusted_proxies: Type.Array(Type.String({ minLength: 1 }), {
    default: [],
    description: 'Networks of the proxies whose `X-Forwarded-For` is believed, such as `192.0.2.0/24`.',
  }),
  allow_anonymous_clients: Type.Boolean({
    default: false,
    description: 'Serve beyond this machine without `clients`: whoever reaches the listener may ask.',
  }),
  clients: Type.Array(Client, {
    default: [],
    description:
      'Apps that may call. Each has exactly one of `key_sha256`, `key_sha256_file`, `tls_subject` and `cidr`. Empty: only this machine.',
  }),
  plugins: Type.Array(
    Type.String({
      pattern: '^(npm:.+|\\.{0,2}/.+)$',
      'x-expected': '`npm:` and a package, or a path with `./` or `/` in front',
    }),
    {
      default: [],
      uniqueItems: true,
      description: 'Packages (`npm:@acme/gatehouse-radius`) and files (`./radius.ts`) that `type` may name.',
    },
  ),
  backends: Type.Array(BackendCommon, {
    default: [],
    description: 'Who is asked, in this order.',
  }),
  checks: Type.Array(Check, {
    default: [],
    maxItems: 100,
    description:
      'Whom a backend must find, or must not. A reload that breaks one of these is refused; at the start it is an error in the log.',
  }),
  lockout: Lockout,
  timing: Timing,
  audit: AuditTrail,
  log: Log,
})

/** What stands in a sound file, with durations still as text. */
export type ConfigValues = Static<typeof ConfigSchema>

/** The same for those who walk over it. */
export const CONFIG_SCHEMA: JsonSchema = ConfigSchema as TSchema
