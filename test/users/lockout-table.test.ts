import { statSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import t from 'tap'
import { openLockoutTable } from '../../src/users/lockout-table.ts'
import { open, otherProcess, takeBackToFirstSchema, temporaryPath } from './temporary.ts'

const row = (key: string, expiresAt = 1) => ({ key, value: `value of ${key}`, expiresAt })

t.test('what is written is read again, replaced, and removed', async t => {
  const path = temporaryPath(t)
  open(t, path)
  const table = openLockoutTable(path)
  table.write([row('a', 1), row('b', 2), row('c', 3)])
  table.write([
    { key: 'a', value: undefined, expiresAt: 0 },
    { key: 'never there', value: undefined, expiresAt: 0 },
    { key: 'b', value: 'new', expiresAt: 9 },
  ])
  t.strictSame([...table.readAll()], [{ key: 'b', value: 'new', expiresAt: 9 }, row('c', 3)])
  t.strictSame(table.readExpired(3, 10), [row('c', 3)])
  t.strictSame(table.readExpired(9, 1), [row('c', 3)])
  table.close()
  table.close()
  t.throws(() => table.write([row('d')]), TypeError)
})

t.test('a transaction that breaks off leaves nothing behind', async t => {
  const path = temporaryPath(t)
  open(t, path)
  const table = openLockoutTable(path)
  t.teardown(() => table.close())
  function* breaksOff() {
    yield row('a')
    throw new Error('in the middle')
  }
  t.throws(() => table.write(breaksOff()), /in the middle/)
  t.strictSame([...table.readAll()], [])
  table.write([row('b')])
  t.strictSame([...table.readAll()], [row('b')])
})

t.test('another process that writes is waited for only where that is wanted', async t => {
  const path = temporaryPath(t)
  open(t, path)
  const table = openLockoutTable(path)
  t.teardown(() => table.close())
  const { lines } = otherProcess(t, 'hold', path, 'immediate', '300')
  await lines.next()
  let drawn = 0
  function* counting() {
    drawn++
    yield row('a')
  }
  const before = performance.now()
  t.throws(() => table.write(counting()), { code: 'SQLITE_BUSY' })
  t.ok(performance.now() - before < 100, 'at once')
  t.equal(drawn, 0, 'nothing was made ready for it')
  table.write(counting(), 5_000)
  t.strictSame([...table.readAll()], [row('a')])
})

t.test('a file on a network file system keeps its journal mode', async t => {
  const path = temporaryPath(t)
  const database = open(t, path, { fileSystemType: () => 0x6969 })
  const table = openLockoutTable(path)
  t.teardown(() => table.close())
  table.write([row('a')])
  t.equal(database.pragma('journal_mode', { simple: true }), 'delete')
  t.strictSame(database.prepare('SELECT key FROM lockout').pluck().all(), ['a'])
})

t.test('its owner alone may read it', async t => {
  const path = temporaryPath(t)
  open(t, path).close()
  const table = openLockoutTable(path)
  t.teardown(() => table.close())
  table.write([row('a')])
  for (const file of [path, `${path}-wal`, `${path}-shm`]) t.equal(statSync(file).mode & 0o777, 0o600, file)
})

t.test('where the table cannot be, it says so', async t => {
  const path = temporaryPath(t)
  t.throws(() => openLockoutTable(join(t.testdir(), 'none.db')), {
    name: 'DatabaseError',
    reason: 'unopenable',
  })
  const database = open(t, path)
  takeBackToFirstSchema(database)
  database.close()
  t.throws(() => openLockoutTable(path), { name: 'DatabaseError', message: /no such table: lockout/ })
  const untouched = new Sqlite(path, { readonly: true })
  t.teardown(() => untouched.close())
  t.equal(untouched.pragma('user_version', { simple: true }), 1)
})
