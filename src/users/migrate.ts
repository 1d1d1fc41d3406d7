import { readdirSync, readFileSync } from 'node:fs'
import type Sqlite from 'better-sqlite3'

/** "GATE": marks the file as ours (SQLite's `application_id`), so that no other program's database is ever altered. */
const APPLICATION_ID = 0x47415445

interface Migration {
  readonly version: number
  readonly sql: string
}

export type SchemaState =
  | { readonly schema: 'ours'; readonly version: number }
  | { readonly schema: 'empty' }
  | { readonly schema: 'foreign' }

/** `migrations/001-users.sql` and on, in order; the number of the last is the schema version that this build knows. */
export const migrations: readonly Migration[] = readMigrations(new URL('./migrations/', import.meta.url))

/** What this file is, read in one transaction; alters nothing. */
export function readSchemaState(database: Sqlite.Database): SchemaState {
  const read = database.transaction((): SchemaState => {
    const id = database.pragma('application_id', { simple: true })
    if (id === APPLICATION_ID) {
      return { schema: 'ours', version: Number(database.pragma('user_version', { simple: true })) }
    }
    const tables = database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get()
    return { schema: id === 0 && tables === 0 ? 'empty' : 'foreign' }
  })
  return read()
}

/** Brings the schema to the last version, all or nothing; a second process that starts meanwhile waits and finds it done. */
export function migrate(database: Sqlite.Database): void {
  const state = readSchemaState(database)
  // Nothing to do, so no lock to wait for.
  if (state.schema === 'ours' && state.version === migrations.length) return
  const run = database.transaction(() => {
    const from = Number(database.pragma('user_version', { simple: true }))
    for (const { version, sql } of migrations) {
      if (version <= from) continue
      database.exec(sql)
      database.pragma(`user_version = ${version}`)
    }
    database.pragma(`application_id = ${APPLICATION_ID}`)
  })
  run.immediate()
}

function readMigrations(folder: URL): readonly Migration[] {
  return readdirSync(folder)
    .filter(file => file.endsWith('.sql'))
    .sort()
    .map((file, index) => {
      const version = Number.parseInt(file, 10)
      if (version !== index + 1) throw new Error(`The migrations have a gap or a double number at ${file}`)
      return { version, sql: readFileSync(new URL(file, folder), 'utf8') }
    })
}
