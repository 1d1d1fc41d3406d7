/** What no other suite asks for, at a real Active Directory domain, which locks people out of Windows (lockout.md, AD shield). */
import t from 'tap'
import { startDomain } from '../attack/live-domain.ts'
import { sambaPeople } from '../support/samba-people.ts'
import { openHouse, type Reply } from './house.ts'
import { countsOf, ELSEWHERE, HERE, LOCKED, place, told, WRONG } from './lockout-house.ts'
import { conforms } from './suite.ts'

const domain = await startDomain(t)
const { alice, carol, disabled, locked } = sambaPeople
const NO_SOURCE_LIMIT = {
  source: { max_attempts: 10_000, accounts: 10_000 },
  subnet: { max_attempts: 10_000 },
}

conforms('X06', async t => {
  const house = await openHouse(t, { backends: [domain.backend] })
  t.same((await house.guess(locked.sam, 12)).map(told), Array(12).fill(WRONG))
  t.equal(told(await house.login(locked.sam, locked.password)), WRONG, 'nor is the right one told apart')
  t.match(house.attempts().at(-1)?.fields, { verdict: 'account_state', reason: 'locked' })
  t.match(await countsOf(house, locked.sam), { pair: 0, unfamiliar: 0, source: 13 })
  const binds = await domain.bindsOf(locked)
  t.ok(binds.length <= 1, `${binds.length} binds`)
})

/** Everything an app could tell replies by, but the request's own id and the time. */
function seen({ status, headers, text, body }: Reply) {
  const { date: _, 'x-request-id': id, ...others } = headers
  return { status, headers: others, text: text.replaceAll(String(body.request_id ?? id), 'ID') }
}

conforms('X14', async t => {
  // So that none of these is told to wait for the domain's sake.
  await domain.setThreshold(12)
  const house = await openHouse(t, { backends: [domain.backend] })
  for (const app of ['login form', 'outsider'] as const) {
    const wrong = seen(await house.login('bob', `wrong from ${app}`, { app, from: place(0) }))
    t.match(wrong, { status: 401 })
    for (const [n, [name, password]] of [
      ['nobody-at-all', 'wrong'],
      ['nobody-at-all@corp.example', 'wrong'],
      [locked.sam, 'wrong'],
      [locked.sam, locked.password],
      [disabled.sam, 'wrong'],
      [sambaPeople.expired.sam, 'wrong'],
      [sambaPeople.mustChange.sam, 'wrong'],
    ].entries()) {
      const reply = await house.login(name, password, { app, from: place(n + 1) })
      t.strictSame(seen(reply), wrong, `${app}: ${name} ${password}`)
    }
  }
  const reasons = new Set(house.attempts().map(({ fields }) => fields.reason))
  t.ok(reasons.has('locked') && reasons.has('credentials'), 'the log knows better')
})

conforms('X17', async t => {
  // It bears more than the lock of a pair.
  await domain.setThreshold(12)
  const house = await openHouse(t, { backends: [domain.backend] })
  const names = [
    'alice',
    'CORP\\alice',
    'alice.liddell@corp.example',
    'a.liddell@mail.example',
    'ALICE@alt.example',
  ]
  for (const name of names) t.same((await house.guess(name, 1)).map(told), [WRONG], name)
  for (const name of [...names, 'corp\\ALICE', ' Alice ']) {
    t.equal(told(await house.login(name, alice.password)), LOCKED, name)
  }
  t.equal((await domain.bindsOf(alice)).length, 5)
  t.equal(told(await house.login('CORP\\alice', alice.password, { from: ELSEWHERE })), '200')
})

conforms('X18', async t => {
  await domain.setThreshold(3)
  const house = await openHouse(t, { backends: [domain.backend], lockout: NO_SOURCE_LIMIT })
  const owner = () => house.login('carol', carol.password, { from: ELSEWHERE })
  t.equal(told(await owner()), '200')
  const before = (await domain.bindsOf(carol)).length
  for (let i = 0; i < 100; i++) t.equal(told(await house.login('carol', 'that of last year')), WRONG)
  const binds = (await domain.bindsOf(carol)).slice(before)
  t.ok(binds.length <= 1, `${binds.length} binds`)
  t.match(await countsOf(house, 'carol', HERE), { pair: 1, unfamiliar: 1, source: 100 })
  t.notOk(await domain.isLocked(carol))
  t.equal(told(await owner()), '200', 'whose phone goes on with an old password')
})
