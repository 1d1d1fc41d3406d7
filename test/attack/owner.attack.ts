/** What must not hurt the owner: a phone with an old password, an outage, the clock of the machine, a lock that was taken back. */
import type { Standing } from '../../src/authentication/lockout.ts'
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { repeated } from './bounds.ts'
import { openDesk } from './desk.ts'
import { crowd } from './directory.ts'
import { loginsOf, openTally, passTime } from './pace.ts'
import { ALICE, ATTACKER, BOB, distantSource, newMachine, OFFICE, SPELLINGS } from './people.ts'
import { playScene } from './scene.ts'

const PHONE = '203.0.113.20'
const HOUR_MS = 3_600_000

playScene('an app with an old password, every 5 s', async ({ t, chance, attackMs }) => {
  const desk = openDesk([ALICE], { chance })
  const [owner, atPhone] = [openTally(), openTally()]
  let mostCharged = 0
  await passTime(desk.clock, { forMs: attackMs, stepMs: 5_000 }, async step => {
    await desk.login('alice', 'right of last year', PHONE)
    if (step % 120 !== 0) return
    const { name, subject } = await desk.inspect('alice', PHONE)
    for (const { failures } of [...name, ...subject]) mostCharged = Math.max(mostCharged, failures)
    await owner.count(desk.login('alice', ALICE.password, OFFICE))
    await owner.count(desk.login('alice', ALICE.password, newMachine(step / 120)))
    await atPhone.count(desk.login('alice', ALICE.password, PHONE))
  })
  t.ok(mostCharged <= 1, 'the account is charged once')
  const guesses = {
    verified: desk.directory.of(ALICE).wrong,
    bound: repeated(attackMs),
    unit: 'the same one',
  }
  return [
    { of: 'the owner elsewhere', guesses, logins: loginsOf(owner, 0), memory: desk.memory() },
    { of: 'the owner behind the same address', guesses, logins: loginsOf(atPhone, 'no promise') },
  ]
})

playScene('10,000 attempts while the directory is out', async ({ t, chance, sources }) => {
  const people = crowd(100)
  const desk = openDesk([...people, ALICE, BOB], { chance })
  const after = openTally()
  // Something that could be moved: four of five, one person's lock, and a source that is known.
  for (let guess = 0; guess < 4; guess++) await desk.guess('alice', ATTACKER)
  for (let guess = 0; guess < 5; guess++) await desk.guess('bob', ATTACKER)
  await desk.login('alice', ALICE.password, OFFICE)
  const look = async () => {
    const standings = []
    for (const { names } of [...people, ALICE, BOB]) {
      for (const address of [ATTACKER, OFFICE]) standings.push(await desk.inspect(names[0], address))
    }
    return standings
  }
  const { records, locked } = desk.store.report()
  const before = await look()
  desk.directory.available = false
  const told = new Map<string, number>()
  for (let attempt = 0; attempt < 10_000; attempt += 100) {
    const verdicts = await Promise.all(
      Array.from({ length: 100 }, (_, index) => {
        const person = people[(attempt + index) % people.length] ?? ALICE
        const address = chance.happens(0.1) ? OFFICE : distantSource(chance.below(sources))
        const name = chance.happens(0.2) ? `nobody${attempt + index}` : person.names[0]
        return chance.happens(0.5) ? desk.guess(name, address) : desk.login(name, person.password, address)
      }),
    )
    for (const verdict of verdicts) told.set(verdict, (told.get(verdict) ?? 0) + 1)
  }
  t.ok((told.get('unavailable') ?? 0) > 9_000, 'what cannot be known is called so')
  t.notOk(told.has('accepted') || told.has('rejected') || told.has('locked_out'), 'and nothing else')
  t.strictSame(await look(), before, 'no counter was moved')
  t.strictSame(desk.store.report().records, records, 'no record was made')
  t.strictSame(desk.store.report().locked, locked)
  desk.directory.available = true
  for (const { names, password } of people) await after.count(desk.login(names[0], password, OFFICE))
  await after.count(desk.login('alice', ALICE.password, OFFICE))
  return {
    guesses: { verified: desk.directory.wrongInSum() - 9, bound: 0, unit: 'in sum' },
    logins: loginsOf(after, 0),
    memory: desk.memory(),
  }
})

playScene('the wall clock jumps by an hour, either way, during a lock', async ({ t, chance }) => {
  const desk = openDesk([ALICE], { chance })
  const owner = openTally()
  const { maxAttempts, durationMs } = LOCKOUT_SETTINGS
  const lockedFor = (standings: readonly Standing[]) =>
    Math.max(...standings.map(({ lockedForMs }) => lockedForMs ?? 0))
  let verifiedEarly = 0
  for (const jumps of [
    [HOUR_MS, -HOUR_MS],
    [-HOUR_MS, HOUR_MS],
    [HOUR_MS, HOUR_MS],
    [-HOUR_MS, -HOUR_MS],
  ]) {
    for (let guess = 0; guess < maxAttempts; guess++) await desk.guess('alice', ATTACKER)
    const lockedAt = desk.clock.now()
    const before = desk.directory.of(ALICE)
    const [wrong, right] = [before.wrong, before.right]
    for (const jump of [...jumps, ...jumps]) {
      desk.clock.jumpWall(jump)
      desk.clock.advance(durationMs / 5)
      t.equal(await desk.guess('alice', ATTACKER), 'locked_out', 'no lock opens early')
      const leftMs = durationMs - (desk.clock.now() - lockedAt)
      t.equal(lockedFor((await desk.inspect('alice', ATTACKER)).subject), leftMs, 'nor is it longer')
    }
    verifiedEarly += desk.directory.of(ALICE).wrong - wrong + desk.directory.of(ALICE).right - right
    desk.clock.advance(durationMs / 5)
    await owner.count(desk.login('alice', ALICE.password, ATTACKER))
  }
  return {
    guesses: { verified: verifiedEarly, bound: 0, unit: 'before the end' },
    logins: loginsOf(owner, 0),
    memory: desk.memory(),
  }
})

playScene(`an operator unlocks by any of ${SPELLINGS.length} spellings`, async ({ t, chance }) => {
  const owner = openTally()
  let lockedOut = 0
  for (const [index, unlockedAs] of SPELLINGS.entries()) {
    const desk = openDesk([ALICE], { chance })
    for (let guess = 0; guess < 200; guess++) {
      await desk.guess(SPELLINGS[guess % SPELLINGS.length] ?? 'alice', distantSource(guess))
    }
    // Every name of hers is locked, and so is she.
    for (const name of SPELLINGS) {
      if ((await desk.login(name, ALICE.password, newMachine(index))) === 'locked_out') lockedOut++
    }
    const normalised = desk.normalise(unlockedAs)
    if (!normalised.ok) throw new Error(`${unlockedAs} ${normalised.problem}`)
    const person = desk.directory.find(normalised.username)
    // As the operator's command does: the name as it counts, and whom the directory finds by it.
    const subjects = person === undefined ? [] : [desk.directory.subjectOf(person)]
    const ended = await desk.lockout.desk.unlock({ names: [normalised.username.text], subjects })
    t.ok(ended.length > 0, `${unlockedAs} ends a lock`)
    for (const name of SPELLINGS) await owner.count(desk.login(name, ALICE.password, newMachine(index)))
  }
  t.equal(lockedOut, SPELLINGS.length ** 2, 'every name was locked before')
  return {
    guesses: { verified: lockedOut, bound: SPELLINGS.length ** 2, unit: 'refused before' },
    logins: loginsOf(owner, 0),
  }
})
