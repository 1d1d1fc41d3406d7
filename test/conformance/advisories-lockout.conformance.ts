/** Advisories on getting around the lockout, and on locking others out by it. */
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { bindsDuring, openCorpHouse } from './corp-house.ts'
import { watchHashJobs } from './hash-jobs.ts'
import { EMAIL, LOCAL, openHouse } from './house.ts'
import { spelled } from './replies.ts'
import { addLocalPeople } from './stored-people.ts'
import { conforms } from './suite.ts'

const slapd = await startSlapd(t)
const jobs = watchHashJobs(t)
const { alice, bob } = corpPeople
const PASSWORD = 'a password of fifteen'
const CORP_NAMES = { names: { netbios: 'CORP', upn_suffixes: ['corp.example'] } }

/** All of one person: OpenLDAP finds her by each, or would. */
const SPELLINGS = [
  ...[
    'alice',
    'ALICE',
    'Alice',
    'aLiCe',
    ' alice',
    'alice ',
    '  alice  ',
    '\u00a0alice',
    'alice\u3000',
    'ａｌｉｃｅ',
  ],
  ...[
    'al\u00adice',
    'a\u200blice',
    '\ufeffalice',
    'ALİCE',
    'CORP\\alice',
    'corp\\ALICE',
    'alice@corp.example',
    'Alice@CORP.Example',
  ],
]

conforms('advisory 28', async t => {
  const house = await openCorpHouse(t, slapd, CORP_NAMES)
  const local = await openHouse(t, { backends: [LOCAL] })
  addLocalPeople(local, [{ username: 'alice', password: PASSWORD }])
  const binds = await bindsDuring(slapd, async () => {
    for (const [at, spelling] of SPELLINGS.entries()) {
      const [reply] = await house.guess(spelling, 1)
      t.equal(reply?.status, at < 5 ? 401 : 429, spelled(spelling))
    }
    for (const spelling of SPELLINGS) {
      t.equal((await house.login(spelling, alice.password)).status, 429, `locked: ${spelled(spelling)}`)
    }
  })
  t.same(binds, Array(5).fill(alice.dn), 'five passwords were tried, whatever the spelling')
  for (const [at, spelling] of SPELLINGS.filter(name => !/[\\@]/.test(name)).entries()) {
    t.equal((await local.guess(spelling, 1))[0]?.status, at < 5 ? 401 : 429, `local: ${spelled(spelling)}`)
  }
})

conforms('advisory 29', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL] })
  addLocalPeople(house, [{ username: 'anna', email: 'anna@x.example', password: PASSWORD }])
  const statuses: number[] = []
  for (const name of ['anna', 'anna@x.example', 'anna', 'ANNA@x.example', 'anna', 'anna@x.example', 'anna']) {
    statuses.push((await house.guess(name, 1))[0]?.status ?? 0)
  }
  t.same(statuses, [401, 401, 401, 401, 401, 429, 429], 'five for the person, not for each name')
  for (const name of ['anna', 'anna@x.example'])
    t.equal((await house.login(name, PASSWORD)).status, 429, name)

  const filter = '(&(objectClass=inetOrgPerson)(|(uid={username})(mail={mail})))'
  const corp = await openCorpHouse(t, slapd, { user_filter: filter })
  const binds = await bindsDuring(slapd, async () => {
    for (let turn = 0; turn < 5; turn++)
      for (const name of ['bob', 'bob@corp.example']) await corp.guess(name, 1)
  })
  t.same(binds, Array(5).fill(bob.dn), 'the same for a directory')
  for (const name of ['bob', 'bob@corp.example'])
    t.equal((await corp.login(name, bob.password)).status, 429, name)
})

conforms('advisory 30', async t => {
  const house = await openCorpHouse(t, slapd)
  const before = (await slapd.binds()).length
  const replies = await Promise.all(
    Array.from({ length: 1000 }, (_, at) => house.login(alice.uid, `guess ${at}`)),
  )
  const verified = (await slapd.binds()).slice(before).filter(({ dn }) => dn === alice.dn)
  t.ok(verified.length <= 5, `${verified.length} of 1,000 passwords came to be tried`)
  const counts = Object.groupBy(replies, ({ status }) => status)
  t.same(
    Object.keys(counts).filter(status => !['401', '429', '503'].includes(status)),
    [],
  )
  t.ok((counts[401]?.length ?? 0) <= 5, `${counts[401]?.length} were told that it is wrong`)
  t.equal(
    (await house.login(alice.uid, alice.password)).status,
    429,
    'she is locked for where they came from',
  )
})

