import t, { type Test } from 'tap'
import type { Attempt } from '../../src/authentication/backend.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createPasswordHasher } from '../../src/passwords/hasher.ts'
import type { DatabaseOptions } from '../../src/users/database.ts'
import { createLocalUsers, type Passwords } from '../../src/users/local-users.ts'
import { openStore, otherProcess, quiet, temporaryPath } from './temporary.ts'

/** Who is asked about in one order or another is in test/backends/email.test.ts; here is one backend at a time. */

const CHEAP = { memoryKiB: 32, passes: 1, lanes: 1 }
const PASSWORD = 'correct horse battery'

/** A store with alice (usable), dan (disabled), una (no usable hash); hashing is real and counted. */
async function people(
  t: Test,
  options: { passwords?: Partial<Passwords>; database?: Partial<DatabaseOptions> } = {},
) {
  const hasher = createPasswordHasher({ threads: 1, parameters: CHEAP })
  t.teardown(hasher.close)
  const { store, path, database } = openStore(t, temporaryPath(t), options.database)
  const passwordHash = await hasher.hash(new Secret(PASSWORD))
  const add = (username: string, hash = passwordHash) => {
    const email = `${username}@corp.example`
    const change = store.create({
      username,
      email,
      displayName: username.toUpperCase(),
      groups: ['staff'],
      passwordHash: hash,
    })
    if (!change.ok) throw new Error(change.problem)
    return change.user.id
  }
  const ids = { alice: add('alice'), dan: add('dan'), una: add('una', '!') }
  store.setDisabled(ids.dan, true)
  const counted = { verify: 0, hash: 0 }
  const passwords: Passwords = {
    verify: (...args) => {
      counted.verify++
      return (options.passwords?.verify ?? hasher.verify)(...args)
    },
    hash: secret => {
      counted.hash++
      return (options.passwords?.hash ?? hasher.hash)(secret)
    },
  }
  const users = createLocalUsers({ store, passwords, log: quiet })
  return { users, store, path, database, ids, counted, hasher, passwordHash }
}

function attempt(password: string, mayVerify: Attempt['mayVerify'] = async () => true): Attempt {
  return {
    username: { text: 'of no interest', typed: 'of no interest', user: 'here' },
    password: new Secret(password),
    signal: new AbortController().signal,
    log: undefined as never,
    mayVerify,
  }
}

t.test('every case costs exactly one hash and gets its outcome (D02, D03, D38, D39, D42)', async t => {
  const { users, ids, counted } = await people(t)
  const disabled = { outcome: 'account_state', subject: ids.dan, state: 'disabled' }
  const cases: [string, string, object][] = [
    ['alice', PASSWORD, { outcome: 'accept' }],
    ['alice', 'wrong', { outcome: 'wrong_password', subject: ids.alice }],
    ['alice', ` ${PASSWORD}`, { outcome: 'wrong_password', subject: ids.alice }],
    ['alice', `${PASSWORD}\n`, { outcome: 'wrong_password', subject: ids.alice }],
    ['dan', PASSWORD, { ...disabled, passwordVerified: true }],
    ['dan', 'wrong', { ...disabled, passwordVerified: false }],
    ['una', '!', { outcome: 'wrong_password', subject: ids.una }],
    ['una', '', { outcome: 'wrong_password', subject: ids.una }],
    ['nobody', PASSWORD, { outcome: 'unknown_user' }],
    ['', PASSWORD, { outcome: 'unknown_user' }],
  ]
  for (const [name, password, outcome] of cases) {
    const before = counted.verify
    t.match(
      await users.authenticateByUsername(name, attempt(password)),
      outcome,
      `${name} with "${password}"`,
    )
    t.equal(counted.verify - before, 1, 'one hash')
    if (name === '') continue
    t.match(
      await users.authenticateByEmail(`${name}@corp.example`, attempt(password)),
      outcome,
      'the same by address',
    )
    t.equal(counted.verify - before, 2, 'one hash')
  }
  t.equal(counted.hash, 0, 'and nothing was hashed anew')
})

