/** What the rest of the daemon sees of the YAML file: typed, deeply frozen, durations in milliseconds. */
import type { BackendPlugin, Secret, TSchema } from '../plugin.ts'
import type { Problem } from './problem.ts'

export interface Config {
  readonly listen: {
    readonly host: string
    /** 0 takes a free one. */
    readonly port: number
    readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly clientCaFile?: string }
  }
  readonly admin: { readonly host: string; readonly port: number }
  /** Path of the SQLite file. Like every path here it is relative to the working directory. */
  readonly database: string
  /** For a whole attempt, all backends together. */
  readonly deadlineMs: number
  /** Always `address/prefix`. */
  readonly trustedProxies: readonly string[]
  readonly allowAnonymousClients: boolean
  readonly clients: readonly ClientConfig[]
  /** What `type:` may name besides the built-in backends: `npm:<package>` or a path. */
  readonly plugins: readonly string[]
  /** In the order in which they are asked, disabled ones included. */
  readonly backends: readonly BackendConfig[]
  /** Whom a backend must find, or must not. */
  readonly checks: readonly CheckConfig[]
  readonly lockout: LockoutConfig
  /** When failures are answered. */
  readonly timing: { readonly floorMs: number; readonly jitterMs: number }
  readonly audit: AuditConfig
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error'
    /** `auto`: pretty on a terminal, JSON otherwise. */
    readonly format: 'auto' | 'pretty' | 'json'
    /** Of one level and message. */
    readonly maxPerSecond: number
  }
}

export type ClientPermission = 'assert_client_ip' | 'reveal_account_state'

/** How a calling app is recognised. */
export type ClientIdentity =
  /** SHA-256 of its API key, in lower-case hexadecimal. */
  | { readonly by: 'key'; readonly sha256: string }
  /** Subject of its client certificate. */
  | { readonly by: 'tls_subject'; readonly subject: string }
  /** Where it calls from, always `address/prefix`. */
  | { readonly by: 'cidr'; readonly cidr: string }

export interface ClientConfig {
  readonly id: string
  readonly identity: ClientIdentity
  readonly may: readonly ClientPermission[]
  /** Ids of the backends it may use; undefined means all. */
  readonly backends?: readonly string[]
  /** Groups of which a user must be in at least one; empty means no demand. */
  readonly requiredGroups: readonly string[]
  /** Names of the attributes it is told; undefined means all. */
  readonly attributes?: readonly string[]
  readonly rateLimit?: { readonly max: number; readonly perMs: number }
}

export interface BackendConfig {
  readonly id: string
  readonly type: string
  readonly plugin: BackendPlugin<TSchema>
  /** As the plugin's schema types them: durations in milliseconds, secrets as `Secret`. */
  readonly options: unknown
  readonly enabled: boolean
  readonly deny: boolean
  /** Globs; one with `!` in front excludes. Empty: every name. */
  readonly usernameFilter: readonly string[]
  readonly timeoutMs: number
  readonly maxInFlight: number
  readonly on: {
    readonly accept: 'stop' | 'continue'
    readonly unknownUser: 'continue' | 'stop'
    readonly wrongPassword: 'continue' | 'stop'
    readonly unavailable: 'continue' | 'stop'
  }
}

export interface CheckConfig {
  readonly user: string
  readonly backend: string
  readonly expect: {
    readonly found: boolean
    readonly groups: readonly string[]
    readonly roles: readonly string[]
  }
}

/** So many failures within the window lock for the duration. */
export interface LockoutLimit {
  readonly maxAttempts: number
  readonly windowMs: number
  readonly durationMs: number
}

export type LockoutConfig = LockoutRules & LockoutStorage

/** Who is refused, and how that is answered. The limits at the top are those of one account from one source. */
export interface LockoutRules extends LockoutLimit {
  readonly mode: 'off' | 'log_only' | 'enforce'
  /** `simple`: five failures of an account and five minutes, whatever the limits here say. */
  readonly profile: 'full' | 'simple'
  readonly unfamiliar: Omit<LockoutLimit, 'durationMs'> & {
    /** Of the first lock in a row, the second, and so on. */
    readonly durationsMs: readonly [number, ...number[]]
  }
  readonly familiar: LockoutLimit
  /** Failures on so many accounts lock a source as well. */
  readonly source: LockoutLimit & { readonly accounts: number }
  readonly subnet: LockoutLimit
  /** Always `address/prefix`. Counted, never refused as a source or a subnet. */
  readonly allow: readonly string[]
  /** Always `address/prefix`. Nobody is let in from there; it beats `allow`. */
  readonly block: readonly string[]
  /** `hidden`: an app sees a wrong password where somebody is locked out. */
  readonly disclosure: 'shown' | 'hidden'
}

/** Where counts are kept; what only a restart can change. */
export type LockoutStorage = {
  /** The hard bound of the table in memory, 1 MiB to 16 GiB. */
  readonly memoryBytes: number
  /** `closed`: no verdict while the store is away. */
  readonly onStoreFailure: 'local' | 'closed'
} & (
  | { readonly store: 'memory'; readonly redis?: never; readonly secret?: Secret }
  | { readonly store: 'redis'; readonly redis: RedisConfig; readonly secret: Secret }
)

export interface RedisConfig {
  /** `redis:` or `rediss:`, a host, and no more than a port and a database behind it. */
  readonly url: string
  /** Never without a password. */
  readonly username?: string
  readonly password?: Secret
  /** Only with `rediss:`. */
  readonly caFile?: string
  /** Letters, digits, `.`, `_` and `-`. */
  readonly prefix: string
  readonly timeoutMs: number
  /** How many daemons share it, 1 or more. */
  readonly replicas: number
}

/** What is written down about each attempt, and what happens when that cannot be. */
export interface AuditConfig {
  readonly enabled: boolean
  /** Path of its own SQLite file. */
  readonly file: string
  /** `known`: the name only where somebody was identified, else its keyed hash; `plain`: always; `hash`: never. */
  readonly names: 'known' | 'plain' | 'hash'
  readonly onFailure: 'deny' | 'allow_and_alarm'
  /** Rows older than this are cut off. */
  readonly retentionMs: number
}

/** Where a value of the effective configuration came from. */
export type Origin =
  | { readonly from: 'file'; readonly line: number }
  | { readonly from: 'default' }
  | { readonly from: 'environment'; readonly names: readonly string[]; readonly line: number }
  | { readonly from: 'secret_file'; readonly path: string; readonly line: number }

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue }

/** What `loadConfig` gives for a file without errors. */
export interface LoadedConfig {
  readonly file: string
  readonly config: Config
  /** In file order. */
  readonly warnings: readonly Problem[]
  /** The same configuration in the words of the YAML, defaults filled in and secrets masked. */
  readonly effective: { readonly [key: string]: JsonValue }
  /** By JSON pointer into `effective`, for every value that is not a list or a mapping with something in it. */
  readonly origins: ReadonlyMap<string, Origin>
}
