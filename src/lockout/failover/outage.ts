import type { Clock } from '../../authentication/clock.ts'
import type { Log } from '../../authentication/log.ts'

/** Whether the shared store is away. Says so once when it goes and once when it is back. */
export interface Outage {
  /** The answer; undefined if there is none, or nobody is to ask now. */
  ask<T>(question: () => Promise<T>): Promise<{ readonly answer: T } | undefined>
  isOn(): boolean
  /** Another number each time it goes or comes back: since then it may know less than we do. */
  turn(): number
}

/** The store is left alone for so long after a failure, and then asked by one at a time. */
const RETRY_MS = 1_000

/** @param onFailure what happens meanwhile, for the log */
export function createOutage(clock: Clock, log: Log, onFailure: 'local' | 'closed'): Outage {
  let retryAtMs: number | undefined
  let turn = 0
  return {
    async ask(question) {
      if (retryAtMs !== undefined) {
        if (clock.now() < retryAtMs) return undefined
        retryAtMs = clock.now() + RETRY_MS
      }
      const before = turn
      try {
        const answer = await question()
        // What was asked before it went tells nothing of its being back.
        if (retryAtMs !== undefined && before === turn) {
          retryAtMs = undefined
          turn++
          log.warn({}, 'the shared lockout store is back')
        }
        return { answer }
      } catch (error) {
        if (retryAtMs === undefined) {
          turn++
          log.error({ err: error, on_failure: onFailure }, 'the shared lockout store is away')
        }
        retryAtMs = clock.now() + RETRY_MS
        return undefined
      }
    },
    isOn: () => retryAtMs !== undefined,
    turn: () => turn,
  }
}
