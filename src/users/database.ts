/** The SQLite file of the daemon: how it is opened, and what can be wrong with it (faults.md F25–F28). */
import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, mkdirSync, openSync, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import type { Log } from '../authentication/log.ts'
import { UnavailableError } from '../authentication/outcome.ts'
import { migrate, migrations, readSchemaState } from './migrate.ts'

/** An open database. Only this room looks inside. */
export type UserDatabase = Sqlite.Database

export interface DatabaseOptions {
  readonly log: Pick<Log, 'warn'>
  /**
   * How long a query waits for another process's lock, in milliseconds. The wait blocks the event loop, so a daemon
   * keeps it short (100 unless said); a command can afford more.
   */
  readonly busyTimeoutMs?: number
  /** The type number of the file system of a path, as statfs(2) gives it. Handed in for tests. */
  readonly fileSystemType?: (path: string) => number
}

/** The database cannot be used at all. The message says what is wrong and what to do; nothing was altered. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError'
  readonly reason: 'unopenable' | 'not_a_database' | 'foreign' | 'newer' | 'older' | 'damaged' | 'busy'

  constructor(reason: DatabaseError['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

const DEFAULT_BUSY_TIMEOUT_MS = 100
/** While opening nobody else waits for this process. */
export const OPEN_TIMEOUT_MS = 5_000
const OPEN_RETRY_MS = 20

/** Users are where this build looks for them since this schema; what came later is about other things. */
const USERS_SINCE = 1

const RESTORE = 'restore it from a backup, or move it away to start without users'

/** Where shared memory between processes cannot be trusted, and WAL loses data (F27): NFS, SMB, 9p and FUSE (virtiofs). */
const REMOTE_FILE_SYSTEMS = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997, 0x65735546])

/** @param path that exists */
export function isOnRemoteFileSystem(path: string): boolean {
  return REMOTE_FILE_SYSTEMS.has(statfsSync(path).type)
}

/**
 * Opens the file and brings its schema up to date. Missing folders are made with mode 0700; the file gets 0600,
 * an older one with more is narrowed (security.md S37). Two processes may do so at once.
 *
 * @throws DatabaseError
 */
export function openDatabase(path: string, options: DatabaseOptions): UserDatabase {
  let database: UserDatabase | undefined
  try {
    prepareFile(path)
    database = new Sqlite(path, { timeout: OPEN_TIMEOUT_MS })
    refuseOthers(database, path)
    database.pragma('foreign_keys = ON')
    database.pragma('trusted_schema = OFF')
    chooseJournal(database, path, options)
    // An acknowledged change survives a power cut, too.
    database.pragma('synchronous = FULL')
    migrate(database)
    database.pragma(`busy_timeout = ${options.busyTimeoutMs ?? DEFAULT_BUSY_TIMEOUT_MS}`)
    return database
  } catch (error) {
    database?.close()
    throw explain(error, path)
  }
}

/**
 * Opens the file to read users only, and alters nothing, its schema included.
 *
 * @returns `empty` for a file that the first start has still to fill
 * @throws DatabaseError
 */
export function openDatabaseToLook(path: string): UserDatabase | 'empty' {
  let database: UserDatabase | undefined
  try {
    database = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: OPEN_TIMEOUT_MS })
    const state = readSchemaState(database)
    if (state.schema === 'empty') {
      database.close()
      return 'empty'
    }
    refuseOthers(database, path)
    if (state.schema === 'ours' && state.version < USERS_SINCE) {
      const steps = `schema ${state.version}, and the next start of the daemon brings it to ${migrations.length}`
      throw new DatabaseError('older', `${path} was written by an older Gatehouse (${steps})`)
    }
    return database
  } catch (error) {
    database?.close()
    throw explain(error, path)
  }
}

