import { isAccountState } from './account-state.ts'
import type { Outcome, Phase, User, Warning } from './outcome.ts'

/**
 * Reads what a backend answered, whatever it is, into an outcome of known shape, or undefined. Only an object whose
 * outcome is `accept` and whose user is whole and has a non-empty id accepts (chain.md, Outcomes). Every field is
 * copied once, so that a getter or a later change cannot turn a checked answer into another.
 *
 * @throws whatever a hostile getter throws; the caller contains it
 */
export function readOutcome(answer: unknown): Outcome | undefined {
  if (!isRecord(answer)) return undefined
  switch (answer.outcome) {
    case 'accept':
      return readAccept(answer)
    case 'unknown_user':
      return { outcome: 'unknown_user' }
    case 'wrong_password': {
      const { subject } = answer
      return isNonEmpty(subject) ? { outcome: 'wrong_password', subject } : undefined
    }
    case 'account_state': {
      const { subject, state, passwordVerified } = answer
      if (!isNonEmpty(subject) || !isAccountState(state) || typeof passwordVerified !== 'boolean')
        return undefined
      return { outcome: 'account_state', subject, state, passwordVerified }
    }
    case 'ambiguous':
      return { outcome: 'ambiguous', count: Number(answer.count) }
    case 'deny':
      return { outcome: 'deny', reason: String(answer.reason) }
    case 'unavailable': {
      const { cause, phase, credentialSent } = answer
      return {
        outcome: 'unavailable',
        cause: String(cause),
        phase: isPhase(phase) ? phase : 'plugin',
        credentialSent: credentialSent !== false,
      }
    }
    case 'not_applicable':
      return { outcome: 'not_applicable', reason: String(answer.reason) }
    default:
      return undefined
  }
}

function readAccept(answer: Record<string, unknown>): Outcome | undefined {
  const user = readUser(answer.user)
  const { warnings = [] } = answer
  // An account that may not log in cannot be accepted, whatever the backend meant.
  if (user === undefined || user.state !== undefined || !Array.isArray(warnings)) return undefined
  return { outcome: 'accept', user, warnings: warnings.flatMap(readWarning) }
}

/** A user of known shape, frozen, with no field that the type does not name; undefined if the value is not one. */
export function readUser(value: unknown): User | undefined {
  if (!isRecord(value)) return undefined
  const { id, username, displayName, email, groups, roles, attributes, state } = value
  if (!isNonEmpty(id) || !isNonEmpty(username)) return undefined
  if (!isTexts(groups) || !isTexts(roles) || !isRecord(attributes)) return undefined
  const copied = readAttributes(attributes)
  if (copied === undefined || (state !== undefined && !isAccountState(state))) return undefined
  return Object.freeze({
    id,
    username,
    ...(isNonEmpty(displayName) && { displayName }),
    ...(isNonEmpty(email) && { email }),
    groups: Object.freeze([...groups]),
    roles: Object.freeze([...roles]),
    attributes: copied,
    ...(state !== undefined && { state }),
  })
}

function readAttributes(value: Record<string, unknown>): User['attributes'] | undefined {
  const entries: [string, string | readonly string[]][] = []
  for (const [name, content] of Object.entries(value)) {
    if (typeof content === 'string') entries.push([name, content])
    else if (isTexts(content)) entries.push([name, Object.freeze([...content])])
    else return undefined
  }
  return Object.freeze(Object.fromEntries(entries))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNonEmpty(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(item => typeof item === 'string')
}

/** RFC 3339 section 5.6 */
const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i

/** None for what is no warning; else with no field that the type does not name, because callers are told all of it. */
function readWarning(value: unknown): Warning[] {
  if (!isRecord(value)) return []
  const { code, at, remaining } = value
  if (code !== 'password_expires' && code !== 'grace_logins') return []
  return [
    {
      code,
      ...(typeof at === 'string' && DATE_TIME.test(at) && { at }),
      ...(typeof remaining === 'number' && Number.isInteger(remaining) && { remaining }),
    },
  ]
}

const PHASES: Record<Phase, true> = {
  connect: true,
  tls: true,
  service_bind: true,
  search: true,
  bind: true,
  lookup: true,
  hash: true,
  plugin: true,
  admission: true,
}

function isPhase(value: unknown): value is Phase {
  return typeof value === 'string' && Object.hasOwn(PHASES, value)
}
