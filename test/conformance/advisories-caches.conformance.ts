/** Advisories on what is kept between two logins: found entries, groups, and passwords that were wrong. */
import fc from 'fast-check'
import t from 'tap'
import { Secret } from '../../src/authentication/secret.ts'
import type { Username } from '../../src/authentication/username.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { createEntryCache, type Entry } from '../../src/backends/ldap/entry-cache.ts'
import { createWrongPasswords } from '../../src/backends/ldap/shield/wrong-passwords.ts'
import { corpPeople, corpPeopleDn } from '../support/corp.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { addToDirectory, asAdministrator, bindsDuring, openCorpHouse } from './corp-house.ts'
import { openHouse } from './house.ts'
import { conforms } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob, carol } = corpPeople
const UNCOUNTED = { lockout: { mode: 'off' } }
const KEPT = { entry_cache: '1h' }

/** An entry of nobody, to be told from all others by being another object. */
const newEntry = () => ({ admitted: { user: { groups: [] } } }) as unknown as Entry

/** Texts of the very characters that could run a key into the next one. */
const part = fc
  .array(fc.constantFrom('a', 'b', '\0', ':', '@', '\\', ' ', '%', '\u0130', 'ſ'), { maxLength: 6 })
  .map(parts => parts.join(''))

conforms('advisory 8', async t => {
  // bcrypt reads 72 octets: with a name and an id before it, the password was not among them.
  const lengths = [51, 52, 53, 64, 71, 72, 73, 128, 200, 255, 256]
  const people = lengths.map(length => ({
    uid: 'n'.repeat(length),
    password: `secret-of-${length}`,
    rdn: `cn=long ${length}`,
    cn: `long ${length}`,
  }))
  const dns = await addToDirectory(t, slapd, people)
  const house = await openCorpHouse(t, slapd, KEPT, UNCOUNTED)
  for (const { uid, password } of people)
    t.equal((await house.login(uid, password)).status, 200, `${uid.length}, for the first time`)
  for (const [at, { uid, password }] of people.entries()) {
    const binds = await bindsDuring(slapd, async () => {
      for (const other of [
        'x',
        `${password}x`,
        password.slice(0, -1),
        people[(at + 1) % people.length]?.password,
      ]) {
        t.equal((await house.login(uid, other)).status, 401, `${uid.length}, with ${other}`)
      }
      t.equal((await house.login(uid, password)).status, 200)
    })
    t.same(binds, Array(5).fill(dns[at]), 'each password is proved by a bind')
  }
})

conforms('advisory 43', async t => {
  const clock = createFakeClock()
  const names = fc
    .record({ text: part, typed: part, user: part })
    .filter(({ user, typed }) => !/\0/.test(user + typed))
  fc.assert(
    fc.property(fc.array(names, { minLength: 2, maxLength: 20 }), people => {
      const cache = createEntryCache(60_000, clock)
      const own = new Map<string, Entry>()
      for (const username of people) {
        const entry = newEntry()
        own.set(JSON.stringify([username.user, username.typed]), entry)
        cache.put(username, entry)
      }
      return people.every(
        username => cache.get(username) === own.get(JSON.stringify([username.user, username.typed])),
      )
    }),
    { numRuns: 300 },
  )
  t.pass('two names never share an entry')

  // One name in two backends, with the same options but for the base: two people.
  const staff = `ou=staff,${slapd.baseDn}`
  await asAdministrator(slapd, async client => {
    await client.add(staff, { objectClass: 'organizationalUnit', ou: 'staff' })
    await client.add(`uid=alice,${staff}`, {
      objectClass: 'inetOrgPerson',
      uid: 'alice',
      cn: 'the other Alice',
      sn: 'Alice',
      userPassword: 'other-secret-1',
    })
  })
  t.teardown(() =>
    asAdministrator(slapd, async client => {
      await client.del(`uid=alice,${staff}`)
      await client.del(staff)
    }),
  )
  const backend = (id: string, base_dn: string) => corpBackend(slapd, { id, base_dn, ...KEPT })
  const house = await openHouse(t, {
    backends: [backend('people', corpPeopleDn), backend('staff', staff)],
    ...UNCOUNTED,
  })
  for (let turn = 0; turn < 3; turn++) {
    t.match(await house.login('alice', alice.password), {
      status: 200,
      body: { user: { backend: 'people', display_name: 'Alice' } },
    })
    t.match(await house.login('alice', 'other-secret-1'), {
      status: 200,
      body: { user: { backend: 'staff', display_name: 'the other Alice' } },
    })
    t.equal((await house.login('alice', bob.password)).status, 401)
  }
  for (const person of [alice, bob, carol, alice, bob, carol]) {
    t.match(await house.login(person.uid, person.password), {
      status: 200,
      body: { user: { username: person.uid } },
    })
  }
})

