/** Options that only the configuration's own sections use; those for backends are in plugin.ts. */
import { Type } from 'typebox'
import { DurationOption } from '../plugin.ts'

/** One of these words. */
export function WordOption<const W extends readonly string[]>(
  listed: W,
  description: string,
  fallback: W[number],
) {
  return Type.Unsafe<W[number]>({ type: 'string', enum: listed, description, default: fallback })
}

/** What ops may make the chain do after an outcome (chain.md, What the chain does). */
export function ReactionOption(description: string, fallback: 'stop' | 'continue') {
  return WordOption(['stop', 'continue'], description, fallback)
}

/** So many failures within the window lock for the duration. */
export function limitOptions(maxAttempts: number, window: string, duration: string) {
  return {
    max_attempts: Type.Integer({
      minimum: 1,
      maximum: 1000,
      default: maxAttempts,
      description: 'Failures that are allowed; the last of them sets the lock.',
    }),
    window: DurationOption('Failures are counted over this time.', window),
    duration: DurationOption('How long a lock holds.', duration),
  }
}

/** A file path. */
export function PathOption(description: string) {
  return Type.String({ minLength: 1, description })
}

/** The id of a client or a backend. */
export function IdOption(description: string) {
  return Type.String({
    pattern: '^[a-z0-9][a-z0-9_-]*$',
    maxLength: 64,
    description,
    'x-expected': 'a name of lower-case letters, digits, `-` and `_`',
  })
}
