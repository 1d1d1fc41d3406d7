/** What no other suite asks for, of the lockout: floods, crowds, outages, familiar machines, restarts, clocks and reloads. */
import t from 'tap'
import { newFolder, openLiveDesk } from '../attack/live-desk.ts'
import { distantSource } from '../attack/people.ts'
import { corpPeople } from '../support/corp.ts'
import { provideFakeWall } from '../support/faketime.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { LOCAL, openHouse } from './house.ts'
import {
  ALICE,
  bindsDuring,
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
  untilLet,
  WRONG,
} from './lockout-house.ts'
import { conforms } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob, carol, many, nomail } = corpPeople
const MIB = 1024 ** 2
const MINUTE = 60_000
const HOUR = 60 * MINUTE

conforms('X01', async t => {
  const [SOURCES, NAMES] = [10_000, 12_000]
  const desk = openClockDesk({}, { bytes: MIB })
  const { store } = desk
  t.equal(await desk.login('alice', ALICE.password, HERE), 'accepted')
  for (let n = 0; n < 10; n++) await desk.guess('alice', 1, place(n))
  await desk.guess('bob', 4)
  t.same(await desk.guess('alice', 1, place(10)), ['locked_out'], 'locked before')
  let [mostBytes, mostRecords] = [0, 0]
  for (let name = 0; name < NAMES; name++) {
    await desk.guess(`nobody ${name}`, 1, distantSource(name % SOURCES))
    if (name % 100 !== 0) continue
    const { bytes = Number.POSITIVE_INFINITY, records } = store.report()
    mostBytes = Math.max(mostBytes, bytes)
    mostRecords = Math.max(
      mostRecords,
      Object.values(records).reduce((sum, each) => sum + each, 0),
    )
  }
  t.ok(NAMES > 4 * mostRecords, `four times as many as there is room for: ${mostRecords} records`)
  t.ok(mostBytes > 0 && mostBytes <= MIB, `${mostBytes} of ${MIB} bytes`)
  t.same(await desk.guess('alice', 1, place(11)), ['locked_out'], 'locked after')
  t.equal(await desk.login('alice', ALICE.password, HERE), 'accepted', 'and her own machine gets in')
  t.same(await desk.guess('bob', 2), ['rejected', 'locked_out'], 'four failures are four still')
})

conforms('X02', async t => {
  for (const [sourceOf, limit] of [
    [() => HERE, 5],
    [place, 10],
  ] as const) {
    const house = await openCorp(t, slapd)
    const binds = await bindsDuring(slapd, async () => {
      const guesses = Array.from({ length: 1_000 }, (_, n) => house.guess('alice', 1, { from: sourceOf(n) }))
      const answers = (await Promise.all(guesses)).flat().map(told)
      t.equal(answers.filter(answer => answer === WRONG).length, limit)
      const others = new Set(answers.filter(answer => answer !== WRONG))
      others.delete('429 busy_retry')
      t.same(others, new Set([LOCKED]))
    })
    t.equal(binds, limit)
    t.equal(told(await house.login('alice', alice.password, { from: sourceOf(0) })), LOCKED)
  }
})

conforms('X03', async t => {
  const proxy = await startTcpProxy(t, { port: slapd.ldapsPort })
  const backends = [corpBackend(slapd, { urls: [`ldaps://localhost:${proxy.port}`] })]
  const house = await openHouse(t, { backends })
  t.equal(told(await house.login('bob', bob.password)), '200', 'connected')
  const binds = await bindsDuring(slapd, async () => {
    // The directory's answer waits until all of them are there.
    proxy.setFlow('stall', 'toClient')
    const logins = Array.from({ length: 200 }, () => house.login('alice', alice.password))
    for (let round = 0; round < 50; round++) await house.ask('/livez')
    proxy.setFlow('pass', 'toClient')
    t.same(new Set((await Promise.all(logins)).map(told)), new Set(['200']))
  })
  t.equal(binds, 1)
  t.equal(house.attempts().filter(({ fields }) => fields.shared).length, 199)
})

conforms('X04', async t => {
  const proxy = await startTcpProxy(t, { port: slapd.ldapsPort })
  const backends = [corpBackend(slapd, { urls: [`ldaps://localhost:${proxy.port}`] })]
  const house = await openHouse(t, { backends })
  await house.guess('alice', 4)
  const { pair, source, unfamiliar } = await countsOf(house, 'alice')
  await proxy.refuse()
  proxy.cut('rst')
  for (let i = 0; i < 12; i++) {
    const [guess] = await house.guess('alice', 1)
    t.match(guess, { status: 503, code: 'backend_unavailable', retryAfter: 5 })
  }
  t.equal((await house.login('alice', alice.password)).status, 503)
  t.match(await countsOf(house, 'alice'), { pair, source, unfamiliar }, 'as before')
  await proxy.accept()
  const again = await untilLet(() => house.login('alice', alice.password))
  t.equal(told(again), '200')
})

