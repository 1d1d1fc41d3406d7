/**
 * The use case: normalise → reserve → chain → commit | release → audit, and one event (lockout.md, Order of work).
 */
import { randomBytes } from 'node:crypto'
import type { AttemptEvent } from './attempt-event.ts'
import { type Audit, NOT_AUDITED, noAudit } from './audit.ts'
import { admits, type Caller, showTo } from './caller.ts'
import type { Chain, ChainResult, ChainVerdict } from './chain.ts'
import type { Clock } from './clock.ts'
import { lazyChild } from './lazy-child.ts'
import { createLikeAttempts } from './like-attempts.ts'
import type { Lockout, Refusal } from './lockout.ts'
import type { Log } from './log.ts'
import { isHeld, type Pace } from './pace.ts'
import { checkPassword } from './password.ts'
import { createPasswordTag, type PasswordTag } from './password-tag.ts'
import type { Release } from './release.ts'
import type { NormalisedUsername, NormaliseUsername, Username } from './username.ts'
import type { Authenticate, AuthenticationRequest, Verdict } from './verdict.ts'

/** When a backend is out: what callers are told to wait, in milliseconds. */
export const RETRY_UNAVAILABLE_MS = 5_000

export interface AuthenticatorParts {
  readonly chain: Chain
  readonly lockout: Lockout
  /** By which the lockout knows the same wrong password again; under a key of this process unless one is given. */
  readonly passwordTag?: PasswordTag
  readonly normalise: NormaliseUsername
  readonly clock: Clock
  readonly log: Log
  /** No verdict is returned that is not written down there, unless it says that it may be. Without one nothing is. */
  readonly audit?: Audit
  /** Called exactly once per attempt, before the verdict is returned; it must not throw. */
  readonly onAttempt: (event: AttemptEvent) => void
  /** When failures are answered; at once unless given. */
  readonly timing?: ReplyTiming
}

export interface ReplyTiming {
  readonly pace: Pace
  readonly release: Release
  /** Whether callers are told that they are locked out here. */
  readonly lockoutShown: boolean
}

type Ending = Pick<AttemptEvent, 'subject' | 'reason' | 'steps' | 'locked' | 'ignored'> & {
  readonly verdict: Verdict
}

/**
 * Makes the one function that answers an attempt.
 *
 * Identical attempts under way (same app, address, name and password) share one verification, so that a burst of right
 * passwords is never refused; what they share is compared by a keyed hash that lives only in this process.
 */
