/** The SQLite file of the audit trail. What a row means, and how rows are chained, is known to src/observe/audit/ alone. */
import { type BigIntStats, statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { chooseJournal, isBusy, prepareFile } from './database.ts'

export interface AuditRow {
  readonly seq: number
  /** Milliseconds since the Unix epoch. */
  readonly at: number
  readonly body: string
  readonly hash: Uint8Array
}

/** Every method throws AuditFileError. */
export interface AuditTable {
  /** All or nothing, and on disk when it returns: also a power cut takes nothing of it back. */
  inOneStep<T>(work: () => T): T
  last(): AuditRow | undefined
  append(row: AuditRow): void
  /** The first rows, at most `most`. */
  first(most: number): readonly Omit<AuditRow, 'body'>[]
  removeThrough(seq: number): void
  /** Idempotent. */
  close(): void
}

/** To read only; also beside a daemon that writes. */
export interface AuditReader {
  /** In their order, as they are at the first one taken, however long the reading takes. */
  rows(range?: AuditRange): Iterable<AuditRow>
  lastSeq(): number
  close(): void
}

export interface AuditRange {
  /** Only rows after this one. */
  readonly afterSeq?: number
  /** Milliseconds since the Unix epoch, the first included and the second not. */
  readonly from?: number
  readonly to?: number
}

/** The file cannot be used. The message says what is wrong and what to do. */
export class AuditFileError extends Error {
  override readonly name = 'AuditFileError'
}

/** "GATA": marks the file as an audit trail of ours. */
const APPLICATION_ID = 0x47415441
const VERSION = 1
/** In milliseconds. It is the thread of the audit trail that waits, and its callers wait for two seconds. */
const BUSY_TIMEOUT_MS = 1_000

/** `attempts` is for people with `sqlite3`: nothing of ours reads it. */
const SCHEMA = `
CREATE TABLE audit (
  seq  INTEGER PRIMARY KEY,
  at   INTEGER NOT NULL,
  body TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE VIEW attempts AS SELECT
  seq,
  strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time,
  body ->> 'event' AS event,
  body ->> 'request_id' AS request_id,
  body ->> 'client' AS client,
  body ->> 'source' AS source,
  body ->> 'user' AS user,
  body ->> 'user_hash' AS user_hash,
  body ->> 'subject' AS subject,
  body ->> 'verdict' AS verdict,
  body ->> 'reason' AS reason,
  body ->> 'ms' AS ms,
  body -> 'steps' AS steps,
  body ->> 'withheld' AS withheld
FROM audit WHERE body ->> 'verdict' IS NOT NULL;
PRAGMA user_version = ${VERSION};
PRAGMA application_id = ${APPLICATION_ID};
`

/**
 * Opens the file to write, and makes it where it is missing: mode 0600, and 0700 for missing folders (security.md S37).
 *
 * @throws AuditFileError
 */
export function openAuditTable(path: string, parts: Parameters<typeof chooseJournal>[2]): AuditTable {
  let database: Sqlite.Database | undefined
  try {
    prepareFile(path)
    database = new Sqlite(path, { timeout: BUSY_TIMEOUT_MS })
    if (examine(database, path) === 'empty') {
      chooseJournal(database, path, parts)
      makeSchema(database)
    }
    database.pragma('trusted_schema = OFF')
    database.pragma('synchronous = FULL')
    return tableOf(database, path)
  } catch (error) {
    database?.close()
    throw explain(error, path)
  }
}

/**
 * Opens the file to read.
 *
 * @throws AuditFileError
 */
export function openAuditReader(path: string): AuditReader {
  let database: Sqlite.Database | undefined
  try {
    database = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
    database.pragma('trusted_schema = OFF')
    if (examine(database, path) === 'empty')
      throw new AuditFileError(`${path} is empty: nothing was written yet`)
    return readerOf(database, path)
  } catch (error) {
    database?.close()
    throw explain(error, path)
  }
}

function examine(database: Sqlite.Database, path: string): 'ours' | 'empty' {
  const id = database.pragma('application_id', { simple: true })
  if (id === APPLICATION_ID) {
    const version = Number(database.pragma('user_version', { simple: true }))
    if (version === VERSION) return 'ours'
    throw new AuditFileError(
      `${path} was written by a newer Gatehouse: run that version, or name another file`,
    )
  }
  const tables = database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get()
  if (id === 0 && tables === 0) return 'empty'
  throw new AuditFileError(`${path} is another program's database: name another file in \`audit.file\``)
}

/** A second process that does the same meanwhile waits, and finds it done. */
function makeSchema(database: Sqlite.Database): void {
  const make = database.transaction(() => {
    if (database.pragma('application_id', { simple: true }) === 0) database.exec(SCHEMA)
  })
  make.immediate()
}

function tableOf(database: Sqlite.Database, path: string): AuditTable {
  const explained = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw explain(error, path)
    }
  }
  const last = database.prepare<[], AuditRow>(
    'SELECT seq, at, body, hash FROM audit ORDER BY seq DESC LIMIT 1',
  )
  const first = database.prepare<[number], Omit<AuditRow, 'body'>>(
    'SELECT seq, at, hash FROM audit ORDER BY seq LIMIT ?',
  )
  const append = database.prepare<[number, number, string, Uint8Array]>(
    'INSERT INTO audit VALUES (?, ?, ?, ?)',
  )
  const remove = database.prepare<[number]>('DELETE FROM audit WHERE seq <= ?')
  const run = database.transaction((work: () => unknown) => work())
  const opened = whichFile(path)
  return {
    inOneStep: <T>(work: () => T) =>
      explained(() => {
        // What is written to a file that has no name any more is gone with the process, and SQLite would not say so.
        if (!isSameFile(opened, whichFile(path)))
          throw new AuditFileError(`${path} was moved away or removed`)
        return run.immediate(work) as T
      }),
    last: () => explained(() => last.get()),
    append: ({ seq, at, body, hash }) => void explained(() => append.run(seq, at, body, hash)),
    first: most => explained(() => first.all(most)),
    removeThrough: seq => void explained(() => remove.run(seq)),
    close: () => void database.close(),
  }
}

