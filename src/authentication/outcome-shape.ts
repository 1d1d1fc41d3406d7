import { isAccountState } from './account-state.ts'
import type { Fact } from './backend.ts'
import type { Outcome, Phase, User, Warning } from './outcome.ts'

/**
 * Reads what a backend answered, whatever it is, into an outcome of known shape, or undefined. Only an object whose
 * outcome is `accept` and whose user is whole and has an id accepts (chain.md, Outcomes). Every field is
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
      return isStableId(subject) ? { outcome: 'wrong_password', subject } : undefined
    }
    case 'account_state': {
      const { subject, state, passwordVerified } = answer
      if (!isStableId(subject) || !isAccountState(state) || typeof passwordVerified !== 'boolean')
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
  const read = Array.from(warnings, readWarning).filter(warning => warning !== undefined)
  return { outcome: 'accept', user, warnings: read }
}

/** A user of known shape, frozen, with no field that the type does not name; undefined if the value is not one. */
export function readUser(value: unknown): User | undefined {
  if (!isRecord(value)) return undefined
  const { id, username, displayName, email, groups, roles, attributes, state } = value
  if (!isStableId(id) || !isNonEmpty(username) || !isRecord(attributes)) return undefined
  const [ownGroups, ownRoles, copied] = [copyTexts(groups), copyTexts(roles), readAttributes(attributes)]
  if (ownGroups === undefined || ownRoles === undefined || copied === undefined) return undefined
  if (state !== undefined && !isAccountState(state)) return undefined
  return Object.freeze({
    id,
    username,
    ...(isNonEmpty(displayName) && { displayName }),
    ...(isNonEmpty(email) && { email }),
    groups: ownGroups,
    roles: ownRoles,
    attributes: copied,
    ...(state !== undefined && { state }),
  })
}

function readAttributes(value: Record<string, unknown>): User['attributes'] | undefined {
  const entries: [string, string | readonly string[]][] = []
  for (const [name, content] of Object.entries(value)) {
    const read = typeof content === 'string' ? content : copyTexts(content)
    if (read === undefined) return undefined
    entries.push([name, read])
  }
  return Object.freeze(Object.fromEntries(entries))
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** In UTF-16 code units: longer than any id that a directory gives. */
export const MAX_STABLE_ID = 256

/** May this be a person's id? It goes into replies, paths, logs and the keys of the lockout, and must come back from each. */
export function isStableId(value: unknown): value is string {
  return isNonEmpty(value) && value.length <= MAX_STABLE_ID && value.isWellFormed() && !/\p{Cc}/u.test(value)
}

function isNonEmpty(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** A frozen list of its own, read before it is judged, holes and all; undefined if the value is no list of text. */
export function copyTexts(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined
  const items: unknown[] = Array.from(value)
  const texts = items.filter(item => typeof item === 'string')
  return texts.length === items.length ? Object.freeze(texts) : undefined
}

/** RFC 3339 section 5.6 */
const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i

/** With no field that the type does not name, because callers are told all of it; undefined for what is no warning. */
function readWarning(value: unknown): Warning | undefined {
  if (!isRecord(value)) return undefined
  const { code, at, remaining } = value
  if (code !== 'password_expires' && code !== 'grace_logins') return undefined
  return {
    code,
    ...(typeof at === 'string' && DATE_TIME.test(at) && { at }),
    ...(typeof remaining === 'number' && Number.isSafeInteger(remaining) && { remaining }),
  }
}

/** One line of an explanation; undefined for what is none. */
export function readFact(value: unknown): Fact | undefined {
  if (!isRecord(value)) return undefined
  const { what, value: text, durationMs } = value
  if (typeof what !== 'string' || typeof text !== 'string') return undefined
  return { what, value: text, ...(Number.isFinite(durationMs) && { durationMs: durationMs as number }) }
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

export function isPhase(value: unknown): value is Phase {
  return typeof value === 'string' && Object.hasOwn(PHASES, value)
}
