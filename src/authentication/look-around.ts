/**
 * What a login with the right password would come to, backend by backend in the order of the chain, found out without one.
 * It follows the table of chain.ts; where a wrong password would lead further, the backends behind are looked at, too.
 */
import { stateInWords } from './account-state.ts'
import { subjectOf } from './ask.ts'
import type { Backend, Fact } from './backend.ts'
import { admits, type Caller, showTo } from './caller.ts'
import { type Link, whySkipped } from './chain.ts'
import type { Clock } from './clock.ts'
import { timeFor } from './deadline.ts'
import type { Conclusion, ExplainedStep } from './explanation.ts'
import type { Log } from './log.ts'
import { lookAt, type Sighting } from './look.ts'
import type { AccountState, Identity } from './outcome.ts'
import { type Place, placeRule } from './place.ts'
import type { Rule, StepOutcome } from './rule.ts'
import type { Username } from './username.ts'

export interface Looked {
  readonly steps: readonly ExplainedStep[]
  readonly conclusion: Conclusion
}

export interface LookAroundParts {
  readonly places: readonly Place[]
  /** For the whole of it, in milliseconds, as for an attempt. */
  readonly deadlineMs: number
  readonly clock: Clock
  readonly log: Log
}

export interface LookAroundRequest {
  readonly username: Username
  readonly caller: Caller
  /** For how much longer a subject is locked out here, in milliseconds; undefined if it is not. */
  lockedForMs(subject: string): Promise<number | undefined>
}

/** What one backend's look comes to, for a login with the right password. */
interface Sight {
  readonly outcome: StepOutcome | 'found' | 'not_looked'
  readonly detail?: string
  readonly state?: AccountState
  readonly user?: Identity
  readonly lockedForMs?: number
}

/** What is known so far; the conclusion is read from it where the chain ends. */
interface Findings {
  /** Ids of the backends that gave no answer, and of those that can say nothing without a password. */
  readonly unavailable: string[]
  readonly notLooked: string[]
  /** Those that found somebody, and whose acceptance is needed and not enough. */
  readonly required: string[]
  locked?: { readonly subject: string; readonly forMs: number }
}

/** @returns the function that looks; it never rejects for what a backend does */
export function createLookAround({
  places,
  deadlineMs,
  clock,
  log,
}: LookAroundParts): (request: LookAroundRequest) => Promise<Looked> {
  return async function lookAround(request) {
    const { username, caller } = request
    const endsAt = clock.now() + deadlineMs
    const steps: ExplainedStep[] = []
    const findings: Findings = { unavailable: [], notLooked: [], required: [] }
    let conclusion: Conclusion | undefined
    let stopped = false
    for (const place of places) {
      const common = { backend: place.id, type: place.type, facts: [] }
      const { link } = place
      const skipped =
        link === undefined
          ? 'enabled: false'
          : whySkipped(link, { username, ...(caller.backends && { allowed: caller.backends }) })
      if (link === undefined || skipped !== undefined) {
        steps.push({ ...common, outcome: 'skipped', ...(skipped && { detail: skipped }) })
        continue
      }
      if (stopped) {
        steps.push({ ...common, outcome: 'not_reached' })
        continue
      }
      const facts: Fact[] = []
      const startedAt = clock.now()
      const timeoutMs = timeFor(link.timeoutMs, endsAt - startedAt)
      const note = (fact: Fact) => void facts.push(fact)
      const sighting = await lookAt(link, { username, timeoutMs, note, log })
      const { lockedForMs, ...sight } = await judge(sighting, link, request)
      const { outcome, user } = sight
      const right = placeRule(place, link, withRightPassword(outcome))
      const wrong = placeRule(place, link, 'wrong_password')
      const asksPassword = user !== undefined && !link.deny && outcome !== 'subject_locked'
      steps.push({
        ...common,
        ...sight,
        facts,
        ...(outcome !== 'not_looked' && {
          next: right.next,
          rule: asksPassword ? `right password: ${right.name}; wrong password: ${wrong.name}` : right.name,
        }),
        durationMs: clock.now() - startedAt,
      })
      if (outcome === 'unavailable') findings.unavailable.push(place.id)
      if (outcome === 'not_looked') findings.notLooked.push(place.id)
      if (outcome === 'found' && right.next === 'continue') findings.required.push(place.id)
      if (lockedForMs !== undefined && user && lockedForMs > (findings.locked?.forMs ?? 0)) {
        findings.locked = { subject: user.id, forMs: lockedForMs }
      }
      const ends = right.next === 'stop' && outcome !== 'not_looked'
      if (ends) conclusion ??= concludeHere(place, sight, right, findings)
      stopped = ends && (!asksPassword || wrong.next === 'stop')
    }
    return { steps, conclusion: conclusion ?? atTheEnd(findings) }
  }
}

