import type { Clock } from '../authentication/clock.ts'
import { createInFlight } from '../authentication/in-flight.ts'

/** Waits for the core, which has deadlines of its own: a last resort, so that no caller hangs on a bug of ours. */
export interface Patience {
  /**
   * What `ask` gives; it goes on and is counted even when nobody waits any more.
   *
   * @throws Error when the time is up; whatever `ask` rejects with
   */
  wait<T>(ask: () => Promise<T>): Promise<T>
  stop(): void
}

interface Waiting {
  readonly since: number
  giveUp(error: Error): void
}

/**
 * @param answerMs how long anybody waits, in milliseconds; one timer looks after all, so it may be a second more
 */
export function createPatience(answerMs: number, clock: Clock): Patience {
  /** Oldest first. */
  const waiting = createInFlight<number, Waiting>()
  let lastId = 0
  const timer = setInterval(
    () => {
      for (const [id, entry] of waiting.entries()) {
        if (clock.now() - entry.since < answerMs) return
        waiting.delete(id)
        entry.giveUp(new Error(`the core gave no answer within ${answerMs} ms`))
      }
    },
    Math.min(answerMs, 1000),
  ).unref()

  return {
    wait: ask =>
      new Promise((resolve, reject) => {
        const id = ++lastId
        waiting.set(id, { since: clock.now(), giveUp: reject })
        ask().then(
          answer => {
            waiting.delete(id)
            resolve(answer)
          },
          error => {
            waiting.delete(id)
            reject(error)
          },
        )
      }),
    stop: () => clearInterval(timer),
  }
}