conforms('X05', async t => {
  const proxy = await startTcpProxy(t, { port: slapd.ldapsPort })
  await proxy.refuse()
  const backends = [corpBackend(slapd, { urls: [`ldaps://localhost:${proxy.port}`] }), LOCAL]
  const house = await openHouse(t, { backends })
  const { username, password } = house.admin
  t.same(new Set((await house.guess(username, 5)).map(({ status }) => status)), new Set([503]))
  t.equal(told(await house.login(username, password)), LOCKED)
  const locks = await listLocks(house)
  t.ok(
    locks.length > 0 && locks.every(({ subject }) => subject?.startsWith('local:')),
    'of the local subject',
  )
  t.equal(told(await house.login(username, password, { from: ELSEWHERE })), '200')
})

conforms('X09', async t => {
  const house = await openCorp(t, slapd, { lockout: bySource(4) })
  for (const { uid } of [bob, carol, many, nomail]) {
    t.equal(told(await house.login('alice', alice.password)), '200', 'an account of his own')
    t.equal(told((await house.guess(uid, 1))[0] ?? never()), WRONG)
  }
  t.equal(told(await house.login('alice', alice.password)), LOCKED)
  t.equal(told(await house.login('alice', alice.password, { from: ELSEWHERE })), '200')
})

conforms('X10', async t => {
  const house = await openCorp(t, slapd)
  t.equal(told(await house.login('alice', alice.password)), '200')
  for (let n = 0; n < 12; n++) await house.guess('alice', 1, { from: place(n) })
  t.equal(told(await house.login('alice', alice.password, { from: ELSEWHERE })), LOCKED, 'for strangers')
  for (let login = 0; login < 3; login++) t.equal(told(await house.login('alice', alice.password)), '200')
  t.equal(told(await house.login('alice', alice.password, { from: ELSEWHERE })), LOCKED, 'still')
})

conforms('X11', async t => {
  const desk = await openLiveDesk(t, { backend: corpBackend(slapd) })
  t.equal((await desk.login('carol', carol.password, { from: HERE })).status, 200)
  for (let n = 0; n < 5; n++) await desk.guess('alice', { from: HERE })
  for (let n = 0; n < 4; n++) await desk.guess('bob', { from: HERE })
  for (let n = 0; n < 10; n++) await desk.guess('carol', { from: place(n) })
  for (const again of [desk.restart, desk.crash]) {
    await again()
    const right = await desk.login('alice', alice.password, { from: HERE })
    t.match(right, { status: 429, code: 'locked_out' }, 'a lock')
    t.ok((right.retryAfter ?? 0) <= 300, 'no longer than before')
    t.equal((await desk.login('carol', carol.password, { from: ELSEWHERE })).code, 'locked_out')
    t.equal((await desk.login('carol', carol.password, { from: HERE })).status, 200, 'a familiar machine')
  }
  t.equal((await desk.guess('bob', { from: HERE })).status, 401)
  t.equal((await desk.login('bob', bob.password, { from: HERE })).code, 'locked_out', 'failures')
})

conforms('X12', async t => {
  const wall = await provideFakeWall(newFolder(), { atOnce: true })
  // Without TLS, where the time of a certificate would matter.
  const backend = corpBackend(slapd, { urls: [slapd.ldapUrl], insecure: true, tls: undefined })
  const desk = await openLiveDesk(t, { backend, env: { ...wall.env } })
  for (let n = 0; n < 5; n++) await desk.guess('alice', { from: HERE })
  let last = 300
  for (const [person, jumpMs] of [
    [bob, HOUR],
    [carol, -HOUR],
    [many, 1_000 * HOUR],
    [nomail, 0],
  ] as const) {
    for (let n = 0; n < 4; n++) await desk.guess(person.uid, { from: HERE })
    wall.shift(jumpMs)
    const locked = await desk.login('alice', alice.password, { from: HERE })
    const wallMs = Date.now() + jumpMs
    await desk.daemon.line(
      ({ verdict, time }) => verdict === 'locked_out' && Math.abs(Date.parse(String(time)) - wallMs) < MINUTE,
    )
    t.pass(`the daemon has seen the clock jump by ${jumpMs / HOUR} h`)
    t.equal(locked.code, 'locked_out', 'a lock is not over')
    const { retryAfter = 0 } = locked
    t.ok(retryAfter > 200 && retryAfter <= last, `nor longer: ${retryAfter} s`)
    last = retryAfter
    t.equal(
      (await desk.login(person.uid, person.password, { from: ELSEWHERE })).status,
      200,
      'nobody is locked',
    )
    t.equal((await desk.guess(person.uid, { from: HERE })).status, 401, 'four failures')
    const fifth = await desk.login(person.uid, person.password, { from: HERE })
    t.equal(fifth.code, 'locked_out', 'are not forgotten')
  }
})

