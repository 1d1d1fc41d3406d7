/** Guessing the password of one account (lockout.md, Keys and default limits): from one place, from many, in no hurry. */
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { fromEverywhere, fromOneSource, patient } from './bounds.ts'
import { openDesk } from './desk.ts'
import { loginsOf, openTally, passTime } from './pace.ts'
import { ALICE, ATTACKER, distantHop, distantSource, newMachine, OFFICE } from './people.ts'
import { playScene, type Stage } from './scene.ts'

const TEN_MINUTES_MS = 600_000
const STEP_MS = 5_000
const EVERY = TEN_MINUTES_MS / STEP_MS
const { unfamiliar } = LOCKOUT_SETTINGS

playScene('one account from one source', async ({ chance, attackMs }) => {
  const desk = openDesk([ALICE], { chance })
  const owner = openTally()
  await passTime(desk.clock, { forMs: attackMs, stepMs: STEP_MS }, async step => {
    // She need not be known there: one source alone does not reach the limit of all of them together.
    if (step % EVERY === 0) await owner.count(desk.login('alice', ALICE.password, newMachine(step / EVERY)))
    await desk.guess('alice', ATTACKER)
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

playScene('one account from many subnets', stage => fromFarAndWide(stage, index => distantSource(index)))

playScene('one account, hopping through IPv6 /48s', stage =>
  fromFarAndWide(stage, index => distantHop(index)),
)

async function fromFarAndWide(
  { t, chance, attackMs, sources }: Stage,
  sourceOf: (index: number) => string,
): ReturnType<Parameters<typeof playScene>[1]> {
  const desk = openDesk([ALICE], { chance })
  const [owner, elsewhere] = [openTally(), openTally()]
  t.equal(await desk.login('alice', ALICE.password, OFFICE), 'accepted', 'she was here before')
  // So many in each step that every source has its turn.
  const steps = Math.floor(attackMs / STEP_MS)
  const inEach = Math.ceil(sources / steps)
  await passTime(desk.clock, { forMs: attackMs, stepMs: STEP_MS }, async step => {
    for (let guess = 0; guess < inEach; guess++) {
      await desk.guess('alice', sourceOf((step * inEach + guess) % sources))
    }
    if (step % EVERY !== 0) return
    await owner.count(desk.login('alice', ALICE.password, OFFICE))
    await elsewhere.count(desk.login('alice', ALICE.password, newMachine(step / EVERY)))
  })
  const guesses = {
    verified: desk.directory.of(ALICE).wrong,
    bound: fromEverywhere(attackMs) + desk.twins(ALICE),
  }
  return [
    { of: 'the owner at her own machine', guesses, logins: loginsOf(owner, 0), memory: desk.memory() },
    { of: 'the owner at new machines', guesses, logins: loginsOf(elsewhere, 'no promise') },
  ]
}

playScene('one account, just below the limit of one source', async ({ t, chance, attackMs }) => {
  const desk = openDesk([ALICE], { chance })
  const owner = openTally()
  const { maxAttempts, windowMs } = LOCKOUT_SETTINGS
  const stepMs = windowMs / (maxAttempts - 1)
  await passTime(desk.clock, { forMs: attackMs, stepMs }, async step => {
    t.equal(await desk.guess('alice', ATTACKER), 'rejected', 'he is never locked out')
    await owner.count(desk.login('alice', ALICE.password, step % 2 === 0 ? OFFICE : newMachine(step)))
  })
  return {
    guesses: { verified: desk.directory.of(ALICE).wrong, bound: patient(LOCKOUT_SETTINGS, attackMs) },
    logins: loginsOf(owner, 0),
    memory: desk.memory(),
  }
})

playScene('one account, just below the limit of all sources', async ({ t, chance, attackMs, sources }) => {
  const desk = openDesk([ALICE], { chance })
  const owner = openTally()
  const stepMs = unfamiliar.windowMs / (unfamiliar.maxAttempts - 1)
  await passTime(desk.clock, { forMs: attackMs, stepMs }, async step => {
    t.equal(await desk.guess('alice', distantSource(step % sources)), 'rejected', 'he is never locked out')
    await owner.count(desk.login('alice', ALICE.password, step % 2 === 0 ? OFFICE : newMachine(step)))
  })
  return {
    guesses: { verified: desk.directory.of(ALICE).wrong, bound: patient(unfamiliar, attackMs) },
    logins: loginsOf(owner, 0),
    memory: desk.memory(),
  }
})
