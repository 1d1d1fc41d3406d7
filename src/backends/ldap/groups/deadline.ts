import { DirectoryFailure } from '../wire/failure.ts'

/** A time limit that costs nothing until somebody looks at it: most logins ask the directory for no group. */
export interface Deadline {
  /** Aborts when the time is up, which runs from the first look on, or with the attempt. */
  signal(): AbortSignal
  /** The time was used up here, and not the attempt's. */
  hasPassed(): boolean
  /** To be called when the work is done. */
  clear(): void
}

/** @param timeoutMs in milliseconds */
export function createDeadline(attempt: AbortSignal, timeoutMs: number): Deadline {
  let controller: AbortController | undefined
  let timer: NodeJS.Timeout | undefined
  let passed = false

  function start(): AbortController {
    const started = new AbortController()
    timer = setTimeout(() => {
      passed = true
      giveUp()
    }, timeoutMs)
    attempt.addEventListener('abort', giveUp)
    if (attempt.aborted) started.abort()
    return started
  }

  function giveUp(): void {
    controller?.abort()
  }

  return {
    signal() {
      controller ??= start()
      return controller.signal
    },
    hasPassed: () => passed,
    clear() {
      if (controller === undefined) return
      clearTimeout(timer)
      attempt.removeEventListener('abort', giveUp)
    },
  }
}

/** What to throw when the time for groups was used up. */
export function tooSlow(timeoutMs: number): DirectoryFailure {
  const cause = `the groups were not found within groups.timeout (${timeoutMs} ms)`
  return new DirectoryFailure(cause, { phase: 'search' })
}
