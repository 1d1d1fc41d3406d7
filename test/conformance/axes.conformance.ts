/** django-axes: which key locks whom (its tests/test_login.py), over HTTP at a real slapd. */
import t, { type Test } from 'tap'
import { corpPeople } from '../support/corp.ts'
import { startRedis } from '../support/redis.ts'
import { startSlapd } from '../support/slapd.ts'
import type { House } from './house.ts'
import {
  bindsDuring,
  byAccount,
  byPair,
  bySource,
  countsOf,
  ELSEWHERE,
  HERE,
  LOCKED,
  listLocks,
  openClockDesk,
  openCorp,
  place,
  THIRD_PLACE,
  told,
  unlock,
  untilLet,
  WRONG,
} from './lockout-house.ts'
import { conforms, differs } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob, carol } = corpPeople
const SIMPLE = { lockout: { profile: 'simple' } }

conforms('A01', async t => {
  const house = await openCorp(t, slapd)
  t.match(await house.login('alice', alice.password), { status: 200, body: { user: { username: 'alice' } } })
})

conforms('A02', async t => {
  const house = await openCorp(t, slapd)
  t.same((await house.guess('alice', 5)).map(told), Array(5).fill(WRONG), 'the limit-th is still answered')
  t.equal(told(await house.login('alice', alice.password)), LOCKED, 'and locks')
})

conforms('A03', async t => {
  const house = await openCorp(t, slapd)
  await house.guess('alice', 5)
  const binds = await bindsDuring(slapd, async () => {
    const replies = await house.guess('alice', 20)
    t.same(replies.map(told), Array(20).fill(LOCKED))
    t.equal(told(await house.login('alice', alice.password)), LOCKED, 'nor the right one')
  })
  t.equal(binds, 0, 'and the directory is not asked')
})

differs(
  'A04',
  'no switch, each key decides: a login leaves the count of unfamiliar sources as it is, so there the next failure locks',
  async t => {
    const house = await openCorp(t, slapd, { lockout: byAccount(4) })
    for (const n of [1, 2, 3]) await house.guess('alice', 1, { from: place(n) })
    t.equal(told(await house.login('alice', alice.password)), '200')
    t.equal(told(await house.login('alice', alice.password, { from: place(4) })), '200')
    const [last] = await house.guess('alice', 1, { from: place(5) })
    t.equal(last && told(last), WRONG)
    t.equal(told(await house.login('alice', alice.password, { from: place(6) })), LOCKED)
  },
)

conforms('A05', async t => {
  const house = await openCorp(t, slapd)
  for (const round of [1, 2, 3]) {
    t.same((await house.guess('alice', 4)).map(told), Array(4).fill(WRONG), `round ${round}`)
    t.equal(told(await house.login('alice', alice.password)), '200')
  }
  t.match(await countsOf(house, 'alice'), { pair: 0 })
})

conforms('A06', async t => {
  const house = await openCorp(t, slapd, { lockout: byPair() })
  await playPair(t, house)
  const locks = await listLocks(house)
  t.ok(locks.length > 0 && locks.every(({ kind }) => kind === 'pair'), 'only the pair is locked')
  t.ok(locks.every(({ user, source }) => user === 'alice' && source === HERE))
})

conforms('A07', async t => {
  const house = await openCorp(t, slapd, SIMPLE)
  for (let login = 1; login <= 12; login++) {
    t.equal(told(await house.login('alice', alice.password)), '200', `login ${login}`)
  }
  for (let n = 1; n <= 5; n++) await house.guess('alice', 1, { from: place(n) })
  t.equal(told(await house.login('alice', alice.password)), LOCKED, 'locked, wherever the failures came from')
  t.match(await house.command(['lockout', 'unlock', 'alice']), { code: 0, stdout: /^Unlocked/ })
  t.equal(told(await house.login('alice', alice.password)), '200')
})

/** After the limit of failures at alice from `HERE`: who is refused? Each asks with the right password. */
interface Matrix {
  readonly aliceHere: string
  readonly aliceElsewhere: string
  readonly bobHere: string
  readonly bobElsewhere: string
}

