import type { FailoverStore } from '../failover-store.ts'

/** Whether counts are kept where they should be. The reason is for operators: it may name hosts. */
export type StoreHealth = { readonly ok: true } | { readonly ok: false; readonly reason: string }

export interface StoreWatch {
  /** As the last answer has shown; not well before the first. */
  health(): StoreHealth
  /** Over when the question that is under way is. */
  stop(): Promise<void>
}

/** In milliseconds. More often than the store is tried while it is away, so that no try is missed by a hair. */
const EVERY_MS = 500

/**
 * Asks the shared store for nothing, at once and then twice a second. Without that a replica which is sent nobody, because
 * the store is away, would never hear of its being back.
 */
export function watchStore(store: Pick<FailoverStore, 'inspect' | 'awayBecause'>): StoreWatch {
  let answered = false
  let asking: Promise<void> | undefined

  async function ask(): Promise<void> {
    try {
      await store.inspect([])
    } catch {
      // With `closed` nothing is answered while it is away.
    }
    answered = true
    asking = undefined
  }

  const timer = setInterval(() => {
    asking ??= ask()
  }, EVERY_MS).unref()
  asking = ask()
  return {
    health() {
      const reason = answered ? store.awayBecause() : 'not asked yet'
      return reason === undefined ? { ok: true } : { ok: false, reason }
    },
    stop() {
      clearInterval(timer)
      return asking ?? Promise.resolve()
    },
  }
}