conforms('advisory 31', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL] })
  addLocalPeople(house, [{ username: 'anna', email: 'anna@x.example', password: PASSWORD }])
  const here = { from: '127.0.0.1' }
  t.same(
    (await house.guess('anna', 6, here)).map(({ status }) => status),
    [401, 401, 401, 401, 401, 429],
  )
  // Every other way by which a password comes to be checked.
  t.equal((await house.login('anna', PASSWORD, here)).status, 429, 'the same app')
  t.equal(
    (await house.login('anna', PASSWORD, { app: 'outsider' })).status,
    429,
    'another app, from the same address',
  )
  t.equal((await house.login('anna@x.example', PASSWORD, here)).status, 429, 'by address')
  t.equal(
    (await house.login('anna', PASSWORD, { from: '::ffff:127.0.0.1' })).status,
    429,
    'another text of the address',
  )
  const { code, stdout } = await house.command(['explain', 'anna', '--password-stdin', '--json'], PASSWORD)
  t.match([code, JSON.parse(stdout)], [1, { verdict: 'locked_out' }], 'an operator’s look')
  await house.restart()
  t.equal((await house.login('anna', PASSWORD, here)).status, 429, 'after a restart')
  await house.reload({ backends: [LOCAL, EMAIL] })
  t.equal((await house.login('anna', PASSWORD, here)).status, 429, 'after a reload')
  t.notOk(house.log.text().includes(PASSWORD))
})

conforms('advisory 32', async t => {
  // Each backend is a step of its own, and the lock holds at each: found only there, after others said nothing.
  for (const order of [
    [corpBackend(slapd), EMAIL, LOCAL],
    [EMAIL, LOCAL, corpBackend(slapd)],
    [{ ...LOCAL, on: { wrong_password: 'continue' } }, corpBackend(slapd), EMAIL],
  ]) {
    const house = await openHouse(t, { backends: order })
    const binds = await bindsDuring(slapd, async () => {
      t.equal((await house.guess(alice.uid, 7)).filter(({ status }) => status === 401).length, 5)
      t.equal((await house.login(alice.uid, alice.password)).status, 429)
    })
    t.same(binds, Array(5).fill(alice.dn))
  }
  // Somebody of this name in both: the second is no second chance for the first.
  const both = await openHouse(t, { backends: [corpBackend(slapd), LOCAL] })
  addLocalPeople(both, [{ username: alice.uid, password: PASSWORD }])
  await both.guess(alice.uid, 5)
  const binds = await bindsDuring(slapd, async () => {
    for (const password of [alice.password, PASSWORD])
      t.equal((await both.login(alice.uid, password)).status, 429)
  })
  t.same(binds, [])
})

conforms('advisory 33', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL] })
  addLocalPeople(house, [
    { username: 'victim', email: 'victim@x.example', password: PASSWORD },
    { username: 'attacker', email: 'attacker@x.example', password: PASSWORD },
  ])
  const [home, office] = [{ from: '192.0.2.50' }, { from: '198.51.100.7' }]
  t.equal((await house.login('victim', PASSWORD, home)).status, 200)
  // A known account guesses at the victim's address, from its own place and from everywhere.
  t.equal((await house.login('attacker', PASSWORD, office)).status, 200)
  const elsewhere = [office, ...Array.from({ length: 8 }, (_, at) => ({ from: `203.0.113.${at + 1}` }))]
  const statuses = new Set<number>()
  for (const visit of elsewhere) {
    for (const { status } of await house.guess('victim@x.example', 6, visit)) statuses.add(status)
  }
  t.same([...statuses].sort(), [401, 429], 'the attacker is stopped')
  for (const name of ['victim', 'victim@x.example']) {
    t.equal((await house.login(name, PASSWORD, home)).status, 200, `${name}, from where the victim is known`)
  }
  t.equal((await house.login('attacker', PASSWORD, { from: '192.0.2.51' })).status, 200)
})

conforms('advisory 34', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL] })
  const victim = { username: 'victim', email: 'victim@x.example', password: PASSWORD }
  t.match(
    addLocalPeople(house, [
      victim,
      { username: 'victim@x.example', password: 'another password here' },
      { username: 'VICTIM@X.Example', password: 'another password here' },
      { username: 'mallory', email: 'victim@x.example', password: 'another password here' },
      { username: 'other', email: 'Victim@x.example', password: 'another password here' },
    ]),
    [
      undefined,
      /e-mail address of "victim"/,
      /e-mail address of "victim"/,
      /that of "victim"/,
      /that of "victim"/,
    ],
  )
  const { code, stderr } = await house.command(['user', 'add', 'victim@x.example', '--generate'])
  t.match([code, stderr], [1, /the username is the e-mail address of "victim"/])
  for (const name of ['victim', 'victim@x.example']) {
    t.match(await house.login(name, PASSWORD), { status: 200, body: { user: { username: 'victim' } } }, name)
    t.equal((await house.login(name, 'another password here')).status, 401)
  }
})

conforms('advisory 35', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL] })
  addLocalPeople(house, [{ username: 'anna', email: 'anna@x.example', password: PASSWORD }])
  const visit = { from: '192.0.2.77' }
  const tried = await jobs.during(async () => {
    for (const empty of [
      '',
      ' ',
      '\t',
      '\u200b',
      '\u3000\u3000',
      '\u00ad\ufeff',
      '\0',
      null,
      [],
      undefined,
    ]) {
      for (let turn = 0; turn < 8; turn++) {
        t.equal((await house.login(empty, `guess ${turn}`, visit)).status, 400, spelled(empty))
      }
    }
  })
  t.same(tried, [], 'nothing was verified')
  const { stdout } = await house.command(['lockout', 'list', '--json'])
  t.notMatch(stdout, /192\.0\.2\.77/, 'nobody is locked')
  for (const name of ['anna', 'anna@x.example'])
    t.equal((await house.login(name, PASSWORD, visit)).status, 200, name)
})