export function createAuthenticate(parts: AuthenticatorParts): Authenticate {
  const { chain, lockout, normalise, clock, log, audit = noAudit, onAttempt, timing } = parts
  const { passwordTag = createPasswordTag(randomBytes(32)) } = parts
  const underWay = createLikeAttempts<Ending>()

  return async function authenticate(request) {
    const startedAt = clock.now()
    const name = normalise(request.username)
    try {
      const { ending: coming, shared } = answer(request, name)
      const ending = await coming
      const stands = await write({ request, name, startedAt }, ending, ending.verdict.verdict, shared)
      const answered = stands ? ending.verdict : UNAVAILABLE
      await answerOnTime(startedAt, answered, ending.steps, request)
      return answered
    } catch (error) {
      await write({ request, name, startedAt }, FAILED, 'error', false)
      throw error
    }
  }

  /** @returns whether the verdict stands */
  async function write(
    { request, name, startedAt }: Began,
    { subject, reason, steps, locked, ignored }: Omit<Ending, 'verdict'>,
    verdict: AttemptEvent['verdict'],
    shared: boolean,
  ): Promise<boolean> {
    const event: AttemptEvent = {
      requestId: request.requestId,
      caller: request.caller.id,
      address: request.address,
      username: name.ok ? name.username.text : undefined,
      subject,
      verdict,
      reason,
      steps,
      durationMs: clock.now() - startedAt,
      // Who only shares it has set no lock.
      locked: locked && !shared,
      shared,
      ignored,
    }
    const stands = await audit.record(event)
    const told: AttemptEvent =
      stands || verdict === 'error' ? event : { ...event, verdict: 'unavailable', reason: NOT_AUDITED }
    onAttempt(told)
    request.explain?.(told)
    return stands
  }

  /** Operators who have it explained see every time anyway. */
  async function answerOnTime(
    startedAt: number,
    { verdict }: Verdict,
    steps: Ending['steps'],
    { explain }: AuthenticationRequest,
  ): Promise<void> {
    if (timing === undefined || explain !== undefined) return
    const { pace, release, lockoutShown } = timing
    pace.learn({ accepted: verdict === 'accepted', durationMs: clock.now() - startedAt, steps })
    if (isHeld(verdict, steps, lockoutShown)) await release.hold(pace.dueAt(startedAt))
  }

  function answer(
    request: AuthenticationRequest,
    name: NormalisedUsername,
  ): { readonly ending: Promise<Ending>; readonly shared: boolean } {
    if (!name.ok) return alone(Promise.resolve(invalid('username', name.problem)))
    const password = checkPassword(request.password)
    if (!password.ok) return alone(Promise.resolve(invalid('password', password.problem)))

    // Whoever wants it explained wants it done.
    if (request.explain !== undefined) return alone(attemptOnce(request, name.username))
    const likeness = {
      caller: request.caller.id,
      address: request.address,
      name: name.username.typed,
      password: request.password,
    }
    const leader = underWay.find(likeness)
    if (leader !== undefined) return { ending: leader, shared: true }
    return alone(underWay.share(likeness, attemptOnce(request, name.username)))
  }

  async function attemptOnce(request: AuthenticationRequest, username: Username): Promise<Ending> {
    // What cannot be answered is not tried.
    if (!audit.admits()) return { verdict: UNAVAILABLE, reason: NOT_AUDITED, steps: [], locked: false }
    let tag: number | undefined
    const reservation = await lockout.reserve({
      name: username.text,
      address: request.address,
      caller: request.caller.id,
      // Only failures are told apart by it.
      passwordTag: () => {
        tag ??= passwordTag(request.password)
        return tag
      },
    })
    if (!reservation.admitted) return refused(reservation)
    const { lease, ignored } = reservation
    let result: ChainResult
    try {
      result = await chain.run({
        username,
        password: request.password,
        ...(request.caller.backends !== undefined && { allowed: request.caller.backends }),
        claim: lease.claim,
        log: lazyChild(log, { request_id: request.requestId }),
        ...(request.explain !== undefined && { explained: true }),
      })
    } catch (error) {
      await lease.release()
      throw error
    }
    const required = demandGroups(result, request.caller)
    const { locked } = await lease.commit(required.charge)
    const { verdict, steps, subject } = required
    const told = conclude(verdict, request.caller)
    return {
      verdict: told.verdict,
      reason: told.reason,
      steps,
      subject,
      locked,
      ignored: ignored ? true : undefined,
    }
  }
}

interface Began {
  readonly request: AuthenticationRequest
  readonly name: NormalisedUsername
  readonly startedAt: number
}

/** Of an attempt that ended in a bug. */
const FAILED: Omit<Ending, 'verdict'> = { steps: [], locked: false }

function alone(ending: Promise<Ending>): { readonly ending: Promise<Ending>; readonly shared: boolean } {
  return { ending, shared: false }
}

const UNAVAILABLE: Verdict = { verdict: 'unavailable', retryAfterMs: RETRY_UNAVAILABLE_MS }

function refused(refusal: Refusal): Ending {
  switch (refusal.reason) {
    case 'locked':
      return {
        verdict: { verdict: 'locked_out', retryAfterMs: refusal.retryAfterMs },
        ...(refusal.blocked && { reason: 'the source is on the block list' }),
        steps: [],
        locked: false,
      }
    case 'busy':
      return { verdict: { verdict: 'busy' }, steps: [], locked: false }
    case 'unavailable':
      return {
        verdict: UNAVAILABLE,
        reason: 'the counts of the lockout are out of reach',
        steps: [],
        locked: false,
      }
  }
}

/** A right password of somebody this app does not admit: the same reply as any other refusal, charged to the source. */
function demandGroups(result: ChainResult, caller: Caller): ChainResult {
  const { verdict, charge } = result
  if (verdict.verdict !== 'accepted' || admits(caller, verdict.user)) return result
  return {
    ...result,
    verdict: { verdict: 'rejected', reason: 'groups' },
    charge: { name: false, subjects: charge.subjects, source: true },
  }
}

function conclude(verdict: ChainVerdict, caller: Caller): Pick<Ending, 'verdict' | 'reason'> {
  switch (verdict.verdict) {
    case 'accepted':
      return { verdict: { ...verdict, user: showTo(caller, verdict.user) } }
    case 'rejected':
      return { verdict: { verdict: 'rejected' }, reason: verdict.reason }
    case 'account_state':
      return { verdict, reason: verdict.state }
    case 'unavailable':
      return { verdict: UNAVAILABLE }
    case 'locked_out':
    case 'busy':
      return { verdict }
  }
}

function invalid(field: 'username' | 'password', problem: string): Ending {
  return {
    verdict: { verdict: 'invalid', field, problem },
    reason: `${field}: ${problem}`,
    steps: [],
    locked: false,
  }
}
