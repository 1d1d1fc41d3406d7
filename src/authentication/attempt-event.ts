import type { Step } from './chain.ts'
import type { Verdict } from './verdict.ts'

/** What is written down about one attempt, exactly once (security.md S75). It holds no secret. */
export interface AttemptEvent {
  readonly requestId: string
  /** The calling app. */
  readonly caller: string
  /** The end user's address, canonical. */
  readonly address: string
  /** The normalised name; undefined if the given one cannot be a name. May be a mistyped password: hash it unless `subject` is set. */
  readonly username?: string | undefined
  /** `<backend id>:<stable id>` of the principal that decided, if one was identified. */
  readonly subject?: string | undefined
  /** `error` is a bug of ours: the caller got 500. */
  readonly verdict: Verdict['verdict'] | 'error'
  /** Why, for operators: the reason of a rejection, the account's state, or what was invalid. */
  readonly reason?: string | undefined
  readonly steps: readonly Step[]
  readonly durationMs: number
  /** True if an identical attempt already under way answered this one too. */
  readonly shared: boolean
  /** True if this attempt's failure set a lock. */
  readonly locked: boolean
  /** True if a lock that is only watched would have refused it. */
  readonly ignored?: true | undefined
}
