/** Memory as the target (lockout.md, Memory and eviction): floods that would push out a lock, a count or somebody's machines. */
import type { Standing } from '../../src/authentication/lockout.ts'
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { type Desk, openDesk } from './desk.ts'
import { crowd } from './directory.ts'
import { loginsOf, openTally } from './pace.ts'
import { ALICE, ATTACKER, BOB, distantHop, distantSource, newMachine, OFFICE } from './people.ts'
import { measureRoom } from './room.ts'
import { type Played, playScene, type Stage } from './scene.ts'

const MIB = 1024 ** 2
/** Of the floods with names and sources that are nobody's. Small, so that the short form fills it many times over. */
const BUDGET_BYTES = Number(process.env.GATEHOUSE_ATTACK_MEMORY_MIB ?? 4) * MIB
/** As the configuration has it by default. */
const DAEMON_BYTES = 64 * MIB
/** What this process may take beside the budget: compiled code, garbage that V8 keeps pages for, tap. */
const HEAP_ALLOWANCE = 8 * MIB
const RSS_ALLOWANCE = 96 * MIB
const HOUR_MS = 3_600_000
/** All of a flood within the shortest lock of an account. */
const FLOOD_MS = LOCKOUT_SETTINGS.unfamiliar.durationsMs[0] * 0.5
const { unfamiliar, maxAttempts } = LOCKOUT_SETTINGS
const people = crowd(4_000)

const recordsOf = (desk: Desk) =>
  Object.values(desk.store.report().records).reduce((sum, records) => sum + records, 0)
const mostFailures = (standings: readonly Standing[]) =>
  Math.max(...standings.map(({ failures }) => failures))

/** How many records the budget holds: as many as there are when more people who failed leave it at that. */
async function capacityOf(chance: Stage['chance']): Promise<number> {
  const desk = openDesk(people, { chance, bytes: BUDGET_BYTES })
  let most = 0
  for (let round = 0; ; round++) {
    for (let index = 0; index < 500; index++) {
      const person = people[(round * 500 + index) % people.length] ?? ALICE
      await desk.guess(person.names[0], distantSource(round * 500 + index))
    }
    const records = recordsOf(desk)
    if (records <= most) return most
    most = records
  }
}

/**
 * Alice is locked for strangers and known at her office, Bob has four failures from one source. Then the flood; and all of it is
 * still so.
 */
async function flood(
  { t, chance, sources }: Stage,
  attempts: number,
  attempt: (desk: Desk, index: number) => Promise<unknown>,
  budgetBytes = BUDGET_BYTES,
): Promise<[Played, Played]> {
  const desk = openDesk([...people, ALICE, BOB], { chance, bytes: budgetBytes })
  const owner = openTally()
  await owner.count(desk.login('alice', ALICE.password, OFFICE))
  for (let guess = 0; guess < unfamiliar.maxAttempts; guess++) await desk.guess('alice', newMachine(guess))
  for (let guess = 1; guess < maxAttempts; guess++) await desk.guess('bob', ATTACKER)
  t.equal(await desk.login('alice', ALICE.password, newMachine(100)), 'locked_out', 'locked before')

  // Once around, so that what is compiled and allocated once is not taken for records.
  for (let index = 0; index < 500; index++) await attempt(desk, index)
  const before = measureRoom()
  let mostBytes = 0
  for (let index = 0; index < attempts; index++) {
    await attempt(desk, index)
    desk.clock.advance(FLOOD_MS / attempts)
    if (index % 500 !== 0) continue
    mostBytes = Math.max(mostBytes, desk.store.report().bytes ?? Number.POSITIVE_INFINITY)
    await owner.count(desk.login('alice', ALICE.password, OFFICE))
    await desk.guess('alice', newMachine(200 + index / 500))
  }
  const after = measureRoom()
  t.comment(`${attempts} attempts from ${sources} sources, ${recordsOf(desk)} records after them`)

  t.equal(await desk.login('alice', ALICE.password, newMachine(101)), 'locked_out', 'locked after')
  await owner.count(desk.login('alice', ALICE.password, OFFICE))
  const bob = await desk.inspect('bob', ATTACKER)
  t.equal(mostFailures(bob.subject), maxAttempts - 1, 'the four failures are still there')
  t.equal(mostFailures(bob.name), maxAttempts - 1, 'under his name, too')
  await desk.guess('bob', ATTACKER)
  t.equal(await desk.login('bob', BOB.password, ATTACKER), 'locked_out', 'so the fifth locks')

  const heapBytes = Math.max(0, after.heapBytes - before.heapBytes)
  t.ok(heapBytes <= budgetBytes + HEAP_ALLOWANCE, `the heap grew by ${heapBytes} bytes`)
  const guesses = {
    verified: desk.directory.of(ALICE).wrong,
    bound: unfamiliar.maxAttempts + desk.twins(ALICE),
  }
  return [
    {
      of: 'what is accounted for',
      guesses,
      logins: loginsOf(owner, 0),
      memory: { bytes: mostBytes, mostBytes: budgetBytes, what: 'accounted' },
    },
    {
      of: 'what the process took',
      guesses,
      memory: {
        bytes: Math.max(0, after.rssBytes - before.rssBytes),
        mostBytes: budgetBytes + RSS_ALLOWANCE,
        what: 'RSS',
      },
    },
  ]
}

