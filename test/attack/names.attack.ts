/** One person under many names, many people under names that look like one, and names that are none. */
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { fromEverywhere, fromOneSource } from './bounds.ts'
import { openDesk } from './desk.ts'
import { loginsOf, openTally, passTime } from './pace.ts'
import { ALICE, ATTACKER, distantSource, LOOKALIKES, newMachine, OFFICE, SPELLINGS } from './people.ts'
import { playScene } from './scene.ts'

const STEP_MS = 5_000
const EVERY = 600_000 / STEP_MS
const spelling = (index: number) => SPELLINGS[index % SPELLINGS.length] ?? SPELLINGS[0]

playScene(`one account under ${SPELLINGS.length} spellings and aliases from one source`, async stage => {
  const { chance, attackMs } = stage
  const desk = openDesk([ALICE], { chance })
  const owner = openTally()
  await passTime(desk.clock, { forMs: attackMs, stepMs: STEP_MS }, async step => {
    await desk.guess(spelling(step), ATTACKER)
    if (step % EVERY === 0) await owner.count(desk.login(spelling(step / EVERY), ALICE.password, OFFICE))
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

playScene(`one account under ${SPELLINGS.length} spellings and aliases from many subnets`, async stage => {
  const { chance, attackMs, sources } = stage
  const desk = openDesk([ALICE], { chance })
  const [owner, otherwise] = [openTally(), openTally()]
  await desk.login('alice', ALICE.password, OFFICE)
  await passTime(desk.clock, { forMs: attackMs, stepMs: STEP_MS }, async step => {
    await desk.guess(spelling(step), distantSource(step % sources))
    if (step % EVERY !== 0) return
    await owner.count(desk.login('alice', ALICE.password, OFFICE))
    await otherwise.count(desk.login(spelling(step / EVERY), ALICE.password, OFFICE))
  })
  const guesses = {
    verified: desk.directory.of(ALICE).wrong,
    bound: fromEverywhere(attackMs) + desk.twins(ALICE),
  }
  return [
    { of: 'the owner as always', guesses, logins: loginsOf(owner, 0), memory: desk.memory() },
    // What is known of her machine is known of the name that she used there.
    { of: 'the owner at her own machine by other names', guesses, logins: loginsOf(otherwise, 'no promise') },
  ]
})

playScene('names that look like hers and are other people', async ({ t, chance }) => {
  const desk = openDesk([ALICE, ...LOOKALIKES], { chance })
  const others = openTally()
  for (let guess = 0; guess < 50; guess++) await desk.guess('alice', distantSource(guess))
  t.equal(await desk.login('alice', ALICE.password, newMachine(0)), 'locked_out', 'hers is locked')
  for (const [index, { names, password }] of LOOKALIKES.entries()) {
    await others.count(desk.login(names[0], password, newMachine(index + 1)))
    // But not ı in capitals: that is an I, and hers.
    const capitals = names[0].toUpperCase()
    if (capitals.toLowerCase() !== names[0]) continue
    await others.count(desk.login(capitals, password, newMachine(index + 11)))
  }
  return {
    guesses: {
      verified: desk.directory.of(ALICE).wrong,
      bound: LOCKOUT_SETTINGS.unfamiliar.maxAttempts + desk.twins(ALICE),
    },
    logins: loginsOf(others, 0),
    memory: desk.memory(),
  }
})

playScene('empty names, control characters and other names that are none', async ({ t, chance }) => {
  const desk = openDesk([ALICE], { chance })
  const owner = openTally()
  await owner.count(desk.login('alice', ALICE.password, OFFICE))
  const before = desk.store.report()
  const none = [
    '',
    ' ',
    '\u3000\u00a0',
    '\u200b\u2060\u00ad',
    'CORP\\',
    '@corp.example',
    'alice\u0000',
    'ali\nce',
    'alice\u202e',
    'alice\u2028',
    'ali\u007fce',
    '\ud800alice',
    'a'.repeat(257),
    `${'\u{1f600}'.repeat(256)}é`,
    '\ufdfa'.repeat(100),
  ]
  const told = new Set<string>()
  for (let round = 0; round < 20; round++) {
    for (const [index, name] of none.entries()) {
      told.add(await desk.guess(name, distantSource(round * none.length + index)))
    }
  }
  t.strictSame([...told], ['invalid'])
  t.strictSame(desk.store.report(), before, 'there is no record of them')
  t.equal(desk.directory.unknown(), 0, 'no directory was asked')
  await owner.count(desk.login('alice', ALICE.password, OFFICE))
  return {
    guesses: { verified: desk.directory.wrongInSum() + desk.directory.unknown(), bound: 0, unit: 'in sum' },
    logins: loginsOf(owner, 0),
    memory: desk.memory(),
  }
})
