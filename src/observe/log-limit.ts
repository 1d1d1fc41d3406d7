/** The log within bounds: whoever floods us must not fill the disk, nor busy the process with writing (security.md S84). */
import type { Clock } from '../authentication/clock.ts'
import type { Log } from '../authentication/log.ts'

type Level = 'debug' | 'info' | 'warn' | 'error'

export interface LimitedLog {
  readonly log: Log
  /** Says now what was left out so far. */
  flush(): void
}

/** Messages that differ with what they tell must not take memory without bound: beyond so many, they are one class. */
const MOST_CLASSES = 1_000
const SECOND_MS = 1_000

/**
 * Passes on so many lines a second of each class, which is a level and a message, and then one line that says how many
 * more there were. `fatal` is never left out: it wakes somebody up.
 *
 * @param perSecond lines of one class within a second, 1 or more
 */
export function limitLog(log: Log, perSecond: number, clock: Pick<Clock, 'now'>): LimitedLog {
  let began = clock.now()
  let timer: NodeJS.Timeout | undefined
  /** How often each message came in this second. */
  const counts: Readonly<Record<Level, Map<string, number>>> = {
    debug: new Map(),
    info: new Map(),
    warn: new Map(),
    error: new Map(),
  }

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    began = clock.now()
    for (const level of Object.keys(counts) as Level[]) {
      const seen = counts[level]
      if (seen.size === 0) continue
      for (const [message, count] of seen) {
        const suppressed = count - perSecond
        if (suppressed > 0)
          log[level]({ event: 'log_suppressed', suppressed, of: message }, 'more lines of one kind')
      }
      seen.clear()
    }
  }

  function admit(level: Level, message: string): boolean {
    if (leavesOut(level, message)) return false
    const seen = counts[level]
    const kind = kindOf(seen, message)
    seen.set(kind, (seen.get(kind) ?? 0) + 1)
    return true
  }

  /** Counts only what is left out. */
  function leavesOut(level: Level, message: string): boolean {
    if (clock.now() - began >= SECOND_MS) flush()
    const seen = counts[level]
    const kind = kindOf(seen, message)
    const count = seen.get(kind) ?? 0
    if (count < perSecond) return false
    seen.set(kind, count + 1)
    // Also when nothing more is logged after the flood.
    timer ??= setTimeout(flush, SECOND_MS).unref()
    return true
  }

  function limited(inner: Log): Log {
    return {
      debug: (fields, message) => void (admit('debug', message) && inner.debug(fields, message)),
      info: (fields, message) => void (admit('info', message) && inner.info(fields, message)),
      warn: (fields, message) => void (admit('warn', message) && inner.warn(fields, message)),
      error: (fields, message) => void (admit('error', message) && inner.error(fields, message)),
      fatal: (fields, message) => inner.fatal(fields, message),
      child: fields => limited(inner.child(fields)),
      isLevelEnabled: level => inner.isLevelEnabled?.(level) ?? true,
      leavesOut: (level, message) => level !== 'fatal' && leavesOut(level, message),
    }
  }
  return { log: limited(log), flush }
}

function kindOf(seen: ReadonlyMap<string, number>, message: string): string {
  return seen.size < MOST_CLASSES || seen.has(message) ? message : 'any'
}
