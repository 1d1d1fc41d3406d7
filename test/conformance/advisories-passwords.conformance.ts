/** Advisories on empty, odd, long and magic passwords, against a directory that takes a bind without a password for a success. */
import fc from 'fast-check'
import { Client } from 'ldapts'
import t from 'tap'
import { Secret } from '../../src/authentication/secret.ts'
import { hashNow } from '../../src/passwords/argon2.ts'
import { createPasswordHasher } from '../../src/passwords/hasher.ts'
import { corpPeople } from '../support/corp.ts'
import { startSlapd } from '../support/slapd.ts'
import { addToDirectory, bindsDuring, openCorpHouse } from './corp-house.ts'
import { watchHashJobs } from './hash-jobs.ts'
import { LOCAL, openHouse } from './house.ts'
import { spelled } from './replies.ts'
import { addLocalPeople } from './stored-people.ts'
import { conforms } from './suite.ts'

const slapd = await startSlapd(t, { serverConfig: 'allow bind_anon_cred bind_anon_dn' })
const { alice } = corpPeople
/** Nobody is kept out by the lockout where many passwords of one person are tried. */
const UNCOUNTED = { lockout: { mode: 'off' } }
/** No password at all, or what some reader on the way may cut down to none. */
const EMPTY = [
  '',
  '\0',
  '\0\0\0',
  `\0${alice.password}`,
  `${alice.password}\0`,
  ' ',
  '   ',
  '\t',
  '\n',
  '\r\n',
]
const BLANK = ['\u00a0', '\u2003\u3000', '\ufeff', '\u200b\u200d', '\u00ad', '\u2028', '\u180e\u034f']

conforms('advisory 1', async t => {
  const client = new Client({ url: slapd.ldapUrl, timeout: 5_000 })
  await client.bind(alice.dn, '')
  t.pass('the directory says yes to a bind without a password')
  await client.unbind()

  const house = await openCorpHouse(t, slapd, {}, UNCOUNTED)
  const binds = await bindsDuring(slapd, async () => {
    for (const password of [...EMPTY, ...BLANK]) {
      const reply = await house.login(alice.uid, password)
      t.match(reply, { status: 400, code: 'invalid_request' }, spelled(password))
    }
    for (const password of [undefined, null, false, 0, [], [alice.password], {}]) {
      t.equal((await house.login(alice.uid, password)).status, 400, spelled(password))
    }
  })
  t.same(binds, [], 'no bind of hers was sent')
  t.same(await bindsDuring(slapd, () => house.login(alice.uid, alice.password)), [alice.dn])
})

/** What somebody may send who knows the secret nearly, or all about how others got it wrong. */
function attempts(secret: string): fc.Arbitrary<string> {
  const position = fc.nat({ max: secret.length })
  return fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 80 }),
    position.map(at => secret.slice(0, at)),
    position.map(at => secret.slice(at)),
    fc
      .tuple(position, fc.string({ maxLength: 3 }))
      .map(([at, more]) => secret.slice(0, at) + more + secret.slice(at)),
    fc.constantFrom(
      ...[
        secret.toUpperCase(),
        ` ${secret}`,
        `${secret} `,
        `${secret}\n`,
        `${secret}\0`,
        secret.normalize('NFKD'),
      ],
      ...[
        `{CLEARTEXT}${secret}`,
        `{SSHA}${secret}`,
        Buffer.from(secret).toString('base64'),
        encodeURIComponent(secret),
      ],
      ...[
        '*',
        '%',
        'null',
        'undefined',
        'true',
        '[object Object]',
        '********',
        '<redacted>',
        '[secret]',
        'NO_PASSWORD',
      ],
    ),
    fc.constant(secret),
  )
}

conforms('advisory 4', async t => {
  const house = await openCorpHouse(t, slapd, {}, UNCOUNTED)
  const seen = { accepted: 0, refused: 0 }
  await fc.assert(
    fc.asyncProperty(attempts(alice.password), async password => {
      const { status } = await house.login(alice.uid, password)
      seen[status === 200 ? 'accepted' : 'refused'] += 1
      return (status === 200) === (password === alice.password)
    }),
    { numRuns: 500, endOnFailure: true },
  )
  t.ok(seen.accepted > 20 && seen.refused > 200, JSON.stringify(seen))
})

