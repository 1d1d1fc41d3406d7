/** Which lockout policy holds for one person, as far as the directory shows it. Pure. */
import type { Ceiling } from '../../../plugin.ts'
import type { LockoutPolicy } from './policy.ts'

/** `lockout_shield` of the options. */
export interface ShieldOptions {
  /** Undefined: the operator says nothing of what the directory hides. */
  readonly threshold: number | undefined
  readonly windowMs: number
}

/** The domain's own policy, or a password settings object's. `hidden`: the service account may not read it. */
export type Shown = LockoutPolicy | 'hidden'

export interface Holding extends Ceiling {
  /** Who says so, for operators. */
  readonly by: string
}

/** Where nothing can be read and nothing is configured: as strict as domains usually get. */
export const ASSUMED_THRESHOLD = 3

/**
 * @param domain undefined while no answer has come
 * @param settings of the password settings object that holds for the person; undefined where none is shown
 * @returns undefined where nothing ever locks the account
 */
export function holdingFor(
  domain: Shown | undefined,
  settings: Shown | undefined,
  options: ShieldOptions,
): Holding | undefined {
  if (settings !== undefined) {
    return settings === 'hidden' ? assumed(options) : said(settings, 'a password settings object')
  }
  if (domain === undefined || domain === 'hidden') return assumed(options)
  const { threshold } = options
  // There may be a password settings object all the same: by default only administrators are shown one.
  if (threshold === undefined || (domain.threshold > 0 && domain.threshold <= threshold)) {
    return said(domain, 'the domain')
  }
  return { threshold, windowMs: Math.max(options.windowMs, domain.windowMs), by: CONFIGURED }
}

const CONFIGURED = 'lockout_shield.threshold'

function said({ threshold, windowMs }: LockoutPolicy, by: string): Holding | undefined {
  return threshold === 0 ? undefined : { threshold, windowMs, by }
}

function assumed({ threshold, windowMs }: ShieldOptions): Holding {
  if (threshold === undefined) {
    return { threshold: ASSUMED_THRESHOLD, windowMs, by: 'nobody: the directory does not show it' }
  }
  return { threshold, windowMs, by: CONFIGURED }
}
