import { readFileSync } from 'node:fs'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/authentication/clock.ts'
import { systemBoot } from '../../src/lockout/boot.ts'
import { noJournal, type Saved } from '../../src/lockout/journal.ts'
import { FORGET_MS } from '../../src/lockout/policy.ts'
import { createJournal } from '../../src/lockout/sqlite-journal.ts'
import type { UserDatabase } from '../../src/users/database.ts'
import { openLockoutTable } from '../../src/users/lockout-table.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { open, otherProcess, temporaryPath } from '../users/temporary.ts'
import { createMachine, DAY, HOUR, lockedFor, SECOND } from './machine.ts'

t.test('a daemon that runs on clears away what is over, hour by hour', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const machine = createMachine(t)
  const journal = machine.start()
  const { clock } = machine
  for (let n = 0; n < 5_000; n++) journal.put(`early ${n}`, lockedFor(clock, -FORGET_MS + 30 * 60 * SECOND))
  journal.put('late', lockedFor(clock, 300 * SECOND))
  journal.flush()
  const pass = (ms: number) => {
    clock.advance(ms)
    mock.timers.tick(ms)
  }
  pass(HOUR - 1)
  t.equal(machine.rows(), 5_001)
  pass(1)
  t.equal(machine.rows(), 3_001, 'a portion at a time')
  pass(100)
  pass(100)
  t.equal(machine.rows(), 1)
  // No reason to forget: nothing has passed but a mistake of the wall clock.
  clock.jumpWall(400 * DAY)
  pass(HOUR)
  const expiresAt = Number(machine.database.prepare('SELECT expires_at FROM lockout').pluck().get())
  t.ok(expiresAt > clock.wall(), 'in nobody’s way the next time')
  for (let hour = 0; hour < 13; hour++) pass(HOUR)
  t.equal(machine.rows(), 0)
  t.strictSame(machine.log.lines, [])
})

t.test('a key that is forgotten is gone, also in the same flush', async t => {
  const machine = createMachine(t)
  const journal = machine.start()
  journal.put('a', lockedFor(machine.clock, SECOND))
  journal.put('b', lockedFor(machine.clock, SECOND))
  journal.put('b', undefined)
  journal.flush()
  t.strictSame([...machine.start().load().keys()], ['a'])
  journal.put('a', undefined)
  journal.flush()
  t.equal(machine.start().load().size, 0)
})

t.test(
  'what is put is written by the next flush as one transaction, and a flush without it costs none',
  async t => {
    const machine = createMachine(t)
    let transactions = 0
    const journal = machine.start(table => ({
      ...table,
      write(changes, waitMs) {
        transactions++
        table.write(changes, waitMs)
      },
    }))
    journal.flush()
    t.equal(transactions, 0)
    for (let n = 0; n < 5_000; n++) journal.put(`k${n}`, lockedFor(machine.clock, SECOND))
    t.equal(machine.rows(), 0)
    journal.flush()
    journal.flush()
    t.strictSame([machine.rows(), transactions], [5_000, 1])
  },
)

t.test('what was flushed is there after kill -9, every time', async t => {
  const path = temporaryPath(t)
  const database = open(t, path)
  const flushed = new Map<string, number>()
  for (let kill = 0; kill < 20; kill++) {
    const { lines, end } = otherProcess(t, 'journal', path)
    const note = (line: string) => {
      const [key = '', untilMs] = line.split(' ')
      flushed.set(key, Number(untilMs))
    }
    for (let n = 0; n < 3 + kill; n++) note((await lines.next()).value ?? '')
    const killed = end('SIGKILL')
    for await (const line of lines) note(line)
    await killed
  }
  const log = createLogRecorder()
  const table = openLockoutTable(path)
  const journal = createJournal({ table, clock: systemClock, boot: systemBoot, log })
  t.teardown(() => journal.close())
  const loaded = journal.load()
  // Nobody reads the last words of who is killed, so there may be a few more.
  t.ok(loaded.size >= flushed.size)
  const toBoot = systemBoot.nowMs() - systemClock.now()
  for (const [key, untilMs] of flushed) {
    const saved = loaded.get(key)
    const found = saved?.what === 'record' ? (saved.record.lock?.untilMs ?? 0) + toBoot : undefined
    if (found === undefined) t.fail(`${key} is lost`)
    else if (Math.abs(found - untilMs) > 50) t.fail(`${key} holds until ${found} and not ${untilMs}`)
  }
  t.ok(flushed.size >= 200)
  t.equal(database.pragma('integrity_check', { simple: true }), 'ok')
  t.strictSame(log.lines, [])
})

