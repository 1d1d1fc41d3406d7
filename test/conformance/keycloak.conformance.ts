/** Keycloak: its brute force detection (BruteForceTest), and the two reports about parallel attempts. */
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { EMAIL, LOCAL, openHouse } from './house.ts'
import {
  ALICE,
  addUser,
  bindsDuring,
  byPair,
  countsOf,
  ELSEWHERE,
  HERE,
  LOCKED,
  listLocks,
  openClockDesk,
  openCorp,
  told,
  unlock,
  WRONG,
} from './lockout-house.ts'
import { conforms, differs, doesNotApply } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob } = corpPeople
const MINUTE = 60_000

differs(
  'K01',
  'by default a locked out user is told so, with Retry-After, for that names no account that exists; with `disclosure: hidden` the bytes are those of a wrong password; the log says what it was in both',
  async t => {
    const house = await openCorp(t, slapd)
    await house.guess('alice', 5)
    await house.guess('nobody-at-all', 5)
    t.equal(told(await house.login('alice', alice.password)), LOCKED)
    t.equal(told(await house.login('nobody-at-all', alice.password)), LOCKED, 'like one that exists')
    const lockout = { disclosure: 'hidden' }
    t.match(await house.reload({ backends: [corpBackend(slapd)], lockout }), { outcome: 'reloaded' })
    const right = await house.login('alice', alice.password)
    t.match(house.attempts().at(-1)?.fields, { event: 'authn_login_fail_max', verdict: 'locked_out' })
    const wrong = await house.login('bob', 'wrong')
    t.strictSame({ ...right.body, request_id: '' }, { ...wrong.body, request_id: '' })
    t.equal(right.status, wrong.status)
    const names = ({ headers }: typeof right) => Object.keys(headers).sort()
    t.same(names(right), names(wrong))
  },
)

conforms('K02', async t => {
  const house = await openCorp(t, slapd)
  for (const { uid } of [alice, bob]) await house.guess(uid, 5)
  t.not((await unlock(house, { user: 'alice' })).length, 0)
  t.equal(told(await house.login('alice', alice.password)), '200')
  t.equal(told(await house.login('bob', bob.password)), LOCKED, 'one user')
  for (const { user } of await listLocks(house)) await unlock(house, { user: user ?? 'bob' })
  t.equal(told(await house.login('bob', bob.password)), '200', 'all')
  t.same(await listLocks(house), [])
})

doesNotApply('K03', 'Gatehouse checks names and passwords; a second factor is the calling app’s')

conforms('K04', async t => {
  const desk = openClockDesk()
  await desk.guess('alice', 5)
  t.same(new Set(await desk.guess('alice', 20)), new Set(['locked_out']))
  const { subject, source } = await desk.inspect('alice', HERE)
  t.match(
    subject.find(({ kind }) => kind === 'pair'),
    { failures: 0, lockedForMs: 5 * MINUTE },
  )
  t.match(
    source.find(({ kind }) => kind === 'source'),
    { failures: 5 },
    'nor the count of the source',
  )
  desk.clock.advance(5 * MINUTE)
  t.equal(await desk.login('alice', ALICE.password, HERE), 'accepted')
})

conforms('K05', async t => {
  const house = await openCorp(t, slapd)
  for (const name of ['alice', 'ALICE', 'Alice', 'aLiCe', 'alicE']) {
    t.equal(told(await house.login(name, `wrong for ${name}`)), WRONG, name)
  }
  for (const name of ['alice', 'ALICE', 'AlIcE'])
    t.equal(told(await house.login(name, alice.password)), LOCKED)
})

conforms('K06', async t => {
  const house = await openHouse(t, { backends: [LOCAL, EMAIL] })
  await addUser(house, 'dora', 'a long enough password', '--email', 'dora@mail.example')
  await house.guess('dora', 3)
  await house.guess('dora@mail.example', 2)
  for (const name of ['dora', 'Dora@Mail.Example']) {
    t.equal(told(await house.login(name, 'a long enough password')), LOCKED, name)
  }
  t.equal(told(await house.login('dora', 'a long enough password', { from: ELSEWHERE })), '200')
})

