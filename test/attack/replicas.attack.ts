/**
 * Several daemons on one Redis (lockout.md, Restart and several replicas): together they are one, and without it none of them is open.
 * Every guess is counted in the log of the one slapd that all of them ask.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { corpPeople } from '../support/corp.ts'
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { corpBackend, type Slapd, startSlapd } from '../support/slapd.ts'
import {
  type LiveDesk,
  type LiveTally,
  newFolder,
  openLiveDesk,
  openLiveTally,
  SECRET,
  wrongAt,
} from './live-desk.ts'
import { ATTACKER, distantSource, OFFICE } from './people.ts'
import { type Played, playScene } from './scene.ts'

const { maxAttempts, unfamiliar } = LOCKOUT_SETTINGS
const { alice, bob, carol, many, nomail } = corpPeople
const PARALLEL = 60

interface Replicas {
  readonly desks: readonly LiveDesk[]
  readonly redis: Redis
  readonly slapd: Slapd
  /** In turn. */
  desk(index: number): LiveDesk
}

async function openReplicas(
  t: Test,
  count: number,
  onFailure: 'local' | 'closed' = 'local',
): Promise<Replicas> {
  const [slapd, redis] = await Promise.all([startSlapd(t), startRedis(t)])
  const folder = newFolder()
  const secretFile = join(folder, 'secret')
  const passwordFile = join(folder, 'password')
  writeFileSync(secretFile, SECRET, { mode: 0o600 })
  writeFileSync(passwordFile, redis.password, { mode: 0o600 })
  const options = {
    backend: corpBackend(slapd),
    config: {
      lockout: {
        store: 'redis',
        redis: { url: redis.url, password_file: passwordFile, replicas: count },
        on_store_failure: onFailure,
        secret_file: secretFile,
      },
    },
  }
  const desks = await Promise.all(Array.from({ length: count }, () => openLiveDesk(t, options)))
  // A daemon serves while its store is still being connected to.
  for (const desk of desks) await untilStoreIs(desk, 'up')
  const desk = (index: number) => {
    const one = desks[index % desks.length]
    if (one === undefined) throw new Error('there is no replica')
    return one
  }
  return { desks, redis, slapd, desk }
}

async function untilStoreIs(desk: LiveDesk, wanted: 'up' | 'away'): Promise<void> {
  const giveUp = performance.now() + 15_000
  while (performance.now() < giveUp) {
    const up = await desk.metric(/^gatehouse_lockout_store_up (\S+)$/m)
    if (up === Number(wanted === 'up')) return
    // It finds out when it is asked something.
    await desk.guess('nobody', { from: distantSource(1_000_000) })
    await pause(50)
  }
  throw new Error(`the store is not ${wanted}`)
}

for (const count of [2, 3]) {
  playScene(`${count} replicas on one Redis, guesses at all of them at once`, async ({ t }) => {
    const { slapd, desk } = await openReplicas(t, count)
    const owner = openLiveTally()
    for (const [index, { uid, password }] of [alice, bob].entries()) {
      await owner.count(desk(index).login(uid, password, { from: OFFICE }))
    }
    const storm = (name: string, sourceOf: (index: number) => string) =>
      Promise.all(
        Array.from({ length: PARALLEL }, (_, index) => desk(index).guess(name, { from: sourceOf(index) })),
      )
    await Promise.all([storm('alice', () => ATTACKER), storm('bob', distantSource)])
    for (let index = 0; index < 2 * count; index++) {
      const right = await desk(index).login('alice', alice.password, { from: ATTACKER })
      t.match(right, { status: 429, code: 'locked_out' }, 'locked at all of them')
      const stranger = await desk(index).guess('bob', { from: distantSource(1_000 + index) })
      t.match(stranger, { status: 429, code: 'locked_out' }, 'locked for strangers at all of them')
      // Familiar where she has logged in, at all of them.
      await owner.count(desk(index).login('alice', alice.password, { from: OFFICE }))
      await owner.count(desk(index).login('bob', bob.password, { from: OFFICE }))
    }
    t.same(owner.told, [])
    return [
      {
        of: 'one account from one source',
        guesses: { verified: await wrongAt(slapd, alice.dn), bound: maxAttempts },
        logins: owner.row(0),
      },
      {
        of: 'one account from everywhere',
        guesses: { verified: await wrongAt(slapd, bob.dn), bound: unfamiliar.maxAttempts },
      },
    ]
  })

  /**
   * What one replica has counted stays counted there, and the others know nothing of it: each has its part of the limit, so the worst is
   * the whole limit at one of them before the store went, and the parts of all others after it.
   */
  const withoutStore = (limit: number) => limit + (count - 1) * Math.max(1, Math.floor(limit / count))

  playScene(`${count} replicas, and Redis is killed half-way: local`, async ({ t }) => {
    const { slapd, redis, desks, desk } = await openReplicas(t, count)
    const [owner, later] = [openLiveTally(), openLiveTally()]
    const people = [alice, bob, carol, many]
    const comeBy = async (tally: LiveTally) => {
      for (const { uid, password } of people) {
        for (const each of desks) await tally.count(each.login(uid, password, { from: OFFICE }))
      }
    }
    const verified = () => Promise.all(people.map(({ dn }) => wrongAt(slapd, dn)))
    const storm = async (from: number) => {
      const guesses = Array.from({ length: PARALLEL }, (_, index) => [
        ...['alice', 'bob', 'carol'].map(name => desk(index).guess(name, { from: ATTACKER })),
        desk(index).guess('many', { from: distantSource(from + index) }),
      ])
      await Promise.all(guesses.flat())
    }

    await comeBy(owner)
    // All at one replica, all but one there, or some at each; and one from everywhere, all but one at one replica.
    for (let guess = 0; guess < maxAttempts; guess++) await desk(0).guess('alice', { from: ATTACKER })
    for (let guess = 1; guess < maxAttempts; guess++) await desk(0).guess('bob', { from: ATTACKER })
    for (let guess = 0; guess < 3; guess++) await desk(guess).guess('carol', { from: ATTACKER })
    for (let guess = 1; guess < unfamiliar.maxAttempts; guess++) {
      await desk(0).guess('many', { from: distantSource(guess) })
    }
    t.same(await verified(), [maxAttempts, maxAttempts - 1, 3, unfamiliar.maxAttempts - 1])

    await redis.stop()
    await storm(100)
    await storm(200)
    for (const each of desks) await untilStoreIs(each, 'away')
    await storm(300)
    await comeBy(owner)
    t.same(owner.told, [])
    const away = await verified()

    await redis.start()
    for (const each of desks) await untilStoreIs(each, 'up')
    for (let round = 4; round < 8; round++) await storm(100 * round)
    for (const each of desks) {
      const reply = await each.login('alice', alice.password, { from: ATTACKER })
      t.match(reply, { status: 429, code: 'locked_out' }, 'an empty Redis ends no lock of a replica')
    }
    const back = await verified()
    await comeBy(later)

    const row = (of: string, index: number, limit: number): Played => ({
      of: `${of} (${limit} + ${count - 1}·⌊${limit}/${count}⌋)`,
      guesses: { verified: away[index] ?? 0, bound: withoutStore(limit) },
    })
    const more = (index: number) => (back[index] ?? 0) - (away[index] ?? 0)
    return [
      { ...row('locked at one of them before', 0, maxAttempts), logins: owner.row(0) },
      row('one less than that', 1, maxAttempts),
      row('one at each of them', 2, maxAttempts),
      row('from everywhere, one less than the lock at one of them', 3, unfamiliar.maxAttempts),
      {
        of: 'it came back empty, and each replica has a lock of its own',
        guesses: { verified: more(0), bound: 0, unit: 'more' },
        // Redis has forgotten as well whom it knew from where.
        logins: later.row('no promise'),
      },
      // Of whom one replica has counted all but one, and the others have locked him. A store that is hardly back may be too slow for a
      // guess, whose place then stays taken: fewer may get through, down to none.
      {
        of: 'it came back empty, one less than a lock at one of them',
        guesses: { verified: more(1), bound: 1, unit: 'more', mayBeNone: true },
      },
      {
        of: 'the same, from everywhere',
        guesses: { verified: more(3), bound: 1, unit: 'more', mayBeNone: true },
      },
      // Who has forgotten everything gives the whole limit again, where no replica has counted more itself.
      {
        of: 'it came back empty, one at each of them',
        guesses: { verified: more(2), bound: maxAttempts, unit: 'more', mayBeNone: true },
      },
    ]
  })
}

