/** Everything at once: what is checked before and counted after lets a crowd through. */
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { type Desk, openDesk } from './desk.ts'
import { loginsOf, openTally } from './pace.ts'
import { ALICE, ATTACKER, distantSource, OFFICE, SPELLINGS } from './people.ts'
import { playScene } from './scene.ts'

const CROWD = 1_000
const { maxAttempts, durationMs, unfamiliar } = LOCKOUT_SETTINGS
const spelling = (index: number) => SPELLINGS[index % SPELLINGS.length] ?? SPELLINGS[0]
/** Longer than the first lock of an account, jitter included. */
const PAST_FIRST_LOCK_MS = unfamiliar.durationsMs[0] * 1.1

const FRONTS = [
  { from: 'one source', sourceOf: () => ATTACKER, limit: maxAttempts, lockMs: durationMs },
  {
    from: `${CROWD} sources`,
    sourceOf: distantSource,
    limit: unfamiliar.maxAttempts,
    lockMs: PAST_FIRST_LOCK_MS,
  },
]

/** All of them are under way before the first is verified, and so is the owner. */
async function storm(desk: Desk, sourceOf: (index: number) => string, nameOf: (index: number) => string) {
  const owner = openTally()
  const guesses = Array.from({ length: CROWD }, (_, index) => desk.guess(nameOf(index), sourceOf(index)))
  await owner.count(desk.login('alice', ALICE.password, OFFICE))
  await Promise.all(guesses)
  return owner
}

for (const { from, sourceOf, limit, lockMs } of FRONTS) {
  for (const { what, nameOf } of [
    { what: 'guesses', nameOf: () => 'alice' },
    { what: `guesses under ${SPELLINGS.length} spellings`, nameOf: spelling },
  ]) {
    playScene(`${CROWD} ${what} at once, from ${from}`, async ({ t, chance }) => {
      const desk = openDesk([ALICE], { chance })
      t.equal(await desk.login('alice', ALICE.password, OFFICE), 'accepted', 'she was here before')
      const owner = await storm(desk, sourceOf, nameOf)
      return {
        guesses: { verified: desk.directory.of(ALICE).wrong, bound: limit + desk.twins(ALICE) },
        logins: loginsOf(owner, 0),
        memory: desk.memory(),
      }
    })
  }

  playScene(`${CROWD} guesses in the moment the lock ends, from ${from}`, async ({ t, chance }) => {
    const desk = openDesk([ALICE], { chance })
    t.equal(await desk.login('alice', ALICE.password, OFFICE), 'accepted', 'she was here before')
    for (let guess = 0; guess < limit; guess++) await desk.guess('alice', sourceOf(guess))
    t.equal(await desk.guess('alice', sourceOf(0)), 'locked_out', 'the lock is set')
    const before = desk.directory.of(ALICE).wrong
    desk.clock.advance(lockMs)
    const owner = await storm(desk, sourceOf, () => 'alice')
    return {
      guesses: { verified: desk.directory.of(ALICE).wrong - before, bound: 1 + desk.twins(ALICE) },
      logins: loginsOf(owner, 0),
      memory: desk.memory(),
    }
  })
}

playScene('no attack: 200 right passwords at once', async ({ t, chance }) => {
  const desk = openDesk([ALICE], { chance })
  const owner = openTally()
  await Promise.all(
    Array.from({ length: 200 }, () => owner.count(desk.login('alice', ALICE.password, OFFICE))),
  )
  t.equal(desk.directory.of(ALICE).right, 1, 'one verification is enough for all')
  return {
    guesses: { verified: desk.directory.of(ALICE).wrong, bound: 0 },
    logins: loginsOf(owner, 0),
    memory: desk.memory(),
  }
})