playScene('four times as many random names as there is room, from many subnets', async stage => {
  const { t, chance, sources } = stage
  const capacity = await capacityOf(chance)
  t.ok(capacity > 1_000, `the budget holds ${capacity} records`)
  return flood(stage, 4 * capacity, (desk, index) =>
    desk.guess(`nobody-${index}-${chance.below(2 ** 31)}`, distantSource(index % sources)),
  )
})

playScene('four times as many sources as there is room, each with a name', async stage => {
  const capacity = await capacityOf(stage.chance)
  return flood(stage, 4 * capacity, (desk, index) =>
    desk.guess(`nobody-${index}`, index % 2 === 0 ? distantSource(index) : distantHop(index % 65_536)),
  )
})

playScene('4,000 real names guessed from many subnets, in the room that a daemon has', stage =>
  flood(
    stage,
    people.length,
    (desk, index) => desk.guess((people[index] ?? ALICE).names[0], distantSource(index % stage.sources)),
    DAEMON_BYTES,
  ),
)

/** Guesses once at each of more people than the room has profiles for. */
async function guessAtEverybody(desk: Desk, round: number): Promise<void> {
  for (const [index, { names }] of people.entries()) {
    await desk.guess(names[0], distantSource(round * people.length + index))
    desk.clock.advance(FLOOD_MS / people.length)
  }
}

playScene(
  'every real name guessed overnight, in too little room, and the owner in the morning',
  async stage => {
    const { t, chance } = stage
    const desk = openDesk([...people, ALICE], { chance, bytes: BUDGET_BYTES })
    const owner = openTally()
    t.equal(await desk.login('alice', ALICE.password, OFFICE), 'accepted', 'she was here before')
    for (let round = 0; round < 3; round++) {
      await guessAtEverybody(desk, round)
      desk.clock.advance(HOUR_MS)
    }
    for (let guess = 0; guess < unfamiliar.maxAttempts; guess++) await desk.guess('alice', newMachine(guess))
    t.equal(
      await desk.login('alice', ALICE.password, newMachine(100)),
      'locked_out',
      'strangers are locked out',
    )
    await owner.count(desk.login('alice', ALICE.password, OFFICE))
    return {
      guesses: {
        verified: desk.directory.of(ALICE).wrong,
        bound: unfamiliar.maxAttempts + desk.twins(ALICE),
      },
      logins: loginsOf(owner, 0),
      memory: desk.memory(),
    }
  },
)

playScene(
  'a directory that locks at 10: every real name guessed between the guesses, in too little room',
  async stage => {
    const { t, chance } = stage
    const ownLock = { threshold: 10, windowMs: HOUR_MS }
    const desk = openDesk([...people, ALICE, BOB], { chance, bytes: BUDGET_BYTES, ownLock })
    const owner = openTally()
    await owner.count(desk.login('alice', ALICE.password, OFFICE))
    for (let round = 0; round < 4; round++) {
      for (let guess = 0; guess < 4; guess++) await desk.guess('bob', newMachine(round * 10 + guess))
      await guessAtEverybody(desk, round)
      await owner.count(desk.login('alice', ALICE.password, OFFICE))
    }
    t.equal(desk.directory.of(BOB).locks, 0, 'the directory never locked him')
    return {
      guesses: {
        verified: desk.directory.of(BOB).mostBad,
        bound: ownLock.threshold - 1,
        unit: 'in a row',
      },
      logins: loginsOf(owner, 0),
      memory: desk.memory(),
    }
  },
)
