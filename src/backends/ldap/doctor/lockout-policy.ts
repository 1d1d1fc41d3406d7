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

interface Policy {
  readonly name: string
  /** 0: never. */
  readonly threshold: number
  readonly windowMs: number
  readonly durationMs: number
}

/** @throws {DirectoryFailure} if no answer came */
export async function* examineLockoutPolicy(
  session: Session,
  domain: string,
  ours: OwnLockout,
): AsyncGenerator<Finding> {
  const entry = await session.read(domain, ATTRIBUTES)
  const policy = entry && readPolicy(entry, 'the domain', ATTRIBUTES)
  if (policy === undefined) {
    const advice =
      'let the service account read lockoutThreshold of the domain, and keep `lockout.max_attempts` below it'
    yield warn('lockout policy', `the service account cannot read that of ${domain}`, advice)
  } else {
    yield compare(policy, ours)
  }
  const container = `CN=Password Settings Container,CN=System,${domain}`
  const isPso = equals('objectClass', 'msDS-PasswordSettings')
  const objects = await session.find(container, isPso, ['cn', ...PSO_ATTRIBUTES])
  if (objects.length === 0) {
    // An ordinary account never may: nothing that anybody should change.
    const detail = `none are to be seen, as only Domain Admins may; if there are any, one with a lockout threshold of ${ours.maxAttempts} or less locks before we do`
    yield ok('password settings objects', detail)
    return
  }
  for (const object of objects) {
    const pso = readPolicy(
      object,
      `the password settings object ${object.texts('cn')[0] ?? object.dn}`,
      PSO_ATTRIBUTES,
    )
    if (pso !== undefined) yield compare(pso, ours)
  }
}

function compare({ name, threshold, windowMs, durationMs }: Policy, ours: OwnLockout): Finding {
  const check = name === 'the domain' ? 'lockout policy' : name.replace(/^the /, '')
  if (threshold === 0) return ok(check, `${name} never locks an account`)
  const until = durationMs === 0 ? 'until an administrator unlocks it' : `for ${inWords(durationMs)}`
  const theirs = `${name} locks an account after ${threshold} failures within ${inWords(windowMs)}, ${until}`
  const detail = `${theirs}; ours after ${ours.maxAttempts} within ${inWords(ours.windowMs)} from one source, so several sources add up`
  if (ours.maxAttempts >= threshold) {
    const lower = Math.max(1, Math.floor(threshold / 2))
    const advice = `set \`lockout.max_attempts\` below ${threshold}, such as ${lower}: now it is ${ours.maxAttempts}, and guessing here locks people out of Windows`
    return warn(check, detail, advice)
  }
  if (ours.windowMs < windowMs) {
    const advice = `raise \`lockout.window\` to ${inWords(windowMs)} or more: slow guessing here can still lock an account there`
    return warn(check, detail, advice)
  }
  return ok(check, detail)
}

function readPolicy(entry: DirectoryEntry, name: string, attributes: readonly string[]): Policy | undefined {
  const [threshold, window, duration] = attributes.map(attribute => entry.texts(attribute)[0])
  if (threshold === undefined) return undefined
  return {
    name,
    threshold: Number(threshold),
    windowMs: intervalMs(window),
    // The lowest number stands for "for ever".
    durationMs: duration === '-9223372036854775808' ? 0 : intervalMs(duration),
  }
}

/** Intervals are negative hundreds of nanoseconds. */
function intervalMs(text: string | undefined): number {
  return Math.abs(Number(text ?? 0)) / 10_000
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
