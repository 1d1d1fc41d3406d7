import fc from 'fast-check'
import t from 'tap'
import type { LockKind } from '../../src/authentication/lockout.ts'
import type { Saved } from '../../src/lockout/journal.ts'
import { FORGET_MS } from '../../src/lockout/policy.ts'
import { createJournal } from '../../src/lockout/sqlite-journal.ts'
import { FAMILIAR_MS } from '../../src/lockout/store.ts'
import { openLockoutTable } from '../../src/users/lockout-table.ts'
import { runs } from '../support/runs.ts'
import { createMachine, DAY, HOUR, lockedFor, remaining, SECOND } from './machine.ts'

/** The same with times as distances from now, so that two processes can be compared. */
function relative(saved: Saved | undefined, nowMs: number): unknown {
  return JSON.parse(
    JSON.stringify(saved ?? null, (key, value) => (/Ms$/.test(key) ? Math.round(value - nowMs) : value)),
  )
}

t.test('records, profiles and locks of nobody’s names come back as they were, time included', async t => {
  const machine = createMachine(t)
  const first = machine.start()
  t.equal(first.load().size, 0)
  const now = machine.clock.now()
  const saved: Record<string, Saved> = {
    counting: {
      what: 'record',
      kind: 'source',
      record: {
        failures: [
          { atMs: now - 60_000, account: 'k1' },
          { atMs: now, account: 'k2' },
        ],
      },
    },
    locked: {
      what: 'record',
      kind: 'unfamiliar',
      owner: 'k1',
      record: { failures: [], lock: { untilMs: now + 300_000, tier: 2 } },
    },
    over: {
      what: 'record',
      kind: 'pair',
      owner: 'k1',
      record: {
        failures: [{ atMs: now, account: '' }],
        lock: { untilMs: now - HOUR, tier: 1, passed: true },
      },
    },
    profile: {
      what: 'profile',
      profile: {
        familiar: [{ source: 'k3', untilMs: now + FAMILIAR_MS }],
        subjects: ['k4'],
        names: ['k5', 'k6'],
      },
    },
    nobody: { what: 'unresolved', kind: 'pair', lock: { untilMs: now + 1_000, tier: 1 } },
  }
  for (const [key, entry] of Object.entries(saved)) first.put(key, entry)
  first.flush()
  const before = new Map(Object.entries(saved).map(([key, entry]) => [key, relative(entry, now + 500)]))
  machine.clock.advance(500)
  const again = machine.start()
  t.not(machine.clock.now(), now + 500, 'the clock of another process')
  const after = again.load()
  t.strictSame(new Map([...after].map(([key, entry]) => [key, relative(entry, machine.clock.now())])), before)
})

t.test('whatever is saved comes back the same', async t => {
  const machine = createMachine(t)
  const key = fc.stringMatching(/^[\w-]{1,43}$/)
  const kind = fc.constantFrom<LockKind>('pair', 'unfamiliar', 'familiar', 'source', 'subnet', 'directory')
  const ahead = fc.integer({ min: 1, max: FAMILIAR_MS })
  const lock = fc.record(
    { untilMs: ahead, tier: fc.integer({ min: 1, max: 99 }), passed: fc.constant(true) },
    { requiredKeys: ['untilMs', 'tier'] },
  )
  const failure = fc.record({ atMs: fc.integer({ min: -DAY + 1, max: 0 }), account: key })
  const record = fc.record(
    { failures: fc.array(failure, { minLength: 1 }), lock },
    { requiredKeys: ['failures'] },
  )
  const familiar = fc.array(fc.record({ source: key, untilMs: ahead }), { minLength: 1 })
  const profile = fc.record({ familiar, subjects: fc.array(key), names: fc.array(key) })
  const saved: fc.Arbitrary<Saved> = fc.oneof(
    fc.record(
      { what: fc.constant('record' as const), kind, owner: key, record },
      { requiredKeys: ['what', 'kind', 'record'] },
    ),
    fc.record({ what: fc.constant('profile' as const), profile }),
    fc.record({ what: fc.constant('unresolved' as const), kind, lock }),
    fc.record({ what: fc.constant('unresolved' as const), kind, owner: key, lock }),
  )
  const sorted = (saved: Saved): Saved => {
    if (saved.what !== 'record') return saved
    const failures = saved.record.failures.toSorted((one, other) => one.atMs - other.atMs)
    return { ...saved, record: { ...saved.record, failures } }
  }
  const shift = (saved: unknown, byMs: number): Saved =>
    JSON.parse(JSON.stringify(saved, (key, value) => (/Ms$/.test(key) ? value + byMs : value)))
  fc.assert(
    fc.property(fc.dictionary(key, saved, { maxKeys: 5 }), entries => {
      machine.database.exec('DELETE FROM lockout')
      const relativeEntries = Object.entries(entries).map(([key, saved]) => [key, sorted(saved)] as const)
      const writer = machine.start()
      for (const [key, saved] of relativeEntries) writer.put(key, shift(saved, machine.clock.now()))
      writer.flush()
      writer.close()
      const reader = machine.start()
      const loaded = [...reader.load()].map(([key, saved]) => [key, shift(saved, -machine.clock.now())])
      reader.close()
      const byKey = (one: readonly unknown[], other: readonly unknown[]) =>
        String(one[0]) < String(other[0]) ? -1 : 1
      t.strictSame(loaded.sort(byKey), shift([...relativeEntries].sort(byKey), 0))
    }),
    { numRuns: runs(60) },
  )
})

