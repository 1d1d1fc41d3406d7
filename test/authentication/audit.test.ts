/** No verdict without its row: what the core does with the answers of an audit trail. */
import t from 'tap'
import type { AttemptEvent } from '../../src/authentication/attempt-event.ts'
import type { Audit, AuditNote } from '../../src/authentication/audit.ts'
import { createAuthenticate } from '../../src/authentication/authenticate.ts'
import { createChain } from '../../src/authentication/chain.ts'
import { systemClock } from '../../src/authentication/clock.ts'
import { createLockDesk } from '../../src/authentication/lock-desk.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createUserHash } from '../../src/authentication/user-hash.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import type { AuthenticationRequest } from '../../src/authentication/verdict.ts'
import { setUpLockoutAt } from '../support/lockout.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { backend, link, user, verifies } from './backends.ts'

/** A trail that a test tells what to answer. */
function scriptedAudit() {
  const script = { admits: true, stands: true, hold: Promise.resolve() }
  const rows: AttemptEvent[] = []
  const notes: AuditNote[] = []
  const audit: Audit = {
    admits: () => script.admits,
    async record(event) {
      rows.push(event)
      await script.hold
      return script.stands
    },
    async note(fields) {
      notes.push(fields)
      return script.stands
    },
  }
  return { audit, script, rows, notes }
}

function desk() {
  const scripted = scriptedAudit()
  const events: AttemptEvent[] = []
  const normalise = createUsernameNormaliser([])
  const { lockout } = setUpLockoutAt(systemClock)
  const only = backend('corp', attempt =>
    attempt.password.reveal() === 'right'
      ? verifies('1', { outcome: 'accept', user: user('1') })(attempt)
      : verifies('1', { outcome: 'wrong_password', subject: '1' })(attempt),
  )
  const authenticate = createAuthenticate({
    chain: createChain([link(only)], 5_000, systemClock),
    lockout,
    normalise,
    clock: systemClock,
    log: createLogRecorder(),
    audit: scripted.audit,
    onAttempt: event => void events.push(event),
  })
  const unlocks: number[] = []
  const lockDesk = createLockDesk({
    desk: lockout.desk,
    inspect: lockout.inspect,
    normalise,
    findSubjects: async () => ({ subjects: ['corp:1'], silent: [] }),
    hashUser: createUserHash(new Uint8Array(32)),
    clock: systemClock,
    log: createLogRecorder(),
    audit: scripted.audit,
    onUnlock: ended => void unlocks.push(ended),
  })
  let asked = 0
  const ask = (password: string, rest: Partial<AuthenticationRequest> = {}) =>
    authenticate({
      requestId: `r${++asked}`,
      caller: { id: 'wiki', requiredGroups: [] },
      username: 'alice',
      password: new Secret(password),
      address: '192.0.2.7',
      ...rest,
    })
  return { ...scripted, ask, events, only, lockDesk, unlocks }
}

t.test('a verdict is answered once its row is written, and the log is told after it', async t => {
  const { ask, script, rows, events } = desk()
  const { promise, resolve } = Promise.withResolvers<void>()
  script.hold = promise
  let answered = false
  const verdict = ask('right').then(verdict => {
    answered = true
    return verdict
  })
  while (rows.length === 0) await new Promise(resolve => setImmediate(resolve))
  await new Promise(resolve => setTimeout(resolve, 20))
  t.notOk(answered)
  t.equal(events.length, 0)
  resolve()
  t.match(await verdict, { verdict: 'accepted' })
  t.match(rows, [{ requestId: 'r1', verdict: 'accepted', subject: 'corp:1' }])
  t.match(events, rows)
})

t.test('every attempt has its row: wrong, invalid, locked out, shared with another, explained', async t => {
  const { ask, rows } = desk()
  const seen: AttemptEvent[] = []
  await Promise.all([ask('right'), ask('right')])
  await ask('right', { explain: event => void seen.push(event) })
  await ask('')
  for (let guess = 1; guess <= 5; guess++) await ask(`wrong ${guess}`)
  await ask('right')
  const verdicts = rows.map(({ verdict }) => verdict)
  t.same(verdicts.toSorted(), [
    ...Array(3).fill('accepted'),
    'invalid',
    'locked_out',
    ...Array(5).fill('rejected'),
  ])
  t.equal(rows.filter(({ shared }) => shared).length, 1)
  t.equal(new Set(rows.map(({ requestId }) => requestId)).size, 10)
  t.match(seen, [{ requestId: 'r3', verdict: 'accepted' }])
})

t.test('what cannot be written down is answered as an outage, right or wrong, and told as one', async t => {
  const { ask, script, rows, events } = desk()
  script.stands = false
  for (const password of ['right', 'wrong']) {
    t.same(await ask(password), { verdict: 'unavailable', retryAfterMs: 5_000 })
  }
  t.match(rows, [{ verdict: 'accepted' }, { verdict: 'rejected' }], 'the row is what it would have been')
  for (const event of events) {
    t.match(event, { verdict: 'unavailable', reason: 'the audit trail cannot be written' })
  }
  script.stands = true
  t.match(await ask('right'), { verdict: 'accepted' })
})

t.test('while nothing can be written down no password is tried, and nobody is charged', async t => {
  const { ask, script, rows, only } = desk()
  script.admits = false
  script.stands = false
  for (let guess = 1; guess <= 20; guess++) t.match(await ask(`wrong ${guess}`), { verdict: 'unavailable' })
  t.equal(only.asked, 0)
  t.match(rows[0], { verdict: 'unavailable', reason: 'the audit trail cannot be written' })
  script.admits = true
  script.stands = true
  t.match(await ask('right'), { verdict: 'accepted' })
})

t.test(
  'an unlock has its row, is not done where that cannot be, and is an outage where it was not',
  async t => {
    const { ask, lockDesk, script, notes, unlocks } = desk()
    for (let guess = 1; guess <= 5; guess++) await ask(`wrong ${guess}`)
    script.admits = false
    await t.rejects(lockDesk.unlock({ requestId: 'u1', user: 'alice' }), { name: 'UnavailableError' })
    t.same([notes, unlocks], [[], []])
    t.match(await ask('right'), { verdict: 'unavailable' })
    script.admits = true
    t.match(await ask('right'), { verdict: 'locked_out' })
    t.match(await lockDesk.unlock({ requestId: 'u2', user: 'alice', operator: 'root' }), { ok: true })
    t.match(notes, [
      { event: 'authn_login_unlock', request_id: 'u2', operator_claimed: 'root', asked: { user: 'alice' } },
    ])
    t.ok(Number(notes[0]?.ended) > 0)
    t.match(await ask('right'), { verdict: 'accepted' })
    script.stands = false
    await t.rejects(lockDesk.unlock({ requestId: 'u3', user: 'alice' }), { name: 'UnavailableError' })
    t.equal(notes.length, 2)
  },
)
