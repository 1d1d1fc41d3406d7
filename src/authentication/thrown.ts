import { UnavailableError } from './outcome.ts'
import { isPhase } from './outcome-shape.ts'

/** An error may have another as its cause, and that one again: no further than this. */
const MOST_CAUSES = 8

/**
 * What a plugin threw, as an error that can be looked at and written down: a copy, since reading the thing itself may throw
 * once more. An `UnavailableError` stays one. Never throws.
 *
 * @param clean makes every text of it fit for the log
 */
export function readThrown(
  thrown: unknown,
  clean: (text: string) => string = text => text,
  depth = MOST_CAUSES,
): Error {
  try {
    if (!(thrown instanceof Error)) return new Error(`a ${typeof thrown} was thrown`)
    const { name, message, stack, cause } = thrown
    const options = cause === undefined || depth === 0 ? {} : { cause: readThrown(cause, clean, depth - 1) }
    const shown =
      thrown instanceof UnavailableError
        ? new UnavailableError(
            clean(String(message)),
            isPhase(thrown.phase) ? thrown.phase : 'plugin',
            options,
          )
        : new Error(clean(String(message)), options)
    Object.defineProperty(shown, 'name', { value: clean(String(name)), configurable: true })
    shown.stack = clean(String(stack))
    return shown
  } catch {
    return new Error('something that cannot even be read was thrown')
  }
}
