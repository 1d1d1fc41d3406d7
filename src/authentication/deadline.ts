/** What `withDeadline` gives when the time was up first. */
export const TIMED_OUT: unique symbol = Symbol('timed out')

/**
 * Runs `work` and waits for it at most `timeoutMs` milliseconds. At the deadline the signal aborts and `TIMED_OUT` is
 * returned at once, whatever `work` does with the signal; a late result or rejection is swallowed, so that it can
 * neither satisfy somebody else nor crash the process (faults.md I3, I6).
 *
 * @throws whatever `work` throws before the deadline, a synchronous throw included
 */
export async function withDeadline<T>(
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | typeof TIMED_OUT> {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<typeof TIMED_OUT>(resolve => {
    timer = setTimeout(() => {
      resolve(TIMED_OUT)
      controller.abort(new Error(`no answer within ${timeoutMs} ms`))
    }, timeoutMs)
  })
  try {
    // Promise.race handles both, so a rejection after the deadline is not an unhandled one.
    return await Promise.race([work(controller.signal), expired])
  } finally {
    clearTimeout(timer)
  }
}

/** A timer may end a little early, and leave the next backend what is no time to answer in; in milliseconds. */
const LEAST_MS = 5

/** How long a backend may take of what is left of the whole attempt; 0 if that is no time. */
export function timeFor(timeoutMs: number, leftMs: number): number {
  return leftMs < LEAST_MS ? 0 : Math.min(timeoutMs, leftMs)
}
