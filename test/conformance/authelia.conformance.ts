/** Authelia: its regulation of attempts (RegulatorSuite). */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { startRedis } from '../support/redis.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { LOCAL, openHouse } from './house.ts'
import {
  ALICE,
  addUser,
  bindsDuring,
  byPair,
  bySource,
  countsOf,
  ELSEWHERE,
  HERE,
  inLog,
  LOCKED,
  listLocks,
  openClockDesk,
  openCorp,
  told,
  untilLet,
  WRONG,
} from './lockout-house.ts'
import { conforms, differs } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob } = corpPeople
const MINUTE = 60_000

/** A house that lets nobody in while its store is away, and the store is. */
async function openWithoutStore(t: Parameters<typeof openCorp>[0]) {
  const redis = await startRedis(t)
  const server = { url: redis.url, password: redis.password }
  const house = await openCorp(t, slapd, {
    lockout: { store: 'redis', redis: server, on_store_failure: 'closed' },
  })
  // It may not be connected yet.
  t.equal(told(await untilLet(() => house.login('alice', alice.password))), '200', 'with its store')
  await redis.stop()
  return house
}

conforms('R01', async t => {
  const house = await openCorp(t, slapd, { lockout: { ...bySource(3), block: [ELSEWHERE] } })
  const play = async (from: string) => told(await house.login('alice', alice.password, { from }))
  t.equal(await play(HERE), '200', 'not banned')
  await house.guess('bob', 3)
  t.equal(await play(HERE), LOCKED, 'banned')
  const permanent = await house.login('alice', alice.password, { from: ELSEWHERE })
  t.match(permanent, { status: 429, retryAfter: 86_400 }, 'permanently: the block list')
  const without = await openWithoutStore(t)
  const binds = await bindsDuring(slapd, async () => {
    t.match(await without.login('alice', alice.password), { status: 503, code: 'backend_unavailable' })
  })
  t.equal(binds, 0, 'a look-up that fails lets nobody in')
})

differs(
  'R02',
  'a user is locked, not locked, or 503 where nobody knows; for good he is disabled in his directory or listed in a backend with `deny: true`, for no lock is without an end',
  async t => {
    const house = await openHouse(t, {
      backends: [{ id: 'gone', type: 'local', deny: true }, corpBackend(slapd)],
      lockout: { profile: 'simple' },
    })
    await addUser(house, 'bob', 'on the list and never asked')
    t.equal(told(await house.login('alice', alice.password)), '200', 'not banned')
    t.equal(told(await house.login('bob', bob.password)), WRONG, 'permanently')
    t.equal(house.attempts().at(-1)?.fields.reason, 'deny')
    await house.guess('alice', 5)
    t.equal(told(await house.login('alice', alice.password, { from: ELSEWHERE })), LOCKED, 'banned')
    const without = await openWithoutStore(t)
    for (const name of ['alice', 'nobody-at-all']) t.equal((await without.login(name, 'x')).status, 503)
  },
)

conforms('R03', async t => {
  const desk = openClockDesk({ maxAttempts: 3, windowMs: 2 * MINUTE })
  for (let i = 0; i < 9; i++) {
    t.same(await desk.guess('alice', 1), ['rejected'], `failure ${i + 1}`)
    desk.clock.advance(MINUTE)
  }
  t.equal(await desk.login('alice', ALICE.password, HERE), 'accepted')
})

conforms('R04', async t => {
  const desk = openClockDesk({ maxAttempts: 3, windowMs: 2 * MINUTE })
  await desk.guess('alice', 2)
  desk.clock.advance(10 * MINUTE)
  await desk.guess('alice', 1)
  desk.clock.advance(MINUTE - 1)
  await desk.guess('alice', 2)
  t.equal(await desk.login('alice', ALICE.password, HERE), 'locked_out', 'the latest three')
})

conforms('R05', async t => {
  const house = await openCorp(t, slapd)
  await house.guess('alice', 4)
  t.match(await countsOf(house, 'alice'), { pair: 4 })
  t.same(await listLocks(house), [])
  t.equal(told(await house.login('alice', alice.password)), '200')
})

conforms('R06', async t => {
  const house = await openCorp(t, slapd)
  await house.guess('alice', 4)
  t.equal(told(await house.login('alice', alice.password)), '200')
  await house.guess('alice', 4)
  t.equal(told(await house.login('alice', alice.password)), '200', 'eight, but not in a row')
  await house.guess('alice', 5)
  t.equal(told(await house.login('alice', alice.password)), LOCKED)
})

conforms('R07', async t => {
  const house = await openCorp(t, slapd, { lockout: { mode: 'off' } })
  t.same((await house.guess('alice', 30)).map(told), Array(30).fill(WRONG))
  t.equal(told(await house.login('alice', alice.password)), '200')
  t.same(await countsOf(house, 'alice'), {})
  t.same(await listLocks(house), [])
})

conforms('R08', async t => {
  const house = await openCorp(t, slapd)
  const database = new DatabaseSync(join(house.folder, 'gatehouse.db'))
  database.exec('DROP TABLE lockout')
  database.close()
  t.same((await house.guess('alice', 5)).map(told), Array(5).fill(WRONG), 'written down nowhere')
  t.equal(told(await house.login('alice', alice.password)), LOCKED, 'and counted all the same')
  t.equal(told(await house.login('bob', bob.password)), '200', 'it serves on')
  const complaint = await inLog(
    house,
    ({ level, message }) => level === 'error' && message.includes('written'),
  )
  t.match(complaint?.message, /cannot be written down/)

  const without = await openWithoutStore(t)
  t.equal((await without.login('alice', alice.password)).status, 503)
  t.equal((await without.login('alice', 'wrong')).status, 503)
  t.match(without.attempts().at(-1)?.fields, { reason: 'the counts of the lockout are out of reach' })
})

conforms('R09', async t => {
  const house = await openCorp(t, slapd, { lockout: byPair(3) })
  t.equal(told(await house.login('alice', alice.password)), '200')
  t.match(await countsOf(house, 'alice'), { pair: 0, source: 0 }, 'a success')
  await house.guess('alice', 3)
  const before = await countsOf(house, 'alice')
  await house.guess('alice', 7)
  await house.login('alice', alice.password)
  t.strictSame(await countsOf(house, 'alice'), before, 'while it is locked')
  t.match(await house.metrics(), /^gatehouse_locks_set_total 1$/m)
})

conforms('R10', async t => {
  const house = await openHouse(t, { backends: [LOCAL], lockout: { profile: 'simple' } })
  for (const name of ['', ' ', '\u3000\u00a0', '\u200b\u00ad']) {
    for (let i = 0; i < 6; i++) {
      t.match(await house.login(name, 'x'), { status: 400, code: 'invalid_request' })
    }
  }
  t.same(await listLocks(house), [])
  t.notMatch(
    await house.metrics(),
    /^gatehouse_lockout_records\{partition="(accounts|pairs|profiles)"\} [1-9]/m,
  )
  const { username, password } = house.admin
  t.equal(told(await house.login(username, password)), '200')
})
