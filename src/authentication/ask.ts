import type { Attempt, Backend, Fact } from './backend.ts'
import { TIMED_OUT, withDeadline } from './deadline.ts'
import type { Ceiling, Lease, Refusal } from './lockout.ts'
import type { Log } from './log.ts'
import type { Outcome, Unavailable } from './outcome.ts'
import { isRecord, isStableId, readFact, readOutcome } from './outcome-shape.ts'
import { createRedaction, type Redaction, redactedLog } from './redaction.ts'
import type { Secret } from './secret.ts'
import type { Username } from './username.ts'

/** What asking one backend gave: its outcome, or why its answer does not count. */
export type Answer =
  | {
      readonly kind: 'outcome'
      readonly outcome: Outcome
      /** Whom the backend found before it answered `deny`, as the full subject id: an outcome of this kind names nobody. */
      readonly denied?: string
    }
  /** The subject it found has no place left in the lockout: nothing was verified. */
  | { readonly kind: 'refused'; readonly refusal: Refusal }

export interface Question {
  readonly username: Username
  readonly password: Secret
  readonly timeoutMs: number
  readonly log: Log
  readonly claim: Lease['claim']
  /** Where to say what was asked and found, if somebody wants to know. */
  readonly note?: (fact: Fact) => void
}

/** A backend behind a wall: it cannot throw, hang, crowd or lie its way past (chain.md; faults.md F38, I11). */
export interface ContainedBackend {
  ask(question: Question): Promise<Answer>
  /** Attempts under way, those that nobody waits for any more included. */
  inFlight(): number
}

interface Containment {
  readonly maxInFlight: number
  /** A deny list is never handed a secret: being found is all that counts. */
  readonly deny: boolean
}

/** More than anybody reads: a plugin gone wild must not fill the memory. */
const MOST_FACTS = 1_000

/** The full subject id of a principal of `backend`: an alias backend issues the ids of the one it stands for. */
export function subjectOf(backend: Backend, stableId: string): string {
  return `${backend.issuer ?? backend.id}:${stableId}`
}

export function contain(backend: Backend, { maxInFlight, deny }: Containment): ContainedBackend {
  let inFlight = 0

  // Counted until the backend really ends, so that one that hangs stays within its bulkhead.
  async function authenticate(attempt: Attempt): Promise<unknown> {
    inFlight++
    try {
      return await backend.authenticate(attempt)
    } finally {
      inFlight--
    }
  }

  async function ask(question: Question): Promise<Answer> {
    const { username, password, timeoutMs, claim, note } = question
    if (inFlight >= maxInFlight) return unavailable('max_in_flight reached', 'admission', false)
    if (timeoutMs <= 0) return unavailable('the time for the whole attempt was used up', 'admission', false)
    // What a backend says may hold what it was given: a server that repeats it, a library that puts a request into its error.
    let made: Redaction | undefined
    const redaction = () => {
      made ??= createRedaction(password)
      return made
    }
    const log = redactedLog(question.log, redaction)
    let refusal: Refusal | undefined
    let found: string | undefined
    let verifying = false
    let over = false

    async function mayVerify(stableId: string, ceiling?: Ceiling): Promise<boolean> {
      // A plugin in plain JavaScript may hand over anything: what is no id must not be counted under some text made of it.
      if (!isStableId(stableId)) throw new TypeError('mayVerify was asked about what is no id')
      if (ceiling !== undefined && !isCeiling(ceiling))
        throw new TypeError('mayVerify got what is no ceiling')
      // One attempt, one subject: what is verified and what is charged must be the same.
      if (over || (found !== undefined && found !== stableId)) return false
      found = stableId
      if (deny) return false
      const admission = await claim(subjectOf(backend, stableId), ceiling)
      if (!admission.admitted) refusal = admission
      if (over || refusal !== undefined) return false
      verifying = true
      return true
    }

    try {
      const answer = await withDeadline(
        timeoutMs,
        signal => {
          const attempt = { username, password, signal, log, mayVerify }
          return authenticate(note ? { ...attempt, note: whileAsked(note, redaction, () => over) } : attempt)
        },
        // Before the abort, so that a backend that wakes up on it finds the door shut.
        () => {
          over = true
        },
      )
      over = true
      if (refusal !== undefined) return { kind: 'refused', refusal }
      if (deny && found !== undefined)
        return denyFound({ outcome: 'deny', reason: 'on the deny list' }, found)
      if (answer === TIMED_OUT) return unavailable(`no answer within ${timeoutMs} ms`, 'plugin', verifying)
      const read = withoutSecret(readOutcome(answer), redaction)
      if (read === undefined) {
        log.error({ answered: typeof answer }, 'the backend answered something that is no outcome')
        return unavailable('the answer is no outcome', 'plugin', verifying)
      }
      if (deny) return outcome(asDenyList(read))
      const about = subjectIn(read)
      if (found !== undefined && about !== undefined && found !== about) {
        log.error({ found, about }, 'the backend verified one subject and answered about another')
        return unavailable('verified one subject and answered about another', 'plugin', verifying)
      }
      if (read.outcome === 'deny') return denyFound(read, found)
      return read.outcome === 'accept' && found === undefined ? await admitLate(read, claim) : outcome(read)
    } catch (error) {
      over = true
      log.error({ err: redaction().error(error) }, 'the backend threw')
      return unavailable('the backend threw', 'plugin', verifying)
    }
  }

  function denyFound(deny: Outcome & { outcome: 'deny' }, found: string | undefined): Answer {
    const denied = found === undefined ? {} : { denied: subjectOf(backend, found) }
    return { kind: 'outcome', outcome: deny, ...denied }
  }

  /** A backend that did not say whom it was verifying: its acceptance still needs a place in that subject's lockout. */
  async function admitLate(accept: Outcome & { outcome: 'accept' }, claim: Lease['claim']): Promise<Answer> {
    const admission = await claim(subjectOf(backend, accept.user.id))
    return admission.admitted ? outcome(accept) : { kind: 'refused', refusal: admission }
  }

  return { ask, inFlight: () => inFlight }
}