playScene('2 replicas, and Redis is killed half-way: closed', async ({ t }) => {
  const { slapd, redis, desk } = await openReplicas(t, 2, 'closed')
  const owner = openLiveTally()
  await owner.count(desk(0).login('alice', alice.password, { from: OFFICE }))
  for (let guess = 0; guess < 3; guess++) {
    t.equal((await desk(guess).guess('alice', { from: ATTACKER })).status, 401)
  }
  for (let guess = 0; guess < maxAttempts; guess++) await desk(0).guess('nomail', { from: ATTACKER })
  await redis.stop()
  const before = await wrongAt(slapd, alice.dn)
  t.equal(before, 3)
  const replies = await Promise.all(
    Array.from({ length: PARALLEL }, (_, index) =>
      desk(index).guess('alice', { from: distantSource(index) }),
    ),
  )
  t.same([...new Set(replies.map(({ status, code }) => `${status} ${code}`))], ['503 backend_unavailable'])
  const right = [0, 1].map(index => desk(index).login('alice', alice.password, { from: OFFICE }))
  for (const reply of await Promise.all(right)) t.equal(reply.status, 503, 'nor anybody else')
  const after = await wrongAt(slapd, alice.dn)

  await redis.start()
  for (const index of [0, 1]) await untilStoreIs(desk(index), 'up')
  const locked = { status: 429, code: 'locked_out' }
  const own = await desk(0).login('nomail', nomail.password, { from: ATTACKER })
  t.match(own, locked, 'its own lock holds though Redis has forgotten it')
  await owner.count(desk(0).login('alice', alice.password, { from: OFFICE }))
  await owner.count(desk(1).login('alice', alice.password, { from: OFFICE }))
  return {
    of: 'after it was killed',
    guesses: { verified: after - before, bound: 0 },
    logins: owner.row(0),
  }
})

playScene('3 replicas: unlocked at one of them, free at all', async ({ t }) => {
  const { slapd, desks, desk } = await openReplicas(t, 3)
  const owner = openLiveTally()
  let guessed = 0
  for (let at = 0; at < 3; at++) {
    for (let guess = 0; guess < maxAttempts; guess++) {
      t.equal((await desk(at).guess('alice', { from: ATTACKER })).status, 401)
      guessed++
    }
    for (const each of desks) {
      const reply = await each.login('alice', alice.password, { from: ATTACKER })
      t.match(reply, { status: 429, code: 'locked_out' }, 'locked at all of them')
    }
    const unlocked = await desk(at + 1).command('lockout', 'unlock', 'alice@corp.example')
    t.match(unlocked, { code: 0, stdout: /^Unlocked/ }, unlocked.stderr)
    for (const each of desks) await owner.count(each.login('alice', alice.password, { from: ATTACKER }))
  }
  t.same(owner.told, [])
  return { guesses: { verified: await wrongAt(slapd, alice.dn), bound: guessed }, logins: owner.row(0) }
})