/** 32 random bytes that this installation made for itself at its first start, the root of its HMAC keys. */
export function installationSecret(database: UserDatabase): Buffer {
  return answering(() => {
    const read = database.prepare<[], Buffer>("SELECT value FROM installation WHERE name = 'secret'").pluck()
    const secret = read.get()
    if (secret !== undefined) return secret
    database.prepare("INSERT OR IGNORE INTO installation VALUES ('secret', ?)").run(randomBytes(32))
    return read.get() as Buffer
  })
}

/** Runs queries; when the database gives no answer, throws UnavailableError (phase `lookup`) instead of SQLite's error. */
export function answering<T>(queries: () => T): T {
  try {
    return queries()
  } catch (error) {
    throw asUnavailable(error)
  }
}

function asUnavailable(error: unknown): unknown {
  if (error instanceof Sqlite.SqliteError) {
    // A broken constraint is a mistake of ours, not an outage.
    if (error.code.startsWith('SQLITE_CONSTRAINT')) return error
    return new UnavailableError(`the user database gives no answer: ${error.code}`, 'lookup', {
      cause: error,
    })
  }
  if (error instanceof TypeError && error.message === 'The database connection is not open') {
    return new UnavailableError('the user database is closed', 'lookup', { cause: error })
  }
  return error
}

/** Makes a missing file, and its folders, or narrows what others may do with it. */
export function prepareFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    // Made here and not by SQLite, which would let the umask decide; its -wal and -shm files take the mode over.
    closeSync(openSync(path, 'ax', 0o600))
  } catch (error) {
    // An existing file is not opened: closing it would drop the locks that SQLite holds in this process.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600)
  }
}

function refuseOthers(database: UserDatabase, path: string): void {
  const state = readSchemaState(database)
  const known = migrations.length
  if (state.schema === 'foreign') {
    throw new DatabaseError('foreign', `${path} is another program's database: choose another file`)
  }
  if (state.schema === 'ours' && state.version > known) {
    throw new DatabaseError(
      'newer',
      `${path} was written by a newer Gatehouse (schema ${state.version}, this one knows ${known}): run that version, or restore the backup made before the upgrade`,
    )
  }
}

/** WAL, where it can be trusted. */
export function chooseJournal(
  database: UserDatabase,
  path: string,
  { log, fileSystemType = path => statfsSync(path).type }: Pick<DatabaseOptions, 'log' | 'fileSystemType'>,
): void {
  if (REMOTE_FILE_SYSTEMS.has(fileSystemType(path))) {
    log.warn(
      { path },
      'the database is on a network or shared file system: slower, and a backup is the only safety net',
    )
    setJournal(database, 'DELETE')
    return
  }
  setJournal(database, 'WAL')
}

/** SQLite does not wait for this lock by itself: of two processes that open a new file at once, one is refused. */
function setJournal(database: UserDatabase, mode: 'WAL' | 'DELETE'): void {
  const giveUpAt = performance.now() + OPEN_TIMEOUT_MS
  for (;;) {
    try {
      database.pragma(`journal_mode = ${mode}`)
      return
    } catch (error) {
      if (!isBusy(error) || performance.now() > giveUpAt) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, OPEN_RETRY_MS)
    }
  }
}

export function isBusy(error: unknown): boolean {
  return error instanceof Sqlite.SqliteError && error.code.startsWith('SQLITE_BUSY')
}

/** From whatever went wrong while opening to a DatabaseError that says what to do. */
export function explain(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error
  const { code } = error
  const because = { cause: error }
  if (isBusy(error)) {
    return new DatabaseError(
      'busy',
      `${path} is locked by another process: end that one and try again`,
      because,
    )
  }
  if (code === 'SQLITE_NOTADB') {
    return new DatabaseError('not_a_database', `${path} is not a database: ${RESTORE}`, because)
  }
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_ERROR') {
    return new DatabaseError('damaged', `${path} is damaged (${error.message}): ${RESTORE}`, because)
  }
  return new DatabaseError(
    'unopenable',
    `${path} cannot be opened (${code}): the folder and the file must be writable for the user that runs Gatehouse, and the disk not full`,
    because,
  )
}
