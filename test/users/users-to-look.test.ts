import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import t, { type Test } from 'tap'
import type { LocalUsers } from '../../src/authentication/local-users.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import { openUsersToLook } from '../../src/users/users-to-look.ts'
import { open, openStore, quiet, takeBackToFirstSchema, temporaryPath } from './temporary.ts'

async function look(t: Test, path: string): Promise<LocalUsers> {
  const opened = new DisposableStack()
  t.teardown(() => opened.dispose())
  return openUsersToLook(path, quiet, opened)
}

t.test('whom a name finds is seen beside a running daemon, and no password is verified', async t => {
  const path = temporaryPath(t)
  const { store } = openStore(t, path)
  store.create({ username: 'alice', email: 'alice@corp.example', groups: [], passwordHash: 'x' })
  const users = await look(t, path)
  t.match(users.findByUsername('alice'), { username: 'alice' })
  t.match(users.findByEmail('alice@corp.example'), { username: 'alice' })
  t.strictSame(users.count(), { all: 1, withEmail: 1 })
  store.create({ username: 'bob', groups: [], passwordHash: 'x' })
  t.match(users.findByUsername('bob'), { username: 'bob' }, 'as it is now')
})

t.test('a database that is not there yet, or empty, has nobody, and is left so', async t => {
  const path = temporaryPath(t)
  open(t, path).close()
  rmSync(path)
  t.strictSame((await look(t, path)).count(), { all: 0, withEmail: 0 })
  writeFileSync(path, '')
  const users = await look(t, path)
  t.strictSame(
    [users.count().all, users.findByUsername('alice'), users.findByEmail('a@b')],
    [0, undefined, undefined],
  )
  t.equal(users.probe().ok, true)
  t.equal(statSync(path).size, 0)
})

t.test('a schema too old to be read is not brought up to date: that is for the daemon', async t => {
  const path = temporaryPath(t)
  open(t, path).close()
  const old = new Sqlite(path)
  old.pragma('user_version = 0')
  old.pragma('journal_mode = DELETE')
  old.close()
  const before = readFileSync(path)
  const users = await look(t, path)
  t.throws(() => users.findByUsername('alice'), UnavailableError)
  t.match(users.probe(), { ok: false, reason: /by an older Gatehouse/ })
  t.ok(readFileSync(path).equals(before))
})

t.test('an older schema whose users are where they are now is looked at as it is', async t => {
  const { path, store, database } = openStore(t)
  store.create({ username: 'alice', groups: [], passwordHash: 'x' })
  takeBackToFirstSchema(database)
  database.close()
  const before = readFileSync(path)
  t.match((await look(t, path)).findByUsername('alice'), { username: 'alice' })
  t.ok(readFileSync(path).equals(before))
})

t.test('what is no database is an outage, said in words', async t => {
  const path = temporaryPath(t)
  open(t, path).close()
  writeFileSync(path, 'this is no database'.repeat(100))
  chmodSync(path, 0o600)
  t.match((await look(t, path)).probe(), { ok: false, reason: /is not a database/ })
})
