import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import t from 'tap'
import { openDatabase } from '../../src/users/database.ts'
import { examineDatabase } from '../../src/users/examine-database.ts'
import { migrations } from '../../src/users/migrate.ts'

const log = { warn() {} }
const of = (path: string) => [...examineDatabase(path)]
const schema = (path: string) => of(path).find(({ check }) => check === 'database')

t.test('a database of ours is sound, and is left as it was, whoever uses it', async t => {
  const path = join(t.testdir(), 'g.db')
  const daemon = openDatabase(path, { log })
  t.teardown(() => daemon.close())
  const version = () => daemon.pragma('data_version', { simple: true })
  const before = version()
  const findings = of(path)
  t.ok(
    findings.every(({ status }) => status === 'ok'),
    JSON.stringify(findings),
  )
  t.match(findings, [
    { check: 'database permissions', detail: 'mode 600' },
    { check: 'database writable' },
    { check: 'database', detail: `${path} opens, schema ${migrations.length}` },
    { check: 'database contents' },
  ])
  t.equal(version(), before)
})

t.test('schemas: none yet, an older one, a newer one, and somebody else’s', async t => {
  const path = (name: string) => join(t.testdirName, name)
  t.testdir()
  writeFileSync(path('empty.db'), '', { mode: 0o600 })
  t.match(schema(path('empty.db')), { status: 'ok', detail: /is empty/ })

  const make = (name: string, version: number) => {
    openDatabase(path(name), { log }).close()
    const database = new Sqlite(path(name))
    database.pragma(`user_version = ${version}`)
    database.close()
  }
  make('newer.db', migrations.length + 1)
  t.match(schema(path('newer.db')), { status: 'fail', detail: /newer Gatehouse/, advice: /run that version/ })
  make('older.db', migrations.length - 1)
  t.match(schema(path('older.db')), { status: 'warn', detail: /the next start brings it to/ })

  const foreign = new Sqlite(path('foreign.db'))
  foreign.exec('CREATE TABLE bookmarks (url TEXT)')
  foreign.close()
  t.match(schema(path('foreign.db')), { status: 'fail', detail: /another program's database/ })
})

t.test('a damaged one is told from a sound one', async t => {
  const path = join(t.testdir(), 'g.db')
  openDatabase(path, { log }).close()
  const database = new Sqlite(path)
  database.exec('CREATE TABLE filler (x TEXT); CREATE INDEX fi ON filler (x)')
  database.exec(
    'INSERT INTO filler SELECT hex(randomblob(500)) FROM (SELECT 1 FROM sqlite_schema, sqlite_schema LIMIT 100)',
  )
  database.pragma('wal_checkpoint(TRUNCATE)')
  // An index that no longer fits its table, as a bad disk leaves it.
  database.unsafeMode(true)
  database.pragma('writable_schema = ON')
  database.exec(
    "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'filler') WHERE name = 'fi'",
  )
  database.close()
  const contents = of(path).filter(({ status }) => status === 'fail')
  t.match(contents, [{ advice: /restore it from a backup/ }], JSON.stringify(of(path)))
})

t.test(
  'one that is not there yet is made by the first start, in a folder that may be missing, too',
  async t => {
    const path = join(t.testdir(), 'some', 'where', 'g.db')
    t.match(of(path), [{ status: 'ok', check: 'database', detail: /does not exist yet/ }])
    mkdirSync(path, { recursive: true })
    t.match(schema(path), { status: 'fail', detail: /cannot be opened/ })
  },
)
