/** What the thread of the audit trail does: it chains what comes and writes it down, and cuts off what is too old. */
import { chained, cutEntry, type Entry, firstEntry, type Head, headOf, type Row } from './row.ts'

/** Where the rows are; the room of the databases has it. Each method throws when the database gives no answer. */
export interface AuditTable {
  /** All or nothing, and on disk when it returns. No other process writes meanwhile. */
  inOneStep<T>(work: () => T): T
  last(): Row | undefined
  append(row: Row): void
  /** The first rows, at most `most`. */
  first(most: number): readonly Pick<Row, 'seq' | 'at' | 'hash'>[]
  removeThrough(seq: number): void
  close(): void
}

export interface Ledger {
  /**
   * Writes all of them down, or none.
   *
   * @param again the same entries may have been written already, without anybody hearing of it; then they are not written twice
   * @returns the last row
   * @throws what the table throws
   */
  append(entries: readonly Entry[], again: boolean): Head
  /**
   * Cuts off the oldest rows, some at a time.
   *
   * @param before rows older than this go, in milliseconds since the Unix epoch
   * @returns whether there are more
   * @throws what the table throws
   */
  cut(before: number): boolean
  close(): void
}

/** Rows that are cut off at once: a step takes milliseconds, and logins wait no longer for it. */
const STEP = 1_000

/** @param now the wall clock */
export function createLedger(table: AuditTable, now: () => number): Ledger {
  function lastOrFirst(): Row {
    const last = table.last()
    if (last !== undefined) return last
    const first = chained(undefined, firstEntry(now()))
    table.append(first)
    return first
  }

  return {
    append(entries, again) {
      return table.inOneStep(() => {
        let last = lastOrFirst()
        const latest = entries.at(-1)
        if (again && latest !== undefined && last.at === latest.at && last.body === latest.body) {
          return headOf(last)
        }
        for (const entry of entries) {
          last = chained(last, entry)
          table.append(last)
        }
        return headOf(last)
      })
    },
    cut(before) {
      return table.inOneStep(() => {
        const last = lastOrFirst()
        const oldest = table.first(STEP)
        const kept = oldest.findIndex(({ seq, at }) => at >= before || seq === last.seq)
        const end = oldest[(kept === -1 ? oldest.length : kept) - 1]
        if (end === undefined) return false
        table.append(chained(last, cutEntry(now(), headOf(end))))
        table.removeThrough(end.seq)
        return kept === -1
      })
    },
    close: () => table.close(),
  }
}
