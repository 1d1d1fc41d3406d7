/** weakforced: its statistics over time windows (test_TimeWindows.py) and its lists (test_Whitelist.py). */
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { LOCAL, openHouse } from './house.ts'
import {
  addUser,
  byAccount,
  byPair,
  bySource,
  countsOf,
  ELSEWHERE,
  HERE,
  LOCKED,
  openClockDesk,
  openCorp,
  place,
  told,
  unlock,
  WRONG,
} from './lockout-house.ts'
import { conforms, differs } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob } = corpPeople
const MINUTE = 60_000

conforms('W01', async t => {
  const house = await openCorp(t, slapd)
  for (let i = 0; i < 30; i++) t.equal(told(await house.login('alice', 'that of last year')), WRONG)
  t.match(await countsOf(house, 'alice'), { pair: 1, unfamiliar: 1, source: 30 })
  await house.guess('alice', 3)
  t.match(await countsOf(house, 'alice'), { pair: 4, unfamiliar: 4 }, 'different ones count')
  t.equal(told(await house.login('alice', alice.password)), '200')
})

differs(
  'W02',
  'the failures of an account from all unfamiliar sources are one count, however many sources they are; what is counted by difference is the accounts that one source fails on',
  async t => {
    const scattered = await openCorp(t, slapd, { lockout: byAccount(3) })
    for (const n of [1, 2, 3]) await scattered.guess('alice', 1, { from: place(n) })
    t.equal(told(await scattered.login('alice', alice.password, { from: place(4) })), LOCKED, 'three sources')
    const gathered = await openCorp(t, slapd, { lockout: byAccount(3) })
    await gathered.guess('alice', 3)
    t.equal(told(await gathered.login('alice', alice.password, { from: place(4) })), LOCKED, 'or one')

    const lockout = { ...byPair(100), source: { max_attempts: 100, accounts: 3 } }
    const house = await openCorp(t, slapd, { lockout })
    await house.guess('alice', 10)
    await house.guess('bob', 10)
    t.equal(told(await house.login('bob', bob.password)), '200', 'two accounts')
    await house.guess('a third one', 1)
    t.equal(told(await house.login('bob', bob.password)), LOCKED, 'three accounts')
    t.equal(told(await house.login('bob', bob.password, { from: ELSEWHERE })), '200')
  },
)

conforms('W03', async t => {
  for (const [what, first, same, other] of [
    ['an IPv4 address', '192.0.2.7', '192.0.2.7', '192.0.2.8'],
    ['the same, mapped into IPv6', '192.0.2.7', '::ffff:192.0.2.7', '::ffff:192.0.2.8'],
    ['an IPv6 /64', '2001:db8:1:2::1', '2001:DB8:1:2:ffff:0:0:9', '2001:db8:1:3::1'],
  ] as const) {
    const house = await openCorp(t, slapd, { lockout: bySource(2) })
    await house.guess('alice', 1, { from: first })
    await house.guess('alice', 1, { from: same })
    t.equal(told(await house.login('bob', bob.password, { from: first })), LOCKED, what)
    t.equal(told(await house.login('bob', bob.password, { from: other })), '200', `${what}: another`)
  }
  for (const [what, in1, in2, out] of [
    ['an IPv4 /24', '192.0.2.1', '::ffff:192.0.2.200', '192.0.3.1'],
    ['an IPv6 /48', '2001:db8:1:2::1', '2001:db8:1:3::1', '2001:db8:2:2::1'],
  ] as const) {
    const house = await openCorp(t, slapd, { lockout: { ...bySource(100), subnet: { max_attempts: 2 } } })
    await house.guess('alice', 1, { from: in1 })
    await house.guess('alice', 1, { from: in2 })
    t.equal(told(await house.login('bob', bob.password, { from: in1 })), LOCKED, what)
    t.equal(told(await house.login('bob', bob.password, { from: out })), '200', `${what}: another`)
  }
})