function readerOf(database: Sqlite.Database, path: string): AuditReader {
  const read = database.prepare<[number, number, number], AuditRow>(
    'SELECT seq, at, body, hash FROM audit WHERE seq > ? AND at >= ? AND at < ? ORDER BY seq',
  )
  const lastSeq = database.prepare<[], number | null>('SELECT max(seq) FROM audit').pluck()
  return {
    *rows({ afterSeq = 0, from = Number.MIN_SAFE_INTEGER, to = Number.MAX_SAFE_INTEGER } = {}) {
      try {
        yield* read.iterate(afterSeq, from, to)
      } catch (error) {
        throw explain(error, path)
      }
    },
    lastSeq: () => lastSeq.get() ?? 0,
    close: () => void database.close(),
  }
}

function whichFile(path: string): BigIntStats | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })
}

function isSameFile(one: BigIntStats | undefined, other: BigIntStats | undefined): boolean {
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev
}

function explain(error: unknown, path: string): unknown {
  if (error instanceof AuditFileError) return error
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error
  return new AuditFileError(`${path} ${whatIsWrong(error, error.code)}`, { cause: error })
}

function whatIsWrong(error: Error, code: string): string {
  if (isBusy(error)) return 'is locked by another process: end that one'
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return `is damaged (${error.message}): keep it for whoever examines it, and move it away to begin another one`
  }
  switch (code) {
    case 'SQLITE_FULL':
    case 'ENOSPC':
      return 'cannot grow: the disk is full'
    case 'SQLITE_READONLY':
    case 'SQLITE_READONLY_DBMOVED':
    case 'EROFS':
      return `cannot be written (${code}): it is read-only, or was moved away`
    default:
      return `gives no answer (${code}): the folder and the file must be writable for the user that runs Gatehouse`
  }
}
