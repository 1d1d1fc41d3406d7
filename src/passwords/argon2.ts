/**
 * argon2id and nothing else (security.md S27, S28, S30). Everything here computes on the calling thread, so only the
 * hash worker calls it.
 */
import { hashRawSync, hashSync, parseOptions, verifySync } from '@node-rs/argon2'

/** What one hash costs. */
export interface HashParameters {
  /** Memory in KiB, at least 8 per lane. */
  readonly memoryKiB: number
  readonly passes: number
  readonly lanes: number
}

export interface Verification {
  readonly verified: boolean
  /** Right, but stored below today's parameters: to be hashed again while the password is at hand. */
  readonly stale: boolean
}

interface StoredHash extends HashParameters {
  readonly saltBytes: number
  readonly outputBytes: number
  readonly current: boolean
}

/** OWASP's second choice of argon2id parameters: 19 MiB, two passes, one lane (security.md S27). */
export const DEFAULT_PARAMETERS: HashParameters = { memoryKiB: 19_456, passes: 2, lanes: 1 }

/** A stored record may not ask for more than this: one corrupt row must not take the machine's memory (S30). */
const MOST: HashParameters = { memoryKiB: 128 * 1024, passes: 30, lanes: 8 }

const MAX_STORED_LENGTH = 512
const SALT_BYTES = 16
const OUTPUT_BYTES = 32
const LEAST_OUTPUT_BYTES = 16

// The library's enums are ambient and cannot be used with erasable syntax; these are their documented values.
const ARGON2ID = 2
const VERSION_19 = 1

const NOT_VERIFIED: Verification = { verified: false, stale: false }

/** A new hash with a random 16-byte salt, as a PHC string. */
export function hashNow(secret: string | Uint8Array, parameters: HashParameters): string {
  return hashSync(secret, libraryOptions(parameters))
}

/**
 * Checks `secret` against a stored PHC string, for about the same time whatever is stored:
 * - nothing stored, another algorithm, a broken or an outsized record: one dummy hash, and never verified;
 * - a record cheaper than `current`: topped up by the missing work. That is memory times passes over lanes, an
 *   approximation of the time. It is done for right and wrong alike, so that the time tells neither from the other.
 */
export function verifyNow(
  stored: string | undefined,
  secret: string | Uint8Array,
  current: HashParameters,
): Verification {
  const hash = stored === undefined ? undefined : readStored(stored)
  // Lone surrogates all become U+FFFD on the way to the library, so such a secret would share a hash with others.
  const malformed = typeof secret === 'string' && !secret.isWellFormed()
  if (stored === undefined || hash === undefined || malformed) {
    spend(secret, current)
    return NOT_VERIFIED
  }
  const verified = verifySync(stored, secret)
  const missing = workOf(current) - workOf(hash)
  if (missing > 0) spend(secret, worth(missing, current))
  return { verified, stale: verified && isStale(hash, current, missing) }
}

/** The parameters of a stored hash that may be computed here, or undefined when it can never verify. */
function readStored(stored: string): StoredHash | undefined {
  if (stored.length > MAX_STORED_LENGTH || !stored.startsWith('$argon2id$')) return undefined
  const parsed = parse(stored)
  if (parsed === undefined || parsed.algorithm !== ARGON2ID) return undefined
  const { memoryCost: memoryKiB, timeCost: passes, parallelism: lanes } = parsed
  if (memoryKiB > MOST.memoryKiB || passes > MOST.passes || lanes > MOST.lanes) return undefined
  if (parsed.outputLen < LEAST_OUTPUT_BYTES) return undefined
  return {
    memoryKiB,
    passes,
    lanes,
    saltBytes: parsed.saltLen,
    outputBytes: parsed.outputLen,
    current: parsed.version === VERSION_19,
  }
}

function parse(stored: string): ReturnType<typeof parseOptions> | undefined {
  try {
    return parseOptions(stored)
  } catch {
    return undefined
  }
}

function isStale(hash: StoredHash, current: HashParameters, missing: number): boolean {
  return (
    missing > 0 ||
    hash.lanes !== current.lanes ||
    !hash.current ||
    hash.saltBytes < SALT_BYTES ||
    hash.outputBytes < OUTPUT_BYTES
  )
}

/** How long it takes, in KiB filled one after another: lanes fill side by side. */
function workOf({ memoryKiB, passes, lanes }: HashParameters): number {
  return (memoryKiB * passes) / lanes
}

/** Parameters that do about this much work. */
function worth(work: number, { passes }: HashParameters): HashParameters {
  return { memoryKiB: Math.max(8, Math.round(work / passes)), passes, lanes: 1 }
}

/** Takes the time of a hash and gives nothing that anybody could compare with. */
function spend(secret: string | Uint8Array, parameters: HashParameters): void {
  hashRawSync(secret, libraryOptions(parameters))
}

function libraryOptions({ memoryKiB, passes, lanes }: HashParameters) {
  return { memoryCost: memoryKiB, timeCost: passes, parallelism: lanes, outputLen: OUTPUT_BYTES }
}