conforms('X19', async t => {
  const desk = openClockDesk()
  await desk.guess('alice', 5)
  for (let round = 1; round <= 2; round++) {
    desk.clock.advance(5 * MINUTE)
    const before = desk.directory.of(ALICE).wrong
    const verdicts = (await Promise.all(Array.from({ length: 20 }, () => desk.guess('alice', 1)))).flat()
    t.equal(desk.directory.of(ALICE).wrong - before, 1, 'one try')
    t.equal(verdicts.filter(verdict => verdict === 'rejected').length, 1)
    t.equal(await desk.login('alice', ALICE.password, HERE), 'locked_out', 'its failure locks again')
  }
  desk.clock.advance(5 * MINUTE)
  t.equal(await desk.login('alice', ALICE.password, HERE), 'accepted', 'its success')
  t.same(await desk.guess('alice', 4), Array(4).fill('rejected'), 'frees the account')
})

conforms('X20', async t => {
  const trusting = await openCorp(t, slapd, { trusted_proxies: ['127.0.0.1'] })
  const wary = await openCorp(t, slapd)
  const nonsense = [
    'unknown',
    '192.0.2.1:80',
    '[2001:db8::1]',
    '192.0.2.1,',
    ', 192.0.2.1',
    'nobody, 192.0.2.1',
    '010.0.0.1',
    '0x7f.1',
    '192.0.2.256',
    'fe80::1%eth0',
    'intranet.corp.example',
    Array(40).fill('192.0.2.1').join(','),
  ]
  const binds = await bindsDuring(slapd, async () => {
    for (const value of nonsense) {
      const visit = { app: 'outsider', headers: { 'x-forwarded-for': value } } as const
      const reply = await trusting.login('alice', alice.password, visit)
      t.match(reply, { status: 400, code: 'invalid_request' }, value)
      t.match(reply.body, { errors: [{ header: 'X-Forwarded-For' }] })
    }
  })
  t.equal(binds, 0, 'the password is neither skipped nor looked at')
  t.strictSame(trusting.attempts(), [])
  for (const value of nonsense) {
    const visit = { app: 'outsider', headers: { 'x-forwarded-for': value } } as const
    t.equal(
      told(await wary.login('alice', 'wrong', visit)),
      WRONG,
      'from nobody that is trusted it is not read',
    )
  }
  t.same(new Set(wary.attempts().map(({ fields }) => fields.source)), new Set(['127.0.0.1']))
})

conforms('X21', async t => {
  const [corp, first, second] = [
    corpBackend(slapd),
    { backends: [] as object[] },
    { backends: [] as object[] },
  ]
  first.backends.push(corp, LOCAL)
  second.backends.push(LOCAL, corp)
  const house = await openHouse(t, first)
  const before = await house.login('alice', alice.password, { from: THIRD_PLACE })
  await house.guess('alice', 3)
  await house.guess('bob', 5)
  t.match(await house.reload(second), { outcome: 'reloaded' })
  t.match(await countsOf(house, 'alice'), { pair: 3, source: 8 }, 'counts')
  t.equal(told(await house.login('bob', bob.password)), LOCKED, 'locks')
  const after = await house.login('alice', alice.password, { from: THIRD_PLACE })
  t.strictSame(after.body.user, before.body.user, 'subjects')
  await house.guess('alice', 2)
  t.equal(told(await house.login('alice', alice.password)), LOCKED)
  t.match(await house.reload(first), { outcome: 'reloaded' })
  t.equal(told(await house.login('alice', alice.password)), LOCKED, 'and back')
  for (let n = 0; n < 10; n++) await house.guess('alice', 1, { from: place(n) })
  t.equal(told(await house.login('alice', alice.password, { from: THIRD_PLACE })), '200', 'familiar machines')
})

function never(): never {
  throw new Error('there is a reply')
}
