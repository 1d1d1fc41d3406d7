/** The trail as the daemon has it; its writer is scripted here, because no disk hangs and no thread dies when asked to. */
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { AttemptEvent } from '../../../src/authentication/attempt-event.ts'
import { systemClock } from '../../../src/authentication/clock.ts'
import { createUserHash } from '../../../src/authentication/user-hash.ts'
import { describeAttempt, describeNote, type NamePolicy } from '../../../src/observe/audit/describe.ts'
import { type AuditTrailParts, createAuditTrail } from '../../../src/observe/audit/trail.ts'
import type { Batch } from '../../../src/observe/audit/worker-messages.ts'
import type { WriterEvents } from '../../../src/observe/audit/writer.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'

const EVENT: AttemptEvent = {
  requestId: 'r1',
  caller: 'wiki',
  address: '192.0.2.7',
  username: 'alice',
  subject: 'corp:1',
  verdict: 'accepted',
  steps: [{ backend: 'corp', outcome: 'accept', durationMs: 1.23456, detail: 'at dc1.corp.example' }],
  durationMs: 2.34567,
  shared: false,
  locked: false,
}
const attempt = (requestId: string, rest: Partial<AttemptEvent> = {}) => ({ ...EVENT, requestId, ...rest })
const hashUser = createUserHash(new Uint8Array(32))

/** A trail whose disk is the test: `batches` are what came, and the test answers. */
function openTrail(t: Test, rest: Partial<AuditTrailParts> = {}) {
  const log = createLogRecorder()
  const batches: Batch[] = []
  const threads: WriterEvents[] = []
  let seq = 0
  let closed = 0
  const trail = createAuditTrail({
    startWriter(events) {
      threads.push(events)
      return { write: batch => void batches.push(batch), close: async () => void closed++ }
    },
    onFailure: 'deny',
    describe: event => describeAttempt(event, 'known', hashUser),
    describeNote: note => note,
    clock: systemClock,
    log,
    limits: { waitMs: 100 },
    ...rest,
  })
  const thread = () => threads.at(-1) as WriterEvents
  const last = () => batches.at(-1) as Batch
  t.teardown(() => trail.close())
  return {
    trail,
    log,
    batches,
    threads,
    closed: () => closed,
    written() {
      seq += last().entries.length
      thread().onAnswer({ id: last().id, written: true, head: { seq, hash: 'ab'.repeat(32) } })
    },
    failed: (reason = 'the disk is full') => thread().onAnswer({ id: last().id, written: false, reason }),
    died: () => thread().onEnd('the thread died'),
    /** The ids of what the last batch writes. */
    ids: () => last().entries.map(({ body }) => JSON.parse(body).request_id),
    bodies: () => last().entries.map(({ body }) => JSON.parse(body)),
    async another(than: number) {
      for (const until = performance.now() + 5_000; batches.length === than && performance.now() < until; ) {
        await pause(5)
      }
    },
  }
}

/** Whether it has been settled by now. */
async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  return (await Promise.race([promise, nextTurn(pending)])) === pending
}

t.test('nobody is told before the row is on disk, and what comes meanwhile goes together', async t => {
  const { trail, batches, written, ids } = openTrail(t)
  const first = trail.record(attempt('a'))
  const rest = ['b', 'c', 'd'].map(id => trail.record(attempt(id)))
  t.equal(batches.length, 1)
  t.same(ids(), ['a'])
  t.ok(await isOpen(first))
  written()
  t.equal(await first, true)
  t.same(ids(), ['b', 'c', 'd'], 'one batch')
  t.ok(await isOpen(Promise.race(rest)))
  written()
  t.same(await Promise.all(rest), [true, true, true])
  t.match(trail.report(), { waiting: 0, failed: 0, lost: 0 })
})

t.test('a batch waits a moment for as many rows as came before, and at the end for nothing', async t => {
  // The clock stands still, however slow the machine is.
  const clock = { ...systemClock, now: () => 1_000 }
  const { trail, batches, written, ids, another } = openTrail(t, { clock })
  const record = (...requests: string[]) => requests.map(id => trail.record(attempt(id)))
  const first = record('a')
  const crowd = record('b', 'c', 'd', 'e')
  written()
  written()
  await Promise.all([...first, ...crowd])
  const fewer = record('f', 'g')
  t.equal(batches.length, 2, 'not yet')
  await another(2)
  t.same(ids(), ['f', 'g'])
  written()
  await Promise.all(fewer)
  const asMany = record('h', 'i', 'j')
  t.equal(batches.length, 4, 'nearly as many as there were in the largest of late')
  t.same(ids(), ['h', 'i', 'j'])
  written()
  await Promise.all(asMany)
  const last = record('k')
  t.equal(batches.length, 4)
  const closing = trail.close()
  t.same(ids(), ['k'])
  written()
  await closing
  t.same(await Promise.all(last), [true])
})

