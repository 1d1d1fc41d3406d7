import t from 'tap'
import type { FoundSubjects } from '../../src/authentication/find-subjects.ts'
import { createLockDesk, type LockDeskParts } from '../../src/authentication/lock-desk.ts'
import type { LockEntry, UnlockRequest } from '../../src/authentication/lockout.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import { createUserHash } from '../../src/authentication/user-hash.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { createAttemptLog } from '../../src/observe/attempt-log.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { LOCKOUT_SETTINGS, setUpLockout } from '../support/lockout.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

const secret = new Uint8Array(32).fill(7)
const LOCKED_MS = LOCKOUT_SETTINGS.durationMs
const HERE = '192.0.2.7'
const THERE = '2001:db8:0:0:0:0:0:1'
const people: Record<string, string[]> = {
  'alice@corp.example': ['corp:1'],
  'alice@mail.example': ['corp:1'],
  bob: ['corp:2', 'local:2'],
}

function openDesk(rest: Partial<LockDeskParts> & { silent?: FoundSubjects['silent'] } = {}) {
  const { silent = [], ...parts } = rest
  const { lockout } = setUpLockout({ settings: { maxAttempts: 3 } })
  const log = createLogRecorder()
  const clock = createFakeClock()
  const unlocks: number[] = []
  const lockDesk = createLockDesk({
    desk: lockout.desk,
    inspect: lockout.inspect,
    normalise: createUsernameNormaliser([{ netbios: 'CORP', suffixes: ['corp.example'] }]),
    findSubjects: async ({ text }) => ({ subjects: people[text] ?? [], silent }),
    hashUser: createUserHash(secret),
    clock,
    log,
    onUnlock: ended => void unlocks.push(ended),
    ...parts,
  })
  async function fail(name: string, address = HERE, subjects = people[name] ?? [], times = 3): Promise<void> {
    for (let i = 0; i < times; i++) {
      const reservation = await lockout.reserve({ name, address, caller: 'wiki' })
      if (!reservation.admitted) return
      await reservation.lease.commit({ name: true, subjects, source: true })
    }
  }
  const isLocked = async (name: string, address = HERE) =>
    !(await lockout.reserve({ name, address, caller: 'wiki' })).admitted
  return { lockDesk, fail, isLocked, log, clock, unlocks }
}

/** Hands out these entries, and notes what it was asked to unlock. */
function scripted(entries: readonly LockEntry[]) {
  const requests: UnlockRequest[] = []
  const most: number[] = []
  const desk: LockDeskParts['desk'] = {
    async list(wanted) {
      most.push(wanted)
      return entries.slice(0, wanted)
    },
    async unlock(request) {
      requests.push(request)
      return entries
    },
  }
  return { ...openDesk({ desk }), requests, most }
}

t.test('a lock is listed with whom, from where, through which app, and until when', async t => {
  const { lockDesk, fail, clock } = openDesk()
  t.strictSame(await lockDesk.list(10), { locks: [], more: false })
  await fail('alice@corp.example')
  const { locks, more } = await lockDesk.list(10)
  const common = {
    kind: 'pair',
    userHash: createUserHash(secret)('alice@corp.example'),
    address: HERE,
    caller: 'wiki',
    tier: 1,
    forMs: LOCKED_MS,
    until: clock.wall() + LOCKED_MS,
    user: 'alice@corp.example',
  }
  const lock = { ...common, subject: 'corp:1' }
  t.strictSame(locks, [lock, lock], 'the name and the person')
  t.notOk(more)
})

t.test('a name that is nobody’s is shown as the hash that the log of attempts has', async t => {
  const { lockDesk, fail } = openDesk()
  await fail('canary password')
  const shown = await lockDesk.list(10)
  t.notMatch(JSON.stringify(shown), 'canary')
  const attempts = createLogRecorder()
  createAttemptLog(
    attempts,
    secret,
  )({
    requestId: 'r',
    caller: 'wiki',
    address: HERE,
    username: 'canary password',
    verdict: 'rejected',
    steps: [],
    durationMs: 1,
    shared: false,
    locked: true,
  })
  t.match(shown.locks, [{ userHash: attempts.lines[0]?.fields.user_hash }])
})

t.test(
  'a name that another lock tells to be somebody’s is shown, also where who came by last was not looked up',
  async t => {
    const common = { kind: 'pair', lockedForMs: LOCKED_MS, tier: 1 } as const
    const note = { name: 'alice', address: HERE, caller: 'wiki' }
    const { lockDesk } = scripted([
      { ...common, note },
      { ...common, note: { ...note, name: 'sesame' } },
      { ...common, note: { ...note, subject: 'corp:1' } },
    ])
    const { locks } = await lockDesk.list(2)
    t.strictSame(
      locks.map(({ user }) => user),
      ['alice', undefined],
    )
  },
)

