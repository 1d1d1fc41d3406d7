import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Log } from '../authentication/log.ts'

export interface LoopWatchOptions {
  readonly log: Log
  /** @param ms for how long nothing was done but one thing */
  readonly onBlock: (ms: number) => void
}

/** Nobody was answered for so long, in milliseconds (security.md S95). */
const BLOCK_MS = 200
const LOOK_EVERY_MS = 1_000
const RESOLUTION_MS = 20

/**
 * Watches the event loop: when it stood still for more than 200 ms, that is a warning, at most one a second. It is a bug of ours,
 * a plugin that computes, or a machine that is too busy.
 *
 * @returns what ends it
 */
export function watchEventLoop({ log, onBlock }: LoopWatchOptions): () => void {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delays.enable()
  const timer = setInterval(() => {
    const ms = Math.round(delays.max / 1e6)
    delays.reset()
    if (ms <= BLOCK_MS) return
    onBlock(ms)
    log.warn({ event: 'sys_event_loop_blocked', ms }, 'the event loop stood still, and nobody was answered')
  }, LOOK_EVERY_MS).unref()
  return () => {
    clearInterval(timer)
    delays.disable()
  }
}
