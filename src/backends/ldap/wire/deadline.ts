import { DirectoryFailure } from './failure.ts'

/**
 * The promise, or a failure as soon as the signal aborts. What the promise gives later goes nowhere, its rejection included.
 *
 * @throws {DirectoryFailure} when the time is up
 */
export function orAbort<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  phase: 'connect' | 'search',
): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new DirectoryFailure('the time for the attempt was used up', { phase }))
    if (signal.aborted) giveUp()
    signal.addEventListener('abort', giveUp)
    const settled = () => signal.removeEventListener('abort', giveUp)
    promise.then(
      value => {
        settled()
        resolve(value)
      },
      error => {
        settled()
        reject(error)
      },
    )
  })
}
