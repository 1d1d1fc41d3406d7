/** From the words of the configuration to the limits of each key (lockout.md, Keys and default limits). */
import type { Ceiling, LockKind } from '../authentication/lockout.ts'
import type { Limit } from './policy.ts'

/** So many failures within the window lock for the duration; all in milliseconds. */
export interface LimitSettings {
  readonly maxAttempts: number
  readonly windowMs: number
  readonly durationMs: number
}

export interface LockoutSettings extends LimitSettings {
  /** `log_only` counts and reports, and refuses nobody. A directory's ceiling holds in every mode. */
  readonly mode: 'off' | 'log_only' | 'enforce'
  /** `simple`: one count per account wherever it comes from, five failures and five minutes. */
  readonly profile: 'full' | 'simple'
  readonly unfamiliar: Omit<LimitSettings, 'durationMs'> & {
    /** Of the first lock in a row, the second, and so on. */
    readonly durationsMs: readonly [number, ...number[]]
  }
  readonly familiar: LimitSettings
  readonly source: LimitSettings & { readonly accounts: number }
  readonly subnet: LimitSettings
  /** CIDRs whose source and subnet are counted and never refused. */
  readonly allow: readonly string[]
  /** CIDRs from which nobody is let in; it beats `allow`. */
  readonly block: readonly string[]
}

export type Limits = Readonly<Record<Exclude<LockKind, 'directory'>, Limit>>

/** The seed: five failures on a name, then five minutes of refusal. */
const SIMPLE: Limit = { maxAttempts: 5, windowMs: 300_000, lockMs: [300_000], afterLock: 'afresh' }
/** The long locks of one account end at other times than an attacker's clock says. */
const JITTER = 0.1
/** Our window is longer than the directory's own by so much, in milliseconds. */
const LONGER_MS = 60_000

export function limitsOf(settings: LockoutSettings): Limits {
  if (settings.profile === 'simple') {
    return { pair: SIMPLE, unfamiliar: SIMPLE, familiar: SIMPLE, source: SIMPLE, subnet: SIMPLE }
  }
  const { unfamiliar, source } = settings
  return {
    pair: limitOf(settings),
    unfamiliar: {
      maxAttempts: unfamiliar.maxAttempts,
      windowMs: unfamiliar.windowMs,
      lockMs: unfamiliar.durationsMs,
      jitter: JITTER,
      afterLock: 'half_open',
    },
    familiar: limitOf(settings.familiar),
    source: { ...limitOf(source), accounts: source.accounts },
    subnet: limitOf(settings.subnet),
  }
}

function limitOf({ maxAttempts, windowMs, durationMs }: LimitSettings): Limit {
  return { maxAttempts, windowMs, lockMs: [durationMs], afterLock: 'half_open' }
}

/**
 * What one account may fail at a directory that locks by itself, counted as it counts, and for longer than it remembers:
 * half of what locks there from sources that know the account, the same from all others, and one less in all.
 */
export function directoryLimits({ threshold, windowMs }: Ceiling): {
  readonly half: Limit
  readonly all: Limit
} {
  const longerMs = windowMs + LONGER_MS
  const limit = { windowMs: longerMs, sinceLast: true, lockMs: [longerMs], afterLock: 'afresh' } as const
  return {
    half: { ...limit, maxAttempts: Math.max(1, Math.floor(threshold / 2)) },
    all: { ...limit, maxAttempts: Math.max(1, threshold - 1) },
  }
}