/** The journal's own timers keep no process alive, so the test has to. */
function stayAlive(t: Test): void {
  const timer = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(timer))
}

/** Resolves with the next line of this level. */
function said(machine: ReturnType<typeof createMachine>, level: 'warn' | 'error'): Promise<string> {
  const line = Promise.withResolvers<string>()
  const speak = machine.log[level]
  machine.log[level] = (fields, message) => {
    machine.log[level] = speak
    speak(fields, message)
    line.resolve(message)
  }
  return line.promise
}

t.test('another process that keeps the database locked blocks nobody, and then all is written', async t => {
  stayAlive(t)
  const machine = createMachine(t)
  const journal = machine.start()
  const other = otherProcess(t, 'hold', machine.path, 'immediate')
  await other.lines.next()
  const failing = said(machine, 'error')
  const before = performance.now()
  for (let n = 0; n < 1_000; n++) {
    journal.put(`k${n}`, lockedFor(machine.clock, 300 * SECOND))
    journal.flush()
  }
  t.ok(performance.now() - before < 1_000, 'a thousand flushes without a wait')
  t.match(await failing, /cannot be written down/)
  t.match(machine.log.at('error'), [{ fields: { reason: 'SQLITE_BUSY', waiting: 1_000 } }])
  t.equal(machine.rows(), 0)
  const recovered = said(machine, 'warn')
  await other.end()
  t.match(await recovered, /are written down again/)
  t.equal(machine.rows(), 1_000)
  t.equal(machine.log.lines.length, 2, 'said once each')
})

t.test('another process that writes for a moment is no reason for an alarm', async t => {
  stayAlive(t)
  const machine = createMachine(t)
  let attempts = 0
  const written = Promise.withResolvers<void>()
  const journal = machine.start(table => ({
    ...table,
    write(changes, waitMs) {
      attempts++
      table.write(changes, waitMs)
      written.resolve()
    },
  }))
  const other = otherProcess(t, 'hold', machine.path, 'immediate')
  await other.lines.next()
  journal.put('k', lockedFor(machine.clock, 300 * SECOND))
  journal.flush()
  await other.end()
  await written.promise
  t.strictSame([machine.rows(), machine.log.lines.length], [1, 0])
  t.ok(attempts >= 2)
})

/** A database that takes no writes, as on a full or read-only disk: SQLite itself refuses each. */
function refuseWrites(database: UserDatabase): () => void {
  database.exec(
    "CREATE TRIGGER no_room BEFORE INSERT ON lockout BEGIN SELECT RAISE(ROLLBACK, 'no room'); END",
  )
  return () => database.exec('DROP TRIGGER no_room')
}

t.test('while nothing can be written the newest wait, up to a bound, and logins go on', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const machine = createMachine(t)
  const journal = machine.start()
  const { clock, log } = machine
  const makeRoom = refuseWrites(machine.database)
  for (let n = 0; n < 100_010; n++) {
    journal.put(`k${n}`, lockedFor(clock, 300 * SECOND))
    journal.flush()
  }
  mock.timers.tick(100)
  mock.timers.tick(60 * SECOND)
  t.match(
    log.at('error').map(({ message }) => message),
    [/the oldest are not/, /trying again/],
  )
  makeRoom()
  while (machine.rows() === 0) mock.timers.tick(1)
  t.equal(machine.rows(), 2_000, 'a portion, then others get their turn')
  for (let portion = 0; portion < 50; portion++) mock.timers.tick(1)
  t.equal(machine.rows(), 100_000)
  t.match(log.at('warn'), [{ message: /again/ }])
  const loaded = machine.start().load()
  t.strictSame([loaded.has('k9'), loaded.has('k10'), loaded.has('k100009')], [false, true, true])
  t.equal(log.lines.length, 3)
})

t.test('what still waits at the end is written then, or said to be lost', async t => {
  const machine = createMachine(t)
  let makeRoom = refuseWrites(machine.database)
  const first = machine.start()
  first.put('k', lockedFor(machine.clock, 300 * SECOND))
  first.flush()
  makeRoom()
  first.close()
  first.close()
  t.equal(machine.rows(), 1)
  makeRoom = refuseWrites(machine.database)
  const second = machine.start()
  second.put('l', lockedFor(machine.clock, 300 * SECOND))
  second.close()
  makeRoom()
  t.match(machine.log.lines, [{ level: 'error', fields: { waiting: 1 }, message: /does not know them/ }])
  second.put('m', lockedFor(machine.clock, 300 * SECOND))
  second.flush()
  t.equal(machine.rows(), 1, 'closed is closed')
})