t.test('an accepted user carries the UUID, and no more than is theirs', async t => {
  const { users, ids } = await people(t)
  const alice = {
    id: ids.alice,
    username: 'alice',
    displayName: 'ALICE',
    email: 'alice@corp.example',
    groups: ['staff'],
    roles: [],
    attributes: {},
  }
  t.strictSame(await users.authenticateByEmail('alice@corp.example', attempt(PASSWORD)), {
    outcome: 'accept',
    user: alice,
  })
  t.strictSame(users.getUser(ids.alice), alice)
  t.strictSame(users.getUser(ids.dan)?.state, 'disabled')
  for (const id of ['', 'alice', 'alice@corp.example', `local:${ids.alice}`, ids.alice.toUpperCase()]) {
    t.equal(users.getUser(id), undefined, id)
  }
})

t.test('a name is a username to one, an address to the other, and neither mistakes it', async t => {
  const { users } = await people(t)
  t.match(await users.authenticateByEmail('alice', attempt(PASSWORD)), { outcome: 'unknown_user' })
  t.match(await users.authenticateByUsername('alice@corp.example', attempt(PASSWORD)), {
    outcome: 'unknown_user',
  })
})

t.test('without a place in the lockout the password is not looked at', async t => {
  const { users, ids, counted } = await people(t)
  const asked: string[] = []
  const refuse = async (subject: string) => {
    asked.push(subject)
    return false
  }
  t.match(await users.authenticateByUsername('alice', attempt(PASSWORD, refuse)), {
    outcome: 'not_applicable',
  })
  t.match(await users.authenticateByEmail('dan@corp.example', attempt(PASSWORD, refuse)), {
    outcome: 'not_applicable',
  })
  t.strictSame(asked, [ids.alice, ids.dan], 'it was asked for the person found')
  t.equal(counted.verify, 0)
  t.match(await users.authenticateByUsername('nobody', attempt(PASSWORD, refuse)), {
    outcome: 'unknown_user',
  })
  t.equal(asked.length, 2, 'and for nobody else')
})

t.test('one Secret asked about twice is answered for what is stored now', async t => {
  const { users, store, ids, counted, hasher } = await people(t)
  const same = attempt(PASSWORD)
  t.match(await users.authenticateByUsername('alice', same), { outcome: 'accept' })
  store.setPasswordHash(ids.alice, await hasher.hash(new Secret('quite another one')))
  t.match(await users.authenticateByEmail('alice@corp.example', same), { outcome: 'wrong_password' })
  t.match(await users.authenticateByUsername('alice', same), { outcome: 'wrong_password' })
  t.match(await users.authenticateByUsername('dan', same), {
    outcome: 'account_state',
    passwordVerified: true,
  })
  const before = counted.verify
  for (let again = 0; again < 3; again++) await users.authenticateByUsername('nobody', same)
  t.equal(counted.verify - before, 3, 'and the same backend never takes over from itself')
})

t.test(
  'a good login under a lesser hash renews it beside the reply, a wrong one never (D46, D47)',
  async t => {
    const { store, ids } = await people(t)
    const better = createPasswordHasher({ threads: 1, parameters: { memoryKiB: 64, passes: 1, lanes: 1 } })
    t.teardown(better.close)
    const renewed = Promise.withResolvers<void>()
    const watched = {
      ...store,
      replacePasswordHash: (...args: Parameters<typeof store.replacePasswordHash>) => {
        const done = store.replacePasswordHash(...args)
        renewed.resolve()
        return done
      },
    }
    const upgrading = createLocalUsers({ store: watched, passwords: better, log: quiet })
    const stored = () => store.findLogin('alice')?.passwordHash
    t.match(await upgrading.authenticateByUsername('alice', attempt('wrong')), { outcome: 'wrong_password' })
    t.match(await upgrading.authenticateByUsername('dan', attempt(PASSWORD)), { outcome: 'account_state' })
    t.match(stored(), 'm=32', 'not yet')
    t.match(await upgrading.authenticateByUsername('alice', attempt(PASSWORD)), { outcome: 'accept' })
    await renewed.promise
    t.match(stored(), 'm=64')
    t.match(store.findLogin('dan')?.passwordHash, 'm=32', 'nor for one who may not log in')
    t.match(await upgrading.authenticateByUsername('alice', attempt(PASSWORD)), { outcome: 'accept' })
    t.equal(
      store.findById(ids.alice)?.updatedAt,
      store.findById(ids.alice)?.createdAt,
      'nobody changed the user',
    )
  },
)