async function playMatrix(house: House, failures: number): Promise<Matrix> {
  await house.guess('alice', failures)
  return {
    aliceHere: told(await house.login('alice', alice.password)),
    aliceElsewhere: told(await house.login('alice', alice.password, { from: ELSEWHERE })),
    bobHere: told(await house.login('bob', bob.password)),
    bobElsewhere: told(await house.login('bob', bob.password, { from: ELSEWHERE })),
  }
}

const SOURCE = { aliceHere: LOCKED, aliceElsewhere: '200', bobHere: LOCKED, bobElsewhere: '200' }
const ACCOUNT = { aliceHere: LOCKED, aliceElsewhere: LOCKED, bobHere: '200', bobElsewhere: '200' }
const PAIR = { aliceHere: LOCKED, aliceElsewhere: '200', bobHere: '200', bobElsewhere: '200' }
const EITHER = { aliceHere: LOCKED, aliceElsewhere: LOCKED, bobHere: LOCKED, bobElsewhere: '200' }

/** The line is about one cell of the matrix; the others are played with it. */
async function playCell(
  t: Test,
  lockout: object,
  failures: number,
  cell: keyof Matrix,
  expected: Matrix,
): Promise<void> {
  const house = await openCorp(t, slapd, { lockout })
  const matrix = await playMatrix(house, failures)
  t.equal(matrix[cell], expected[cell], cell)
}

async function playPair(t: Test, house: House): Promise<void> {
  t.same(await playMatrix(house, 3), PAIR)
}

const ANY = { ...bySource(3), unfamiliar: { max_attempts: 3 } }
const OF_SIMPLE = { profile: 'simple' }

conforms('A08', t => playCell(t, bySource(), 3, 'aliceHere', SOURCE))
conforms('A09', t => playCell(t, bySource(), 3, 'aliceElsewhere', SOURCE))
conforms('A10', t => playCell(t, bySource(), 3, 'bobHere', SOURCE))
conforms('A11', t => playCell(t, bySource(), 3, 'bobElsewhere', SOURCE))
conforms('A12', t => playCell(t, OF_SIMPLE, 5, 'aliceHere', ACCOUNT))
conforms('A13', t => playCell(t, OF_SIMPLE, 5, 'aliceElsewhere', ACCOUNT))
conforms('A14', t => playCell(t, OF_SIMPLE, 5, 'bobHere', ACCOUNT))
conforms('A15', t => playCell(t, OF_SIMPLE, 5, 'bobElsewhere', ACCOUNT))

conforms('A16', async t => {
  for (const lockout of [byPair(), bySource(), OF_SIMPLE]) {
    const house = await openCorp(t, slapd, { lockout })
    for (const nobody of ['', '   ', '\u200b']) {
      for (let i = 0; i < 6; i++) t.equal((await house.login(nobody, 'x')).status, 400)
    }
    for (const { uid, password } of [alice, bob]) t.equal(told(await house.login(uid, password)), '200', uid)
    t.same(await listLocks(house), [])
  }
})

conforms('A17', t => playCell(t, byPair(), 3, 'aliceHere', PAIR))
conforms('A18', t => playCell(t, byPair(), 3, 'aliceElsewhere', PAIR))
conforms('A19', t => playCell(t, byPair(), 3, 'bobHere', PAIR))
conforms('A20', t => playCell(t, byPair(), 3, 'bobElsewhere', PAIR))
conforms('A21', t => playCell(t, ANY, 3, 'aliceHere', EITHER))
conforms('A22', t => playCell(t, ANY, 3, 'aliceElsewhere', EITHER))
conforms('A23', t => playCell(t, ANY, 3, 'bobHere', EITHER))

