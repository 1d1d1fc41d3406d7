/**
 * When Active Directory locks an account by itself: we must stop first, or a stranger at our door locks people out of Windows
 * (security.md S43; lockout.md, AD shield). What is said is what the shield makes of it.
 */
import type { Finding } from '../../../plugin.ts'
import { ASSUMED_THRESHOLD, type ShieldOptions } from '../shield/holding.ts'
import {
  DOMAIN_ATTRIBUTES,
  type LockoutPolicy,
  type PolicyAttributes,
  readPolicy,
  SETTINGS_ATTRIBUTES,
  seesAllSettings,
  settingsContainerOf,
} from '../shield/policy.ts'
import { equals } from '../syntax/filter.ts'
import { ok, warn } from './finding.ts'
import type { Session } from './session.ts'

/** Our own limit of one account from one source. */
export interface OwnLockout {
  readonly maxAttempts: number
  readonly windowMs: number
}

/** Who has more of them has them by a program. */
const MOST_OBJECTS = 50

export interface LockoutExamined {
  readonly session: Session
  /** DN of the domain's head. */
  readonly domain: string
  readonly ours: OwnLockout
  /** Undefined where it is off, or the preset has none. */
  readonly shield: ShieldOptions | undefined
  /** Of the account that looks. */
  readonly ownSids: readonly string[]
}

/** @throws {DirectoryFailure} if no answer came */
export async function* examineLockoutPolicy(about: LockoutExamined): AsyncGenerator<Finding> {
  const { session, domain, shield, ownSids } = about
  const entry = await session.read(domain, DOMAIN_ATTRIBUTES)
  const policy = entry && readPolicy(entry, DOMAIN_ATTRIBUTES)
  if (policy === undefined) yield unreadable('lockout policy', domain, DOMAIN_ATTRIBUTES, about)
  else yield compare('lockout policy', 'the domain', policy, about)
  const isPso = equals('objectClass', 'msDS-PasswordSettings')
  const container = settingsContainerOf(domain)
  const objects = await session.find(container, isPso, ['cn', ...SETTINGS_ATTRIBUTES], MOST_OBJECTS + 1)
  if (objects.length === 0) {
    // Whoever may not see them may all the same see the container.
    yield seesAllSettings(ownSids) ? ok('password settings objects', 'there are none') : unseen(shield)
    return
  }
  for (const object of objects.slice(0, MOST_OBJECTS)) {
    const name = `password settings object ${object.texts('cn')[0] ?? object.dn}`
    const pso = readPolicy(object, SETTINGS_ATTRIBUTES)
    if (pso === undefined) yield unreadable(name, object.dn, SETTINGS_ATTRIBUTES, about)
    else yield compare(name, `the ${name}`, pso, about)
  }
  if (objects.length > MOST_OBJECTS) {
    const detail = `there are more than the ${MOST_OBJECTS} that were looked at`
    yield shield ? ok('password settings objects', detail) : warn('password settings objects', detail, ENABLE)
  }
}

const ENABLE =
  'turn on `lockout_shield`, which the presets `active-directory` and `samba` have: it keeps every account below its threshold'

function unreadable(
  check: string,
  dn: string,
  attributes: PolicyAttributes,
  { shield, ours }: LockoutExamined,
): Finding {
  const unread = `the service account cannot read that of ${dn}, or not all of it`
  const read = `let it read ${attributes.join(', ')}`
  if (shield === undefined) {
    const advice = `${read}, and keep \`lockout.max_attempts\` (now ${ours.maxAttempts}) below the threshold`
    return warn(check, unread, advice)
  }
  if (shield.threshold !== undefined) {
    return ok(check, `${unread}: the shield goes by \`lockout_shield.threshold: ${shield.threshold}\``)
  }
  const detail = `${unread}: the shield assumes that ${ASSUMED_THRESHOLD} wrong passwords lock an account`
  return warn(check, detail, `${read}, or set \`lockout_shield.threshold\``)
}

/** A service account should be no administrator, and so this is the usual case. */
function unseen(shield: ShieldOptions | undefined): Finding {
  const detail =
    'the service account may not see whether there are any, and such an object overrides the domain'
  if (shield === undefined) return warn('password settings objects', detail, ENABLE)
  if (shield.threshold !== undefined) {
    const known = `${detail}: \`lockout_shield.threshold: ${shield.threshold}\` holds where the domain bears more`
    return ok('password settings objects', known)
  }
  const advice =
    'let it read CN=Password Settings Container,CN=System, or have an administrator look ' +
    '(Get-ADFineGrainedPasswordPolicy -Filter *) and set `lockout_shield.threshold` to the lowest LockoutThreshold above 0'
  return warn('password settings objects', detail, advice)
}

function compare(
  check: string,
  name: string,
  { threshold, windowMs, durationMs }: LockoutPolicy,
  { ours, shield }: LockoutExamined,
): Finding {
  if (threshold === 0) return ok(check, `${name} never locks an account`)
  const until = durationMs === 0 ? 'until an administrator unlocks it' : `for ${inWords(durationMs)}`
  const failures = threshold === 1 ? '1 failure' : `${threshold} failures`
  const theirs = `${name} locks an account after ${failures} within ${inWords(windowMs)}, ${until}`
  if (threshold === 1) {
    const advice =
      'raise that threshold, such as to 10: one wrong password here locks a person out of Windows, and nothing but ' +
      'letting nobody in could prevent it'
    return warn(check, theirs, advice)
  }
  if (shield === undefined) {
    const detail = `${theirs}; ours after ${ours.maxAttempts} within ${inWords(ours.windowMs)} from one source, so several sources add up`
    return warn(check, detail, ENABLE)
  }
  // A lower one that is configured holds only where no object says it for the person.
  const own = check === 'lockout policy' ? (shield.threshold ?? threshold) : threshold
  const effective = Math.min(own, threshold)
  if (effective === 1) {
    const detail = `${theirs}; by \`lockout_shield.threshold: 1\` the first failure might, so that nothing is held back`
    return warn(check, detail, 'set `lockout_shield.threshold` to 2 or more: below 1 nobody could be let in')
  }
  const by = effective < threshold ? ` (by \`lockout_shield.threshold: ${effective}\`)` : ''
  const half = Math.max(1, Math.floor(effective / 2))
  return ok(
    check,
    `${theirs}; the shield lets ${half} through from unfamiliar sources and ${effective - 1} in all${by}, those counted there included`,
  )
}

const UNITS: readonly (readonly [ms: number, one: string, many: string])[] = [
  [86_400_000, 'day', 'days'],
  [3_600_000, 'hour', 'hours'],
  [60_000, 'minute', 'minutes'],
  [1_000, 'second', 'seconds'],
]

/** In the largest unit that leaves no more than a tenth of it out. */
function inWords(ms: number): string {
  const [unitMs, one, many] = UNITS.find(([unit]) => ms >= unit && (ms * 10) % unit === 0) ?? SECONDS
  const count = Math.round((ms / unitMs) * 10) / 10
  return `${count} ${count === 1 ? one : many}`
}

const SECONDS = [1_000, 'second', 'seconds'] as const
