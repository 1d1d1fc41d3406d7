/** When Active Directory locks an account by itself ([MS-ADTS] section 3.1.1.5.1.7), as its entries say it. */
import type { DirectoryEntry } from '../syntax/entry.ts'

export interface LockoutPolicy {
  /** So many wrong passwords lock an account. 0: never. */
  readonly threshold: number
  /** So long after the last of them they are forgotten, in milliseconds. */
  readonly windowMs: number
  /** So long a lock holds, in milliseconds. 0: until an administrator unlocks it. */
  readonly durationMs: number
}

/** Threshold, window and duration, in this order. */
export type PolicyAttributes = readonly [threshold: string, window: string, duration: string]

/** On the head of a domain. */
export const DOMAIN_ATTRIBUTES: PolicyAttributes = [
  'lockoutThreshold',
  'lockOutObservationWindow',
  'lockoutDuration',
]
/** On a password settings object ([MS-ADTS] section 6.1.1.4.11.1). */
export const SETTINGS_ATTRIBUTES: PolicyAttributes = [
  'msDS-LockoutThreshold',
  'msDS-LockoutObservationWindow',
  'msDS-LockoutDuration',
]

/** Domain Admins and Administrators ([MS-DTYP] section 2.4.2.4): by default nobody else may see a password settings object. */
const SEES_ALL = /^S-1-5-(21-.*-512|32-544)$/

/** Where the password settings objects of a domain are. */
export function settingsContainerOf(domain: string): string {
  return `CN=Password Settings Container,CN=System,${domain}`
}

/** Whether an account with these SIDs sees every password settings object that there is. */
export function seesAllSettings(sids: readonly string[]): boolean {
  return sids.some(sid => SEES_ALL.test(sid))
}

/** @returns undefined unless all of it can be read */
export function readPolicy(entry: DirectoryEntry, attributes: PolicyAttributes): LockoutPolicy | undefined {
  const [threshold, window, duration] = attributes.map(attribute => readNumber(entry, attribute))
  if (threshold === undefined || window === undefined || duration === undefined) return undefined
  return {
    threshold,
    windowMs: intervalMs(window),
    durationMs: duration === FOR_EVER ? 0 : intervalMs(duration),
  }
}

/** The lowest number stands for it. */
const FOR_EVER = Number('-9223372036854775808')

function readNumber(entry: DirectoryEntry, attribute: string): number | undefined {
  const [text = ''] = entry.texts(attribute)
  return /^-?\d{1,19}$/.test(text) ? Number(text) : undefined
}

/** Intervals are negative hundreds of nanoseconds. */
function intervalMs(interval: number): number {
  return Math.abs(interval) / 10_000
}