differs(
  'K07',
  'a request without a password is no guess: 400, and charged to nobody (api.md, lockout.md, Rules)',
  async t => {
    const house = await openCorp(t, slapd, { lockout: byPair(3) })
    const binds = await bindsDuring(slapd, async () => {
      for (const password of [undefined, null, '', 7, [], undefined, '']) {
        t.match(await house.login('alice', password), { status: 400, code: 'invalid_request' })
      }
    })
    t.equal(binds, 0)
    t.match(await countsOf(house, 'alice'), { pair: 0, source: 0 })
    t.equal(told(await house.login('alice', alice.password)), '200')
  },
)

differs(
  'K08',
  'there is no permanent mode: whoever knows a name could switch its account off for good; the longest lock is an hour by default, at most a day as told',
  async t => {
    const desk = openClockDesk()
    // Somebody who tries each time the lock is over, for two days.
    for (let hour = 0; hour < 48; hour++) {
      await desk.guess('alice', 10)
      desk.clock.advance(60 * MINUTE)
    }
    t.equal(await desk.login('alice', ALICE.password, HERE), 'accepted')
    const house = await openCorp(t, slapd)
    const lockout = { permanent: true }
    t.match(await house.reload({ backends: [corpBackend(slapd)], lockout }), { outcome: 'refused' })
    await house.reload({ backends: [corpBackend(slapd)], lockout: { duration: '499h' } })
    await house.guess('alice', 5)
    t.equal((await house.login('alice', alice.password)).retryAfter, 86_400)
  },
)

conforms('K09', async t => {
  const house = await openCorp(t, slapd, { lockout: byPair(3) })
  for (let round = 1; round <= 4; round++) {
    t.same((await house.guess('alice', 2)).map(told), [WRONG, WRONG], `round ${round}`)
    t.equal(told(await house.login('alice', alice.password)), '200')
  }
})

conforms('K10', async t => {
  const house = await openHouse(t, { backends: [LOCAL] })
  const password = 'a long enough password'
  await house.guess('newcomer', 5)
  t.equal(told(await house.login('newcomer', password)), LOCKED, 'a name that nobody has locks, too')
  await addUser(house, 'newcomer', password)
  t.equal(told(await house.login('newcomer', password)), LOCKED, 'where the name is locked')
  t.not((await unlock(house, { user: 'newcomer' })).length, 0)
  t.equal(told(await house.login('newcomer', password)), '200', 'until it is unlocked or over')
  await house.guess('another', 5)
  await addUser(house, 'another', password)
  t.equal(told(await house.login('another', password, { from: ELSEWHERE })), '200', 'at once from elsewhere')
})

conforms('K11', async t => {
  const house = await openHouse(t, { backends: [LOCAL] })
  const { username } = house.admin
  await house.guess(username, 5)
  const password = 'another long password'
  const answer = await house.command(['user', 'passwd', username, '--password-stdin'], password)
  t.equal(answer.code, 0, answer.stderr)
  t.equal(told(await house.login(username, password)), LOCKED, 'the lock is of the guesses, and stays')
  t.equal(told(await house.login(username, password, { from: ELSEWHERE })), '200')
  await unlock(house, { user: username })
  t.equal(told(await house.login(username, password)), '200')
})

conforms('K12', async t => {
  const house = await openCorp(t, slapd)
  const binds = await bindsDuring(slapd, async () => {
    const replies = await Promise.all(Array.from({ length: 200 }, () => house.guess('alice', 1)))
    const answers = replies.flat().map(told)
    t.equal(answers.filter(answer => answer === WRONG).length, 5)
    t.notOk(answers.includes('200'))
  })
  t.equal(binds, 5)
  t.equal(told(await house.login('alice', alice.password)), LOCKED)
})

conforms('K13', async t => {
  const house = await openCorp(t, slapd)
  const one = await Promise.all(Array.from({ length: 100 }, () => house.login('alice', alice.password)))
  t.same(new Set(one.map(told)), new Set(['200']), 'of one user')
  const people = [corpPeople.alice, corpPeople.bob, corpPeople.carol, corpPeople.many, corpPeople.nomail]
  const all = await Promise.all(
    Array.from({ length: 20 }, () => people.map(({ uid, password }) => house.login(uid, password))).flat(),
  )
  t.same(new Set(all.map(told)), new Set(['200']), 'of several')
})