t.test('a hash that cannot be renewed fails no login, and is renewed once for many logins', async t => {
  const renewing = Promise.withResolvers<string>()
  let asked = 0
  const { users, store, passwordHash } = await people(t, {
    passwords: {
      verify: async () => ({ verified: true, stale: true }),
      hash: () => {
        asked++
        return renewing.promise
      },
    },
  })
  const logins = Array.from({ length: 20 }, () => users.authenticateByUsername('alice', attempt(PASSWORD)))
  for (const outcome of await Promise.all(logins)) t.match(outcome, { outcome: 'accept' })
  t.equal(asked, 1)
  renewing.reject(new UnavailableError('the queue is full', 'hash'))
  await renewing.promise.catch(() => {})
  await new Promise(setImmediate)
  t.equal(store.findLogin('alice')?.passwordHash, passwordHash)
  t.match(await users.authenticateByUsername('alice', attempt(PASSWORD)), { outcome: 'accept' })
  t.equal(asked, 2, 'the next login tried again')
})

t.test('when no hash can be computed that is an outage, not a wrong password', async t => {
  const full = async () => {
    throw new UnavailableError('256 password hashes are waiting already', 'hash')
  }
  const { users } = await people(t, { passwords: { verify: full } })
  for (const name of ['alice', 'dan', 'una', 'nobody']) {
    t.strictSame(await users.authenticateByUsername(name, attempt('wrong')), {
      outcome: 'unavailable',
      cause: '256 password hashes are waiting already',
      phase: 'hash',
      credentialSent: false,
    })
  }
})

t.test('a bug in hashing is not hidden', async t => {
  const { users } = await people(t, {
    passwords: { verify: async () => Promise.reject(new TypeError('a bug')) },
  })
  await t.rejects(users.authenticateByUsername('alice', attempt(PASSWORD)), TypeError)
})

t.test(
  'a database that another process keeps to itself is an outage, never a wrong password (F25)',
  async t => {
    // Readers are locked out only without WAL, as on a network file system.
    const { users, path, ids } = await people(t, {
      database: { fileSystemType: () => 0x6969, busyTimeoutMs: 20 },
    })
    const holder = otherProcess(t, 'hold', path, 'exclusive')
    t.equal((await holder.lines.next()).value, 'held')
    for (const password of [PASSWORD, 'wrong']) {
      for (const name of ['alice', 'nobody']) {
        t.match(await users.authenticateByUsername(name, attempt(password)), {
          outcome: 'unavailable',
          phase: 'lookup',
          credentialSent: false,
        })
      }
    }
    t.throws(() => users.getUser(ids.alice), UnavailableError)
    t.match(users.probe(), { ok: false, reason: /SQLITE_BUSY/ })
    await holder.end()
    t.match(
      await users.authenticateByUsername('alice', attempt(PASSWORD)),
      { outcome: 'accept' },
      'it recovers by itself',
    )
    t.strictSame(users.probe(), { ok: true })
  },
)

t.test('a second writer does not keep anybody from logging in', async t => {
  const { users, path } = await people(t)
  const holder = otherProcess(t, 'hold', path, 'immediate')
  t.equal((await holder.lines.next()).value, 'held')
  t.match(await users.authenticateByUsername('alice', attempt(PASSWORD)), { outcome: 'accept' })
  await holder.end()
})
