import { UnavailableError } from './outcome.ts'
import { isPhase } from './outcome-shape.ts'

/** An error may have another as its cause, and that one again: no further than this. */
const MOST_CAUSES = 8

/**
 * What a plugin threw, as an error that can be looked at and written down: a copy, since reading the thing itself may throw
 * once more. An `UnavailableError` stays one. Never throws.
 */
export function readThrown(thrown: unknown, depth = MOST_CAUSES): Error {
  try {
    if (!(thrown instanceof Error)) return new Error(`a ${typeof thrown} was thrown`)
    const { name, message, stack, cause } = thrown
    const options = cause === undefined || depth === 0 ? {} : { cause: readThrown(cause, depth - 1) }
    const shown =
      thrown instanceof UnavailableError
        ? new UnavailableError(String(message), isPhase(thrown.phase) ? thrown.phase : 'plugin', options)
        : new Error(String(message), options)
    Object.defineProperty(shown, 'name', { value: String(name), configurable: true })
    shown.stack = String(stack)
    return shown
  } catch {
    return new Error('something that cannot even be read was thrown')
  }
}
