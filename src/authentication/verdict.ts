import type { AttemptEvent } from './attempt-event.ts'
import type { Caller } from './caller.ts'
import type { AccountState, Identity, Warning } from './outcome.ts'
import type { Secret } from './secret.ts'

export interface AuthenticationRequest {
  readonly requestId: string
  readonly caller: Caller
  /** As received. */
  readonly username: string
  /** As received; never trimmed, folded or truncated. */
  readonly password: Secret
  /** The end user's address, canonical (see `Asker.address`). */
  readonly address: string
  /** Wants to know how it came about: it is called once, with facts in every step. The attempt counts like any other. */
  readonly explain?: (event: AttemptEvent) => void
}

/** What the daemon answers about one attempt. `http/reply.ts` holds the one table from here to HTTP. */
export type Verdict =
  | { readonly verdict: 'accepted'; readonly user: Identity; readonly warnings: readonly Warning[] }
  /** Unknown user, wrong password, deny, ambiguous: one and the same to the caller. */
  | { readonly verdict: 'rejected' }
  | { readonly verdict: 'account_state'; readonly state: AccountState; readonly passwordVerified: boolean }
  | { readonly verdict: 'locked_out'; readonly retryAfterMs: number }
  | { readonly verdict: 'busy' }
  | { readonly verdict: 'unavailable'; readonly retryAfterMs: number }
  /** The name or the password cannot be one; `field` and `problem` are safe to show. */
  | { readonly verdict: 'invalid'; readonly field: 'username' | 'password'; readonly problem: string }

export type Authenticate = (request: AuthenticationRequest) => Promise<Verdict>

export type Lookup =
  /** `user.state` is set when the account may not log in; the caller decides whether that is shown. */
  | { readonly lookup: 'found'; readonly user: Identity }
  /** Gone, malformed, of a backend that is not configured, or of one this app may not use. */
  | { readonly lookup: 'not_found' }
  | { readonly lookup: 'unavailable'; readonly retryAfterMs: number }

/** The seed's `get_user`: only the backend named in the id is asked. */
export type GetUser = (id: string, caller: Caller) => Promise<Lookup>
