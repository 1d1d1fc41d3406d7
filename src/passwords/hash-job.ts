import type { HashParameters, Verification } from './argon2.ts'

/** What the pool sends to a hash worker. The secret is plain here: a `Secret` cannot cross threads. */
export type HashJob =
  | { readonly kind: 'hash'; readonly secret: string; readonly parameters: HashParameters }
  | {
      readonly kind: 'verify'
      readonly stored: string | undefined
      readonly secret: string
      readonly parameters: HashParameters
    }

/** What comes back: the PHC string of a `hash`, the verification of a `verify`. */
export type HashAnswer = string | Verification