t.test('within one boot a wall clock that jumps moves no lock', async t => {
  for (const jump of [HOUR, -HOUR, 400 * DAY, -400 * DAY]) {
    const machine = createMachine(t)
    const first = machine.start()
    first.put('k', lockedFor(machine.clock, 300 * SECOND))
    first.put('gone', lockedFor(machine.clock, -FORGET_MS + 10 * SECOND))
    first.flush()
    machine.clock.jumpWall(jump)
    machine.clock.advance(60 * SECOND)
    for (let restart = 0; restart < 2; restart++) {
      const loaded = machine.start().load()
      t.strictSame([...loaded.keys()], ['k'], String(jump))
      t.equal(remaining(machine.clock, loaded.get('k')), 240 * SECOND, String(jump))
      t.equal(machine.rows(), 1)
    }
  }
})

t.test('after another boot the wall clock tells how much is left', async t => {
  const machine = createMachine(t)
  const first = machine.start()
  first.put('k', lockedFor(machine.clock, 300 * SECOND))
  first.put('over', lockedFor(machine.clock, 30 * SECOND))
  first.flush()
  machine.reboot(60 * SECOND)
  const loaded = machine.start().load()
  t.equal(remaining(machine.clock, loaded.get('k')), 240 * SECOND)
  t.equal(remaining(machine.clock, loaded.get('over')), -30 * SECOND, 'over, and the next is a longer one')
  // From here on the machine's own clock counts again.
  machine.clock.jumpWall(-HOUR)
  machine.clock.advance(40 * SECOND)
  const again = machine.start().load()
  t.equal(remaining(machine.clock, again.get('k')), 200 * SECOND)
})

t.test('a wall clock set back before another boot makes nothing longer, and no failure later', async t => {
  const machine = createMachine(t)
  const first = machine.start()
  const now = machine.clock.now()
  first.put('locked', lockedFor(machine.clock, 300 * SECOND))
  first.put('failed', { what: 'record', kind: 'pair', record: { failures: [{ atMs: now, account: '' }] } })
  first.flush()
  for (let boot = 0; boot < 3; boot++) {
    machine.reboot(-400 * DAY)
    for (const passedMs of [0, 10 * SECOND]) {
      machine.clock.advance(passedMs)
      const loaded = machine.start().load()
      t.equal(remaining(machine.clock, loaded.get('locked')), 300 * SECOND - passedMs)
      const failed = loaded.get('failed')
      const failedAtMs = failed?.what === 'record' ? failed.record.failures[0]?.atMs : undefined
      t.equal(failedAtMs, machine.clock.now() - passedMs)
    }
  }
})

t.test('a clock of the boot that runs backwards is not believed', async t => {
  const machine = createMachine(t)
  const table = openLockoutTable(machine.path)
  const { clock, log } = machine
  const first = createJournal({ table, clock, boot: { id: 'b', nowMs: () => 1_000_000 }, log })
  first.put('k', lockedFor(clock, 300 * SECOND))
  first.flush()
  first.close()
  clock.advance(60 * SECOND)
  const boot = { id: 'b', nowMs: () => 999_000 }
  const second = createJournal({ table: openLockoutTable(machine.path), clock, boot, log })
  t.teardown(() => second.close())
  t.equal(remaining(clock, second.load().get('k')), 240 * SECOND)
})

t.test('what no longer matters is neither loaded nor kept', async t => {
  const machine = createMachine(t)
  const first = machine.start()
  const { clock } = machine
  const failed = (kind: LockKind): Saved => ({
    what: 'record',
    kind,
    record: { failures: [{ atMs: clock.now(), account: '' }] },
  })
  const familiar = (source: string, ms: number) => ({ source, untilMs: clock.now() + ms })
  first.put('failed', failed('pair'))
  first.put('failed at a directory', failed('directory'))
  first.put('locked', lockedFor(clock, 300 * SECOND))
  first.put('nobody', { what: 'unresolved', kind: 'pair', lock: { untilMs: clock.now() + SECOND, tier: 1 } })
  first.put('familiar', {
    what: 'profile',
    profile: { familiar: [familiar('old', DAY), familiar('new', 3 * DAY)], subjects: [], names: [] },
  })
  first.put('linked', { what: 'profile', profile: { familiar: [], subjects: ['s'], names: [] } })
  first.put('nothing', { what: 'record', kind: 'pair', record: { failures: [] } })
  first.put('nobody at all', { what: 'profile', profile: { familiar: [], subjects: [], names: [] } })
  first.flush()
  t.equal(machine.rows(), 6, 'nothing is not written')
  const writtenAt = clock.wall()
  const keysAfter = (ms: number) => {
    machine.clock.advance(writtenAt + ms - machine.clock.wall())
    return [...machine.start().load().keys()].sort()
  }
  const later = ['failed at a directory', 'familiar', 'linked']
  t.strictSame(keysAfter(FORGET_MS), ['failed', ...later, 'locked', 'nobody'])
  t.strictSame(keysAfter(FORGET_MS + SECOND), ['failed', ...later, 'locked'])
  t.strictSame(keysAfter(FORGET_MS + 300 * SECOND), ['failed', ...later])
  t.strictSame(keysAfter(DAY), later)
  const profile = machine.start().load().get('familiar')
  t.match(profile, { profile: { familiar: { length: 1 } } })
  t.strictSame(keysAfter(3 * DAY), ['failed at a directory', 'linked'])
  t.strictSame(keysAfter(70 * DAY), ['linked'])
  t.strictSame(keysAfter(FAMILIAR_MS), [])
  t.equal(machine.rows(), 0)
})