t.test('who is alone waits for nobody', async t => {
  const { trail, written, ids } = openTrail(t)
  for (const id of ['a', 'b', 'c']) {
    const row = trail.record(attempt(id))
    t.same(ids(), [id])
    written()
    t.equal(await row, true)
  }
})

t.test(
  'deny: who waits when it fails gets no verdict, and a row that was on its way is corrected',
  async t => {
    const { trail, log, batches, written, failed, ids, bodies, another } = openTrail(t)
    const made = ['a', 'b'].map(id => trail.record(attempt(id)))
    failed()
    t.same(await Promise.all(made), [false, false])
    t.equal(trail.admits(), false)
    t.match(trail.health(), { ok: false, reason: 'the disk is full' })
    t.equal(await trail.record(attempt('c')), false, 'from now on at once')
    t.equal(await trail.record(attempt('d', { verdict: 'unavailable' })), false)
    await another(1)
    t.match(batches.at(-1), { again: true, entries: batches[0]?.entries }, 'the same is tried again')
    written()
    t.equal(trail.admits(), true)
    t.match(bodies(), [
      { request_id: 'b', verdict: 'accepted', withheld: true },
      { request_id: 'c', withheld: true },
      { request_id: 'd', verdict: 'unavailable', withheld: undefined },
      { event: 'audit_withheld', request_id: 'a' },
    ])
    written()
    t.equal(batches.length, 3, 'and no correction of a correction')
    const next = trail.record(attempt('e'))
    await another(3)
    t.same(ids(), ['e'])
    written()
    t.equal(await next, true)
    t.match(log.at('error'), [
      { fields: { event: 'audit_broken', on_failure: 'deny', reason: 'the disk is full' } },
    ])
    t.match(log.at('warn'), [{ fields: { event: 'audit_restored', failed: 4, lost: 0 } }])
  },
)

t.test('allow_and_alarm: the verdict stands, the alarm is the same, and the row comes later', async t => {
  const { trail, log, written, failed, bodies, another } = openTrail(t, { onFailure: 'allow_and_alarm' })
  const made = trail.record(attempt('a'))
  failed()
  t.equal(await made, true)
  t.equal(trail.admits(), true)
  t.equal(trail.health().ok, false)
  t.equal(await trail.record(attempt('b')), true)
  await another(1)
  written()
  t.match(bodies(), [{ request_id: 'b', withheld: undefined }])
  t.equal(bodies().length, 1, 'there is nothing to correct')
  t.equal(log.at('error').length, 1)
})

t.test('a disk that hangs costs a bounded time, and what it wrote late is corrected', async t => {
  const { trail, batches, written, bodies } = openTrail(t)
  const started = performance.now()
  t.equal(await trail.record(attempt('a')), false)
  const took = performance.now() - started
  t.ok(took >= 95 && took < 2_000, `${took} ms`)
  t.match(trail.health(), { ok: false, reason: 'nothing was written within 100 ms' })
  t.equal(await trail.record(attempt('b')), false)
  t.equal(batches.length, 1, 'nothing more is sent there meanwhile')
  written()
  t.match(bodies(), [
    { request_id: 'b', withheld: true },
    { event: 'audit_withheld', request_id: 'a' },
  ])
  t.equal(trail.health().ok, true)
})

t.test('a thread that dies is replaced, and its batch is tried again as one that may be written', async t => {
  const { trail, threads, batches, written, died, another } = openTrail(t)
  const made = trail.record(attempt('a'))
  died()
  t.equal(await made, false)
  await another(1)
  t.equal(threads.length, 2)
  t.match(batches.at(-1), { again: true, entries: [{ body: /"request_id":"a"/ }] })
  written()
  t.equal(trail.health().ok, true)
  written()
  died()
  t.equal(trail.health().ok, true, 'one that had nothing to do is no outage')
  const next = trail.record(attempt('b'))
  t.equal(threads.length, 3)
  written()
  t.equal(await next, true)
})