t.test('more locks than were asked for are said to be there, and what is not known is left out', async t => {
  const entry: LockEntry = { kind: 'unfamiliar', lockedForMs: 1_500, tier: 2 }
  const { lockDesk, clock, most } = scripted([entry, { ...entry, watched: true }])
  const until = clock.wall() + 1_500
  const lock = { kind: 'unfamiliar', tier: 2, forMs: 1_500, until }
  t.strictSame(await lockDesk.list(1), { locks: [lock], more: true })
  t.strictSame(await lockDesk.list(2), { locks: [lock, { ...lock, watched: true }], more: false })
  t.strictSame(most, [2, 3])
})

t.test('a user is shown by any name, with the locks from everywhere', async t => {
  const { lockDesk, fail } = openDesk()
  await fail('alice@corp.example')
  await fail('alice@corp.example', THERE)
  await fail('bob')
  for (const user of ['CORP\\Alice', 'ALICE@corp.example', 'alice@mail.example']) {
    const seen = await lockDesk.show({ user })
    if (!seen.ok) throw new Error(seen.problem)
    t.strictSame(seen.person?.subjects, ['corp:1'], user)
    t.ok(seen.locks.length >= 2 && seen.locks.every(({ subject }) => subject !== 'corp:2'), user)
    t.strictSame(new Set(seen.locks.map(({ address }) => address)), new Set([HERE, THERE]), user)
    t.notOk(seen.standings, 'most counts are one per source')
  }
})

t.test('with an address there is where the user stands from there', async t => {
  const { lockDesk, fail } = openDesk()
  await fail('alice@corp.example', THERE)
  await fail('alice@corp.example', HERE, ['corp:1'], 2)
  const seen = await lockDesk.show({ user: 'corp\\alice', address: HERE })
  t.match(seen, {
    person: { name: 'alice@corp.example' },
    standings: {
      name: [{ kind: 'pair', failures: 2, limit: 3 }],
      source: [{ kind: 'source', failures: 2 }],
      subjects: [{ subject: 'corp:1', kind: 'pair', failures: 2, limit: 3 }],
    },
    locks: [],
  })
  t.match(await lockDesk.show({ address: THERE }), {
    standings: { name: [], source: [{ kind: 'source', failures: 3 }], subjects: [] },
    locks: [{ address: THERE }, { address: THERE }],
  })
})

t.test('a locked source is shown to whoever asks about the address, or about who came by last', async t => {
  const note = { name: 'bob', subject: 'local:2', address: HERE, caller: 'wiki' }
  const { lockDesk } = scripted([
    { kind: 'source', lockedForMs: 1, tier: 1, note },
    { kind: 'directory', lockedForMs: 1, tier: 1, note: { ...note, address: THERE } },
    { kind: 'pair', lockedForMs: 1, tier: 1, note: { ...note, address: THERE } },
    { kind: 'pair', lockedForMs: 1, tier: 1 },
  ])
  const kinds = async (request: Parameters<typeof lockDesk.show>[0]) => {
    const seen = await lockDesk.show(request)
    return seen.ok && seen.locks.map(({ kind }) => kind)
  }
  t.strictSame(await kinds({ user: 'alice@corp.example' }), [])
  t.strictSame(await kinds({ user: 'alice@corp.example', address: HERE }), ['source'])
  t.strictSame(await kinds({ user: 'bob' }), ['source', 'directory', 'pair'])
  t.strictSame(await kinds({ user: 'bob', address: HERE }), ['source', 'directory'])
  t.strictSame(await kinds({ address: HERE }), ['source'])
})

t.test('every name of an account unlocks it, and nobody else', async t => {
  for (const user of ['CORP\\alice', 'Alice@CORP.example', 'alice@mail.example']) {
    const { lockDesk, fail, unlocks, isLocked } = openDesk()
    await fail('alice@corp.example', HERE)
    await fail('alice@mail.example', THERE)
    await fail('bob')
    const answer = await lockDesk.unlock({ requestId: 'r', user })
    t.match(answer, { ok: true, person: { subjects: ['corp:1'] } }, user)
    const { locks } = await lockDesk.list(10)
    t.notOk(
      locks.some(({ subject }) => subject === 'corp:1'),
      user,
    )
    t.ok(await isLocked('bob'), user)
    t.equal(unlocks.length, 1)
  }
})

t.test('from one address an account is unlocked by another of its names, too', async t => {
  for (const order of [{ user: 'alice@mail.example' }, { subject: 'corp:1' }]) {
    const { lockDesk, fail, isLocked } = openDesk()
    await fail('alice@corp.example', HERE)
    await fail('alice@corp.example', THERE)
    await lockDesk.unlock({ requestId: 'r', ...order, address: HERE })
    t.notOk(await isLocked('alice@corp.example', HERE))
    t.ok(await isLocked('alice@corp.example', THERE), 'and from nowhere else')
  }
})

