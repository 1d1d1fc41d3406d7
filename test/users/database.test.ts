import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import t from 'tap'
import { DatabaseError, installationSecret, openDatabase } from '../../src/users/database.ts'
import { migrations } from '../../src/users/migrate.ts'
import { open, openStore, otherProcess, quiet, takeBackToFirstSchema, temporaryPath } from './temporary.ts'

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

t.test('a new database is for its owner alone: folder 0700, files 0600 (S37)', async t => {
  const before = process.umask(0)
  t.teardown(() => process.umask(before))
  const path = temporaryPath(t)
  const database = open(t, path)
  installationSecret(database)
  t.equal(mode(dirname(path)), '700')
  for (const file of [path, `${path}-wal`, `${path}-shm`]) t.equal(mode(file), '600', file)
})

t.test('an older file that others may read is narrowed, its folder is left alone', async t => {
  const path = temporaryPath(t)
  open(t, path).close()
  chmodSync(path, 0o644)
  chmodSync(dirname(path), 0o755)
  open(t, path)
  t.equal(mode(path), '600')
  t.equal(mode(dirname(path)), '755')
})

t.test(
  'it is set up to be safe: WAL, foreign keys, full sync, and a wait that spares the event loop',
  async t => {
    const database = open(t, temporaryPath(t))
    const pragma = (name: string) => database.pragma(name, { simple: true })
    t.equal(pragma('journal_mode'), 'wal')
    t.equal(pragma('foreign_keys'), 1)
    t.equal(pragma('synchronous'), 2)
    t.ok(Number(pragma('busy_timeout')) <= 250)
    t.equal(pragma('user_version'), migrations.length)
  },
)

t.test('opening again changes nothing', async t => {
  const { path, store, database } = openStore(t)
  store.create({ username: 'alice', groups: [], passwordHash: '$fake' })
  const secret = installationSecret(database)
  database.close()
  const again = openStore(t, path)
  t.equal(again.store.list().length, 1)
  t.same(installationSecret(again.database), secret)
  t.equal(secret.length, 32)
  t.notSame(
    installationSecret(open(t, join(t.testdir(), 'other.db'))),
    secret,
    'another installation has another',
  )
})

t.test('processes that open a new database at once all get the same one', async t => {
  for (const path of [join(t.testdir(), 'one', 'gatehouse.db'), join(t.testdir(), 'two', 'gatehouse.db')]) {
    const starting = Array.from({ length: 4 }, () => otherProcess(t, 'open', path))
    const secrets = await Promise.all(starting.map(async ({ lines }) => (await lines.next()).value))
    t.match(secrets[0], /^[0-9a-f]{64}$/)
    t.equal(new Set(secrets).size, 1)
  }
})

t.test('one that finds another just setting it up waits for it', async t => {
  const path = join(t.testdir(), 'gatehouse.db')
  const other = otherProcess(t, 'hold', path, 'immediate', '200')
  await other.lines.next()
  t.equal(open(t, path).pragma('journal_mode', { simple: true }), 'wal')
})

t.test('what cannot be used is refused with the way out, and not a byte of it is altered', async t => {
  const fresh = temporaryPath(t)
  open(t, fresh).close()
  const make = {
    not_a_database: (path: string) => writeFileSync(path, 'This is no database.\n'.repeat(100)),
    foreign: (path: string) => void new Sqlite(path).exec('CREATE TABLE theirs (id)').close(),
    newer: (path: string) => {
      writeFileSync(path, readFileSync(fresh))
      const database = new Sqlite(path)
      database.pragma('user_version = 1000')
      database.close()
    },
    damaged: (path: string) => {
      const bytes = readFileSync(fresh)
      bytes.fill(0xa5, 100, 4096)
      writeFileSync(path, bytes)
    },
  }
  const newer = new RegExp(
    `newer Gatehouse \\(schema 1000, this one knows ${migrations.length}\\): run that version`,
  )
  const says = {
    not_a_database: /is not a database: restore it from a backup/,
    foreign: /another program's database: choose another file/,
    newer,
    damaged: /is damaged .*: restore it from a backup/,
  }
  for (const [reason, write] of Object.entries(make)) {
    const path = join(dirname(fresh), `${reason}.db`)
    write(path)
    const before = readFileSync(path)
    t.throws(() => openDatabase(path, { log: quiet }), {
      name: 'DatabaseError',
      reason,
      message: says[reason as keyof typeof says],
    })
    t.ok(readFileSync(path).equals(before), `${reason}: unaltered`)
  }
})

t.test('a path where no database can be is an error with the reason', async t => {
  const folder = t.testdir({ file: 'x', 'a-folder.db': {} })
  for (const path of [join(folder, 'file', 'gatehouse.db'), join(folder, 'a-folder.db')]) {
    t.throws(() => openDatabase(path, { log: quiet }), { name: 'DatabaseError', reason: 'unopenable' }, path)
  }
})

t.test('a migration that fails leaves the database as it was', async t => {
  const path = temporaryPath(t)
  mkdirSync(dirname(path))
  // Ours by its mark, but with a table in the way of the first migration.
  const half = new Sqlite(path)
  half.exec('CREATE TABLE installation (x)')
  half.pragma(`application_id = ${0x47415445}`)
  half.close()
  t.throws(() => openDatabase(path, { log: quiet }), DatabaseError)
  const after = new Sqlite(path)
  t.teardown(() => after.close())
  t.strictSame(after.prepare('SELECT name FROM sqlite_schema').pluck().all(), ['installation'])
  t.equal(after.pragma('user_version', { simple: true }), 0)
})

t.test('a database of the first schema is brought up to date with its users', async t => {
  const { path, store, database } = openStore(t)
  store.create({ username: 'alice', groups: [], passwordHash: '$fake' })
  takeBackToFirstSchema(database)
  database.close()
  const again = openStore(t, path)
  t.match(again.store.list(), [{ username: 'alice' }])
  t.strictSame(again.database.prepare('SELECT * FROM lockout').all(), [])
})

t.test('on a network file system WAL is not used, and the operator is told (F27)', async t => {
  const path = temporaryPath(t)
  open(t, path).close()
  const warnings: string[] = []
  const log = { warn: (_fields: object, message: string) => void warnings.push(message) }
  const database = open(t, path, { log, fileSystemType: () => 0x6969 })
  t.equal(database.pragma('journal_mode', { simple: true }), 'delete')
  t.match(warnings, [/network or shared file system/])
})

t.test('a process killed while it writes loses nothing it has acknowledged (F28)', async t => {
  const path = temporaryPath(t)
  const acknowledged: string[] = []
  for (let kill = 0; kill < 4; kill++) {
    const { lines, end } = otherProcess(t, 'write', path)
    for (let n = 0; n < 5 + kill; n++) acknowledged.push((await lines.next()).value ?? '')
    const killed = end('SIGKILL')
    for await (const line of lines) acknowledged.push(line)
    await killed
  }
  const { store, database } = openStore(t, path)
  t.equal(database.pragma('integrity_check', { simple: true }), 'ok')
  t.strictSame(database.pragma('foreign_key_check'), [])
  for (const name of acknowledged) {
    const login = store.findLogin(name)
    if (login?.user.email !== `${name}@corp.example` || login.user.groups[0] !== 'staff')
      t.fail(`${name} is torn or lost`)
  }
  t.ok(acknowledged.length >= 20)
})
