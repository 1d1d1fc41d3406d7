import { createRequire } from 'node:module'
import type * as Limiters from 'rate-limiter-flexible'
import type { Log } from '../authentication/log.ts'
import type { Client } from './clients.ts'

/** Counts one request of an app; undefined when it may go on, else how many milliseconds the app has to wait. */
export type Throttle = () => Promise<number | undefined>

/**
 * By client id, for every app with a `rateLimit`: so many requests in a fixed window. It keeps apps from starving each
 * other and says nothing about users, whose guesses the lockout counts.
 */
export function createThrottles(clients: readonly Client[], log: Log): ReadonlyMap<string, Throttle> {
  const throttles = new Map<string, Throttle>()
  for (const { id, rateLimit } of clients) {
    if (rateLimit === undefined) continue
    // Only here: it brings every database that it could count in, and few apps have a limit.
    const { RateLimiterMemory }: typeof Limiters = createRequire(import.meta.url)('rate-limiter-flexible')
    const limiter = new RateLimiterMemory({ points: rateLimit.max, duration: rateLimit.perMs / 1000 })
    throttles.set(id, async () => {
      try {
        await limiter.consume(id)
        return undefined
      } catch (refusal) {
        // It rejects with its result when the limit is reached, and with an Error when it is broken.
        if (refusal instanceof Error) throw refusal
        const { consumedPoints, msBeforeNext } = refusal as Limiters.RateLimiterRes
        // Once per window: a flood must not become a flood of log lines (security.md S84).
        if (consumedPoints === rateLimit.max + 1) {
          log.warn(
            { client: id, max: rateLimit.max, per_ms: rateLimit.perMs },
            'an app is over its rate limit',
          )
        }
        return msBeforeNext
      }
    })
  }
  return throttles
}
