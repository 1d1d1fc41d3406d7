/**
 * A real domain (lockout.md, AD shield): whatever is guessed through the daemon, nobody is locked out of Windows. Counted in the
 * domain controller's own log, and in what it holds against the account.
 */

import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { sambaPeople } from '../support/samba-people.ts'
import { type LiveDesk, openLiveDesk, openLiveTally, type Reply } from './live-desk.ts'
import { mostInARow, startDomain } from './live-domain.ts'
import { ATTACKER, distantSource, newMachine, OFFICE } from './people.ts'
import { playScene, type Stage } from './scene.ts'

const domain = await startDomain(t)
const { samba, proxy, backend } = domain
const { alice, bob, carol } = sambaPeople
const PHONE = '203.0.113.20'
const ROUNDS = 3

const CAMPAIGNS = [
  {
    threshold: 2,
    person: alice,
    spellings: ['alice', 'CORP\\alice', 'ALICE', 'alice.liddell@corp.example', 'a.liddell@mail.example'],
  },
  {
    threshold: 3,
    person: bob,
    spellings: ['bob', 'corp\\BOB', '\uff22ob', 'bob@alt.example', 'bob@corp.example'],
  },
  {
    threshold: 5,
    person: carol,
    spellings: ['carol', 'CORP\\Carol', 'carol@corp.example', 'CAROL@alt.example', 'ca\u200brol'],
  },
] as const

for (const { threshold, person, spellings } of CAMPAIGNS) {
  playScene(
    `a real domain that locks at ${threshold}: everything at once, an outage between`,
    async stage => {
      const { t, chance, sources } = stage
      await domain.setThreshold(threshold)
      const desk = await openLiveDesk(t, { backend })
      const owner = openLiveTally()
      await owner.count(desk.login(person.sam, person.password, { from: OFFICE }))
      const earlier = (await domain.bindsOf(person)).length
      const binds = async () => (await domain.bindsOf(person)).slice(earlier)

      /** From many places, under every name, in parallel, and a phone beside it that knows an old password. */
      const storm = () => {
        const guesses = Array.from({ length: 40 }, (_, index) => {
          const from = chance.happens(0.3) ? ATTACKER : distantSource(chance.below(sources))
          return desk.guess(spellings[index % spellings.length] ?? person.sam, { from })
        })
        const phone = Array.from({ length: 5 }, () =>
          desk.login(person.sam, 'that of last year', { from: PHONE }),
        )
        return Promise.all([...guesses, ...phone])
      }
      for (let round = 0; round < ROUNDS; round++) {
        tellAll(stage, await storm(), [401, 429])
        t.notOk(await domain.isLocked(person), `round ${round + 1}`)
      }
      const verified = (await binds()).length

      const counted = await domain.countOf(person)
      await proxy.refuse()
      proxy.cut('rst')
      tellAll(stage, await storm(), [429, 503])
      await proxy.accept()
      await untilUp(desk)
      t.equal(await domain.countOf(person), counted, 'an outage moves no counter there')
      t.equal((await binds()).length, verified)
      for (let round = 0; round < ROUNDS; round++) {
        await storm()
        // Who is familiar has a share of his own; where the domain bears one failure there are no shares.
        await owner.count(desk.login(person.sam, person.password, { from: OFFICE }))
        t.notOk(await domain.isLocked(person), `round ${round + 1} after the outage`)
      }

      if (threshold > 2) t.same(owner.told, [])
      // From a machine of hers as well: what is left of what the domain bears, and not one more.
      const stolen = Array.from({ length: 20 }, () => desk.guess(person.sam, { from: OFFICE }))
      tellAll(stage, await Promise.all(stolen), [401, 429])
      t.notOk(await domain.isLocked(person), 'not by a familiar machine either')
      const inARow = mostInARow(await binds())
      t.ok(verified > 0, `${verified} were verified before the outage`)
      await samba.accounts.unlock(person.dn)
      const unlocked = await desk.command('lockout', 'unlock', spellings[1])
      t.equal(unlocked.code, 0, unlocked.stderr)
      t.match(
        await desk.login(person.sam, person.password, { from: newMachine(1) }),
        { status: 200 },
        'unlocked there and here, she gets in from anywhere',
      )
      t.equal(await domain.countOf(person), 0)
      return {
        guesses: { verified: inARow, bound: threshold - 1, unit: 'in a row' },
        logins: owner.row(threshold > 2 ? 0 : 'no promise'),
      }
    },
  )
}

/** Until the daemon, which leaves alone for a while what does not answer, has found the domain again. */
async function untilUp(desk: LiveDesk): Promise<void> {
  const { nested } = sambaPeople
  const giveUp = performance.now() + 15_000
  while (performance.now() < giveUp) {
    if ((await desk.login(nested.sam, nested.password, { from: OFFICE })).status === 200) return
    await pause(50)
  }
  throw new Error('the domain is not found again')
}

function tellAll({ t }: Stage, replies: readonly Reply[], statuses: readonly number[]): void {
  const told = [...new Set(replies.map(({ status, code }) => `${status} ${code}`))].join(', ')
  t.ok(
    replies.every(({ status }) => statuses.includes(status)),
    told,
  )
}

playScene('an outage alone: nobody is charged for it, neither here nor there', async ({ t }) => {
  await domain.setThreshold(3)
  const { dave } = sambaPeople
  const desk = await openLiveDesk(t, { backend })
  const owner = openLiveTally()
  await owner.count(desk.login('dave', dave.password, { from: OFFICE }))
  const before = await domain.countOf(dave)
  await samba.stop('SIGKILL')
  for (let guess = 0; guess < 30; guess++) {
    t.equal((await desk.guess('dave', { from: guess % 2 === 0 ? ATTACKER : OFFICE })).status, 503)
  }
  t.match((await desk.command('lockout', 'list')).stdout, /^Nothing is locked/)
  await samba.start()
  t.equal(await domain.countOf(dave), before)
  await untilUp(desk)
  await owner.count(desk.login('dave', dave.password, { from: ATTACKER }))
  await owner.count(desk.login('dave', dave.password, { from: OFFICE }))
  const wrong = (await domain.bindsOf(dave)).filter(status => status !== 'OK').length
  return { guesses: { verified: wrong, bound: 0 }, logins: owner.row(0) }
})
