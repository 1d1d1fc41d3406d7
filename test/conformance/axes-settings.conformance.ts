/** django-axes: lists, names that are none, windows and tiers, and operators. */
import t, { type Test } from 'tap'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { type House, openHouse } from './house.ts'
import {
  ALICE,
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
  WRONG,
} from './lockout-house.ts'
import { conforms, differs } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob } = corpPeople
const MINUTE = 60_000
const HOUR = 60 * MINUTE

conforms('A29', async t => {
  const lockout = { block: [`${HERE}/32`, '203.0.113.0/24'], allow: [HERE, '203.0.113.0/24'] }
  const house = await openCorp(t, slapd, { lockout })
  const binds = await bindsDuring(slapd, async () => {
    for (const from of [HERE, '203.0.113.200']) {
      const reply = await house.login('alice', alice.password, { from })
      t.match(reply, { status: 429, code: 'locked_out' }, `${from}, which is allowed, too`)
    }
  })
  t.equal(binds, 0)
  t.match(house.attempts().at(-1), { fields: { reason: 'the source is on the block list' } })
  t.equal(told(await house.login('alice', alice.password, { from: ELSEWHERE })), '200')
})

differs(
  'A30',
  'an allowed network is never refused as a source, but its failures count and the account is limited there, too: else whoever sits behind it could guess',
  async t => {
    const settings = { ...bySource(3), max_attempts: 5, allow: [`${HERE}/32`] }
    const house = await openCorp(t, slapd, { lockout: settings })
    t.same((await house.guess('alice', 4)).map(told), Array(4).fill(WRONG))
    t.equal(told(await house.login('bob', bob.password)), '200', 'the source is beyond its limit, and passes')
    t.match(house.attempts().at(-1), { fields: { ignored: true } }, 'reported')
    await house.guess('alice', 1)
    t.equal(told(await house.login('alice', alice.password)), LOCKED, 'an account is limited from there')
  },
)

differs(
  'A31',
  'there is no attempt without a request: one that has no body or no caller is refused before anything is counted, and logged where an operator should know',
  async t => {
    const house = await openCorp(t, slapd)
    const authorization = 'Bearer key-of-the-login-form'
    const empty = await house.ask('/authenticate', { method: 'POST', headers: { authorization } })
    t.match(empty, { status: 415, code: 'unsupported_media_type' })
    const none = await house.ask('/authenticate', {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: '',
    })
    t.match(none, { status: 400, code: 'invalid_request' })
    const body = { username: 'alice', password: 'wrong' }
    const nobodys = await house.ask('/authenticate', { method: 'POST', body })
    t.match(nobodys, { status: 401, code: 'client_unauthenticated' })
    t.ok(
      house.log.lines.some(({ fields }) => fields.code === 'client_unauthenticated'),
      'logged',
    )
    t.strictSame(house.attempts(), [])
    t.match(await countsOf(house, 'alice', '127.0.0.1'), { pair: 0, source: 0 })
  },
)

conforms('A32', async t => {
  const house = await openHouse(t, {
    backends: [corpBackend(slapd), { id: 'local', type: 'local' }],
    lockout: byPair(),
  })
  const { username, password } = house.admin
  await house.guess(username, 3)
  const searches = (await slapd.searches()).length
  t.equal(told(await house.login(username, password)), LOCKED)
  t.match(house.attempts().at(-1)?.fields, { verdict: 'locked_out', steps: [] }, 'no backend was asked')
  t.equal((await slapd.searches()).length, searches)
})

const NO_NAMES = [null, undefined, 7, true, [], ['alice'], {}]

async function playNoNames(t: Test, house: House): Promise<void> {
  for (const name of NO_NAMES) {
    for (let i = 0; i < 2; i++) {
      t.match(await house.login(name, 'x'), { status: 400, code: 'invalid_request' }, String(name))
    }
  }
  t.equal(told(await house.login('alice', alice.password)), '200')
  t.same(await listLocks(house), [])
}

conforms('A33', async t => {
  const house = await openCorp(t, slapd, { lockout: { profile: 'simple' } })
  await playNoNames(t, house)
  t.notMatch(await house.metrics(), /^gatehouse_lockout_records\{[^}]*\} [1-9][0-9]+$/m)
})

