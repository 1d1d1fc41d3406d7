import type { Clock } from '../authentication/clock.ts'

/** Puts off what costs as much for one as for many. */
export interface Gathering {
  /** At once where the last time is long ago; else when it is. Asked again meanwhile, it is done once. */
  soon(): void
  /** At once, and not again for what has been asked before. */
  now(): void
}

/**
 * @param apartMs at least so much between one time and the next, in milliseconds
 * @param act must not throw
 */
export function createGathering(apartMs: number, clock: Pick<Clock, 'now'>, act: () => void): Gathering {
  let last = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined

  function now(): void {
    clearTimeout(timer)
    timer = undefined
    last = clock.now()
    act()
  }

  return {
    now,
    soon() {
      if (timer !== undefined) return
      const early = apartMs - (clock.now() - last)
      if (early <= 0) now()
      else timer = setTimeout(now, early)
    },
  }
}
