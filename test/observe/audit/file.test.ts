/** The trail with its thread and its file: real SQLite, and another process at it. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import t, { type Test } from 'tap'
import { systemClock } from '../../../src/authentication/clock.ts'
import { createLedger } from '../../../src/observe/audit/ledger.ts'
import { createAuditTrail } from '../../../src/observe/audit/trail.ts'
import { verify } from '../../../src/observe/audit/verify.ts'
import { createStartWriter } from '../../../src/observe/audit/writer.ts'
import { openAuditReader, openAuditTable } from '../../../src/users/audit-table.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import { otherProcess, quiet } from '../../users/temporary.ts'

const DAY_MS = 86_400_000
const SCRIPT = new URL('../../../src/audit-worker.ts', import.meta.url)

function openTrail(t: Test, file: string, { retentionMs = DAY_MS, script = SCRIPT } = {}) {
  const log = createLogRecorder()
  const trail = createAuditTrail({
    startWriter: createStartWriter(script, { file, retentionMs }),
    onFailure: 'deny',
    describe: ({ requestId }) => ({ event: 'authn_login_fail', request_id: requestId }),
    describeNote: note => note,
    clock: systemClock,
    log,
  })
  t.teardown(() => trail.close())
  return { trail, log }
}

function read(file: string) {
  const reader = openAuditReader(file)
  try {
    const rows = [...reader.rows()]
    return { rows, bodies: rows.map(({ body }) => JSON.parse(body)), proof: verify(rows) }
  } finally {
    reader.close()
  }
}

t.test('what was said to be written is in the file for others to read, which only its owner may', async t => {
  const file = join(t.testdir(), 'var', 'audit.db')
  const { trail } = openTrail(t, file)
  await trail.begin()
  const notes = Array.from({ length: 500 }, (_, n) =>
    trail.note({ event: 'test', n, text: 'é\u0000\ud800 ☃' }),
  )
  t.ok((await Promise.all(notes)).every(Boolean))
  const { bodies, proof } = read(file)
  t.match(proof, { intact: true, rows: 501 })
  t.same(
    bodies.slice(1).map(({ n }) => n),
    notes.map((_, n) => n),
  )
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(statSync(`${file}-wal`).mode & 0o777, 0o600)
  t.equal(statSync(join(file, '..')).mode & 0o777, 0o700)
  await trail.close()
  t.notOk(existsSync(`${file}-wal`), 'and it is closed in order')
  t.match(read(file).proof, { rows: 501 })
})

t.test('two daemons at one file make one chain', async t => {
  const file = join(t.testdir(), 'audit.db')
  const trails = [openTrail(t, file), openTrail(t, file)].map(({ trail }) => trail)
  await Promise.all(trails.map(trail => trail.begin()))
  for (let round = 0; round < 20; round++) {
    const written = await Promise.all(trails.map((trail, of) => trail.note({ event: 'test', of, round })))
    t.same(written, [true, true])
  }
  t.match(read(file).proof, { intact: true, rows: 41 })
})

t.test('an octet altered in the file is found', async t => {
  const file = join(t.testdir(), 'audit.db')
  const { trail } = openTrail(t, file)
  for (let n = 0; n < 5; n++) await trail.note({ event: 'test', who: 'mallory' })
  await trail.close()
  const bytes = readFileSync(file)
  bytes.write('n', bytes.lastIndexOf('mallory'))
  writeFileSync(file, bytes)
  t.match(read(file).proof, { intact: false, problem: 'it is not what was written down here' })
})

t.test(
  'a file that another process holds, that is no trail or is gone is an outage with its reason',
  async t => {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-audit-'))
    // Last, after the trails: those that are broken would make a folder that is gone anew.
    t.teardown(() => rmSync(folder, { recursive: true }))
    const held = join(folder, 'held.db')
    const { trail } = openTrail(t, held)
    await trail.begin()
    const holder = otherProcess(t, 'hold', held, 'immediate')
    await holder.lines.next()
    t.equal(await trail.note({ event: 'test' }), false)
    t.match(trail.health(), { reason: /is locked by another process/ })
    await holder.end()
    for (const until = performance.now() + 5_000; !trail.health().ok && performance.now() < until; ) {
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    t.equal(await trail.note({ event: 'test' }), true, 'by itself')

    const foreign = join(folder, 'foreign.db')
    const database = new Sqlite(foreign)
    database.exec('CREATE TABLE theirs (x)')
    database.close()
    const directory = join(folder, 'directory.db')
    mkdirSync(directory)
    const newer = join(folder, 'newer.db')
    openAuditTable(newer, { log: quiet }).close()
    const upgraded = new Sqlite(newer)
    upgraded.pragma('user_version = 99')
    upgraded.close()
    for (const [file, reason] of [
      [foreign, /is another program's database/],
      [directory, /gives no answer \(SQLITE_CANTOPEN/],
      [newer, /was written by a newer Gatehouse/],
    ] as const) {
      const { trail, log } = openTrail(t, file)
      await trail.begin()
      t.match(trail.health(), { ok: false, reason })
      t.match(log.at('error'), [{ fields: { event: 'audit_broken', reason } }])
    }
  },
)

t.test('a file that is taken away while it is written to is noticed', async t => {
  const file = join(t.testdir(), 'audit.db')
  const { trail } = openTrail(t, file)
  await trail.begin()
  rmSync(file)
  t.equal(await trail.note({ event: 'test' }), false)
  t.match(trail.health(), { reason: /was moved away or removed/ })
})

t.test('the thread cuts off what is too old by itself', async t => {
  const file = join(t.testdir(), 'audit.db')
  const table = openAuditTable(file, { log: quiet })
  const old = Date.now() - 2 * DAY_MS
  createLedger(table, () => old).append(
    Array.from({ length: 2_500 }, (_, n) => ({ at: old, body: JSON.stringify({ event: 'test', n }) })),
    false,
  )
  table.close()
  const { trail } = openTrail(t, file)
  await trail.begin()
  await trail.note({ event: 'new' })
  for (const until = performance.now() + 5_000; performance.now() < until; ) {
    if (read(file).rows.length < 10) break
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  const { rows, proof } = read(file)
  t.ok(rows.length <= 5, `${rows.length} rows`)
  t.match(proof, { intact: true, from: 2_502 })
})

t.test('a thread that dies or hangs is an outage with its reason, and keeps nothing from ending', async t => {
  const file = join(t.testdir(), 'audit.db')
  const onMessage = "import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => "
  for (const [code, reason] of [
    ["throw new Error('no memory')", /the thread of the audit trail died: no memory/],
    [`${onMessage}{ throw new Error('a bug') })`, /the thread of the audit trail died: a bug/],
    [`${onMessage}process.exit())`, /the thread of the audit trail has ended/],
    [`${onMessage}{ for (;;); })`, /could not be opened within 2000 ms/],
  ] as const) {
    const { trail, log } = openTrail(t, file, { script: new URL(`data:text/javascript,${encodeURI(code)}`) })
    await trail.begin()
    t.match(trail.health(), { ok: false, reason })
    t.equal(await trail.note({ event: 'test' }), false)
    const started = performance.now()
    await trail.close()
    t.ok(performance.now() - started < 5_000)
    t.match(log.at('error').at(-1), { fields: { waiting: 1 } })
  }
})

t.test('people with sqlite3 see attempts in columns', async t => {
  const file = join(t.testdir(), 'audit.db')
  const { trail } = openTrail(t, file)
  await trail.note({
    event: 'authn_login_fail',
    request_id: 'r',
    user: 'alice',
    verdict: 'rejected',
    ms: 1.5,
  })
  await trail.note({ event: 'sys_startup' })
  const database = new Sqlite(file, { readonly: true })
  const seen = database.prepare('SELECT * FROM attempts').all()
  database.close()
  t.match(seen, [{ seq: 2, time: /^\d{4}-.*Z$/, event: 'authn_login_fail', user: 'alice', ms: 1.5 }])
  t.equal(seen.length, 1)
})
