/**
 * The chain of backends: each is asked in turn, and one table decides what its outcome means (chain.md).
 *
 * | outcome        | then                             | charged to the lockout                                   |
 * |----------------|----------------------------------|----------------------------------------------------------|
 * | accept         | stop, accepted (`on: continue`)  | nobody; the account starts afresh                        |
 * | unknown_user   | continue (`on: stop`)            | name + source, once, if every backend could say its word |
 * | wrong_password | continue (`on: stop`)            | that subject + source; the name as for unknown_user      |
 * | account_state  | stop                             | nobody if the password was right, else name + source ¹   |
 * | ambiguous      | stop                             | the source                                               |
 * | deny           | stop                             | the source                                               |
 * | unavailable    | continue, remembered (`on: stop`)| never                                                    |
 * | not_applicable | continue                         | nobody                                                   |
 * | (subject locked) | as wrong_password              | nobody: while locked nothing is verified or extended     |
 *
 * Verdict: accepted, else a terminal stop, else locked out, else unavailable, else rejected.
 *
 * `on: { accept: continue }` means required-also: this backend's acceptance is needed and is not enough. Anything else
 * than acceptance here ends the chain, and the identity is that of the later backend that accepts.
 *
 * ¹ The name, so that a disabled account locks like an unknown one and the sixth guess tells nothing; but only the
 *   source for `locked`, where the directory itself says nothing about the password.
 */
import { type Answer, type ContainedBackend, contain, subjectOf } from './ask.ts'
import type { Backend, Fact } from './backend.ts'
import { chargeFor } from './charge.ts'
import type { Clock } from './clock.ts'
import { timeFor } from './deadline.ts'
import { lazyChild } from './lazy-child.ts'
import type { Charge, Lease } from './lockout.ts'
import type { Log } from './log.ts'
import type { AccountState, Identity, User, Warning } from './outcome.ts'
import { type Rules, ruleFor, type StepOutcome } from './rule.ts'
import type { Secret } from './secret.ts'
import type { Username } from './username.ts'

/** One backend in its place in the chain. */
export interface Link {
  readonly backend: Backend
  readonly on: Rules
  /** How long one attempt may take here, in milliseconds. */
  readonly timeoutMs: number
  /** Attempts at once; one more is `unavailable`. */
  readonly maxInFlight: number
  /** Known here means denied; its own outage is fatal for the attempt. */
  readonly deny: boolean
  /** Which normalised names this backend is asked about. */
  readonly usernameFilter: (name: string) => boolean
}

export interface ChainRequest {
  readonly username: Username
  readonly password: Secret
  /** Ids of the backends the calling app may use; undefined means all. Deny lists and required-also ones are asked always. */
  readonly allowed?: ReadonlySet<string>
  readonly claim: Lease['claim']
  readonly log: Log
  /** Somebody wants to know how it came about: backends are asked for facts. */
  readonly explained?: boolean
}

/** One backend's part in an attempt, for the log, the audit trail and `explain`. */
export interface Step {
  readonly backend: string
  readonly outcome: StepOutcome
  readonly durationMs: number
  /** In words, for operators only. */
  readonly detail?: string
  /** Only of an attempt that is explained. */
  readonly facts?: readonly Fact[]
}

/** `groups`: right, but the app wants other groups. */
export type Rejection = 'credentials' | 'ambiguous' | 'deny' | 'required' | 'groups'

export type ChainVerdict =
  | { readonly verdict: 'accepted'; readonly user: Identity; readonly warnings: readonly Warning[] }
  | { readonly verdict: 'rejected'; readonly reason: Rejection }
  | { readonly verdict: 'account_state'; readonly state: AccountState; readonly passwordVerified: boolean }
  | { readonly verdict: 'locked_out'; readonly retryAfterMs: number }
  | { readonly verdict: 'busy' }
  | { readonly verdict: 'unavailable' }

export interface ChainResult {
  readonly verdict: ChainVerdict
  readonly charge: Charge
  readonly steps: readonly Step[]
  /** The subject that decided, when one was identified. */
  readonly subject?: string
}

export interface Chain {
  run(request: ChainRequest): Promise<ChainResult>
  /** Attempts that each backend works on now, by its id. */
  inFlight(): ReadonlyMap<string, number>
}

/** What the chain has learned so far; the verdict and the charge are read from it at the end. */
interface Findings {
  readonly steps: Step[]
  readonly wrongSubjects: string[]
  unknown: boolean
  unavailable: boolean
  lockedForMs: number
  subject?: string
  /** Of the backend being asked, if the attempt is explained. */
  facts?: Fact[]
}

/** @param deadlineMs for the whole attempt, in milliseconds; each backend gets the less of its own and what is left */
export function createChain(links: readonly Link[], deadlineMs: number, clock: Clock): Chain {
  const chained = links.map(link => ({ link, contained: contain(link.backend, link) }))

  async function run(request: ChainRequest): Promise<ChainResult> {
    const endsAt = clock.now() + deadlineMs
    const findings: Findings = {
      steps: [],
      wrongSubjects: [],
      unknown: false,
      unavailable: false,
      lockedForMs: 0,
    }
    for (const { link, contained } of chained) {
      const skipped = whySkipped(link, request)
      if (skipped !== undefined) {
        delete findings.facts
        note(findings, link, 'not_applicable', 0, skipped)
        continue
      }
      const startedAt = clock.now()
      if (request.explained) findings.facts = []
      const answer = await askOne(contained, link, request, endsAt - startedAt, findings.facts)
      const verdict = weigh(answer, link, findings, clock.now() - startedAt)
      if (verdict !== undefined) return conclude(verdict, findings)
    }
    return conclude(verdictAtTheEnd(findings), findings)
  }

  return {
    run,
    inFlight: () => new Map(chained.map(({ link, contained }) => [link.backend.id, contained.inFlight()])),
  }
}

