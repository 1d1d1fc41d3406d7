import type { Clock } from '../authentication/clock.ts'
import type { Log } from '../authentication/log.ts'
import type { Boot } from './boot.ts'
import type { Journal, Saved } from './journal.ts'
import { takeUp, type Written, writeDown } from './saved-row.ts'

type Change = { readonly key: string; readonly value: string | undefined; readonly expiresAt: number }
type StoredRow = Written & { readonly key: string }

/** Where the rows are; the room of the database has it. Each method throws when the database gives no answer. */
export interface JournalTable {
  readAll(): Iterable<StoredRow>
  /** Rows that are over by this wall clock, at most `most`. */
  readExpired(wallMs: number, most: number): readonly StoredRow[]
  /** All or nothing. A change without a value removes the row. Waits at most `waitMs`, or not at all. */
  write(changes: Iterable<Change>, waitMs?: number): void
  close(): void
}

/** What waits to be written is bounded by so many keys. */
const MOST_WAITING = 100_000
/** What has gathered while nothing could be written is written in portions, so that logins go on in between. */
const PORTION = 2_000
const NEXT_PORTION_MS = 1
const RETRY_MS = 100
const SLOWEST_RETRY_MS = 5_000
/** At the end nobody waits for this process. */
const LAST_WAIT_MS = 2_000
const PRUNE_EVERY_MS = 3_600_000

/**
 * Makes the journal of the memory store. Nothing here throws, and only `load` and `close` wait for another process.
 * While the database cannot be written logins go on, and a restart forgets what has been counted since.
 *
 * @param parts.table becomes the journal's, and is closed with it
 */
export function createJournal(parts: {
  readonly table: JournalTable
  readonly clock: Clock
  readonly boot: Boot
  readonly log: Pick<Log, 'warn' | 'error'>
}): Journal {
  const { table, clock, log } = parts
  /** Not written yet, longest waiting first. */
  const waiting = new Map<string, Saved | undefined>()
  let failuresInARow = 0
  let retry: NodeJS.Timeout | undefined
  let dropping = false
  let closed = false
  let pruning = setTimeout(prune, PRUNE_EVERY_MS).unref()

  /** @throws what the table throws; then all of it still waits */
  function write(most: number, waitMs?: number): void {
    const keys: string[] = []
    table.write(portion(most, keys), waitMs)
    for (const key of keys) waiting.delete(key)
  }

  function* portion(most: number, keys: string[]): Generator<Change> {
    for (const [key, saved] of waiting) {
      if (keys.length === most) return
      keys.push(key)
      yield { key, value: undefined, expiresAt: 0, ...(saved && writeDown(saved, parts)) }
    }
  }

  function tryToWrite(most: number): void {
    retry = undefined
    try {
      write(most)
    } catch (error) {
      failuresInARow++
      // The first one alone is another process that was writing just then.
      if (failuresInARow === 2) {
        log.error(
          { reason: reasonOf(error), waiting: waiting.size },
          'locks and failures cannot be written down, so a restart would forget the last ones: trying again',
        )
      }
      tryAgainIn(Math.min(SLOWEST_RETRY_MS, RETRY_MS * 2 ** (failuresInARow - 1)))
      return
    }
    if (waiting.size > 0) {
      tryAgainIn(NEXT_PORTION_MS)
      return
    }
    if (failuresInARow > 1) log.warn({}, 'locks and failures are written down again')
    failuresInARow = 0
    dropping = false
  }

  function tryAgainIn(ms: number): void {
    retry = setTimeout(tryToWrite, ms, PORTION).unref()
  }

  /** What has to change about these rows; those that still matter go to `saved`. */
  function examine(rows: Iterable<StoredRow>, saved: Map<string, Saved>): Change[] {
    const changes: Change[] = []
    let garbage = 0
    try {
      for (const row of rows) {
        const { key } = row
        const taken = takeUp(row, parts)
        if (taken.found === 'saved') {
          saved.set(key, taken.saved)
          if (taken.moved) changes.push({ key, ...taken.moved })
          continue
        }
        if (taken.found === 'garbage') garbage++
        changes.push({ key, value: undefined, expiresAt: 0 })
      }
    } finally {
      if (garbage > 0) {
        log.error({ rows: garbage }, 'rows of the table of locks make no sense: they are skipped and removed')
      }
    }
    return changes
  }

  function prune(): void {
    let nextMs = PRUNE_EVERY_MS
    try {
      const rows = table.readExpired(clock.wall(), PORTION)
      table.write(examine(rows, new Map()))
      if (rows.length === PORTION) nextMs = RETRY_MS
    } catch {
      // The next time: who writes tells about the outage, and rows too many do no harm.
    }
    pruning = setTimeout(prune, nextMs).unref()
  }

  return {
    load() {
      const saved = new Map<string, Saved>()
      try {
        const changes = examine(table.readAll(), saved)
        if (changes.length > 0) table.write(changes, LAST_WAIT_MS)
      } catch (error) {
        log.error(
          { reason: reasonOf(error), read: saved.size },
          'the locks from before this start cannot all be read and tidied up',
        )
      }
      return saved
    },
    put(key, saved) {
      if (closed) return
      waiting.delete(key)
      waiting.set(key, saved)
      if (waiting.size <= MOST_WAITING) return
      const [oldest = key] = waiting.keys()
      waiting.delete(oldest)
      if (!dropping) {
        log.error(
          { most: MOST_WAITING },
          'too many locks and failures wait to be written down: the oldest are not',
        )
      }
      dropping = true
    },
    flush() {
      // While it fails only the timer tries, or each login would pay for an attempt.
      if (closed || waiting.size === 0 || retry !== undefined) return
      tryToWrite(waiting.size)
    },
    close() {
      if (closed) return
      closed = true
      clearTimeout(retry)
      clearTimeout(pruning)
      try {
        if (waiting.size > 0) write(waiting.size, LAST_WAIT_MS)
      } catch (error) {
        log.error(
          { reason: reasonOf(error), waiting: waiting.size },
          'the last locks and failures could not be written down: the next start does not know them',
        )
      } finally {
        table.close()
      }
    },
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
