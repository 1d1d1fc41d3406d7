/** What one backend says of a name without a password, behind the same wall as an attempt: it cannot throw, hang or lie. */
import { isAccountState } from './account-state.ts'
import type { Fact, Look } from './backend.ts'
import type { Link } from './chain.ts'
import { TIMED_OUT, withDeadline } from './deadline.ts'
import type { Log } from './log.ts'
import { UnavailableError } from './outcome.ts'
import { readFact, readUser } from './outcome-shape.ts'
import { readThrown } from './thrown.ts'
import type { Username } from './username.ts'

/** A look that can be believed, or why there is none. */
export type Sighting =
  | Look
  /** This backend can say nothing without a password. */
  | { readonly found: 'not_looked' }
  | { readonly found: 'unavailable'; readonly reason: string }

export interface LookRequest {
  readonly username: Username
  /** The less of the backend's own time-out and what is left of the whole, in milliseconds. */
  readonly timeoutMs: number
  readonly note: (fact: Fact) => void
  readonly log: Pick<Log, 'error'>
}

/** Never rejects. */
export async function lookAt({ backend }: Link, request: LookRequest): Promise<Sighting> {
  const { username, timeoutMs, note, log } = request
  if (backend.look === undefined) return { found: 'not_looked' }
  if (timeoutMs <= 0) return unavailable('the time for the whole attempt was used up')
  try {
    const look = await withDeadline(timeoutMs, async signal =>
      backend.look?.(username, signal, fact => {
        const read = readFact(fact)
        if (read && !signal.aborted) note(read)
      }),
    )
    if (look === TIMED_OUT) return unavailable(`no answer within ${timeoutMs} ms`)
    return (look && readLook(look)) ?? unavailable('the answer is no look')
  } catch (thrown) {
    const error = readThrown(thrown)
    if (error instanceof UnavailableError) return unavailable(`${error.phase}: ${error.message}`)
    log.error({ backend: backend.id, err: error }, 'the backend threw while it looked')
    return unavailable('the backend threw')
  }
}

function readLook(look: Look): Look | undefined {
  switch (look.found) {
    case 'none':
      return { found: 'none' }
    case 'several':
      return { found: 'several', count: Number(look.count) }
    case 'not_applicable':
      return { found: 'not_applicable', reason: String(look.reason) }
    case 'one': {
      const user = readUser(look.user)
      if (user === undefined) return undefined
      const { state = user.state, refusal } = look
      if (state !== undefined && !isAccountState(state)) return undefined
      return {
        found: 'one',
        user,
        ...(state !== undefined && { state }),
        ...(refusal !== undefined && { refusal: String(refusal) }),
      }
    }
    default:
      return undefined
  }
}

function unavailable(reason: string): Sighting {
  return { found: 'unavailable', reason }
}
