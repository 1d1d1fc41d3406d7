/** How many guesses the settings allow, worked out from lockout.md alone and not from what implements it. */
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'

/** The long locks of an account end up to a tenth earlier than they say. */
const EARLIEST = 0.9

/**
 * What somebody can have verified who never lets a moment pass: as many as set the first lock, then one try after each.
 *
 * @param locksMs of the first lock, the second, and so on; the last one repeats
 * @param forMs how long the attack goes on
 */
export function hammered(first: number, locksMs: readonly [number, ...number[]], forMs: number): number {
  let guesses = first
  let nowMs = 0
  for (let tier = 0; ; tier++) {
    nowMs += locksMs[Math.min(tier, locksMs.length - 1)] ?? locksMs[0]
    if (nowMs > forMs) return guesses
    guesses++
  }
}

const { maxAttempts, durationMs, unfamiliar, source, subnet } = LOCKOUT_SETTINGS
const [firstMs, ...laterMs] = unfamiliar.durationsMs

/** One account from one source. */
export const fromOneSource = (forMs: number) => hammered(maxAttempts, [durationMs], forMs)
/** One account from as many sources as one likes. */
export const fromEverywhere = (forMs: number) =>
  hammered(unfamiliar.maxAttempts, [firstMs * EARLIEST, ...laterMs.map(lockMs => lockMs * EARLIEST)], forMs)
/** As many different accounts as one likes, from one source. */
export const ofOneSource = (forMs: number) => hammered(source.accounts, [source.durationMs], forMs)
/** As many different accounts as one likes, from all sources of one subnet. */
export const ofOneSubnet = (forMs: number) => hammered(subnet.maxAttempts, [subnet.durationMs], forMs)
/** One password again and again, from one source. */
export const repeated = (forMs: number) => hammered(source.maxAttempts, [source.durationMs], forMs)
/** A source whose locks are followed by a right password: it counts from nothing again. */
export const interleaved = (forMs: number) => source.accounts * (1 + Math.floor(forMs / source.durationMs))
/** So few that nothing ever locks: one less than the limit in every window. */
export const patient = (limit: { readonly maxAttempts: number; readonly windowMs: number }, forMs: number) =>
  (limit.maxAttempts - 1) * Math.ceil(forMs / limit.windowMs)
