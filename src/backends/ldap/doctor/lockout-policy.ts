/**
 * When Active Directory locks an account by itself ([MS-ADTS] section 3.1.1.5.1.7): we must lock first, or a stranger at our
 * door locks people out of Windows (security.md S43; lockout.md, AD shield).
 */
import type { Finding } from '../../../plugin.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { equals } from '../syntax/filter.ts'
import { ok, warn } from './finding.ts'
import type { Session } from './session.ts'

/** Our own limit of one account from one source. */
export interface OwnLockout {
  readonly maxAttempts: number
  readonly windowMs: number
}

const ATTRIBUTES = ['lockoutThreshold', 'lockOutObservationWindow', 'lockoutDuration']
/** Fine-grained policies ([MS-ADTS] section 6.1.1.4.11.1). */
const PSO_ATTRIBUTES = ['msDS-LockoutThreshold', 'msDS-LockoutObservationWindow', 'msDS-LockoutDuration']

/** Domain Admins and Administrators ([MS-DTYP] section 2.4.2.4): by default nobody else may see a password settings object. */
const SEES_ALL = /^S-1-5-(21-.*-512|32-544)$/

/** Who has more of them has them by a program. */
const MOST_OBJECTS = 50

interface Policy {
  readonly name: string
  /** 0: never. */
  readonly threshold: number
  readonly windowMs: number
  readonly durationMs: number
}

/**
 * @param ownSids of the account that looks
 * @throws {DirectoryFailure} if no answer came
 */
export async function* examineLockoutPolicy(
  session: Session,
  domain: string,
  ours: OwnLockout,
  ownSids: readonly string[],
): AsyncGenerator<Finding> {
  const entry = await session.read(domain, ATTRIBUTES)
  const policy = entry && readPolicy(entry, 'the domain', ATTRIBUTES)
  yield policy ? compare(policy, ours) : unreadable('lockout policy', domain, ATTRIBUTES)
  const container = `CN=Password Settings Container,CN=System,${domain}`
  const isPso = equals('objectClass', 'msDS-PasswordSettings')
  const objects = await session.find(container, isPso, ['cn', ...PSO_ATTRIBUTES], MOST_OBJECTS + 1)
  if (objects.length === 0) {
    // Whoever may not see them may all the same see the container.
    yield ownSids.some(sid => SEES_ALL.test(sid))
      ? ok('password settings objects', 'there are none')
      : unseen(ours)
    return
  }
  for (const object of objects.slice(0, MOST_OBJECTS)) {
    const name = `password settings object ${object.texts('cn')[0] ?? object.dn}`
    const pso = readPolicy(object, `the ${name}`, PSO_ATTRIBUTES)
    yield pso ? compare(pso, ours) : unreadable(name, object.dn, PSO_ATTRIBUTES)
  }
  if (objects.length > MOST_OBJECTS) {
    const detail = `there are more than the ${MOST_OBJECTS} that were looked at`
    yield warn('password settings objects', detail, askAdministrator(ours))
  }
}

function unreadable(check: string, dn: string, attributes: readonly string[]): Finding {
  const detail = `the service account cannot read that of ${dn}, or not all of it`
  const advice = `let it read ${attributes.join(', ')}, and keep \`lockout.max_attempts\` below the threshold`
  return warn(check, detail, advice)
}

/** A service account should be no administrator, and so this is the usual case. */
function unseen(ours: OwnLockout): Finding {
  const detail =
    'the service account may not see whether there are any, and such an object overrides the domain'
  const advice = `let the service account read CN=Password Settings Container,CN=System, or ${askAdministrator(ours)}`
  return warn('password settings objects', detail, advice)
}

function askAdministrator({ maxAttempts }: OwnLockout): string {
  return `have an administrator look (Get-ADFineGrainedPasswordPolicy -Filter *): one with a LockoutThreshold of 1 to ${maxAttempts} locks before we do`
}

function compare({ name, threshold, windowMs, durationMs }: Policy, ours: OwnLockout): Finding {
  const check = name === 'the domain' ? 'lockout policy' : name.replace(/^the /, '')
  if (threshold === 0) return ok(check, `${name} never locks an account`)
  const until = durationMs === 0 ? 'until an administrator unlocks it' : `for ${inWords(durationMs)}`
  const failures = threshold === 1 ? '1 failure' : `${threshold} failures`
  const theirs = `${name} locks an account after ${failures} within ${inWords(windowMs)}, ${until}`
  const detail = `${theirs}; ours after ${ours.maxAttempts} within ${inWords(ours.windowMs)} from one source, so several sources add up`
  if (threshold === 1) {
    const advice = `raise that threshold, such as to 10: \`lockout.max_attempts\` cannot be less than 1, so that one wrong password here locks a person out of Windows`
    return warn(check, detail, advice)
  }
  if (ours.maxAttempts >= threshold) {
    const lower = Math.min(Math.ceil(threshold / 2), threshold - 1)
    const window = ours.windowMs < windowMs ? `, and \`lockout.window\` to ${inWords(windowMs)} or more` : ''
    const advice = `set \`lockout.max_attempts\` below ${threshold}, such as ${lower}${window}: now it is ${ours.maxAttempts}, and guessing here locks people out of Windows`
    return warn(check, detail, advice)
  }
  if (ours.windowMs < windowMs) {
    const advice = `raise \`lockout.window\` to ${inWords(windowMs)} or more: slow guessing here can still lock an account there`
    return warn(check, detail, advice)
  }
  return ok(check, detail)
}

/** @returns undefined unless all of it can be read */
function readPolicy(entry: DirectoryEntry, name: string, attributes: readonly string[]): Policy | undefined {
  const [threshold, window, duration] = attributes.map(attribute => readInteger(entry, attribute))
  if (threshold === undefined || window === undefined || duration === undefined) return undefined
  return {
    name,
    threshold,
    windowMs: intervalMs(window),
    // The lowest number stands for "for ever".
    durationMs: duration === Number('-9223372036854775808') ? 0 : intervalMs(duration),
  }
}

function readInteger(entry: DirectoryEntry, attribute: string): number | undefined {
  const [text = ''] = entry.texts(attribute)
  return /^-?\d{1,19}$/.test(text) ? Number(text) : undefined
}

/** Intervals are negative hundreds of nanoseconds. */
function intervalMs(interval: number): number {
  return Math.abs(interval) / 10_000
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