t.test('a thread that cannot be started is an outage like any other', async t => {
  const startWriter = () => {
    throw new Error('no memory')
  }
  const { trail } = openTrail(t, { startWriter })
  t.equal(await trail.record(attempt('a')), false)
  t.match(trail.health(), { ok: false, reason: /no thread could be started .*no memory/ })
})

t.test('only so many rows wait: what is beyond them is counted, and the trail says so', async t => {
  const { trail, written, bodies } = openTrail(t, { limits: { mostWaiting: 3, waitMs: 500 } })
  const made = ['a', 'b', 'c'].map(id => trail.record(attempt(id)))
  t.equal(await trail.record(attempt('d')), false)
  t.same(await Promise.all(made), [false, false, false], 'and nobody waits on')
  t.equal(await trail.record(attempt('e')), false)
  t.match(trail.report(), { waiting: 3, failed: 5, lost: 2 })
  written()
  t.match(bodies().at(-1), { event: 'audit_gap', lost: 2, from: /Z$/, to: /Z$/ })
})

t.test('an alarm is bounded: outages that come and go are no line each', async t => {
  const { trail, log, written, failed, another, batches } = openTrail(t)
  for (let round = 0; round < 5; round++) {
    const made = trail.record(attempt(`r${round}`))
    failed()
    t.equal(await made, false)
    await another(batches.length)
    written()
    if (trail.report().waiting > 0) written()
  }
  t.equal(log.at('error').length, 1)
  t.equal(log.at('warn').length, 1)
  t.equal(trail.report().failed, 5, 'though each is counted')
})

t.test('it begins by opening the file, and is over when all is written', async t => {
  const { trail, log, batches, written, closed } = openTrail(t)
  const begun = trail.begin()
  t.match(batches, [{ entries: [] }])
  written()
  await begun
  t.match(log.at('info'), [{ fields: { event: 'audit_head', head: /^0:/ } }])
  void trail.note({ event: 'sys_shutdown' })
  const closing = trail.close()
  t.ok(await isOpen(closing))
  t.equal(closed(), 0)
  written()
  await closing
  t.equal(closed(), 1)
  t.match(log.at('info').at(-1), { fields: { head: /^1:/ } }, 'the last head goes to the log')
  t.equal(await trail.record(attempt('late')), false, 'afterwards nothing is answered')
})

t.test('it begins broken where the file cannot be opened, or takes too long', async t => {
  const broken = openTrail(t)
  const begun = broken.trail.begin()
  broken.failed('is no database')
  await begun
  t.match(broken.trail.health(), { ok: false, reason: 'is no database' })
  const slow = openTrail(t)
  await slow.trail.begin()
  t.match(slow.trail.health(), { ok: false, reason: /could not be opened within/ })
  slow.written()
  t.equal(slow.trail.health().ok, true)
})

t.test('at the end what cannot be written is told', async t => {
  const { trail, log, failed } = openTrail(t)
  const made = trail.record(attempt('a'))
  failed()
  await made
  await trail.close()
  t.match(log.at('error').at(-1), { fields: { waiting: 1, reason: 'the disk is full' } })
})

t.test('a name is written as the policy says, and never what a backend said in detail', async t => {
  const known = attempt('a')
  const unknown = attempt('b', { subject: undefined as never, username: 'my password', verdict: 'rejected' })
  const user_hash = hashUser('alice')
  const of = (event: AttemptEvent, names: NamePolicy) => describeAttempt(event, names, hashUser)
  t.match(of(known, 'known'), { event: 'authn_login_success', user: 'alice', user_hash, subject: 'corp:1' })
  t.match(of(known, 'hash'), { user: undefined, user_hash, subject: 'corp:1' })
  t.match(of(known, 'plain'), { user: 'alice', user_hash })
  t.match(of(unknown, 'known'), { user: undefined, user_hash: hashUser('my password') })
  t.match(of(unknown, 'plain'), { user: 'my password' })
  const { username: _none, ...nameless } = known
  t.match(of(nameless, 'plain'), { user: undefined, user_hash: undefined })
  t.same(of(known, 'known').steps, [{ backend: 'corp', outcome: 'accept', ms: 1.23 }])
  const note = {
    event: 'authn_login_unlock',
    asked: { user: 'alice', user_hash },
    locks: [{ user: 'alice' }],
  }
  t.same(describeNote(note, 'known'), note)
  t.same(describeNote(note, 'hash'), { event: 'authn_login_unlock', asked: { user_hash }, locks: [{}] })
})
