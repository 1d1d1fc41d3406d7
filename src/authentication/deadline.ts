/** What `withDeadline` gives when the time was up first. */
export const TIMED_OUT: unique symbol = Symbol('timed out')

/**
 * Runs `work` and waits for it at most `timeoutMs` milliseconds. At the deadline the signal aborts and `TIMED_OUT` is
 * returned at once, whatever `work` does with the signal; a late result or rejection is swallowed, so that it can
 * neither satisfy somebody else nor crash the process (faults.md I3, I6).
 *
 * @param onExpired called at the deadline, before the signal aborts; it must not throw
 * @throws whatever `work` throws before the deadline, a synchronous throw included
 */
export function withDeadline<T>(
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  onExpired?: () => void,
): Promise<T | typeof TIMED_OUT> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController()
    const timer = setTimeout(() => {
      resolve(TIMED_OUT)
      onExpired?.()
      controller.abort(new Error(`no answer within ${timeoutMs} ms`))
    }, timeoutMs)
    // What comes after the deadline finds the promise settled, a rejection too.
    const take = (result: T) => {
      clearTimeout(timer)
      resolve(result)
    }
    const fail = (error: unknown) => {
      clearTimeout(timer)
      reject(error)
    }
    try {
      // A plugin in plain JavaScript may give what is no promise.
      Promise.resolve(work(controller.signal)).then(take, fail)
    } catch (error) {
      fail(error)
    }
  })
}

/** A timer may end a little early, and leave the next backend what is no time to answer in; in milliseconds. */
const LEAST_MS = 5

/** How long a backend may take of what is left of the whole attempt; 0 if that is no time. */
export function timeFor(timeoutMs: number, leftMs: number): number {
  return leftMs < LEAST_MS ? 0 : Math.min(timeoutMs, leftMs)
}
