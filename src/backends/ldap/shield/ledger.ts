/**
 * The binds of this process that an entry does not show yet. An entry's count is as old as its search: whatever failed since, or
 * is under way, comes on top, or parallel logins would lock the account together that none of them would lock alone.
 */
import type { Clock } from '../../../plugin.ts'

/** How a bind ended. `unchecked`: it did not go out, or was answered with no word on the password. `unknown`: no answer came. */
export type BindEnd = 'right' | 'wrong' | 'unchecked' | 'unknown'

export type Taken =
  /** A place for one bind is held until `end`. */
  | 'taken'
  /** One more failure would lock the account. */
  | 'full'
  /** It might: binds went out to which no answer has come. */
  | 'unsure'
  /** The time for the attempt was used up. */
  | 'given_up'

/** From before one search until after the bind for what it found. */
export interface Page {
  /**
   * May one more bind be sent for this subject? Where only binds under way speak against it, waits until one has ended.
   *
   * @param shown failures that the entry shows
   * @param threshold 2 or more: so many failures lock the account
   */
  take(subject: string, shown: number, threshold: number, signal: AbortSignal): Promise<Taken>
  /** Gives the place back, if one is held. */
  end(how: BindEnd): void
  /** To be called once, after everything else. */
  close(): void
}

export interface Ledger {
  /** To be called before the entry is searched for. */
  open(): Page
}

/** A bind without an answer may still be on its way into the directory's count so much later, in milliseconds. */
const UNKNOWN_FOR_MS = 60_000

interface Failure {
  readonly subject: string
  readonly at: number
  /** Only where nobody knows whether it was one. */
  readonly unknownUntilMs?: number
}

export function createLedger(clock: Clock): Ledger {
  /** Counts what happens: no clock tells two events of the same moment apart. */
  let events = 0
  /** When each open page was opened, oldest first. */
  const open = new Set<number>()
  /** Oldest first, and only those that an open page may not have seen. */
  let failures: readonly Failure[] = []
  const underWay = new Map<string, number>()
  const waiting = new Map<string, Set<() => void>>()

  function forget(): void {
    const [oldest = Infinity] = open
    const now = clock.now()
    failures = failures.filter(({ at, unknownUntilMs }) =>
      unknownUntilMs === undefined ? at > oldest : unknownUntilMs > now,
    )
  }

  function release(subject: string): void {
    const left = (underWay.get(subject) ?? 1) - 1
    if (left > 0) underWay.set(subject, left)
    else underWay.delete(subject)
    for (const wake of waiting.get(subject) ?? []) wake()
  }

  async function untilOneEnds(subject: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => resolve()
    const waiters = waiting.get(subject) ?? new Set()
    waiting.set(subject, waiters.add(wake))
    signal.addEventListener('abort', wake)
    await promise
    signal.removeEventListener('abort', wake)
    waiters.delete(wake)
    if (waiters.size === 0 && waiting.get(subject) === waiters) waiting.delete(subject)
  }

  return {
    open() {
      const opened = ++events
      open.add(opened)
      let holds: string | undefined

      function look(subject: string, shown: number, threshold: number): Taken | 'wait' {
        forget()
        const theirs = failures.filter(failure => failure.subject === subject)
        const unknown = theirs.filter(({ unknownUntilMs }) => unknownUntilMs !== undefined).length
        const unseen = theirs.filter(({ at, unknownUntilMs }) => unknownUntilMs === undefined && at > opened)
        const left = threshold - 1 - shown - unseen.length
        if (left < 1) return 'full'
        if (left - unknown < 1) return 'unsure'
        if (left - unknown - (underWay.get(subject) ?? 0) < 1) return 'wait'
        return 'taken'
      }

      return {
        async take(subject, shown, threshold, signal) {
          for (;;) {
            if (signal.aborted) return 'given_up'
            // From this look to the place nothing else happens.
            const seen = look(subject, shown, threshold)
            if (seen === 'taken') {
              holds = subject
              underWay.set(subject, (underWay.get(subject) ?? 0) + 1)
            }
            if (seen !== 'wait') return seen
            await untilOneEnds(subject, signal)
          }
        },
        end(how) {
          const subject = holds
          if (subject === undefined) return
          holds = undefined
          const at = ++events
          if (how === 'wrong') failures = [...failures, { subject, at }]
          if (how === 'unknown') {
            failures = [...failures, { subject, at, unknownUntilMs: clock.now() + UNKNOWN_FOR_MS }]
          }
          release(subject)
        },
        close() {
          open.delete(opened)
          forget()
        },
      }
    },
  }
}