conforms('advisory 44', async t => {
  const house = await openCorpHouse(t, slapd, KEPT, UNCOUNTED)
  const binds = await bindsDuring(slapd, async () => {
    t.equal((await house.login(alice.uid, alice.password)).status, 200)
    for (const password of ['x', bob.password, `${alice.password} `, alice.password.toUpperCase()]) {
      t.equal((await house.login(alice.uid, alice.password)).status, 200, 'a success is kept')
      t.equal((await house.login(alice.uid, password)).status, 401, password)
    }
    const mixed = Array.from({ length: 40 }, (_, at) => (at % 2 === 0 ? alice.password : `wrong ${at}`))
    // From another address each: what is the very same attempt twice at once would share one bind.
    const replies = await Promise.all(
      mixed.map((password, at) => house.login(alice.uid, password, { from: `192.0.2.${at}` })),
    )
    t.same(
      replies.map(({ status }) => status),
      mixed.map(password => (password === alice.password ? 200 : 401)),
      'also all at once',
    )
  })
  t.same(binds, Array(49).fill(alice.dn), 'as many binds as passwords')
  await asAdministrator(slapd, async client => {
    await client.add(`uid=leaver,${corpPeopleDn}`, {
      objectClass: 'inetOrgPerson',
      uid: 'leaver',
      cn: 'leaver',
      sn: 'x',
      userPassword: 'leaver-secret-1',
    })
  })
  t.equal((await house.login('leaver', 'leaver-secret-1')).status, 200)
  await asAdministrator(slapd, client => client.del(`uid=leaver,${corpPeopleDn}`))
  t.not((await house.login('leaver', 'leaver-secret-1')).status, 200, 'nor is who is gone')
})

conforms('advisory 45', async t => {
  // What a cache could take for a separator, a blank or nothing, through the normalisation that every name goes through.
  const normalise = createUsernameNormaliser([{ netbios: 'CORP', suffixes: ['corp.example'] }])
  const normalised = fc
    .oneof(
      part,
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      fc.constantFrom('CORP\\alice', 'alice@corp.example', 'alice'),
    )
    .map(normalise)
    .filter(name => name.ok)
    .map(({ username }) => username)
  const clock = createFakeClock()
  const cache = createEntryCache(60_000, clock)
  const sameQuestion = (one: Username, other: Username) =>
    one.user === other.user && one.typed === other.typed
  fc.assert(
    fc.property(normalised, normalised, (one, other) => {
      const entry = newEntry()
      cache.put(one, entry)
      const isFound = cache.get(other) === entry
      cache.drop(one)
      return isFound === sameQuestion(one, other)
    }),
    { numRuns: 5_000 },
  )
  const secret = part.filter(text => text !== '').map(text => new Secret(text))
  const subject = part.filter(text => !text.includes('\0'))
  fc.assert(
    fc.property(subject, subject, subject, secret, secret, (one, other, setAt, first, second) => {
      const wrong = createWrongPasswords(clock)
      wrong.remember(one, setAt, first, 1_000)
      const isSame = one === other && first.reveal() === second.reveal()
      return wrong.isRemembered(other, setAt, second) === isSame
    }),
    { numRuns: 5_000 },
  )
  t.pass('no two keys meet')

  const people = ['key 1', 'key\u00a02x', 'key:1', 'key%201', 'key/1', 'key|1'].map((uid, at) => ({
    uid: uid.normalize('NFKC'),
    password: `secret-of-key-${at}`,
    rdn: `cn=key ${at}`,
    cn: `key ${at}`,
  }))
  await addToDirectory(t, slapd, people)
  const house = await openCorpHouse(t, slapd, KEPT, UNCOUNTED)
  for (let turn = 0; turn < 2; turn++) {
    for (const { uid, password } of people) {
      t.match(await house.login(uid, password), { status: 200, body: { user: { username: uid } } }, uid)
      for (const other of people.filter(person => person.uid !== uid)) {
        t.equal(
          (await house.login(other.uid, password)).status,
          401,
          `${other.uid} by the password of ${uid}`,
        )
      }
    }
  }
})
