/** The table that the lockout writes its counts down in. What a row means is known to src/lockout/ alone. */
import Sqlite from 'better-sqlite3'
import { explain, OPEN_TIMEOUT_MS, type UserDatabase } from './database.ts'

export interface LockoutRow {
  readonly key: string
  readonly value: string
  /** Milliseconds since the Unix epoch. */
  readonly expiresAt: number
}

/** Every method throws SQLite's error, or a TypeError once closed. */
export interface LockoutTable {
  /** Nothing else may be asked before the last row is taken. Waits up to 5 s for another process's lock. */
  readAll(): Iterable<LockoutRow>
  /** The rows that are over by this wall clock, at most `most`, oldest first. */
  readExpired(wallMs: number, most: number): readonly LockoutRow[]
  /**
   * All or nothing, in one transaction. Without a value the row goes. Nothing is drawn from `changes` before the
   * database is this connection's to write.
   *
   * @param waitMs for another process's lock, which blocks the event loop; 0 unless said
   */
  write(
    changes: Iterable<Omit<LockoutRow, 'value'> & { readonly value: string | undefined }>,
    waitMs?: number,
  ): void
  /** Idempotent. */
  close(): void
}

/**
 * Opens a connection of its own, because it makes other promises than the users' one: what was written survives
 * `kill -9`, a power cut may take the last moments, and the event loop never waits for another process's lock.
 *
 * @param path of a file that `openDatabase` has brought up to date
 * @throws DatabaseError
 */
export function openLockoutTable(path: string): LockoutTable {
  let database: UserDatabase | undefined
  try {
    database = new Sqlite(path, { fileMustExist: true, timeout: OPEN_TIMEOUT_MS })
    database.pragma('trusted_schema = OFF')
    // Without WAL (a network file system) less than FULL may damage the file, and the users with it.
    const wal = database.pragma('journal_mode', { simple: true }) === 'wal'
    database.pragma(`synchronous = ${wal ? 'NORMAL' : 'FULL'}`)
    const table = tableOf(database)
    database.pragma('busy_timeout = 0')
    return table
  } catch (error) {
    database?.close()
    throw explain(error, path)
  }
}

function tableOf(database: UserDatabase): LockoutTable {
  const columns = 'key, value, expires_at AS expiresAt'
  const all = database.prepare<[], LockoutRow>(`SELECT ${columns} FROM lockout`)
  const expired = database.prepare<[number, number], LockoutRow>(
    `SELECT ${columns} FROM lockout WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`,
  )
  const put = database.prepare<LockoutRow>(
    `INSERT INTO lockout VALUES (:key, :value, :expiresAt)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at`,
  )
  const remove = database.prepare<string>('DELETE FROM lockout WHERE key = ?')
  const write = database.transaction((changes: Parameters<LockoutTable['write']>[0]) => {
    for (const { key, value, expiresAt } of changes) {
      if (value === undefined) remove.run(key)
      else put.run({ key, value, expiresAt })
    }
  })

  const waitUpTo = (ms: number) => database.pragma(`busy_timeout = ${ms}`)

  return {
    *readAll() {
      waitUpTo(OPEN_TIMEOUT_MS)
      try {
        yield* all.iterate()
      } finally {
        waitUpTo(0)
      }
    },
    readExpired: (wallMs, most) => expired.all(wallMs, most),
    write(changes, waitMs = 0) {
      if (waitMs === 0) {
        write.immediate(changes)
        return
      }
      waitUpTo(waitMs)
      try {
        write.immediate(changes)
      } finally {
        waitUpTo(0)
      }
    },
    close: () => void database.close(),
  }
}
