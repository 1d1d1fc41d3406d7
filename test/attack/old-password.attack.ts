/** An app that goes on with an old password, at a real domain, and beside it somebody who is unlocked by every name she has. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { sambaPeople } from '../support/samba-people.ts'
import { openLiveDesk, openLiveTally } from './live-desk.ts'
import { startDomain } from './live-domain.ts'
import { newMachine, OFFICE } from './people.ts'
import { playScene } from './scene.ts'

const domain = await startDomain(t)
const { backend, samba } = domain
const { alice, dave, erin } = sambaPeople
/** More than a minute, after which nothing else would keep a second one away: the domain's window is 30. */
const LOOP_MS = 64_000
const PACE_MS = 1_500

t.jobs = 2

playScene(`a phone and an app loop with an old password for ${LOOP_MS / 1_000} s`, async ({ t }) => {
  const desk = await openLiveDesk(t, { backend })
  const owner = openLiveTally()
  await owner.count(desk.login('dave', dave.password, { from: OFFICE }))
  await owner.count(desk.login('erin', erin.password, { from: OFFICE }))
  // The one was right until now, the other never was: the domain does not count the last two.
  await samba.accounts.setPassword(dave.dn, 'a new secret 1')
  const earlier = (await domain.bindsOf(dave)).length
  const earlierOfErin = (await domain.bindsOf(erin)).length
  const begun = performance.now()
  while (performance.now() - begun < LOOP_MS) {
    await Promise.all([
      desk.login('dave', dave.password, { app: 'old app' }),
      desk.login('CORP\\dave', dave.password, { app: 'old app' }),
      desk.login('erin', 'that of last year', { from: '203.0.113.20' }),
    ])
    await pause(PACE_MS)
  }
  const ofDave = (await domain.bindsOf(dave)).slice(earlier)
  const ofErin = (await domain.bindsOf(erin)).slice(earlierOfErin)
  for (const person of [dave, erin]) t.notOk(await domain.isLocked(person), person.sam)
  await owner.count(desk.login('dave', 'a new secret 1', { from: OFFICE }))
  await owner.count(desk.login('erin', erin.password, { from: OFFICE }))
  const guesses = (binds: readonly string[]) => ({ verified: binds.length, bound: 1, unit: 'the same one' })
  return [
    { of: 'that was right until now', guesses: guesses(ofDave), logins: owner.row(0) },
    { of: 'that never was', guesses: guesses(ofErin) },
  ]
})

playScene('unlocked by every name of hers, at the command line', async ({ t }) => {
  // Of its own: the domain must bear more than this desk does.
  const desk = await openLiveDesk(t, {
    backend: { ...backend, lockout_shield: { threshold: 3 } },
    config: { lockout: { max_attempts: 1 } },
  })
  const owner = openLiveTally()
  const names = [
    'alice',
    'CORP\\alice',
    'alice.liddell@corp.example',
    'a.liddell@mail.example',
    'ALICE@alt.example',
  ]
  let machines = 0
  for (const name of names) {
    const from = newMachine(machines++)
    // By another name than she is unlocked by.
    const guessed = names[machines % names.length] ?? 'alice'
    t.equal((await desk.guess(guessed, { from })).status, 401)
    t.match(await desk.login('alice', alice.password, { from }), { status: 429, code: 'locked_out' })
    t.match(await desk.login(name, alice.password, { from }), { status: 429, code: 'locked_out' })
    const shown = await desk.command('lockout', 'show', name, '--from', from)
    t.match(shown.stdout, /LOCKED/, name)
    const unlocked = await desk.command('lockout', 'unlock', name)
    t.match(unlocked, { code: 0, stdout: /^Unlocked/ }, unlocked.stderr)
    await samba.accounts.unlock(alice.dn)
    await owner.count(desk.login('alice', alice.password, { from }))
    await owner.count(desk.login(guessed, alice.password, { from }))
  }
  t.same(owner.told, [])
  t.match((await desk.command('lockout', 'list')).stdout, /^Nothing is locked/)
  const wrong = (await domain.bindsOf(alice)).filter(status => status !== 'OK').length
  return { guesses: { verified: wrong, bound: names.length }, logins: owner.row(0) }
})