/** What a sighting comes to in its place; whose subject is locked here is not verified, as in the chain. */
async function judge(
  sighting: Sighting,
  { backend, deny }: Link,
  { caller, lockedForMs }: LookAroundRequest,
): Promise<Sight> {
  switch (sighting.found) {
    case 'not_looked':
      return { outcome: 'not_looked', detail: 'this backend can say nothing without a password' }
    case 'unavailable':
      return { outcome: 'unavailable', detail: sighting.reason }
    case 'none':
      return { outcome: 'unknown_user' }
    case 'not_applicable':
      return { outcome: 'not_applicable', detail: sighting.reason }
    case 'several':
      return deny ? DENIED : { outcome: 'ambiguous', detail: `${sighting.count} principals match` }
    case 'one': {
      const whole = identify(backend, sighting.user)
      const user = showTo(caller, whole)
      if (deny) return { ...DENIED, user }
      const locked = await lockedForMs(whole.id)
      if (locked !== undefined) {
        const detail = `for another ${Math.ceil(locked / 1000)} s`
        return { outcome: 'subject_locked', detail, user, lockedForMs: locked }
      }
      const { state } = sighting
      if (state !== undefined) return { outcome: 'account_state', detail: stateInWords(state), state, user }
      if (sighting.refusal !== undefined) return { outcome: 'deny', detail: sighting.refusal, user }
      return admits(caller, whole)
        ? { outcome: 'found', user }
        : { outcome: 'found', detail: 'in none of the groups that the app requires', user }
    }
  }
}

const DENIED = { outcome: 'deny', detail: 'on the deny list' } as const

function identify(backend: Backend, user: Omit<Identity, 'backend'>): Identity {
  return { ...user, id: subjectOf(backend, user.id), backend: backend.issuer ?? backend.id }
}

function withRightPassword(outcome: Sight['outcome']): StepOutcome {
  return outcome === 'found' || outcome === 'not_looked' ? 'accept' : outcome
}

/** The right password leads no further than here. */
function concludeHere(place: Place, sight: Sight, rule: Rule, findings: Findings): Conclusion {
  const { outcome, detail, user } = sight
  const decided = { backend: place.id, rule: rule.name, ...(user && { user }) }
  switch (outcome) {
    case 'found':
      return detail === undefined
        ? { verdict: 'depends_on_password', reason: accepted(findings), ...decided }
        : { verdict: 'rejected', reason: detail, backend: place.id, ...(user && { user }) }
    case 'account_state':
      return { verdict: 'account_state', reason: detail ?? 'the account may not log in', ...decided }
    case 'ambiguous':
      return { verdict: 'rejected', reason: `${detail}: no password is sent`, ...decided }
    case 'deny':
      return { verdict: 'rejected', reason: detail ?? 'nobody like this is let in', ...decided }
    case 'unknown_user':
    case 'not_applicable':
      if (rule.option !== 'accept') break
      return {
        verdict: 'rejected',
        reason: 'this backend must accept and does not know the name',
        ...decided,
      }
  }
  return { ...decided, ...atTheEnd(findings) }
}

/** As at the end of the chain: what could not be asked may have held the right password. */
function atTheEnd({ locked, unavailable, notLooked, required }: Findings): Conclusion {
  if (locked) {
    const seconds = Math.ceil(locked.forMs / 1000)
    const reason = `${locked.subject} is locked out here for another ${seconds} s: until then its password is not checked`
    return { verdict: 'locked_out', reason }
  }
  const [out] = unavailable
  if (out !== undefined) {
    const reason = 'a backend that might know the name gives no answer: a login is 503'
    return { verdict: 'unavailable', reason, backend: out }
  }
  if (notLooked.length > 0) {
    const reason = `${notLooked.join(' and ')} decides, and can say nothing without a password`
    return { verdict: 'depends_on_password', reason }
  }
  if (required.length > 0) {
    const reason = `${required.join(' and ')} must accept, which is not enough, and no other backend knows the name`
    return { verdict: 'rejected', reason }
  }
  return { verdict: 'rejected', reason: 'no backend knows the name' }
}

function accepted({ notLooked }: Findings): string {
  const reason = 'with the right password this login is accepted'
  if (notLooked.length === 0) return reason
  return `${reason}, unless ${notLooked.join(' or ')} says otherwise, which can say nothing without a password`
}
