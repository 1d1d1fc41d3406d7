import { DirectoryFailure } from './failure.ts'

/**
 * The promise, or a failure as soon as the signal aborts. What the promise gives later goes nowhere, its rejection included.
 *
 * @throws {DirectoryFailure} when the time is up
 */
export async function orAbort<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  phase: 'connect' | 'search',
): Promise<T> {
  let giveUp = () => {}
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => reject(new DirectoryFailure('the time for the attempt was used up', { phase }))
  })
  if (signal.aborted) giveUp()
  signal.addEventListener('abort', giveUp)
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
