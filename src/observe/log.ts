import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type DestinationStream, destination, type Logger, pino } from 'pino'
import type { PinoPretty } from 'pino-pretty'
import { systemClock } from '../authentication/clock.ts'
import type { Log } from '../authentication/log.ts'
import { createGathering } from './gathering.ts'
import { limitLog } from './log-limit.ts'

export interface LogSettings {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** `auto` is pretty on a terminal and JSON otherwise. */
  readonly format: 'auto' | 'pretty' | 'json'
  /** Lines of one level and message within a second. */
  readonly maxPerSecond: number
}

/** What waits for a slow reader of our output, in bytes; more is dropped rather than stalling logins (faults.md F24). */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024

/** Lines that come sooner than so after others have left wait for more, in milliseconds: each write wakes a thread. */
const GATHER_MS = 10
/** Many lines: these leave at once. */
const MOST_GATHERED = 32_768

/**
 * The daemon's log on standard output. JSON is written without waiting for the reader; await `close` before the process
 * ends. Secrets cannot be printed by type (authentication/secret.ts), so nothing is redacted by name.
 */
export function createLog(
  { level, format, maxPerSecond }: LogSettings,
  terminal: { readonly isTty: boolean; readonly color: boolean },
): { readonly log: Log; close(): Promise<void> } {
  if (format === 'pretty' || (format === 'auto' && terminal.isTty)) {
    // Only here: it takes time at the start, and a daemon that nobody watches does without.
    const pretty: typeof PinoPretty = createRequire(import.meta.url)('pino-pretty')
    const stream = pretty({
      colorize: terminal.color,
      translateTime: 'SYS:HH:MM:ss.l',
      singleLine: true,
      // What it would print as it is: a value must not start a line of its own (security.md S78).
      customPrettifiers: { name: quote, hostname: quote, pid: quote, caller: quote },
      destination: destination({ dest: 1, sync: true }),
    })
    const { log, flush } = limitLog(createPino(level, stream), maxPerSecond, systemClock)
    return { log, close: async () => flush() }
  }
  const stream = destination({ dest: 1, sync: false, maxLength: MAX_BUFFERED_BYTES })
  let readerGone = false
  let closed = false
  // A log that cannot be written is no reason to let nobody in: pino drops what comes after a broken pipe.
  stream.on('error', error => {
    readerGone ||= 'code' in error && error.code === 'EPIPE'
  })
  // Only `write`: pino would flush synchronously on `fatal`, past what is being written, and swap lines. What comes after the
  // end is dropped: the stream would throw, and a late line is no reason to crash.
  const gathered = gather(lines => void (closed || stream.write(lines)))
  const { log, flush } = limitLog(createPino(level, gathered), maxPerSecond, systemClock)
  return {
    log,
    async close() {
      flush()
      gathered.flush()
      closed = true
      if (readerGone) return
      stream.end()
      await once(stream, 'close')
    },
  }
}

function gather(write: (lines: string) => void): DestinationStream & { flush(): void } {
  let lines = ''
  const { soon, now } = createGathering(GATHER_MS, systemClock, () => {
    const gathered = lines
    lines = ''
    if (gathered !== '') write(gathered)
  })
  return {
    flush: now,
    write(line) {
      lines += line
      if (lines.length < MOST_GATHERED) soon()
      else now()
    },
  }
}

function quote(value: string | object): string {
  return JSON.stringify(value)
}

function createPino(level: LogSettings['level'], stream: DestinationStream): Log {
  const logger: Logger = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: label => ({ level: label }) },
    },
    stream,
  )
  // By its type a child may have levels by any name, `leavesOut` too; nobody makes one that has.
  return logger as Log
}
