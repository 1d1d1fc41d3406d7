import type { Clock } from '../../plugin.ts'

/**
 * Options of an lru-cache.
 *
 * @param ttlMs how long each is kept; time is the clock's
 */
export function keeping(max: number, ttlMs: number, clock: Clock) {
  // For lru-cache 0 means for ever.
  return { max, ttl: Math.max(ttlMs, 1), ttlResolution: 0, perf: clock }
}
