import type { Log } from '../authentication/log.ts'
import type { Partition } from './partition.ts'

/** Full partitions are searched for locks that have ended at most this often: it takes milliseconds. */
const SWEEP_EVERY_MS = 1_000
/** From here on room is kept for those who are known. */
const CROWDED = 0.9
/** And up to here until it has come free again. */
const ROOM_AGAIN = 0.8

/**
 * Decides who is let in while the room for records that must be kept gets scarce (lockout.md, Memory and eviction).
 * Never fails open: who finds no room is refused.
 */
export interface Pressure {
  /**
   * @param bytes what the attempt would pin, for each partition in their order
   * @param stranger whether it comes from where its account has never logged in
   */
  admits(bytes: readonly number[], stranger: boolean, nowMs: number): boolean
  underAttack(nowMs: number): boolean
}

/** @param budgetBytes for whoever reads the log */
export function createPressure(partitions: readonly Partition[], log: Log, budgetBytes: number): Pressure {
  let sweptAtMs = Number.NEGATIVE_INFINITY
  let attacked = false

  function fullest(bytes: readonly number[]): number {
    let fullness = 0
    let index = 0
    for (const partition of partitions) fullness = Math.max(fullness, partition.fullness(bytes[index++]))
    return fullness
  }

  function look(bytes: readonly number[], nowMs: number): number {
    let fullness = fullest(bytes)
    if ((attacked || fullness >= CROWDED) && nowMs - sweptAtMs >= SWEEP_EVERY_MS) {
      sweptAtMs = nowMs
      for (const partition of partitions) partition.sweep(nowMs)
      fullness = fullest(bytes)
    }
    if (!attacked && fullness >= CROWDED) {
      attacked = true
      log.fatal({ budget_bytes: budgetBytes }, 'lockout memory full of locks: unknown sources are refused')
    } else if (attacked && fullness < ROOM_AGAIN) {
      attacked = false
      log.warn({ budget_bytes: budgetBytes }, 'lockout memory has room again')
    }
    return fullness
  }

  return {
    admits: (bytes, stranger, nowMs) => look(bytes, nowMs) <= 1 && !(attacked && stranger),
    underAttack(nowMs) {
      look([], nowMs)
      return attacked
    },
  }
}
