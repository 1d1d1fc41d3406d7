/**
 * One login step by step, for operators (cli.md). With a password it is an attempt like any other, counted and logged;
 * without one the backends are only asked whom the name finds.
 */
import { isAccountState, stateInWords } from './account-state.ts'
import type { AttemptEvent } from './attempt-event.ts'
import type { Caller } from './caller.ts'
import { type Rejection, type Step, whySkipped } from './chain.ts'
import type { Clock } from './clock.ts'
import type { Conclusion, Explain, ExplainedStep, ExplainRequest, Explanation } from './explanation.ts'
import type { LockKind, Lockout } from './lockout.ts'
import type { Log } from './log.ts'
import { createLookAround } from './look-around.ts'
import { type Place, placeRule } from './place.ts'
import type { Secret } from './secret.ts'
import { type LockoutState, longestLock, standingsOf } from './standings.ts'
import type { NormaliseUsername, Username } from './username.ts'
import type { Authenticate, Verdict } from './verdict.ts'

export interface ExplainParts {
  /** Every configured backend in its order, those that are off included. */
  readonly places: readonly Place[]
  readonly normalise: NormaliseUsername
  /** Undefined outside of the daemon, where failures are not remembered. */
  readonly lockout?: Lockout
  readonly authenticate?: Authenticate
  /** For the whole of a look, in milliseconds. */
  readonly deadlineMs: number
  readonly clock: Clock
  readonly log: Log
}

/** Makes the one function that explains a login. It rejects with TypeError for a password where nothing can be tried. */
export function createExplain(parts: ExplainParts): Explain {
  const { places, normalise, lockout, authenticate, clock } = parts
  const lookAround = createLookAround(parts)

  async function standings(
    { text }: Username,
    address: string,
    subjects: readonly string[],
  ): Promise<LockoutState | undefined> {
    if (lockout === undefined) return undefined
    return standingsOf(lockout.inspect, { name: text, address }, subjects)
  }

  async function look(request: ExplainRequest, username: Username): Promise<Omit<Explanation, 'durationMs'>> {
    const { address, caller } = request
    const asker = { name: username.text, address }
    const lockedForMs = async (subject: string) =>
      longestLock((await lockout?.inspect(asker, subject))?.subject ?? [])?.lockedForMs
    const { steps, conclusion } = await lookAround({ username, caller, lockedForMs })
    const subjects = [...new Set(steps.flatMap(({ user }) => (user ? [user.id] : [])))]
    const state = await standings(username, address, subjects)
    return {
      mode: 'look',
      given: request.username,
      username,
      address,
      ...(state && { lockout: state }),
      steps,
      conclusion: (state && lockedOut(state)) ?? conclusion,
    }
  }

  async function attempt(
    request: ExplainRequest,
    username: Username,
    password: Secret,
  ): Promise<Omit<Explanation, 'durationMs'>> {
    if (authenticate === undefined) throw new TypeError('only a running daemon can try a password')
    const before = await standings(username, request.address, [])
    let seen: AttemptEvent | undefined
    const verdict = await authenticate({
      ...request,
      password,
      explain: event => {
        seen = event
      },
    })
    const subjects = seen?.subject === undefined ? [] : [seen.subject]
    const after = await standings(username, request.address, subjects)
    const steps = explainSteps(seen?.steps ?? [], places, request.caller, username)
    return {
      mode: 'attempt',
      given: request.username,
      username,
      address: request.address,
      ...(before && { lockout: before }),
      ...(after && { lockoutAfter: after }),
      steps,
      conclusion: conclude(verdict, seen, steps),
    }
  }

  return async function explain(request) {
    const startedAt = clock.now()
    const name = normalise(request.username)
    const { password } = request
    const explained = !name.ok
      ? invalidName(request, name.problem)
      : password === undefined
        ? await look(request, name.username)
        : await attempt(request, name.username, password)
    return { ...explained, durationMs: clock.now() - startedAt }
  }
}

function invalidName(request: ExplainRequest, problem: string): Omit<Explanation, 'durationMs'> {
  return {
    mode: request.password === undefined ? 'look' : 'attempt',
    given: request.username,
    address: request.address,
    steps: [],
    conclusion: { verdict: 'invalid', reason: `the name ${problem}: nobody is asked` },
  }
}

