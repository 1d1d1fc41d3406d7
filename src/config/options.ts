/** Options that only the configuration's own sections use; those for backends are in plugin.ts. */
import { Type } from 'typebox'

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

/** An option that is a size such as `64MiB` in YAML; code gets bytes. */
export function SizeOption(description: string, fallback: string) {
  return Type.Unsafe<number>({ type: 'string', description, 'x-size': true, default: fallback })
}

/** An option that is a number of days such as `400d` in YAML; code gets milliseconds, too many for a timer. */
export function DaysOption(description: string, fallback: string) {
  return Type.Unsafe<number>({ type: 'string', description, 'x-days': true, default: fallback })
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
