/** What is asked and answered about one login, for operators. */
import type { Fact } from './backend.ts'
import type { Caller } from './caller.ts'
import type { AccountState, Identity, Warning } from './outcome.ts'
import type { Rule, StepOutcome } from './rule.ts'
import type { Secret } from './secret.ts'
import type { LockoutState } from './standings.ts'
import type { Username } from './username.ts'
import type { Verdict } from './verdict.ts'

export interface ExplainRequest {
  readonly requestId: string
  /** As typed. */
  readonly username: string
  /** Without one nothing is tried and nothing is counted. */
  readonly password?: Secret
  /** Whence the end user would come, canonical. */
  readonly address: string
  /** The app through whose eyes it is seen: its backends, groups and attributes. */
  readonly caller: Caller
}

export interface ExplainedStep {
  readonly backend: string
  /** The word after `type:`. */
  readonly type: string
  /**
   * `found`: somebody who may log in, given the password. `skipped`: not asked. `not_reached`: the chain ends before it.
   * `not_looked`: this backend can say nothing without a password.
   */
  readonly outcome: StepOutcome | 'found' | 'skipped' | 'not_reached' | 'not_looked'
  /** In words. */
  readonly detail?: string
  /** With `account_state`, for machines. */
  readonly state?: AccountState
  readonly facts: readonly Fact[]
  /** Whom the name finds here. */
  readonly user?: Identity
  /** What follows, and which rule says so. */
  readonly rule?: string
  readonly next?: Rule['next']
  readonly durationMs?: number
}

/** What it comes to; `look` verdicts say what a login now would be. */
export interface Conclusion {
  readonly verdict: Verdict['verdict'] | 'depends_on_password'
  /** In words. */
  readonly reason: string
  /** The backend that decides, where one does. */
  readonly backend?: string
  /** The rule that ends the chain there. */
  readonly rule?: string
  readonly user?: Identity
  /** What the app is told beside an acceptance; empty if nothing is. */
  readonly warnings?: readonly Warning[]
}

export interface Explanation {
  readonly mode: 'look' | 'attempt'
  readonly given: string
  /** Undefined if it cannot be a name; the conclusion says why. */
  readonly username?: Username
  readonly address: string
  /** Undefined: not known here, or there was no name to ask about. */
  readonly lockout?: LockoutState
  /** After an attempt. */
  readonly lockoutAfter?: LockoutState
  readonly steps: readonly ExplainedStep[]
  readonly conclusion: Conclusion
  readonly durationMs: number
}

export type Explain = (request: ExplainRequest) => Promise<Explanation>
