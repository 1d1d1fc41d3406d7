/** Advisories on names that are taken for syntax: of a filter, a DN, SQL, a template, JSON or UTF-8. */
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { openDatabase } from '../../src/users/database.ts'
import { corpPeople } from '../support/corp.ts'
import { type Slapd, startSlapd } from '../support/slapd.ts'
import { addToDirectory, asAdministrator, bindsDuring, openCorpHouse } from './corp-house.ts'
import { type House, LOCAL, openHouse } from './house.ts'
import { shownBy, spelled } from './replies.ts'
import { addLocalPeople } from './stored-people.ts'
import { conforms, differs } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob, comma, backslash, parentheses } = corpPeople
const UNCOUNTED = { lockout: { mode: 'off' } }

/** The filters of the searches that a person caused while `work` ran. */
async function filtersDuring(work: () => Promise<unknown>, at: Slapd = slapd): Promise<readonly string[]> {
  const before = (await at.searches()).length
  await work()
  const searches = (await at.searches()).slice(before)
  // The daemon looks now and then whether the base is still there, by a filter that everybody fits.
  return searches.filter(({ scope }) => scope === 'sub').map(({ filter }) => filter)
}

conforms('advisory 9', async t => {
  const house = await openCorpHouse(t, slapd, {}, UNCOUNTED)
  const inject = [
    ...[
      '*',
      'a*',
      'alic*',
      '*e',
      'al*ce',
      'alice)',
      'alice)(',
      '(alice',
      'alice)(uid=*',
      '*)(uid=*))(|(uid=*',
    ],
    ...['alice)(|(uid=*)', 'x)(|(uid=alice)', 'alice\\2a', '\\61lice', '\\2a', 'alice\\', 'alice)(!(uid=x))'],
    ...[
      'alice*)(objectClass=*',
      '(|(uid=alice)(uid=bob))',
      'uid=alice',
      alice.dn,
      'alice,ou=people',
      'alice+cn=x',
    ],
    ...[
      'alice"',
      'alice;',
      'alice<x',
      'alice>x',
      '#alice',
      'alice#',
      'alice=',
      '=alice',
      '&',
      '|',
      '!',
      '~=',
      '>=',
    ],
  ]
  const binds = await bindsDuring(slapd, async () => {
    for (const name of inject) {
      const filters = await filtersDuring(async () => {
        t.match(await house.login(name, alice.password), { status: 401 }, spelled(name))
      })
      // Whatever the name, the filter has this shape and the name is one value in it.
      for (const filter of filters) {
        t.match(filter, /^\(&\(objectClass=inetOrgPerson\)\(uid=[^()*]*\)\)$/i, spelled(name))
      }
    }
  })
  t.same(binds, [], 'no password was sent to anybody')

  /** Any name of these pieces finds exactly the one who has it. */
  const piece = fc.constantFrom(
    '(',
    ')',
    '*',
    '\\',
    ',',
    '+',
    '"',
    '<',
    '>',
    ';',
    '=',
    '#',
    ' ',
    '|',
    '&',
    'a',
    'alice',
    'uid',
  )
  const dangerous = fc.array(piece, { minLength: 1, maxLength: 8 }).map(pieces => pieces.join(''))
  await fc.assert(
    fc.asyncProperty(dangerous, async name => {
      const { status } = await house.login(name, alice.password)
      return status === (name.trim() === 'alice' ? 200 : name.trim() === '' ? 400 : 401)
    }),
    { numRuns: 150, endOnFailure: true },
  )
})

conforms('advisory 10', async t => {
  const house = await openHouse(t, { backends: [{ id: 'email', type: 'email' }, LOCAL], ...UNCOUNTED })
  const password = 'a password of fifteen'
  const odd = ["o'hara", "x' OR '1'='1", 'robert"); DROP TABLE users;--', '%', '_', "admin'--"]
  t.same(
    addLocalPeople(
      house,
      odd.map(username => ({ username, password })),
    ),
    odd.map(() => undefined),
  )
  for (const name of [
    ...[
      "' OR 1=1 --",
      "admin' --",
      'admin"--',
      "' UNION SELECT * FROM users --",
      'a%',
      '%min',
      '_dmin',
      'admi_',
    ],
    ...[
      "admin'; DELETE FROM users; --",
      "' OR username LIKE 'a%",
      '?',
      '@name',
      ':name',
      '$1',
      'admin/*',
      "x'--@x.example",
    ],
  ]) {
    t.equal((await house.login(name, house.admin.password)).status, 401, name)
    t.equal((await house.getUser(`local:${name}`)).status, 404, `as an id: ${name}`)
  }
  for (const name of odd) {
    t.match(await house.login(name, password), { status: 200, body: { user: { username: name } } }, name)
  }
  t.equal((await house.login(house.admin.username, house.admin.password)).status, 200)
  const database = openDatabase(join(house.folder, 'gatehouse.db'), { log: { warn() {} } })
  t.teardown(() => database.close())
  t.equal(
    database.prepare('SELECT count(*) FROM users').pluck().get(),
    odd.length + 1,
    'everybody is still there',
  )
})