differs(
  'A34',
  'a request without a name is no attempt: 400, charged to nobody, the source included (api.md, lockout.md, One name normalisation)',
  async t => {
    const house = await openCorp(t, slapd, { lockout: bySource(3) })
    await playNoNames(t, house)
    t.match(await countsOf(house, 'alice'), { source: 0 })
  },
)

conforms('A35', async t => {
  const house = await openCorp(t, slapd)
  await house.guess('alice', 2)
  await house.guess('bob', 1)
  await house.guess('nobody-at-all', 3)
  for (const [name, failures] of Object.entries({ alice: 2, bob: 1, 'nobody-at-all': 3 })) {
    t.match(await countsOf(house, name), { pair: failures, source: 6 }, name)
  }
})

conforms('A36', async t => {
  const house = await openCorp(t, slapd, { lockout: { mode: 'log_only' } })
  t.same((await house.guess('alice', 8)).map(told), Array(8).fill(WRONG))
  t.match(await countsOf(house, 'alice'), { source: 8 }, 'it counts')
  t.equal(told(await house.login('alice', alice.password)), '200', 'and never locks')
  const ignored = house.attempts().filter(({ fields }) => fields.ignored)
  t.equal(ignored.length, 4, 'it says whom it would have refused')
})

/** Alice and Bob locked as pairs from two places, and both places as sources. */
async function openLocked(t: Test): Promise<House> {
  const lockout = { ...bySource(4), max_attempts: 2, source: { max_attempts: 4 } }
  const house = await openCorp(t, slapd, { lockout })
  for (const from of [HERE, ELSEWHERE]) {
    for (const { uid } of [alice, bob]) {
      t.same((await house.guess(uid, 2, { from })).map(told), [WRONG, WRONG], `${uid} from ${from}`)
    }
  }
  return house
}

async function locksOf(house: House): Promise<readonly string[]> {
  const locks = await listLocks(house)
  // An account has two keys, by its name and by its subject.
  const keys = locks.map(({ kind, user, source }) => (kind === 'pair' ? `${user} ${source}` : source))
  return [...new Set(keys)].map(String).sort()
}

conforms('A37', async t => {
  const all = [HERE, ELSEWHERE, `alice ${HERE}`, `alice ${ELSEWHERE}`, `bob ${HERE}`, `bob ${ELSEWHERE}`]
  const without = (...ended: string[]) => all.filter(each => !ended.includes(each)).sort()
  const cases: readonly (readonly [readonly object[], readonly string[]])[] = [
    [[{ address: HERE }], without(HERE)],
    [[{ user: 'alice' }], without(`alice ${HERE}`, `alice ${ELSEWHERE}`)],
    [[{ user: 'alice', address: HERE }], without(`alice ${HERE}`)],
    // One or the other: two of them.
    [[{ user: 'alice' }, { address: HERE }], without(HERE, `alice ${HERE}`, `alice ${ELSEWHERE}`)],
  ]
  for (const [unlocks, left] of cases) {
    const house = await openLocked(t)
    t.same(await locksOf(house), without(), 'all is locked')
    for (const unlocked of unlocks) t.not((await unlock(house, unlocked)).length, 0)
    t.same(await locksOf(house), left, JSON.stringify(unlocks))
  }
})

conforms('A38', async t => {
  const house = await openCorp(t, slapd)
  for (const unlocked of [{ user: 'alice' }, { user: 'nobody-at-all' }, { address: ELSEWHERE }]) {
    t.same(await unlock(house, unlocked), [], JSON.stringify(unlocked))
  }
  const answer = await house.command(['lockout', 'unlock', 'nobody-at-all'])
  t.match(answer, { code: 1, stdout: /^Nothing was locked/ })
})