/** Why a backend is not even asked, if so. */
export function whySkipped(
  link: Link,
  { allowed, username }: Pick<ChainRequest, 'allowed' | 'username'>,
): string | undefined {
  // What can only refuse is asked for every app: none may choose to do without it.
  const optional = !link.deny && link.on.accept !== 'continue'
  if (optional && allowed !== undefined && !allowed.has(link.backend.id)) return 'not for this app'
  if (!link.usernameFilter(username.text)) return 'username_filter'
  return undefined
}

function askOne(
  contained: ContainedBackend,
  link: Link,
  request: ChainRequest,
  leftMs: number,
  facts: Fact[] | undefined,
): Promise<Answer> {
  return contained.ask({
    username: request.username,
    password: request.password,
    claim: request.claim,
    log: lazyChild(request.log, { backend: link.backend.id }),
    timeoutMs: timeFor(link.timeoutMs, leftMs),
    ...(facts && { note: (fact: Fact) => void facts.push(fact) }),
  })
}

/** The table: takes one answer into the findings, and gives the verdict if it stops the chain. */
function weigh(answer: Answer, link: Link, findings: Findings, durationMs: number): ChainVerdict | undefined {
  const { backend } = link
  const mustAccept = link.on.accept === 'continue'
  const stops = (outcome: StepOutcome) => ruleFor(outcome, link).next === 'stop'

  if (answer.kind === 'refused') {
    const { refusal } = answer
    switch (refusal.reason) {
      case 'busy':
        note(findings, link, 'busy', durationMs)
        return { verdict: 'busy' }
      case 'unavailable':
        note(findings, link, 'unavailable', durationMs, 'the counts of the lockout are out of reach')
        findings.unavailable = true
        return stops('unavailable') ? verdictAtTheEnd(findings) : undefined
      case 'locked':
        note(findings, link, 'subject_locked', durationMs)
        findings.lockedForMs = Math.max(findings.lockedForMs, refusal.retryAfterMs)
        return stops('subject_locked') ? verdictAtTheEnd(findings) : undefined
    }
  }

  const { outcome } = answer
  switch (outcome.outcome) {
    case 'accept':
      note(findings, link, 'accept', durationMs)
      if (!stops('accept')) return undefined
      findings.subject = subjectOf(backend, outcome.user.id)
      return { verdict: 'accepted', user: identify(backend, outcome.user), warnings: outcome.warnings ?? [] }

    case 'unknown_user':
      note(findings, link, 'unknown_user', durationMs)
      findings.unknown = true
      if (mustAccept) return { verdict: 'rejected', reason: 'required' }
      return stops('unknown_user') ? verdictAtTheEnd(findings) : undefined

    case 'wrong_password':
      note(findings, link, 'wrong_password', durationMs)
      findings.subject = subjectOf(backend, outcome.subject)
      if (!findings.wrongSubjects.includes(findings.subject)) findings.wrongSubjects.push(findings.subject)
      if (mustAccept) return { verdict: 'rejected', reason: 'required' }
      return stops('wrong_password') ? verdictAtTheEnd(findings) : undefined

    case 'account_state': {
      const { state, passwordVerified } = outcome
      note(findings, link, 'account_state', durationMs, state)
      findings.subject = subjectOf(backend, outcome.subject)
      return { verdict: 'account_state', state, passwordVerified }
    }

    case 'ambiguous':
      note(findings, link, 'ambiguous', durationMs, `${outcome.count} principals match`)
      return { verdict: 'rejected', reason: 'ambiguous' }

    case 'deny':
      note(findings, link, 'deny', durationMs, outcome.reason)
      // For the log: it is the source that pays, as for a deny list that names nobody.
      if (answer.denied !== undefined) findings.subject = answer.denied
      return { verdict: 'rejected', reason: 'deny' }

    case 'unavailable':
      note(findings, link, 'unavailable', durationMs, `${outcome.phase}: ${outcome.cause}`)
      findings.unavailable = true
      return stops('unavailable') ? verdictAtTheEnd(findings) : undefined

    case 'not_applicable':
      note(findings, link, 'not_applicable', durationMs, outcome.reason)
      return stops('not_applicable') ? { verdict: 'rejected', reason: 'required' } : undefined
  }
}

/** Locked out and outages come before rejection: what could not be asked may have held the right password. */
function verdictAtTheEnd({ lockedForMs, unavailable }: Findings): ChainVerdict {
  if (lockedForMs > 0) return { verdict: 'locked_out', retryAfterMs: lockedForMs }
  if (unavailable) return { verdict: 'unavailable' }
  return { verdict: 'rejected', reason: 'credentials' }
}

function conclude(verdict: ChainVerdict, findings: Findings): ChainResult {
  const { steps, subject } = findings
  return { verdict, charge: chargeFor(verdict, findings), steps, ...(subject !== undefined && { subject }) }
}

function note(
  findings: Findings,
  { backend }: Link,
  outcome: Step['outcome'],
  durationMs: number,
  detail?: string,
): void {
  const { steps, facts } = findings
  steps.push({
    backend: backend.id,
    outcome,
    durationMs,
    ...(detail !== undefined && { detail }),
    ...(facts && { facts }),
  })
}

function identify(backend: Backend, user: User): Identity {
  const issuer = backend.issuer ?? backend.id
  return Object.freeze({ ...user, id: `${issuer}:${user.id}`, backend: issuer })
}