conforms('A24', async t => {
  const house = await openCorp(t, slapd, { lockout: ANY })
  t.same(await playMatrix(house, 3), EITHER)
  for (let i = 0; i < 2; i++) {
    await house.guess('bob', 1, { from: ELSEWHERE })
    t.equal(told(await house.login('carol', carol.password, { from: THIRD_PLACE })), '200', 'nobody else is')
  }
  const bobs = await house.login('bob', bob.password, { from: ELSEWHERE })
  t.equal(told(bobs), '200', 'two failures of his own are below the limit')
})

differs(
  'A25',
  'the user agent is whatever a guesser writes there, so it is no part of any key: another one changes nothing',
  async t => {
    const house = await openCorp(t, slapd)
    for (let i = 1; i <= 5; i++) {
      const [reply] = await house.guess('alice', 1, { headers: { 'user-agent': `browser ${i}` } })
      t.equal(reply && told(reply), WRONG)
    }
    const headers = { 'user-agent': 'yet another browser' }
    t.equal(told(await house.login('alice', alice.password, { headers })), LOCKED)
    t.equal(told(await house.login('alice', alice.password, { headers, from: ELSEWHERE })), '200')
  },
)

conforms('A26', async t => {
  const desk = openClockDesk()
  await desk.guess('alice', 5)
  for (let minute = 0; minute < 4; minute++) {
    desk.clock.advance(60_000)
    t.same(new Set(await desk.guess('alice', 30)), new Set(['locked_out']))
  }
  desk.clock.advance(60_000 - 1)
  t.equal(await desk.login('alice', 'right of alice', HERE), 'locked_out', 'not before its time')
  desk.clock.advance(1)
  t.equal(await desk.login('alice', 'right of alice', HERE), 'accepted', 'nor after it')
})

differs(
  'A27',
  'there is no such setting: whoever goes on trying could keep the owner out for ever, so nothing makes a lock longer',
  async t => {
    const house = await openCorp(t, slapd)
    await house.guess('alice', 5)
    const before = (await house.login('alice', alice.password)).retryAfter ?? 0
    await house.guess('alice', 20)
    const { retryAfter = 0 } = await house.login('alice', alice.password)
    t.ok(retryAfter > 0 && retryAfter <= before, `${retryAfter} s after ${before} s`)
    const answer = await house.reload({
      backends: [{ id: 'local', type: 'local' }],
      lockout: { reset_cool_off_on_failure_during_lockout: true },
    })
    t.match(answer, { outcome: 'refused', reason: /unknown/i })
  },
)

conforms('A28', async t => {
  const redis = await startRedis(t)
  let houses = 0
  /** Each with counts of its own in the one server. */
  function open(lockout: object): Promise<House> {
    const server = { url: redis.url, password: redis.password, prefix: `house-${++houses}` }
    return openCorp(t, slapd, { lockout: { ...lockout, store: 'redis', redis: server } })
  }
  t.same(await playMatrix(await open(bySource()), 3), SOURCE, 'by source')
  t.same(await playMatrix(await open(OF_SIMPLE), 5), ACCOUNT, 'by account')
  t.same(await playMatrix(await open(byPair()), 3), PAIR, 'by pair')
  t.same(await playMatrix(await open(ANY), 3), EITHER, 'by either')

  const house = await open({ duration: '1s' })
  t.same((await house.guess('alice', 4)).map(told), Array(4).fill(WRONG))
  t.equal(told(await house.login('alice', alice.password)), '200', 'a success in between')
  t.match(await countsOf(house, 'alice'), { pair: 0 })
  t.same((await house.guess('alice', 5)).map(told), Array(5).fill(WRONG))
  const right = () => house.login('alice', alice.password)
  // The server's clock stands still: so does the lock.
  t.match(await right(), { status: 429, code: 'locked_out', retryAfter: 1 })
  t.match(await right(), { status: 429, code: 'locked_out', retryAfter: 1 })
  redis.advance(1_000)
  // What this replica has locked itself it remembers, by its own clock.
  t.equal(told(await untilLet(right)), '200', 'it ends')
  await house.guess('alice', 5)
  t.equal(told(await right()), LOCKED)
  t.not((await unlock(house, { user: 'alice' })).length, 0)
  t.equal(told(await right()), '200')
})