/** What was asked, and, in their places, the backends that were not. */
function explainSteps(
  steps: readonly Step[],
  places: readonly Place[],
  { backends: allowed }: Caller,
  username: Username,
): ExplainedStep[] {
  return places.map((place): ExplainedStep => {
    const common = { backend: place.id, type: place.type, facts: [] }
    const { link } = place
    if (link === undefined) return { ...common, outcome: 'skipped', detail: 'enabled: false' }
    const step = steps.find(({ backend }) => backend === place.id)
    if (step === undefined) return { ...common, outcome: 'not_reached' }
    const skipped = whySkipped(link, { username, ...(allowed && { allowed }) })
    if (skipped !== undefined) return { ...common, outcome: 'skipped', detail: skipped }
    const { outcome, facts = [], durationMs } = step
    const { name: rule, next } = placeRule(place, link, outcome)
    return { ...common, outcome, ...detailOf(step), facts, rule, next, durationMs }
  })
}

/** The chain notes the state itself, as the log shows it. */
function detailOf({ outcome, detail }: Step): Pick<ExplainedStep, 'detail' | 'state'> {
  if (detail === undefined) return {}
  if (outcome !== 'account_state' || !isAccountState(detail)) return { detail }
  return { detail: stateInWords(detail), state: detail }
}

/** Before anybody is asked. */
function lockedOut({ name, source }: LockoutState): Conclusion | undefined {
  const lock = longestLock([...name, ...source])
  if (lock === undefined) return undefined
  if (lock.limit === 0) {
    const reason = 'the source is on the block list: nobody is let in from there'
    return { verdict: 'locked_out', reason }
  }
  const seconds = Math.ceil(lock.lockedForMs / 1000)
  const reason = `${LOCKED[lock.kind]} is locked out here for another ${seconds} s: until then no password is checked`
  return { verdict: 'locked_out', reason }
}

const LOCKED: Readonly<Record<LockKind, string>> = {
  pair: 'the name',
  unfamiliar: 'the name',
  familiar: 'the name',
  directory: 'the name',
  source: 'the source',
  subnet: 'the network of the source',
}

function conclude(
  verdict: Verdict,
  event: AttemptEvent | undefined,
  steps: readonly ExplainedStep[],
): Conclusion {
  // At the end of the chain no rule has decided, but an outage may have.
  const last =
    steps.find(({ next }) => next === 'stop') ?? steps.find(({ outcome }) => outcome === verdict.verdict)
  const decided = last && { backend: last.backend, ...(last.rule !== undefined && { rule: last.rule }) }
  switch (verdict.verdict) {
    case 'accepted': {
      const { user, warnings } = verdict
      return { verdict: 'accepted', reason: 'the password is right', ...decided, user, warnings }
    }
    case 'rejected':
      // The chain accepted; what the app wants is no rule of it.
      if (event?.reason === 'groups') return { verdict: 'rejected', reason: REJECTIONS.groups }
      return { verdict: 'rejected', reason: whyRejected(event?.reason), ...decided }
    case 'account_state': {
      const proof = verdict.passwordVerified ? 'the password is right' : 'the password was not verified'
      return { verdict: 'account_state', reason: `${stateInWords(verdict.state)}; ${proof}`, ...decided }
    }
    case 'locked_out': {
      const seconds = Math.ceil(verdict.retryAfterMs / 1000)
      const reason = event?.reason ?? `locked out here for another ${seconds} s`
      return { verdict: 'locked_out', reason, ...decided }
    }
    case 'busy':
      return {
        verdict: 'busy',
        reason: 'other attempts for this account are under way; charged to nobody',
        ...decided,
      }
    case 'unavailable':
      return {
        verdict: 'unavailable',
        reason: event?.reason ?? 'a backend that might know gave no answer',
        ...decided,
      }
    case 'invalid':
      return { verdict: 'invalid', reason: `the ${verdict.field} ${verdict.problem}: nobody was asked` }
  }
}

/** Why a login is refused, in words. */
const REJECTIONS: Readonly<Record<Rejection, string>> = {
  credentials: 'no backend accepted the name and the password',
  ambiguous: 'more than one principal matches the name: no password is sent',
  deny: 'nobody like this is let in',
  groups: 'the password is right, and the user is in none of the groups that the app requires',
  required: 'a backend that must accept did not',
}

function whyRejected(reason: string | undefined): string {
  return Object.entries(REJECTIONS).find(([name]) => name === reason)?.[1] ?? REJECTIONS.credentials
}
