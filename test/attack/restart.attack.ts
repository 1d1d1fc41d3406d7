/**
 * A daemon that dies, and a wall clock that jumps (lockout.md, Restart and several replicas; Rules): neither opens a lock, forgets a
 * failure or keeps a lock shut for longer. The clock is libfaketime's; time itself goes on as it does.
 */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { provideFakeWall } from '../support/faketime.ts'
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { newFolder, openLiveDesk, openLiveTally, untilLet, wrongAt } from './live-desk.ts'
import { ATTACKER, distantSource, newMachine, OFFICE } from './people.ts'
import { playScene } from './scene.ts'

const { maxAttempts, unfamiliar } = LOCKOUT_SETTINGS
const { alice, bob, carol, many, nomail } = corpPeople
// They wait for locks to end: side by side.
t.jobs = 4
const ROUNDS = [alice, bob, carol, many, nomail]

playScene('kill -9 in the middle of an attack, five times', async ({ t }) => {
  const slapd = await startSlapd(t)
  const desk = await openLiveDesk(t, { backend: corpBackend(slapd) })
  const owner = openLiveTally()
  let [fromOne, inAll] = [0, 0]
  for (const [round, { uid, dn, password }] of ROUNDS.entries()) {
    const from = newMachine(round)
    await owner.count(desk.login(uid, password, { from: OFFICE }))
    for (let guess = 1; guess <= 3; guess++)
      t.equal((await desk.guess(uid, { from })).status, 401, `guess ${guess}`)
    await desk.crash()
    for (let guess = 1; guess <= 10; guess++) await desk.guess(uid, { from })
    fromOne += await wrongAt(slapd, dn)
    t.ok(fromOne >= 3 * (round + 1), 'all that were answered are seen at the directory')
    for (let guess = 0; guess < 3; guess++)
      await desk.guess(uid, { from: distantSource(100 * round + guess) })
    await desk.crash()
    t.match(await desk.login(uid, password, { from }), { status: 429, code: 'locked_out' }, 'still locked')
    for (let guess = 3; guess < 20; guess++)
      await desk.guess(uid, { from: distantSource(100 * round + guess) })
    const stranger = await desk.login(uid, password, { from: distantSource(100 * round + 99) })
    t.match(stranger, { status: 429, code: 'locked_out' }, 'locked for strangers')
    await owner.count(desk.login(uid, password, { from: OFFICE }))
    inAll += await wrongAt(slapd, dn)
  }
  // The last round's locks, and whom they are not for, once more.
  await desk.crash()
  for (const [round, { uid, password }] of ROUNDS.entries()) {
    const stranger = await desk.login(uid, password, { from: distantSource(100 * round + 98) })
    t.match(stranger, { status: 429, code: 'locked_out' }, 'locked for strangers, still')
    await owner.count(desk.login(uid, password, { from: OFFICE }))
  }
  t.same(owner.told, [], 'a familiar source is still familiar')
  return [
    { of: 'from one source', guesses: { verified: fromOne, bound: maxAttempts * ROUNDS.length } },
    {
      of: 'from everywhere, too',
      guesses: { verified: inAll, bound: unfamiliar.maxAttempts * ROUNDS.length },
      logins: owner.row(0),
    },
  ]
})

playScene('kill -9 with guesses under way', async ({ t }) => {
  const slapd = await startSlapd(t)
  const proxy = await startTcpProxy(t, { port: slapd.ldapsPort })
  const desk = await openLiveDesk(t, {
    backend: corpBackend(slapd, { urls: [`ldaps://localhost:${proxy.port}`] }),
  })
  const owner = openLiveTally()
  await owner.count(desk.login('alice', alice.password, { from: OFFICE }))
  const storm = () =>
    // Who is asked may die.
    Promise.allSettled(Array.from({ length: 60 }, () => desk.guess('alice', { from: ATTACKER })))
  // So slow that all of them have been sent and none is answered.
  proxy.setFlow({ delayMs: 1_000 }, 'toClient')
  const guesses = storm()
  const giveUp = performance.now() + 10_000
  while ((await wrongAt(slapd, alice.dn)) < maxAttempts && performance.now() < giveUp) await pause(20)
  await desk.crash(() => proxy.setFlow('pass'))
  await guesses
  const lost = await wrongAt(slapd, alice.dn)
  t.ok(lost > 0 && lost <= maxAttempts, `${lost} were under way`)
  await storm()
  await storm()
  t.match(await desk.login('alice', alice.password, { from: ATTACKER }), { status: 429, code: 'locked_out' })
  await owner.count(desk.login('alice', alice.password, { from: OFFICE }))
  t.same(owner.told, [])
  // Those that nobody was told of had been written down before they were sent.
  const verified = await wrongAt(slapd, alice.dn)
  return { guesses: { verified, bound: maxAttempts }, logins: owner.row(0) }
})

const HOUR_MS = 3_600_000
/** Longer than a restart takes on a machine that is busy with other tests. */
const LOCK_MS = 10_000
/** How late a lock that is over may be found to be, on a machine that is busy with other tests. */
const LATE_MS = 4_000
/** libfaketime looks at its file again after a second. */
const SHIFTED_MS = 1_100

for (const when of ['while the daemon runs', 'while it is stopped', 'after kill -9'] as const) {
  playScene(`the clock jumps by an hour, either way, ${when}`, async ({ t }) => {
    const wall = await provideFakeWall(newFolder())
    const slapd = await startSlapd(t)
    const desk = await openLiveDesk(t, {
      backend: corpBackend(slapd, { urls: [slapd.ldapUrl], insecure: true, tls: undefined }),
      config: { lockout: { duration: `${LOCK_MS}ms` } },
      env: wall.env,
    })
    const owner = openLiveTally()
    let verified = 0
    for (const [{ uid, dn, password }, jumpMs] of [
      [alice, HOUR_MS],
      [bob, -HOUR_MS],
    ] as const) {
      const from = ATTACKER
      wall.shift(0)
      await pause(SHIFTED_MS)
      await owner.count(desk.login(uid, password, { from: OFFICE }))
      let lastAskedAt = 0
      for (let guess = 1; guess <= maxAttempts; guess++) {
        lastAskedAt = performance.now()
        t.equal((await desk.guess(uid, { from })).status, 401, `guess ${guess}`)
      }
      const lockedBy = performance.now()
      if (when === 'while the daemon runs') wall.shift(jumpMs)
      else if (when === 'after kill -9') await desk.crash(() => wall.shift(jumpMs))
      else await desk.restart(() => wall.shift(jumpMs))
      const end = await untilLet(() => desk.guess(uid, { from }), LOCK_MS + LATE_MS)
      t.equal(end.reply.status, 401, 'one try')
      t.ok(end.refusals.length > 0, `${end.refusals.length} refusals before`)
      t.ok(
        end.refusals.every(({ retryAfter = 0 }) => retryAfter >= 1 && retryAfter <= LOCK_MS / 1_000),
        'Retry-After',
      )
      t.ok(end.answeredAt >= lastAskedAt + LOCK_MS, 'no lock opens early')
      t.ok(end.askedAt <= lockedBy + LOCK_MS + LATE_MS, 'and none is longer')
      t.equal((await desk.guess(uid, { from })).status, 429, 'and the next lock')
      await owner.count(desk.login(uid, password, { from: OFFICE }))
      verified += await wrongAt(slapd, dn)
    }
    t.same(owner.told, [])
    return { guesses: { verified, bound: 2 * (maxAttempts + 1) }, logins: owner.row(0) }
  })
}
