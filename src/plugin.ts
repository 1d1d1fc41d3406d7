/**
 * The public entry for authors of backends (architecture.md, The contract of a backend; docs/add-a-backend.md).
 * The built-in backends use nothing else.
 */
import { type Static, type TSchema, Type } from 'typebox'
import type { Backend } from './authentication/backend.ts'
import type { Clock } from './authentication/clock.ts'
import type { LocalUsers } from './authentication/local-users.ts'
import type { Log } from './authentication/log.ts'
import type { RefusedAccounts } from './authentication/refused-accounts.ts'
import type { Rules } from './authentication/rule.ts'
import type { Secret } from './authentication/secret.ts'
import type { Username } from './authentication/username.ts'

export { type Static, type TSchema, Type } from 'typebox'
export { stateInWords } from './authentication/account-state.ts'
export type { Attempt, Backend, BackendHealth, Fact, Look, ServerHealth } from './authentication/backend.ts'
export type { Clock } from './authentication/clock.ts'
export type { LocalUsers } from './authentication/local-users.ts'
export type { Ceiling } from './authentication/lockout.ts'
export type { Log } from './authentication/log.ts'
export type { AccountState, Outcome, User, Warning } from './authentication/outcome.ts'
export { UnavailableError } from './authentication/outcome.ts'
export type { RefusedAccounts } from './authentication/refused-accounts.ts'
export { Secret } from './authentication/secret.ts'
export type { Realm, Username } from './authentication/username.ts'
export { createUsernameNormaliser, normaliseDomain } from './authentication/username.ts'

/** What the daemon hands to a backend at its creation. */
export interface BackendServices {
  /** The backend's id in the configuration. */
  readonly id: string
  readonly log: Log
  readonly clock: Clock
  /** How long one attempt may take here, in milliseconds. */
  readonly timeoutMs: number
  /** The daemon's own users, for backends that are another way to find them. */
  readonly localUsers: LocalUsers
  /** What servers have refused, across reloads: for backends with an account of their own. */
  readonly refusedAccounts: RefusedAccounts
}

/** Something wrong with options that their schema cannot say. */
export interface OptionProblem {
  /** Which of the backends handed to `check`, by position. */
  readonly backend: number
  /** JSON pointer into that backend's options, such as `/urls/0`. */
  readonly pointer: string
  /** What is wrong, in one line without a full stop. */
  readonly message: string
  /** What to do instead, in one line. */
  readonly hint?: string
  /** A warning is shown but stops nothing. */
  readonly severity: 'error' | 'warning'
}

/** An enabled backend as its neighbours may know it. */
export interface ChainPlace {
  readonly id: string
  readonly type: string
  readonly deny: boolean
}

/** What `gatehouse doctor` says about one thing it looked at. */
export interface Finding {
  readonly status: 'ok' | 'warn' | 'fail'
  /** What was looked at, in a few words, such as `TLS ldaps://dc1.corp.example:636`. */
  readonly check: string
  /** What was seen, in one line without a full stop. */
  readonly detail: string
  /** What to do about it, in one line: which option, and to what. */
  readonly advice?: string
  /**
   * On what is said of the person who was asked for: whether they are here, or why a login would not look here. They may be in
   * another backend of the chain.
   */
  readonly user?: 'found' | 'missing' | 'not_asked'
}

export interface BackendPlugin<S extends TSchema = TSchema> {
  /** The word after `type:` in the YAML. */
  readonly type: string
  readonly apiVersion: 1
  /** An object schema: it validates the YAML and feeds the JSON Schema and the reference. Say `description` on every option. */
  readonly options: S
  /**
   * Rules that the schema cannot say, over all enabled backends of this type at once. Offline: it opens no connection
   * and reads no file.
   *
   * @param chain every enabled backend, of any type, in order
   */
  check?(
    backends: readonly { readonly id: string; readonly options: Static<S> }[],
    chain: readonly ChainPlace[],
  ): readonly OptionProblem[]
  /** What the chain does after this backend's outcomes where the configuration's `on:` says nothing, as its presets know best. */
  on?(options: Static<S>): Partial<Rules>
  /** What options that are not set come to because of others, such as a preset; in the words of the YAML, for `config show`. */
  implied?(options: Static<S>): Readonly<Record<string, unknown>>
  /** Files that `create` reads, such as a list of CAs: a change of one reloads the configuration. Secrets are seen to. */
  files?(options: Static<S>): readonly string[]
  /**
   * Looks at everything live, for `gatehouse doctor`: what is found is said as soon as it is known, and what cannot be
   * looked at because something before it failed is left out.
   *
   * @param user a name to look for, as it was typed; without it any one person
   * @param username what a login makes of it, by the domains of all backends
   */
  examine?(
    options: Static<S>,
    services: BackendServices,
    about: {
      readonly user?: string
      readonly username?: Username
      /** The daemon's own limit for one account from one source, to compare with the directory's. */
      readonly lockout: { readonly maxAttempts: number; readonly windowMs: number }
      readonly signal: AbortSignal
    },
  ): AsyncIterable<Finding>
  /**
   * Makes the backend. It must come up while its server is down; a throw here means the configuration cannot work
   * and stops the start.
   */
  create(options: Static<S>, services: BackendServices): Promise<Backend>
}

/** Gives a plugin its types; returns it as it is. */
export function definePlugin<S extends TSchema>(plugin: BackendPlugin<S>): BackendPlugin<S> {
  return plugin
}

/**
 * An option that holds a secret. In YAML it is a string, or the same key with `_file` behind it and a path; the backend
 * gets a `Secret` either way, and `config show` masks it.
 */
export function SecretOption(description: string) {
  return Type.Unsafe<Secret>({ type: 'string', minLength: 1, description, 'x-secret': true })
}

/** An option that is a duration such as `250ms`, `4s`, `15m` or `12h` in YAML; the backend gets milliseconds. */
export function DurationOption(description: string, fallback?: string) {
  return Type.Unsafe<number>({
    type: 'string',
    description,
    'x-duration': true,
    ...(fallback === undefined ? {} : { default: fallback }),
  })
}
