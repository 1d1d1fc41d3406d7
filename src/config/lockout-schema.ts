/** The section `lockout` of the YAML file (lockout.md, Keys and default limits; Memory and eviction; Restart and several replicas). */
import { Type } from 'typebox'
import { DurationOption, SecretOption } from '../plugin.ts'
import { PathOption, SizeOption, WordOption } from './options.ts'

/** So many failures within the window. */
function countOptions(maxAttempts: number, window: string) {
  return {
    max_attempts: Type.Integer({
      minimum: 1,
      maximum: 10_000,
      default: maxAttempts,
      description: 'Failures that are allowed; the last of them sets the lock.',
    }),
    window: DurationOption('Failures are counted over this time.', window),
  }
}

/** They lock for the duration. */
function limitOptions(maxAttempts: number, window: string, duration: string) {
  return {
    ...countOptions(maxAttempts, window),
    duration: DurationOption('How long a lock holds.', duration),
  }
}

function CidrsOption(description: string) {
  return Type.Array(Type.String({ minLength: 1 }), { default: [], description })
}

const Unfamiliar = Type.Object(
  {
    ...countOptions(10, '15m'),
    durations: Type.Unsafe<[number, ...number[]]>(
      Type.Array(DurationOption('How long a lock holds.'), {
        minItems: 1,
        maxItems: 8,
        default: ['5m', '15m', '60m'],
        description:
          'How long the first lock holds, the second in a row, and so on; the last for all after it. 10 % more or less, by chance.',
      }),
    ),
  },
  {
    default: {},
    description: 'One account, from all sources together that it has never logged in from.',
  },
)

const Source = Type.Object(
  {
    ...limitOptions(50, '10m', '10m'),
    accounts: Type.Integer({
      minimum: 1,
      maximum: 10_000,
      default: 20,
      description: 'Failures on so many different accounts set the lock as well.',
    }),
  },
  { default: {}, description: 'One source (an IPv4 address, an IPv6 /64), whoever it tries.' },
)

const Redis = Type.Object(
  {
    url: Type.String({
      pattern: '^rediss?://',
      'x-expected': '`redis://host` or `rediss://host`',
      description:
        'Where it is: `rediss://host:6379`, with `/1` for another database; `redis://` is without TLS.',
    }),
    username: Type.Optional(Type.String({ minLength: 1, description: 'A user of its ACL.' })),
    password: Type.Optional(SecretOption('Its password, or that of the server.')),
    ca_file: Type.Optional(
      PathOption(
        'PEM file with the authorities that vouch for a `rediss://` server, instead of the public ones.',
      ),
    ),
    prefix: Type.String({
      pattern: '^[A-Za-z0-9._-]+$',
      maxLength: 64,
      default: 'gatehouse',
      'x-expected': 'letters, digits, `.`, `_` and `-`',
      description: 'Every key begins with it: another one for each installation that shares the server.',
    }),
    timeout: DurationOption('How long one answer may take; then the store counts as away.', '250ms'),
    replicas: Type.Integer({
      minimum: 1,
      maximum: 1000,
      default: 1,
      description:
        'How many daemons share the store. While it is away each takes its part of the limits, with `on_store_failure: local`.',
    }),
  },
  { description: 'The server of `store: redis`: Redis or Valkey.' },
)

export const Lockout = Type.Object(
  {
    mode: WordOption(
      ['off', 'log_only', 'enforce'],
      '`log_only` counts and reports, and refuses nobody; `off` does not even count. What keeps a directory from locking by itself holds in every mode.',
      'enforce',
    ),
    profile: WordOption(
      ['full', 'simple'],
      '`simple`: one count per account, wherever from: 5 failures, then 300 seconds. No other limit has an effect then.',
      'full',
    ),
    ...limitOptions(5, '15m', '5m'),
    unfamiliar: Unfamiliar,
    familiar: Type.Object(limitOptions(20, '15m', '5m'), {
      default: {},
      description: 'One account, from all sources together that it has logged in from.',
    }),
    source: Source,
    subnet: Type.Object(limitOptions(200, '10m', '10m'), {
      default: {},
      description: 'The network around a source (an IPv4 /24, an IPv6 /48), whoever it tries.',
    }),
    allow: CidrsOption(
      'Networks that are counted but never refused as a source or a subnet, such as a proxy for many. An account is limited from there, too.',
    ),
    block: CidrsOption('Networks from which nobody is let in; this beats `allow`.'),
    disclosure: WordOption(
      ['shown', 'hidden'],
      '`hidden`: whoever is locked out is answered as if the password were wrong, without `Retry-After`.',
      'shown',
    ),
    memory: SizeOption(
      'The most that the table of counts takes, from `1MiB` to `16GiB`. Full of locks it admits nobody new.',
      '64MiB',
    ),
    store: WordOption(
      ['memory', 'redis'],
      'Where counts are kept: in this process, or in a server that several daemons share.',
      'memory',
    ),
    redis: Type.Optional(Redis),
    on_store_failure: WordOption(
      ['local', 'closed'],
      'While the store is away: `local` counts in this process, `closed` answers 503.',
      'local',
    ),
    secret: Type.Optional(
      SecretOption(
        'Root of the keys under which counts are kept, at least 32 bytes; the same for every daemon that shares a store. Absent: one of the installation’s own, in its database. `store: redis` needs it.',
      ),
    ),
  },
  {
    default: {},
    description:
      'Who is refused after failures. The limits beside `mode` are those of one account from one source.',
    'x-gone': { max_entries: 'the bound is in bytes now, such as `memory: 64MiB`' },
  },
)
