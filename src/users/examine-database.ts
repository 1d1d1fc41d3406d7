/** Looks at the database file for `doctor`, and alters nothing: it is opened for reading only. */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import { isOnRemoteFileSystem } from './database.ts'
import { migrations, readSchemaState } from './migrate.ts'

/** As `Finding` in plugin.ts, which this room does not see. */
export interface DatabaseFinding {
  readonly status: 'ok' | 'warn' | 'fail'
  readonly check: string
  readonly detail: string
  readonly advice?: string
}

const CHECK = 'database'
/** Less than this and the next change may be refused, in bytes. */
const LITTLE_ROOM = 64 * 1024 * 1024
const RESTORE = 'restore it from a backup, or move it away to start without users'
const MINE = 'give the file and its folder to the user that runs Gatehouse'

export function* examineDatabase(path: string): Generator<DatabaseFinding> {
  if (!existsSync(path)) {
    yield* examineFutureFolder(path)
    return
  }
  yield* examinePlace(path)
  let database: Sqlite.Database | undefined
  try {
    database = new Sqlite(path, { readonly: true, fileMustExist: true })
    yield* examineSchema(database, path)
    const problems = database.pragma('quick_check(3)', { simple: false }) as readonly {
      quick_check: string
    }[]
    const said = problems.map(({ quick_check }) => quick_check)
    yield said.join() === 'ok'
      ? { status: 'ok', check: `${CHECK} contents`, detail: 'quick_check finds nothing wrong' }
      : { status: 'fail', check: `${CHECK} contents`, detail: `damaged: ${said.join('; ')}`, advice: RESTORE }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    yield {
      status: 'fail',
      check: CHECK,
      detail: `${path} cannot be opened: ${reason}`,
      advice: `${MINE}, or ${RESTORE}`,
    }
  } finally {
    database?.close()
  }
}

function* examineSchema(database: Sqlite.Database, path: string): Generator<DatabaseFinding> {
  const state = readSchemaState(database)
  const known = migrations.length
  switch (state.schema) {
    case 'foreign':
      yield {
        status: 'fail',
        check: CHECK,
        detail: `${path} is another program's database`,
        advice: 'name another file in `database`',
      }
      return
    case 'empty':
      yield { status: 'ok', check: CHECK, detail: `${path} is empty: the next start fills it` }
      return
    case 'ours': {
      const { version } = state
      if (version > known) {
        const detail = `${path} was written by a newer Gatehouse (schema ${version}, this one knows ${known})`
        yield {
          status: 'fail',
          check: CHECK,
          detail,
          advice: 'run that version, or restore the backup made before the upgrade',
        }
      } else if (version < known) {
        const detail = `${path} has schema ${version}; the next start brings it to ${known}`
        yield { status: 'warn', check: CHECK, detail, advice: 'make a backup before that' }
      } else {
        yield { status: 'ok', check: CHECK, detail: `${path} opens, schema ${version}` }
      }
    }
  }
}

function* examinePlace(path: string): Generator<DatabaseFinding> {
  const folder = dirname(resolve(path))
  const mode = statSync(path).mode & 0o777
  if ((mode & 0o077) !== 0) {
    const detail = `${path} has mode ${mode.toString(8)}: others may read password hashes or more`
    yield { status: 'warn', check: `${CHECK} permissions`, detail, advice: `chmod 600 ${path}` }
  } else {
    yield { status: 'ok', check: `${CHECK} permissions`, detail: `mode ${mode.toString(8)}` }
  }
  const closed = [path, folder].filter(place => !mayWrite(place))
  yield closed.length === 0
    ? { status: 'ok', check: `${CHECK} writable`, detail: 'this user may write the file and its folder' }
    : {
        status: 'fail',
        check: `${CHECK} writable`,
        detail: `this user may not write ${closed.join(' and ')}`,
        advice: MINE,
      }
  if (isOnRemoteFileSystem(path)) {
    const detail = `${path} is on a network or shared file system, where SQLite loses data when two machines write`
    yield {
      status: 'warn',
      check: `${CHECK} place`,
      detail,
      advice: 'put `database` on a local disk, and keep backups',
    }
  }
  yield* examineRoom(folder)
}

function* examineRoom(folder: string): Generator<DatabaseFinding> {
  const { bavail, bsize } = statfsSync(folder)
  const free = bavail * bsize
  if (free >= LITTLE_ROOM) return
  const detail = `only ${Math.floor(free / 1024 ** 2)} MiB are free`
  yield {
    status: 'warn',
    check: `${CHECK} room`,
    detail,
    advice: 'make room: with a full disk no user can be changed',
  }
}

/** The first start makes it, if it can. */
function* examineFutureFolder(path: string): Generator<DatabaseFinding> {
  let folder = dirname(resolve(path))
  while (!existsSync(folder)) folder = dirname(folder)
  if (!mayWrite(folder)) {
    const detail = `${path} does not exist, and this user may not make it in ${folder}`
    yield { status: 'fail', check: CHECK, detail, advice: MINE }
    return
  }
  yield { status: 'ok', check: CHECK, detail: `${path} does not exist yet: the first start makes it` }
  yield* examineRoom(folder)
}

function mayWrite(place: string): boolean {
  try {
    accessSync(place, constants.W_OK)
    return true
  } catch {
    return false
  }
}
