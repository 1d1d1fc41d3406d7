/** What an entry says of the wrong passwords that its domain has counted ([MS-SAMR] section 3.1.1.9). */
import { readFileTime, readInteger, readText } from '../presets/values.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'

export interface BadPasswords {
  /** Since the last right one. Undefined where the service account may not see it. */
  readonly count: number | undefined
  /** When the last one was, by the directory's clock, in milliseconds since the Unix epoch; undefined if nobody can say. */
  readonly lastAtMs: number | undefined
  /** DN of the password settings object that holds for the person instead of the domain's, where one is shown. */
  readonly settings: string | undefined
  /** Changes with the password; nothing else is to be read from it. */
  readonly passwordSetAt: string
}

export const BAD_PASSWORD_ATTRIBUTES = [
  'badPwdCount',
  'badPasswordTime',
  'msDS-ResultantPSO',
  'pwdLastSet',
] as const

/** @throws {DirectoryFailure} on a value that Active Directory never writes there */
export function readBadPasswords(entry: DirectoryEntry): BadPasswords {
  const lastAtMs = readFileTime(entry, 'badPasswordTime')
  return {
    count: readInteger(entry, 'badPwdCount'),
    lastAtMs: lastAtMs === Infinity ? undefined : lastAtMs,
    settings: readText(entry, 'msDS-ResultantPSO'),
    passwordSetAt: readText(entry, 'pwdLastSet') ?? '',
  }
}

/** So far may the directory's clock be from ours; Kerberos bears no more. */
const CLOCK_DIFFERENCE_MS = 300_000

/**
 * How many of them count towards the next lock: the number stays on the entry when its time is over.
 *
 * @param windowMs after which the directory forgets them
 * @param wallMs wall clock, in milliseconds since the Unix epoch
 */
export function liveCount({ count = 0, lastAtMs }: BadPasswords, windowMs: number, wallMs: number): number {
  const isOver = lastAtMs !== undefined && wallMs - lastAtMs > windowMs + CLOCK_DIFFERENCE_MS
  return isOver ? 0 : count
}