t.test('what is asked of the lockout: names, subjects and addresses', async t => {
  const { lockDesk, requests } = scripted([])
  const requestId = 'r'
  await lockDesk.unlock({ requestId, user: 'bob' })
  await lockDesk.unlock({ requestId, user: 'bob', address: HERE })
  await lockDesk.unlock({ requestId, user: 'bob', subject: 'local:2' })
  await lockDesk.unlock({ requestId, subject: 'old:9' })
  await lockDesk.unlock({ requestId, subject: 'old:9', address: HERE })
  await lockDesk.unlock({ requestId, address: HERE })
  t.strictSame(requests, [
    { names: ['bob'], subjects: ['corp:2', 'local:2'] },
    { names: ['bob'], subjects: ['corp:2', 'local:2'], address: HERE },
    { names: ['bob'], subjects: ['corp:2', 'local:2'] },
    { names: [], subjects: ['old:9'] },
    { names: [], subjects: ['old:9'], address: HERE },
    { address: HERE },
  ])
  await t.rejects(lockDesk.unlock({ requestId }), TypeError)
  await t.rejects(lockDesk.show({}), TypeError)
  t.equal(requests.length, 6)
})

t.test('a backend that is out does not stop an unlock, and is told', async t => {
  const silent = [{ backend: 'corp', reason: 'connect: refused' }]
  const { lockDesk, fail, isLocked, log } = openDesk({
    silent,
    findSubjects: async () => ({ subjects: [], silent }),
  })
  await fail('carol')
  t.match(await lockDesk.unlock({ requestId: 'r', user: 'Carol' }), {
    person: { name: 'carol', subjects: [], silent },
    ended: [{ kind: 'pair' }],
  })
  t.notOk(await isLocked('carol'))
  t.match(log.lines, [{ fields: { silent: ['corp'] } }])
})

t.test('each unlock is one audit event, also one that ends nothing', async t => {
  const { lockDesk, fail, log, unlocks } = openDesk()
  await fail('alice@corp.example')
  const order = { requestId: 'r-1', operator: 'olga', user: 'CORP\\alice', address: HERE }
  await lockDesk.unlock(order)
  await lockDesk.unlock({ ...order, requestId: 'r-2' })
  const user_hash = createUserHash(secret)('alice@corp.example')
  const fields = {
    event: 'authn_login_unlock',
    request_id: 'r-1',
    operator_claimed: 'olga',
    asked: { user_hash, user: 'alice@corp.example', source: HERE },
    subjects: ['corp:1'],
    ended: 2,
  }
  t.match(log.lines, [
    { level: 'info', message: 'unlocked by an operator', fields },
    {
      level: 'info',
      message: 'an operator unlocked what was not locked',
      fields: { ...fields, request_id: 'r-2', ended: 0, locks: [] },
    },
  ])
  t.strictSame(log.lines.length, 2)
  const who = { user_hash, user: 'alice@corp.example', subject: 'corp:1' }
  const pair = { kind: 'pair', ...who, source: HERE, client: 'wiki' }
  t.strictSame(log.lines[0]?.fields.locks, [pair, pair], 'the name and the person')
  t.strictSame(unlocks, [2, 0])
})

t.test('what a stranger typed is in no audit event, and an event stays short', async t => {
  const note = { name: 'canary password', address: HERE, caller: 'wiki' }
  const entry: LockEntry = { kind: 'pair', lockedForMs: 1, tier: 1, note }
  const { lockDesk, log } = scripted(Array(500).fill(entry))
  await lockDesk.unlock({ requestId: 'r', address: HERE })
  await lockDesk.unlock({ requestId: 'r', user: 'canary password' })
  t.notMatch(log.text(), 'canary')
  t.match(log.lines, [{ fields: { ended: 500 } }, { fields: { ended: 500 } }])
  t.match(log.lines[0]?.fields.locks, { length: 20 })
})

t.test('an unlock that fails is written down as one that failed', async t => {
  const out = async () => {
    throw new UnavailableError('redis: connection refused', 'lookup')
  }
  const { lockDesk, log, unlocks } = openDesk({ desk: { list: out, unlock: out } })
  await t.rejects(lockDesk.unlock({ requestId: 'r', subject: 'corp:1' }), UnavailableError)
  await t.rejects(lockDesk.list(1), UnavailableError)
  t.match(log.lines, [
    {
      level: 'warn',
      message: 'an unlock failed',
      fields: {
        event: 'authn_login_unlock',
        asked: { subject: 'corp:1' },
        reason: 'redis: connection refused',
      },
    },
  ])
  t.equal(log.lines.length, 1)
  t.strictSame(unlocks, [])
})

t.test('what cannot be a name is told, and unlocks nothing', async t => {
  const { lockDesk, log, requests } = scripted([])
  const answer = { ok: false, problem: /^contains a control/ }
  t.match(await lockDesk.show({ user: 'a\u0000' }), answer)
  t.match(await lockDesk.unlock({ requestId: 'r', user: 'a\u0000', address: HERE }), answer)
  t.strictSame(requests, [])
  t.equal(log.lines.length, 0)
})