function whileAsked(
  note: (fact: Fact) => void,
  redaction: () => Redaction,
  isOver: () => boolean,
): (fact: Fact) => void {
  let left = MOST_FACTS
  return fact => {
    if (isOver() || left-- <= 0) return
    const read = readFact(fact)
    if (read) note({ ...read, what: redaction().text(read.what), value: redaction().text(read.value) })
  }
}

/** Whom an outcome is about, if it names anybody. */
function subjectIn(read: Outcome): string | undefined {
  if (read.outcome === 'accept') return read.user.id
  return 'subject' in read ? read.subject : undefined
}

/** An outcome whose words, which are for operators only, do not hold the password. */
function withoutSecret(read: Outcome | undefined, redaction: () => Redaction): Outcome | undefined {
  switch (read?.outcome) {
    case 'unavailable':
      return { ...read, cause: redaction().text(read.cause) }
    case 'deny':
    case 'not_applicable':
      return { ...read, reason: redaction().text(read.reason) }
    case undefined:
    case 'accept':
    case 'unknown_user':
    case 'wrong_password':
    case 'account_state':
    case 'ambiguous':
      return read
  }
}

/** A number that is none would switch the directory's own limit off. */
function isCeiling(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { threshold, windowMs } = value
  return [threshold, windowMs].every(each => typeof each === 'number' && Number.isFinite(each) && each > 0)
}

/** A deny list that answers without saying whom it found: anything but "not here" and an outage means known. */
function asDenyList(read: Outcome): Outcome {
  switch (read.outcome) {
    case 'unknown_user':
    case 'not_applicable':
    case 'unavailable':
      return read
    case 'accept':
    case 'wrong_password':
    case 'account_state':
    case 'ambiguous':
    case 'deny':
      return { outcome: 'deny', reason: 'on the deny list' }
  }
}

function outcome(outcome: Outcome): Answer {
  return { kind: 'outcome', outcome }
}

function unavailable(cause: string, phase: Unavailable['phase'], credentialSent: boolean): Answer {
  return outcome({ outcome: 'unavailable', cause, phase, credentialSent })
}
