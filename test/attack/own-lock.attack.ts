/**
 * A directory that locks accounts by itself, as Active Directory does (lockout.md, AD shield): however it is attacked through this
 * desk, it never comes to that. Shown by the ceiling and by not sending the same wrong password again, without what a backend may
 * know of `badPwdCount`.
 */
import type { Ceiling } from '../../src/authentication/lockout.ts'
import { type Desk, openDesk } from './desk.ts'
import { loginsOf, openTally, passTime, type Tally } from './pace.ts'
import { ALICE, ATTACKER, distantSource, OFFICE, SPELLINGS } from './people.ts'
import { type Played, playScene, type Stage } from './scene.ts'

const WINDOW_MS = 30 * 60_000
const PHONE = '203.0.113.20'
/** No divisor of the window, so that the attack comes at all its moments in time. */
const STEP_MS = 97_000
const EVERY = 7
const ROUNDS = 200

/** The row: how near the directory's own lock was. */
function nearest(desk: Desk, { threshold }: Ceiling): Played['guesses'] {
  return { verified: desk.directory.of(ALICE).mostBad, bound: threshold - 1, unit: 'in a row' }
}

async function attack(
  { t, chance, attackMs, sources }: Stage,
  ceiling: Ceiling,
  atOnce: (desk: Desk, step: number, owner: Tally) => Promise<unknown>[],
): Promise<{ readonly desk: Desk; readonly owner: Tally }> {
  const desk = openDesk([ALICE], { chance, ownLock: ceiling })
  const owner = openTally()
  t.equal(await desk.login('alice', ALICE.password, OFFICE), 'accepted', 'she was here before')
  t.equal(await desk.login('alice', ALICE.password, PHONE), 'accepted', 'and so was her phone')
  await passTime(desk.clock, { forMs: attackMs, stepMs: STEP_MS }, async step => {
    const parallel = Array.from({ length: 1 + chance.below(12) }, (_, index) => {
      const name = SPELLINGS[(step + index) % SPELLINGS.length] ?? 'alice'
      const address = chance.happens(0.3) ? ATTACKER : distantSource(chance.below(sources))
      return desk.guess(name, address)
    })
    await Promise.all([...parallel, ...atOnce(desk, step, owner)])
  })
  t.equal(desk.directory.of(ALICE).locks, 0, 'the directory never locked her')
  return { desk, owner }
}

for (const threshold of [2, 3, 5, 10]) {
  const ceiling: Ceiling = { threshold, windowMs: WINDOW_MS }

  playScene(`a directory that locks at ${threshold}: many at once from many subnets`, async stage => {
    const { desk, owner } = await attack(stage, ceiling, (desk, step, owner) =>
      step % EVERY === 0 ? [owner.count(desk.login('alice', ALICE.password, OFFICE))] : [],
    )
    return {
      guesses: nearest(desk, ceiling),
      // At 2 there is one failure for all of them together.
      logins: loginsOf(owner, threshold > 2 ? 0 : 'no promise'),
      memory: desk.memory(),
    }
  })

  playScene(
    `a directory that locks at ${threshold}: the same, with her phone going on with an old password`,
    async stage => {
      const { desk, owner } = await attack(stage, ceiling, (desk, step, owner) => [
        desk.login('alice', 'right of last year', PHONE),
        ...(step % EVERY === 0 ? [owner.count(desk.login('alice', ALICE.password, OFFICE))] : []),
      ])
      return {
        guesses: nearest(desk, ceiling),
        // Up to 3 there is one failure for all familiar places, and her phone's first try is it.
        logins: loginsOf(owner, threshold > 3 ? 0 : 'no promise'),
        memory: desk.memory(),
      }
    },
  )

  playScene(`a directory that locks at ${threshold}: guesses in the moment she logs in`, async stage => {
    const { t, chance } = stage
    const desk = openDesk([ALICE], { chance, ownLock: ceiling })
    const owner = openTally()
    for (const address of [OFFICE, PHONE]) await desk.login('alice', ALICE.password, address)
    for (let round = 0; round < ROUNDS; round++) {
      // Her login starts the directory's count anew; what it says of it may arrive after what it says of the guess behind it.
      const guess = desk.guess('alice', PHONE)
      await Promise.all([guess, owner.count(desk.login('alice', ALICE.password, OFFICE))])
      desk.clock.advance(1_000)
      await Promise.all(
        Array.from({ length: 2 * threshold }, (_, index) =>
          desk.guess('alice', index % 2 === 0 ? PHONE : distantSource(chance.below(stage.sources))),
        ),
      )
      desk.clock.advance(2 * WINDOW_MS)
    }
    t.equal(desk.directory.of(ALICE).locks, 0, 'the directory never locked her')
    return {
      guesses: nearest(desk, ceiling),
      logins: loginsOf(owner, 'no promise'),
      memory: desk.memory(),
    }
  })
}