/** What a stranger could read a hidden truth from: replies that differ, or that take another way. */
async function tellsNothing(
  t: Test,
  slapd: Slapd,
  house: House,
  pairs: readonly (readonly [string, string])[],
) {
  for (const [isTrue, isFalse] of pairs) {
    const seen: object[] = []
    for (const name of [isTrue, isFalse]) {
      let reply: object = {}
      const filters = await filtersDuring(async () => {
        reply = shownBy(await house.login(name, 'wrong'))
      }, slapd)
      seen.push({ reply, searches: filters.length })
    }
    t.same(seen[0], seen[1], `${spelled(isTrue)} shows what ${spelled(isFalse)} shows`)
    t.match(seen[0], { reply: { status: 401 } })
  }
}

conforms('advisory 11', async t => {
  const house = await openCorpHouse(t, slapd, {}, UNCOUNTED)
  await tellsNothing(t, slapd, house, [
    ['a*', 'q*'],
    ['*)(uid=alice', '*)(uid=qqqqq'],
    ['alice)(userPassword=a*', 'alice)(userPassword=q*'],
    ['alice)(userPassword=alice-secret-1', 'alice)(userPassword=alice-secret-2'],
    ['alice)(|(userPassword=a*)(cn=q', 'alice)(|(userPassword=q*)(cn=q'],
    ['*)(cn=*))(|(cn=*', '*)(cn=q))(|(cn=q'],
  ])
  const { searchEntries } = await asAdministrator(slapd, client => client.search(alice.dn, { scope: 'base' }))
  t.equal(searchEntries.length, 1)
  const wide = await filtersDuring(() => house.login('alice)(userPassword=a*', 'wrong'))
  t.equal(wide.length, 1)
  t.notMatch(wide[0], /\(userPassword=/, 'nobody is searched for by their password')
})

conforms('advisory 12', async t => {
  /** As at Mastodon: people come by their address or their name. */
  const house = await openCorpHouse(
    t,
    slapd,
    { user_filter: '(&(objectClass=inetOrgPerson)(|(uid={username})(mail={mail})))' },
    UNCOUNTED,
  )
  t.equal((await house.login('alice@corp.example', alice.password)).status, 200, 'an address is a name here')
  await tellsNothing(t, slapd, house, [
    ['alice@corp.example)(sn=*', 'alice@corp.example)(sn=q*'],
    ['*@corp.example', '*@qqqq.example'],
    ['alice@corp.example)(uid=a*', 'alice@corp.example)(uid=q*'],
    ['a*@corp.example))(|(uid=*', 'q*@corp.example))(|(uid=*'],
    ['alice*', 'qqqqq*'],
  ])
})

conforms('advisory 13', async t => {
  // Only the pieces that a DN may hold without a backslash are worth anything to whoever chooses an own name.
  const people = [
    { uid: 'eve1', password: 'eve-secret-1', rdn: 'cn=eve)(cn\\=*', cn: 'eve)(cn=*' },
    { uid: 'eve2', password: 'eve-secret-1', rdn: 'cn=*', cn: '*' },
    { uid: 'eve3', password: 'eve-secret-1', rdn: 'cn=eve))(|(objectClass\\=*', cn: 'eve))(|(objectClass=*' },
    { uid: 'eve4', password: 'eve-secret-1', rdn: 'cn=\\2a)\\28member\\3d\\2a', cn: '*)(member=*' },
    { uid: '*)(cn=*', password: 'eve-secret-1', rdn: 'cn=eve5', cn: 'eve5' },
  ]
  await addToDirectory(t, slapd, people)
  for (const filter of ['(member={dn})', '(|(member={dn})(memberUid={username}))']) {
    const house = await openCorpHouse(t, slapd, { groups: { filter, nesting: 'direct' } }, UNCOUNTED)
    for (const { uid } of people) {
      const filters = await filtersDuring(async () => {
        const reply = await house.login(uid, 'eve-secret-1')
        t.match(reply, { status: 200, body: { user: { username: uid } } }, uid)
        t.same((reply.body.user as { groups: string[] }).groups, [], `${uid} is in no group`)
      })
      t.notMatch(filters.at(-1), /=\*/, 'no wildcard of theirs in the search for groups')
    }
    const { status, body } = await house.login(alice.uid, alice.password)
    t.equal(status, 200)
    t.ok((body.user as { groups: string[] }).groups.length > 0, 'who is in groups has them')
    for (const { uid, password } of [comma, backslash, parentheses]) {
      t.equal((await house.login(uid, password)).status, 200, uid)
    }
  }
})

conforms('advisory 14', async t => {
  const house = await openCorpHouse(t, slapd, {}, UNCOUNTED)
  const kinds: readonly unknown[] = [
    ['alice'],
    ['*'],
    [],
    {},
    { uid: 'alice' },
    { 0: 'alice', length: 1 },
    { $ne: '' },
    { toString: 'alice' },
    1,
    true,
    null,
  ]
  const searches = await filtersDuring(async () => {
    for (const kind of kinds) {
      t.match(
        await house.login(kind, alice.password),
        { status: 400, code: 'invalid_request' },
        spelled(kind),
      )
      t.match(await house.login('alice', kind), { status: 400, code: 'invalid_request' }, spelled(kind))
    }
    const twice = `{"username":"alice","username":"bob","password":"${bob.password}"}`
    const headers = { authorization: 'Bearer key-of-the-login-form' }
    t.equal(
      (await house.ask('/authenticate', { method: 'POST', headers, body: twice })).status,
      400,
      'two names',
    )
    const proto = `{"username":"alice","password":"x","__proto__":{"may":["all"]}}`
    t.equal(
      (await house.ask('/authenticate', { method: 'POST', headers, body: proto })).status,
      400,
      'a prototype',
    )
  })
  t.same(searches, [], 'the directory was not asked')
})

conforms('advisory 15', async t => {
  const house = await openCorpHouse(t, slapd, { groups: { filter: '(member={dn})' } }, UNCOUNTED)
  for (const name of ['\0', 'alice\0', '\0alice', 'al\0ice', 'alice\\00', 'cn=x\\00,dc=corp']) {
    const { status } = await house.login(name, alice.password)
    t.equal(status, name.includes('\0') ? 400 : 401, spelled(name))
    t.equal((await house.getUser(`corp:${name}`)).status, 404, `as an id: ${spelled(name)}`)
  }
  // A value of the directory's own with a NUL in it, which goes into the DN and from there into the search for groups.
  const cn = 'nul\0inside'
  await addToDirectory(t, slapd, [
    { uid: 'nulled', password: 'nulled-secret-1', rdn: 'cn=nul\\00inside', cn },
  ])
  t.match(await house.login('nulled', 'nulled-secret-1'), {
    status: 200,
    body: { user: { username: 'nulled' } },
  })
  t.equal((await house.login(alice.uid, alice.password)).status, 200, 'and everybody else is served')
})

conforms('advisory 16', async t => {
  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are what is typed
  const templates = [
    ...[
      '%u',
      '%n',
      '%d',
      '%{user}',
      '%{env:PATH}',
      '%{if;1;eq;1;yes;no}',
      '%%',
      '%{',
      '%',
      '%s%s%s%n',
      '%2525',
    ],
    ...[
      '${HOME}',
      '${username}',
      '$ENV',
      '{username}',
      '{input}',
      '{mail}',
      '{dn}',
      '{}',
      '{{username}}',
      '#{1+1}',
      '<%= 1 %>',
    ],
    // What replaces a text in JavaScript may not mean these either.
    ...['$&', '$`', "$'", '$1', '$$', '$<username>', 'a$&b{username}$&'],
  ]
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: these are what is typed
  await addToDirectory(
    t,
    slapd,
    templates.map((uid, at) => ({
      uid,
      password: `secret-of-${at}`,
      rdn: `cn=template ${at}`,
      cn: `template ${at}`,
    })),
  )
  const house = await openCorpHouse(
    t,
    slapd,
    {
      user_filter: '(&(objectClass=inetOrgPerson)(|(uid={username})(cn={input})))',
      groups: { filter: '(|(member={dn})(cn={username}))' },
    },
    UNCOUNTED,
  )
  for (const [at, name] of templates.entries()) {
    const filters = await filtersDuring(async () => {
      const reply = await house.login(name, `secret-of-${at}`)
      t.match(reply, { status: 200, body: { user: { username: name } } }, name)
    })
    const value = name.toLowerCase()
    t.match(filters[0]?.toLowerCase(), `(uid=${value})`, 'as it was typed')
    t.equal(filters[0]?.toLowerCase().split(value).length, 3, 'for each placeholder once')
  }
  t.equal((await house.login('{username}', 'secret-of-0')).status, 401)
  // A deep or endless one costs no more than any other name.
  for (const name of ['%{'.repeat(128), '${'.repeat(128), '{username}'.repeat(25)]) {
    t.equal((await house.login(name, 'x')).status, 401, spelled(name))
  }
})

const NO_TOKENS =
  'Gatehouse takes no tokens whose fields could name a key; what a caller sends selects an app only by its whole digest, and a user only by the whole id'
differs('advisory 17', NO_TOKENS, async t => {
  const house = await openCorpHouse(t, slapd)
  const { status, body } = await house.login(alice.uid, alice.password)
  t.equal(status, 200)
  const { id } = body.user as { id: string }
  t.equal((await house.getUser(id)).status, 200)
  const fields = ['../local', 'local/../corp', './corp', 'corp%2f..', 'corp*', 'corp\\', 'CORP', 'corp\u2044']
  for (const field of fields) {
    const other = `${field}:${id.slice(id.indexOf(':') + 1)}`
    t.equal((await house.getUser(other)).status, 404, spelled(other))
  }
  for (const part of [
    '*',
    '../x',
    `${id.slice(5, -1)}*`,
    `${id.slice(5)})(uid=*`,
    alice.uid,
    alice.dn,
    '',
    '%00',
  ]) {
    t.equal((await house.getUser(`corp:${part}`)).status, 404, spelled(part))
  }
  for (const key of [
    'form',
    'form/../form',
    '../key',
    '*',
    'null',
    'key-of-the-login-form/',
    'eyJhbGciOiJub25lIn0.e30.',
    'key-of-the-login-for',
  ]) {
    const reply = await house.ask(`/users/${encodeURIComponent(id)}`, {
      headers: { authorization: `Bearer ${key}` },
    })
    t.match(reply, { status: 401, code: 'client_unauthenticated' }, key)
  }
})

conforms('advisory 18', async t => {
  const house = await openCorpHouse(t, slapd, {}, UNCOUNTED)
  const headers = { authorization: 'Bearer key-of-the-login-form' }
  const around = (name: Buffer | string) =>
    Buffer.concat([
      Buffer.from('{"username":"'),
      Buffer.from(name),
      Buffer.from(`","password":"${alice.password}"}`),
    ])
  const invalid = [
    'ff',
    'c3',
    'c328',
    'a0a1',
    'e28281c3',
    'c0af',
    'e080af',
    'eda080',
    'f4908080',
    'f8a1a1a1a1',
    '616c696365ff',
  ]
  const lone = ['\\ud800', '\\udc00', 'alice\\ud83d', '\\udfff\\ud800']
  const searches = await filtersDuring(async () => {
    for (const name of [...invalid.map(hex => Buffer.from(hex, 'hex')), ...lone]) {
      const reply = await house.ask('/authenticate', { method: 'POST', headers, body: around(name) })
      t.match(reply, { status: 400, code: 'invalid_request' }, Buffer.from(name).toString('hex'))
    }
  })
  t.same(searches, [], 'the directory was not asked')
  t.match(await house.ask('/authenticate', { method: 'POST', headers, body: around('alice') }), {
    status: 200,
  })
  t.equal((await house.ask('/users/%ff%fe', { headers })).status, 400, 'in a path')
  t.same(house.log.at('error'), [], 'it is nobody’s error')
})

conforms('advisory 19', async t => {
  const house = await openCorpHouse(t, slapd, {}, UNCOUNTED)
  const invalid = [
    'Basic',
    'Basic =',
    'Basic !!!!',
    'Basic YWxpY2U',
    'Basic YWxpY2U6',
    'Basic /w==',
    'Basic 6Y',
    `Basic ${'A'.repeat(8_000)}`,
  ]
  const others = [
    'Bearer',
    'Bearer =',
    'Bearer a=b',
    'Bearer \t',
    'Bearer \u00ff',
    'Negotiate !',
    'Digest x',
    '',
    'x'.repeat(9_000),
  ]
  const broken = [...invalid, ...others].map(authorization =>
    house.ask('/authenticate', {
      method: 'POST',
      headers: { authorization },
      body: { username: 'alice', password: 'x' },
    }),
  )
  const good = Array.from({ length: 30 }, () => house.login(alice.uid, alice.password))
  for (const { status, code } of await Promise.all(broken))
    t.match([status, code], [401, 'client_unauthenticated'])
  for (const { status } of await Promise.all(good)) t.equal(status, 200, 'no login beside them noticed')
  t.equal((await house.login(alice.uid, alice.password)).status, 200, 'nor one after them')
})
