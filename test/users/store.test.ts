import { readFileSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import type { NewUser } from '../../src/users/user.ts'
import { runs } from '../support/runs.ts'
import { openStore, otherProcess } from './temporary.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

function newUser(username: string, rest: Partial<NewUser> = {}): NewUser {
  return { username, groups: [], passwordHash: '$fake', ...rest }
}

t.test('a user is found by name, address and id, in any spelling, and shown as given', async t => {
  const { store } = openStore(t)
  const change = store.create(
    newUser(' Älice ', {
      email: 'Alice@Corp.Example',
      displayName: 'Alice Liddell',
      groups: ['staff', 'admins', 'staff'],
    }),
  )
  t.match(change, {
    ok: true,
    user: {
      id: UUID,
      username: 'Älice',
      email: 'Alice@Corp.Example',
      displayName: 'Alice Liddell',
      disabled: false,
    },
  })
  if (!change.ok) return
  const { user } = change
  t.strictSame(user.groups, ['admins', 'staff'])
  t.match(store.findLogin('älice'), {
    user: { id: user.id },
    passwordHash: '$fake',
    isUsername: true,
    isEmail: false,
  })
  t.match(store.findLogin('alice@corp.example'), { user: { id: user.id }, isUsername: false, isEmail: true })
  t.equal(store.findLogin('Älice'), undefined, 'the look-up is by the normalised name alone')
  t.strictSame(store.findById(user.id), user)
  for (const typed of ['ÄLICE', 'A\u0308lice', 'ALICE@corp.local', user.id, `local:${user.id}`]) {
    t.equal(store.find(typed)?.id, user.id, typed)
  }
  for (const nobody of ['', 'nobody', '*', '%', "' OR 1=1 --", user.id.slice(1), '\ud800']) {
    t.equal(store.find(nobody), undefined, JSON.stringify(nobody))
    t.equal(store.findLogin(nobody), undefined, JSON.stringify(nobody))
    t.equal(store.findById(nobody), undefined, JSON.stringify(nobody))
  }
})

t.test('a name has one owner, as a username or as an address (CVE-2024-1722, CVE-2022-39229)', async t => {
  const { store } = openStore(t)
  t.ok(store.create(newUser('alice', { email: 'alice@corp.example' })).ok)
  t.ok(store.create(newUser('bob@corp.example')).ok, 'a username may look like an address')
  const refused: [NewUser, RegExp][] = [
    [newUser('ALICE'), /the username is taken by "alice"/],
    [newUser('Alice@corp.example'), /the username is the e-mail address of "alice"/],
    [newUser('CORP\\alice'), /the username is the e-mail address of "alice"/],
    [newUser('alice2', { email: 'ALICE@CORP.LOCAL' }), /the e-mail address is that of "alice"/],
    [
      newUser('bob', { email: 'bob@corp.example' }),
      /the e-mail address is the username of "bob@corp.example"/,
    ],
  ]
  for (const [user, problem] of refused) t.match(store.create(user), { ok: false, problem })
  t.equal(store.list().length, 2, 'and nothing of the refused ones was stored')
  t.ok(
    store.create(newUser('carol@corp.example', { email: 'carol@corp.example' })).ok,
    'both for one person is fine',
  )
  t.match(store.findLogin('carol@corp.example'), { isUsername: true, isEmail: true })
})

t.test('even a writer that goes around the checks cannot give one name to two people', async t => {
  const { store, database } = openStore(t)
  t.ok(store.create(newUser('alice', { email: 'alice@corp.example' })).ok)
  const bob = store.create(newUser('bob'))
  const steal = () =>
    database
      .prepare("INSERT INTO login_names VALUES ('alice@corp.example', ?, 1, 0)")
      .run(bob.ok ? bob.user.id : '')
  t.throws(steal, { code: /^SQLITE_CONSTRAINT/ })
})

t.test('what an operator mistypes is refused in words, and nothing is stored', async t => {
  const { store } = openStore(t)
  const refused: [NewUser, RegExp][] = [
    [newUser(''), /the username is empty/],
    [newUser('  '), /the username is empty/],
    [newUser('a\u202eb'), /the username contains a control/],
    [newUser('x'.repeat(257)), /the username is longer than/],
    ...['', 'alice', '@corp', 'alice@', 'a@b@c', 'a b@c', `${'x'.repeat(250)}@c.de`].map(
      (email): [NewUser, RegExp] => [newUser('alice', { email }), /the e-mail address is none/],
    ),
    [newUser('alice', { email: 'a\u0007@corp.example' }), /the e-mail address contains a control/],
    [newUser('alice', { displayName: 'Alice\u001b[31m' }), /the display name/],
    [newUser('alice', { groups: ['staff', ' '] }), /the name of a group/],
    [newUser('alice', { groups: ['a\nb'] }), /the name of a group/],
  ]
  for (const [user, problem] of refused) t.match(store.create(user), { ok: false, problem })
  t.strictSame(store.list(), [])
})

t.test('property: any two users that are stored share no name in any spelling', async t => {
  const { store, database } = openStore(t)
  const name = fc.constantFrom(
    'a',
    'A',
    'b',
    'Ａ',
    'a@corp.example',
    'A@corp.local',
    'b@x.example',
    'CORP\\a',
  )
  const email = fc.constantFrom(undefined, 'a@corp.example', 'a@CORP.local', 'b@x.example', 'B@X.example')
  fc.assert(
    fc.property(fc.array(fc.tuple(name, email), { maxLength: 8 }), users => {
      database.exec('DELETE FROM users')
      for (const [username, email] of users)
        store.create(newUser(username, { ...(email !== undefined && { email }) }))
      for (const user of store.list()) {
        for (const typed of [user.username, user.email]) {
          if (typed !== undefined && store.find(typed)?.id !== user.id) return false
        }
      }
      return true
    }),
    { numRuns: runs(60) },
  )
})

t.test('passwords, disabling and deleting change what they say and nothing else', async t => {
  const { store, database } = openStore(t)
  const change = store.create(newUser('alice', { email: 'alice@corp.example', groups: ['staff'] }))
  if (!change.ok) throw new Error(change.problem)
  const { id } = change.user
  t.ok(store.setPasswordHash(id, '$new'))
  t.equal(store.findLogin('alice')?.passwordHash, '$new')
  t.notOk(store.replacePasswordHash(id, '$fake', '$older'), 'a hash changed meanwhile stays')
  t.equal(store.findLogin('alice')?.passwordHash, '$new')
  t.ok(store.replacePasswordHash(id, '$new', '$rehashed'))
  t.ok(store.setDisabled(id, true))
  t.match(store.findById(id), { disabled: true, groups: ['staff'], email: 'alice@corp.example' })
  t.ok(store.setDisabled(id, false))
  t.ok(store.remove(id))
  t.equal(store.findLogin('alice'), undefined)
  for (const table of ['users', 'login_names', 'user_groups']) {
    t.equal(database.prepare(`SELECT count(*) FROM ${table}`).pluck().get(), 0, table)
  }
  t.notOk(
    store.setPasswordHash(id, '$x') || store.setDisabled(id, true) || store.remove(id),
    'nobody is nobody',
  )
  const again = store.create(newUser('alice'))
  t.not(again.ok && again.user.id, id, 'a new alice is another person')
})

t.test('a database locked by another process is an outage (F25)', async t => {
  const { path, store } = openStore(t)
  t.ok(store.create(newUser('alice')).ok)
  const writer = otherProcess(t, 'hold', path, 'immediate')
  t.equal((await writer.lines.next()).value, 'held')
  t.ok(store.findLogin('alice'), 'a second writer does not disturb readers')
  t.throws(() => store.create(newUser('bob')), {
    name: 'UnavailableError',
    phase: 'lookup',
    message: /SQLITE_BUSY/,
  })
  await writer.end()
  t.ok(store.create(newUser('bob')).ok, 'and all is well afterwards')
})

t.test('a damaged database is an outage, as is a closed one, with the reason', async t => {
  const { path, store, database } = openStore(t)
  for (let n = 0; n < 200; n++) store.create(newUser(`user-${n}`, { displayName: 'x'.repeat(200) }))
  database.close()
  t.throws(() => store.findLogin('user-1'), { name: 'UnavailableError', message: /closed/ })
  t.throws(() => store.create(newUser('late')), UnavailableError)

  const bytes = readFileSync(path)
  bytes.fill(0xff, 3 * 4096)
  writeFileSync(path, bytes)
  const damaged = openStore(t, path)
  t.throws(() => damaged.store.list(), { name: 'UnavailableError', message: /SQLITE_(CORRUPT|NOTADB)/ })
})
