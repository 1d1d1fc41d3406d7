/** One password on many accounts, and a right password of one's own between the guesses. */
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { fromOneSource, interleaved, ofOneSource, ofOneSubnet } from './bounds.ts'
import { openDesk } from './desk.ts'
import { crowd } from './directory.ts'
import { loginsOf, openTally, passTime } from './pace.ts'
import { ALICE, ATTACKER, hop, MALLORY, newMachine, OFFICE } from './people.ts'
import { playScene } from './scene.ts'

const STEP_MS = 10_000
const EVERY = 600_000 / STEP_MS
const PEOPLE = 1_000
const people = crowd(PEOPLE)
const { source, subnet } = LOCKOUT_SETTINGS

/** A user of the crowd, whichever number this is. */
const userOf = (index: number) => people[index % PEOPLE] ?? ALICE
const nameOf = (index: number) => userOf(index).names[0]

playScene('one password on 1,000 accounts from one source', async ({ chance, attackMs }) => {
  const desk = openDesk(people, { chance })
  const users = openTally()
  let tried = 0
  await passTime(desk.clock, { forMs: attackMs, stepMs: STEP_MS }, async step => {
    for (let guess = 0; guess < 5; guess++) await desk.login(nameOf(tried++), 'Summer2026!', ATTACKER)
    if (step % EVERY !== 0) return
    const user = userOf(step)
    await users.count(desk.login(user.names[0], user.password, newMachine(step / EVERY)))
  })
  return {
    guesses: { verified: desk.directory.wrongInSum(), bound: ofOneSource(attackMs), unit: 'in sum' },
    logins: loginsOf(users, 0),
    memory: desk.memory(),
  }
})

playScene('many accounts, all at once, from one source', async ({ chance }) => {
  const desk = openDesk(people, { chance })
  const users = openTally()
  const guesses = people.map(({ names }) => desk.login(names[0], 'Summer2026!', ATTACKER))
  await users.count(desk.login(nameOf(1), userOf(1).password, OFFICE))
  await Promise.all(guesses)
  return {
    guesses: { verified: desk.directory.wrongInSum(), bound: source.accounts, unit: 'in sum' },
    logins: loginsOf(users, 0),
    memory: desk.memory(),
  }
})

playScene(
  'many accounts, hopping through the /64s of one IPv6 /48',
  async ({ chance, attackMs, sources }) => {
    const desk = openDesk(people, { chance })
    const users = openTally()
    const hops = Math.min(sources, 65_536)
    let tried = 0
    await passTime(desk.clock, { forMs: attackMs, stepMs: STEP_MS }, async step => {
      // More than the limit of the whole /48 in its window.
      for (let guess = 0; guess < 4; guess++) await desk.guess(nameOf(tried), hop(tried++ % hops))
      if (step % EVERY === 0) await users.count(desk.login(nameOf(step), userOf(step).password, OFFICE))
    })
    return {
      guesses: { verified: desk.directory.wrongInSum(), bound: ofOneSubnet(attackMs), unit: 'in sum' },
      logins: loginsOf(users, 0),
      memory: desk.memory(),
    }
  },
)

playScene('1,000 /64s of one IPv6 /48 at once', async ({ chance }) => {
  const desk = openDesk(people, { chance })
  const users = openTally()
  const guesses = people.map(({ names }, index) => desk.guess(names[0], hop(index)))
  await users.count(desk.login(nameOf(1), userOf(1).password, OFFICE))
  await Promise.all(guesses)
  return {
    guesses: { verified: desk.directory.wrongInSum(), bound: subnet.maxAttempts, unit: 'in sum' },
    logins: loginsOf(users, 0),
    memory: desk.memory(),
  }
})

playScene('one account, with a login to an own account between the guesses', async ({ chance, attackMs }) => {
  const desk = openDesk([ALICE, MALLORY], { chance })
  const owner = openTally()
  await passTime(desk.clock, { forMs: attackMs, stepMs: STEP_MS }, async step => {
    await desk.login('mallory', MALLORY.password, ATTACKER)
    await desk.guess('alice', ATTACKER)
    if (step % EVERY === 0) await owner.count(desk.login('alice', ALICE.password, OFFICE))
  })
  return {
    guesses: {
      verified: desk.directory.of(ALICE).wrong,
      bound: fromOneSource(attackMs) + desk.twins(ALICE),
    },
    logins: loginsOf(owner, 0),
    memory: desk.memory(),
  }
})

playScene(
  'many accounts, with a login to an own account between the guesses',
  async ({ chance, attackMs }) => {
    const desk = openDesk([...people, MALLORY], { chance })
    const users = openTally()
    let tried = 0
    await passTime(desk.clock, { forMs: attackMs, stepMs: STEP_MS }, async step => {
      // Right after a lock ends it is the right password that takes the one try.
      await desk.login('mallory', MALLORY.password, ATTACKER)
      for (let guess = 0; guess < 5; guess++) await desk.guess(nameOf(tried++), ATTACKER)
      if (step % EVERY === 0) await users.count(desk.login(nameOf(step), userOf(step).password, OFFICE))
    })
    return {
      guesses: { verified: desk.directory.wrongInSum(), bound: interleaved(attackMs), unit: 'in sum' },
      logins: loginsOf(users, 0),
      memory: desk.memory(),
    }
  },
)