conforms('advisory 5', async t => {
  const house = await openHouse(t, { backends: [LOCAL], ...UNCOUNTED })
  const password = 'a password of fifteen'
  addLocalPeople(house, [
    { username: 'alice', password },
    { username: 'root', password, stored: null },
    { username: 'blank', password, stored: '' },
    { username: 'star', password, stored: '*' },
  ])
  t.equal((await house.login('alice', password)).status, 200)
  for (const name of ['nobody', 'root', 'blank', 'star']) {
    for (const tried of [password, '*', '!', 'root', house.admin.password]) {
      t.equal((await house.login(name, tried)).status, 401, `${name} by ${tried}`)
    }
    for (const tried of ['', ' ', '\0'])
      t.equal((await house.login(name, tried)).status, 400, `${name} by nothing`)
  }

  const parameters = { memoryKiB: 8, passes: 1, lanes: 1 }
  const hasher = createPasswordHasher({ threads: 2, parameters })
  t.teardown(() => hasher.close())
  const secret = 'the exact stored secret ß'
  const stored = hashNow(secret, parameters)
  /** Records that nothing verifies, made of one that something does. */
  const unusable = fc.oneof(
    fc.constantFrom(
      undefined,
      '',
      '*',
      '!',
      'x',
      secret,
      stored.replace('argon2id', 'argon2i'),
      `${stored}$`,
    ),
    fc.nat({ max: stored.length - 1 }).map(end => stored.slice(0, end)),
    fc.string(),
  )
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.constant(stored), unusable), attempts(secret), async (record, tried) => {
      const { verified } = await hasher.verify(record, new Secret(tried))
      return verified === (record === stored && tried === secret)
    }),
    { numRuns: 500, endOnFailure: true },
  )
})

conforms('advisory 6', async t => {
  const house = await openHouse(t, { backends: [LOCAL], ...UNCOUNTED })
  const jobs = watchHashJobs(t)
  const { username } = house.admin
  const long = await jobs.during(async () => {
    for (const [password, status] of [
      ['x'.repeat(1025), 400],
      ['é'.repeat(513), 400],
      ['😀'.repeat(257), 400],
      ['x'.repeat(15_000), 400],
      ['x'.repeat(17_000), 413],
      ['x'.repeat(1_000_000), 413],
    ] as const) {
      for (const name of [username, 'nobody']) {
        t.equal((await house.login(name, password)).status, status, `${name}, ${password.length} characters`)
      }
    }
  })
  t.equal(long.length, 0, 'nothing was hashed')
  const longest = await jobs.during(() => house.login(username, 'x'.repeat(1024)))
  t.same(
    longest.map(({ secret }) => secret.length),
    [1024],
    'the longest that may be is hashed whole',
  )
})

conforms('advisory 7', async t => {
  /** Beyond where bcrypt stops reading, and where ours stops taking. */
  const secret = `${'correct horse battery staple '.repeat(35)}end`.padEnd(1024, '.')
  const others = [72, 71, 73, 128, 256, 512, 1022, 1023].flatMap(length => [
    secret.slice(0, length),
    `${secret.slice(0, length)}~${secret.slice(length + 1)}`,
  ])
  const local = await openHouse(t, { backends: [LOCAL], ...UNCOUNTED })
  addLocalPeople(local, [{ username: 'long', password: secret }])
  await addToDirectory(t, slapd, [{ uid: 'long', password: secret }])
  const corp = await openCorpHouse(t, slapd, {}, UNCOUNTED)
  for (const [where, house] of Object.entries({ local, corp })) {
    t.equal((await house.login('long', secret)).status, 200, where)
    for (const other of others) {
      t.equal((await house.login('long', other)).status, 401, `${where}: ${other.length} octets`)
    }
    t.equal((await house.login('long', `${secret}x`)).status, 400, `${where}: more than can be one`)
  }
})
