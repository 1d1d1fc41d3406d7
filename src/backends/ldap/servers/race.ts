import { DirectoryFailure } from '../wire/failure.ts'

/** What a race came to. */
export interface Finish<E, T> {
  readonly winner: { readonly entrant: E; readonly prize: T } | undefined
  /** Of those that failed, in the order in which they did. */
  readonly failures: readonly DirectoryFailure[]
  readonly failed: ReadonlySet<E>
}

export interface RaceRules<E, T> {
  /** @throws {DirectoryFailure} when it fails, or the signal aborts: another one has won, or nobody wants it any more */
  run(entrant: E, signal: AbortSignal): Promise<T>
  /** How long this one runs alone, in milliseconds, before the next one starts beside it. */
  patience(entrant: E): number
  /** Gets what came in second. */
  discard(prize: T): void
  readonly signal: AbortSignal
}

/**
 * Happy eyeballs over servers (RFC 8305 section 5): the first starts; the next one when the last has failed or takes too long;
 * the first to arrive wins, and all others are called off.
 *
 * @throws whatever `run` throws that is no DirectoryFailure
 */
export function race<E, T>(entrants: readonly E[], rules: RaceRules<E, T>): Promise<Finish<E, T>> {
  const { promise, resolve, reject } = Promise.withResolvers<Finish<E, T>>()
  const over = new AbortController()
  const stop = AbortSignal.any([over.signal, rules.signal])
  const failures: DirectoryFailure[] = []
  const failed = new Set<E>()
  const waiting = [...entrants]
  let running = 0
  let timer: NodeJS.Timeout | undefined

  function finish(winner: Finish<E, T>['winner']): void {
    clearTimeout(timer)
    over.abort()
    resolve({ winner, failures, failed })
  }

  function startNext(): void {
    clearTimeout(timer)
    const entrant = waiting.shift()
    if (entrant === undefined) {
      if (running === 0) finish(undefined)
      return
    }
    running++
    if (waiting.length > 0) timer = setTimeout(startNext, rules.patience(entrant))
    rules.run(entrant, stop).then(
      prize => {
        running--
        if (over.signal.aborted) rules.discard(prize)
        else finish({ entrant, prize })
      },
      error => {
        running--
        if (over.signal.aborted) return
        if (!(error instanceof DirectoryFailure)) {
          over.abort()
          clearTimeout(timer)
          reject(error)
          return
        }
        failures.push(error)
        failed.add(entrant)
        if (rules.signal.aborted) waiting.length = 0
        startNext()
      },
    )
  }

  startNext()
  return promise
}
