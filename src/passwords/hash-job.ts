import type { HashParameters, Verification } from './argon2.ts'

/**
 * What the pool sends to a hash worker. The secret is plain here, in UTF-8: a `Secret` cannot cross threads, and octets are moved
 * there and cleared, where a string would be copied and its copies left lying about.
 */
export type HashJob =
  | { readonly kind: 'hash'; readonly secret: Uint8Array<ArrayBuffer>; readonly parameters: HashParameters }
  | {
      readonly kind: 'verify'
      readonly stored: string | undefined
      readonly secret: Uint8Array<ArrayBuffer>
      readonly parameters: HashParameters
    }

/** What comes back: the PHC string of a `hash`, the verification of a `verify`. */
export type HashAnswer = string | Verification