t.test('at the end it waits for who writes at that moment', async t => {
  const machine = createMachine(t)
  const journal = machine.start()
  const other = otherProcess(t, 'hold', machine.path, 'immediate', '200')
  await other.lines.next()
  journal.put('k', lockedFor(machine.clock, 300 * SECOND))
  journal.close()
  t.equal(machine.rows(), 1)
  t.strictSame(machine.log.lines, [])
})

t.test('a table that gives no answer is an empty one, and the log says so', async t => {
  const machine = createMachine(t)
  const table = openLockoutTable(machine.path)
  const { clock, log } = machine
  const journal = createJournal({ table, clock, boot: { id: undefined, nowMs: () => 0 }, log })
  table.close()
  t.equal(journal.load().size, 0)
  journal.put('k', lockedFor(clock, SECOND))
  journal.flush()
  journal.close()
  t.match(
    log.lines.map(({ level, message }) => [level, message]),
    [
      ['error', /cannot all be read/],
      ['error', /does not know them/],
    ],
  )
})

t.test('rows that make no sense are skipped with one line, and removed', async t => {
  const machine = createMachine(t)
  const first = machine.start()
  first.put('good', lockedFor(machine.clock, 300 * SECOND))
  first.flush()
  const good = String(machine.database.prepare('SELECT value FROM lockout').pluck().get())
  const broken = [
    '',
    'null',
    '[]',
    '{}',
    '{"at":{}}',
    good.slice(0, -1),
    good.replace('"pair"', '"par"'),
    good.replace('"record"', '"profile"'),
    good.replace('300000', '"soon"'),
    good.replace('"tier":1', '"tier":0'),
    good.replace('[]', '[{"atMs":5,"account":""}]'),
    good.replace('[]', '[null]'),
    good.replace(/"wallMs":\d+/, '"wallMs":null'),
    good.replace(/"keepMs":\d+/, '"keepMs":1e999'),
  ]
  const insert = machine.database.prepare('INSERT INTO lockout VALUES (?, ?, 9e15)')
  for (const [n, value] of broken.entries()) {
    t.not(value, good)
    insert.run(`broken ${n}`, value)
  }
  t.strictSame([...machine.start().load().keys()], ['good'])
  t.match(machine.log.lines, [{ level: 'error', fields: { rows: broken.length } }])
  t.equal(machine.rows(), 1)
})

t.test('only keys and kinds are written, whatever else the objects carry', async t => {
  const machine = createMachine(t)
  const journal = machine.start()
  const now = machine.clock.now()
  const note = { name: 'alice', address: '192.0.2.1', caller: 'wiki' }
  const lock = { untilMs: now + HOUR, tier: 1, note }
  const failures = [{ atMs: now, account: 'k1', note }]
  const record = { failures, inFlight: ['alice'], lock, note }
  const familiar = [{ source: 'k3', untilMs: now + DAY, note }]
  const entries: Record<string, Saved> = {
    a: { what: 'record', kind: 'source', owner: 'k2', record },
    b: { what: 'profile', profile: Object.assign({ familiar, subjects: ['k4'], names: ['k5'] }, { note }) },
    c: { what: 'unresolved', kind: 'pair', lock },
  }
  for (const [key, saved] of Object.entries(entries)) journal.put(key, Object.assign(saved, { note }))
  journal.flush()
  const texts = new Set<unknown>()
  for (const value of machine.database.prepare('SELECT value FROM lockout').pluck().all()) {
    JSON.parse(String(value), (_key, part) => {
      if (typeof part === 'string') texts.add(part)
      return part
    })
  }
  t.strictSame([...texts].sort(), [
    'boot-1',
    'k1',
    'k2',
    'k3',
    'k4',
    'k5',
    'pair',
    'profile',
    'record',
    'source',
    'unresolved',
  ])
  for (const file of [machine.path, `${machine.path}-wal`]) {
    t.notMatch(readFileSync(file, 'latin1'), /alice|192\.0\.2|wiki/)
  }
})

t.test('without a journal nothing is kept, and nothing breaks', async t => {
  noJournal.put('k', { what: 'unresolved', kind: 'pair', lock: { untilMs: 1, tier: 1 } })
  noJournal.flush()
  t.equal(noJournal.load().size, 0)
  noJournal.close()
})
