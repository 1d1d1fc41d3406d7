/** Whom a name finds, backend by backend, in the order of the chain and without a password. */
import { subjectOf } from './ask.ts'
import type { Backend, Fact, Look } from './backend.ts'
import { admits, type Caller, showTo } from './caller.ts'
import { type Link, whySkipped } from './chain.ts'
import type { Clock } from './clock.ts'
import { TIMED_OUT, withDeadline } from './deadline.ts'
import type { Conclusion, ExplainedStep } from './explanation.ts'
import type { Log } from './log.ts'
import { type Identity, UnavailableError } from './outcome.ts'
import { readUser } from './outcome-shape.ts'
import { type Place, placeRule } from './place.ts'
import type { StepOutcome } from './rule.ts'
import type { Username } from './username.ts'

export interface Looked {
  readonly steps: readonly ExplainedStep[]
  readonly conclusion: Conclusion
}

/** What one backend's look comes to, for a login with the right password. */
interface Sight {
  readonly outcome: StepOutcome | 'found' | 'not_looked'
  readonly detail?: string
  readonly user?: Identity
}

/** @returns the function that looks; it never rejects for what a backend does */
export function createLookAround({
  places,
  clock,
  log,
}: {
  readonly places: readonly Place[]
  readonly clock: Clock
  readonly log: Log
}): (username: Username, caller: Caller) => Promise<Looked> {
  return async function lookAround(username, caller) {
    const steps: ExplainedStep[] = []
    let conclusion: Conclusion | undefined
    let unavailable: string | undefined
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
      const sight = await lookAt(link, username, caller, facts)
      const right = placeRule(place, link, withRightPassword(sight))
      const wrong = placeRule(place, link, 'wrong_password')
      const known = sight.user !== undefined && !link.deny
      steps.push({
        ...common,
        ...sight,
        facts,
        ...(sight.outcome !== 'not_looked' && {
          next: right.next,
          rule: known ? `right password: ${right.name}; wrong password: ${wrong.name}` : right.name,
        }),
        durationMs: clock.now() - startedAt,
      })
      if (sight.outcome === 'unavailable') unavailable ??= place.id
      const ends = right.next === 'stop' && sight.outcome !== 'not_looked'
      if (ends) conclusion ??= concludeHere(place, sight, right.name)
      stopped = ends && (!known || wrong.next === 'stop')
    }
    return { steps, conclusion: conclusion ?? concludeAtTheEnd(steps, unavailable) }
  }

  async function lookAt(
    { backend, deny, timeoutMs }: Link,
    username: Username,
    caller: Caller,
    facts: Fact[],
  ): Promise<Sight> {
    if (backend.look === undefined) {
      return { outcome: 'not_looked', detail: 'this backend can say nothing without a password' }
    }
    try {
      const look = await withDeadline(timeoutMs, async signal =>
        backend.look?.(username, signal, fact => void (signal.aborted || facts.push(fact))),
      )
      if (look === TIMED_OUT) return { outcome: 'unavailable', detail: `no answer within ${timeoutMs} ms` }
      const sight = look && read(look, backend, caller)
      if (sight === undefined) return { outcome: 'unavailable', detail: 'the answer is no look' }
      if (!deny || sight.outcome === 'unknown_user' || sight.outcome === 'not_applicable') return sight
      return { ...sight, outcome: 'deny', detail: 'on the deny list' }
    } catch (error) {
      if (error instanceof UnavailableError) {
        return { outcome: 'unavailable', detail: `${error.phase}: ${error.message}` }
      }
      log.error({ backend: backend.id, err: error }, 'the backend threw while it looked')
      return { outcome: 'unavailable', detail: 'the backend threw' }
    }
  }
}

function read(look: Look, backend: Backend, caller: Caller): Sight | undefined {
  switch (look.found) {
    case 'none':
      return { outcome: 'unknown_user' }
    case 'several':
      return { outcome: 'ambiguous', detail: `${look.count} principals match` }
    case 'not_applicable':
      return { outcome: 'not_applicable', detail: look.reason }
    case 'one': {
      const person = readUser(look.user)
      if (person === undefined) return undefined
      const issuer = backend.issuer ?? backend.id
      const whole = { ...person, id: subjectOf(backend, person.id), backend: issuer }
      const user = showTo(caller, whole)
      const state = look.state ?? look.user.state
      if (state !== undefined) return { outcome: 'account_state', detail: state, user }
      if (look.refusal !== undefined) return { outcome: 'deny', detail: look.refusal, user }
      const admitted = admits(caller, whole)
      return admitted
        ? { outcome: 'found', user }
        : { outcome: 'found', detail: 'in none of the groups that the app requires', user }
    }
    default:
      return undefined
  }
}

function withRightPassword({ outcome }: Sight): StepOutcome {
  return outcome === 'found' || outcome === 'not_looked' ? 'accept' : outcome
}

function concludeHere(place: Place, { outcome, detail, user }: Sight, rule: string): Conclusion {
  const decided = { backend: place.id, rule, ...(user && { user }) }
  switch (outcome) {
    case 'found':
      return detail === undefined
        ? {
            verdict: 'depends_on_password',
            reason: 'with the right password this login is accepted',
            ...decided,
          }
        : { verdict: 'rejected', reason: detail, ...decided }
    case 'account_state':
      return { verdict: 'account_state', reason: `the account is ${detail}`, ...decided }
    case 'ambiguous':
      return { verdict: 'rejected', reason: `${detail}: no password is sent`, ...decided }
    case 'deny':
      return { verdict: 'rejected', reason: detail ?? 'nobody like this is let in', ...decided }
    case 'unavailable':
      return {
        verdict: 'unavailable',
        reason: 'this backend gives no answer, and its answer is needed',
        ...decided,
      }
    default:
      return { verdict: 'rejected', reason: 'this backend does not know the name', ...decided }
  }
}

function concludeAtTheEnd(steps: readonly ExplainedStep[], unavailable: string | undefined): Conclusion {
  if (unavailable !== undefined) {
    const reason = 'a backend that might know the name gives no answer: a login is 503 and charged to nobody'
    return { verdict: 'unavailable', reason, backend: unavailable }
  }
  if (steps.some(({ outcome }) => outcome === 'not_looked')) {
    return {
      verdict: 'depends_on_password',
      reason: 'a backend that can say nothing without a password decides',
    }
  }
  return { verdict: 'rejected', reason: 'no backend knows the name' }
}