conforms('W04', async t => {
  const desk = openClockDesk()
  await desk.guess('alice', 4)
  desk.clock.advance(15 * MINUTE)
  t.same(await desk.guess('alice', 4), Array(4).fill('rejected'), 'over')

  const house = await openCorp(t, slapd)
  for (const from of [HERE, ELSEWHERE]) await house.guess('alice', 2, { from })
  await unlock(house, { user: 'alice', address: HERE })
  t.match(await countsOf(house, 'alice'), { pair: 0, unfamiliar: 4, source: 2 }, 'one count of the account')
  t.match(await countsOf(house, 'alice', ELSEWHERE), { pair: 2 })
  await unlock(house, { user: 'alice' })
  for (const from of [HERE, ELSEWHERE]) {
    t.match(await countsOf(house, 'alice', from), { pair: 0, unfamiliar: 0, source: 2 }, 'all of them')
  }
  await unlock(house, { address: HERE })
  t.match(await countsOf(house, 'alice'), { source: 0 }, 'the source')
})

conforms('W05', async t => {
  const house = await openHouse(t, { backends: [corpBackend(slapd), LOCAL], lockout: byPair(3) })
  const password = 'pässwörd ÿþ\u00a0€ lang genug'
  await addUser(house, 'łukasz', password)
  t.equal(told(await house.login('łukasz', password)), '200')
  for (const wrong of ['\u0080\u0081', 'ÿ'.repeat(40), '\u{10ffff}']) {
    t.equal(told(await house.login('łukasz', wrong)), WRONG)
  }
  t.equal(told(await house.login('ŁUKASZ', password)), LOCKED, 'and it is counted as any other')
  const { juergen } = corpPeople
  t.equal(told(await house.login('JÜRGEN', juergen.password)), '200')
  // The octets of Latin-1, which are no UTF-8.
  const { port } = new URL(house.app.publicUrl)
  const body = Buffer.from('{"username":"j\xfcrgen","password":"x"}', 'latin1')
  const answer = await fetch(`http://127.0.0.1:${port}/authenticate`, {
    method: 'POST',
    headers: { authorization: 'Bearer key-of-the-login-form', 'content-type': 'application/json' },
    body,
  })
  t.equal(answer.status, 400)
  await answer.body?.cancel()
  t.equal(told(await house.login('jürgen', juergen.password)), '200', 'and it serves on')
})

differs(
  'W06',
  'lists are of networks and stand in the configuration, which outlives a restart; a login is kept out by disabling it or by a backend with `deny: true`, and no list lets a login pass',
  async t => {
    const config = {
      backends: [corpBackend(slapd)],
      lockout: {
        ...bySource(2),
        max_attempts: 3,
        block: ['198.51.100.7', '203.0.113.0/24'],
        allow: ['192.0.2.1'],
      },
    }
    const house = await openHouse(t, config)
    const play = async (from: string) => told(await house.login('alice', alice.password, { from }))
    for (const when of ['at first', 'after a restart']) {
      for (const from of ['198.51.100.7', '203.0.113.1', '203.0.113.254'])
        t.equal(await play(from), LOCKED, when)
      t.equal(await play('198.51.100.8'), '200')
      if (when === 'at first') await house.guess('bob', 3, { from: HERE })
      t.equal(await play(HERE), '200', `${when}: a source that is allowed`)
      t.equal(told(await house.login('bob', bob.password)), LOCKED, 'and whoever was guessed at from there')
      await house.restart()
    }
    const listed = { ...config, lockout: { allow: ['alice'] } }
    t.match(await house.reload(listed), { outcome: 'refused' }, 'a login')
    const denied = [{ id: 'gone', type: 'local', deny: true }, corpBackend(slapd)]
    t.match(await house.reload({ backends: denied }), { outcome: 'reloaded' })
    await addUser(house, 'bob', 'whatever it may be, it is not asked')
    t.equal(told(await house.login('bob', bob.password, { from: ELSEWHERE })), WRONG, 'on the deny list')
    t.equal(told(await house.login('alice', alice.password, { from: ELSEWHERE })), '200')
  },
)