differs(
  'A39',
  'limits are numbers of the configuration, checked when it is read; which of them holds is decided per request, by whether the source is familiar',
  async t => {
    const house = await openCorp(t, slapd, {
      lockout: { ...byAccount(2), familiar: { max_attempts: 4 } },
    })
    t.equal(told(await house.login('alice', alice.password)), '200', 'familiar from here')
    await house.guess('alice', 3)
    for (const n of [1, 2]) await house.guess('alice', 1, { from: place(n) })
    t.equal(told(await house.login('alice', alice.password, { from: place(3) })), LOCKED)
    t.equal(told(await house.login('alice', alice.password)), '200')
    for (const max_attempts of [0, -1, 2.5, 'five', null, 10_001, '']) {
      const answer = await house.reload({ backends: [corpBackend(slapd)], lockout: { max_attempts } })
      t.match(answer, { outcome: 'refused' }, String(max_attempts))
    }
    t.equal(told(await house.login('alice', alice.password)), '200', 'what was served is served on')
  },
)

conforms('A40', async t => {
  const desk = openClockDesk()
  const failures = async () => (await desk.inspect('alice', HERE)).subject[0]?.failures
  await desk.guess('alice', 2)
  desk.clock.advance(10 * MINUTE)
  await desk.guess('alice', 2)
  t.equal(await failures(), 4, 'all count')
  desk.clock.advance(5 * MINUTE - 1)
  t.equal(await failures(), 4)
  desk.clock.advance(1)
  t.equal(await failures(), 2, 'the first two are over')
  await desk.guess('alice', 2)
  t.same(await desk.guess('alice', 2), ['rejected', 'locked_out'], 'the live ones are kept')
  const other = openClockDesk()
  await other.guess('alice', 4)
  other.clock.advance(15 * MINUTE)
  t.same(await other.guess('alice', 5), Array(5).fill('rejected'), 'all are over')
})

differs(
  'A41',
  'there is no window and no lock without an end (lockout.md: never permanent by default): whoever wants somebody out disables the account',
  async t => {
    const house = await openCorp(t, slapd)
    for (const lockout of [
      { window: 0 },
      { window: null },
      { duration: '0s' },
      { duration: null },
      { duration: 'forever' },
    ]) {
      const answer = await house.reload({ backends: [corpBackend(slapd)], lockout })
      t.match(answer, { outcome: 'refused' }, JSON.stringify(lockout))
    }
    const desk = openClockDesk()
    await desk.guess('alice', 5)
    desk.clock.advance(HOUR)
    t.equal(await desk.login('alice', ALICE.password, HERE), 'accepted')
  },
)

differs(
  'A42',
  'tiers are of locks in a row and not of failures: one failure after a lock sets the next, longer one, and the last tier repeats',
  async t => {
    const desk = openClockDesk()
    /** Of the name and of the subject; their locks end at other times. */
    const unfamiliar = async () => {
      const { name, subject } = await desk.inspect('alice', THIRD_PLACE)
      return [...name, ...subject].filter(({ kind }) => kind === 'unfamiliar')
    }
    const locked = async () => (await unfamiliar()).map(({ lockedForMs = 0 }) => lockedForMs)
    let n = 0
    for (let guess = 0; guess < 9; guess++) await desk.guess('alice', 1, place(n++))
    t.match(await unfamiliar(), [{ failures: 9 }, { failures: 9 }])
    t.same(await locked(), [0, 0], 'below the limit none')
    for (const minutes of [5, 15, 60, 60]) {
      t.same(await desk.guess('alice', 1, place(n++)), ['rejected'])
      for (const ms of await locked()) {
        t.ok(Math.abs(ms / (minutes * MINUTE) - 1) <= 0.1, `${ms} of ${minutes} min ± 10 %`)
      }
      t.same(await desk.guess('alice', 1, place(n++)), ['locked_out'])
      desk.clock.advance(Math.max(...(await locked())))
    }
    const house = await openCorp(t, slapd, {
      lockout: { ...byAccount(2), unfamiliar: { max_attempts: 2, durations: ['2h', '1h'] } },
    })
    await house.guess('alice', 2)
    const { retryAfter = 0 } = await house.login('alice', alice.password)
    t.ok(Math.abs(retryAfter / 7_200 - 1) <= 0.1, `in the order in which they are written: ${retryAfter} s`)
  },
)
