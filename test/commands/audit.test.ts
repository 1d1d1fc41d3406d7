/** `gatehouse audit` on real files; what a daemon writes to them is test/observe/audit's. */
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import Sqlite from 'better-sqlite3'
import t, { type Test } from 'tap'
import { auditCommand } from '../../src/commands/audit.ts'
import type { CommandContext } from '../../src/commands/context.ts'
import { createLedger } from '../../src/observe/audit/ledger.ts'
import { openAuditTable } from '../../src/users/audit-table.ts'
import { quiet } from '../users/temporary.ts'

const DAY_MS = 86_400_000
const START = Date.UTC(2026, 10, 1)
const attempt = (n: number, rest: object = {}) => ({
  event: 'authn_login_fail',
  request_id: `r${n}`,
  client: 'wiki',
  source: '192.0.2.7',
  user_hash: '0123456789abcdef',
  verdict: 'rejected',
  reason: 'credentials',
  steps: [{ backend: 'corp', outcome: 'wrong_password', ms: 12.5 }],
  ms: 20,
  ...rest,
})

/** A trail of so many days, a row each at midnight after the first row. */
function trail(t: Test, bodies: readonly object[]) {
  const file = join(t.testdir(), 'audit.db')
  const table = openAuditTable(file, { log: quiet })
  const ledger = createLedger(table, () => START)
  const append = (body: object, n: number) =>
    ledger.append([{ at: START + n * DAY_MS, body: JSON.stringify(body) }], false)
  bodies.forEach(append)
  t.teardown(() => table.close())

  async function run(...line: string[]) {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()]
    let code = 0
    const context: CommandContext = {
      stdin: new PassThrough().end(),
      stdout,
      stderr,
      env: { GATEHOUSE_CONFIG: 'some.yaml' },
      color: false,
      loadConfig: async () => ({ config: { audit: { file } } }) as never,
      setExitCode: given => {
        code = given
      },
    }
    const command = auditCommand(context)
    for (const one of [command, ...command.commands]) {
      one.exitOverride().configureOutput({ writeOut: () => {}, writeErr: text => stderr.write(text) })
    }
    const said = Promise.all([text(stdout), text(stderr)])
    await command.parseAsync(line, { from: 'user' })
    stdout.end()
    stderr.end()
    const [out, err] = await said
    return { code, out, err, lines: out.split('\n').filter(line => line !== '') }
  }
  return { file, run, append }
}

t.test('tail shows the last rows, on a line each, whatever is in them', async t => {
  const moving = '\u001b[2J\r\nfoo'
  const { run } = trail(t, [
    attempt(1),
    attempt(2, { user: `eve${moving}`, withheld: true }),
    { event: 'sys_startup' },
  ])
  const { lines, code } = await run('tail', '--lines', '3')
  t.match(lines, [
    /^TIME +EVENT +WHO +FROM +APP +BACKENDS$/,
    /^2026-11-01T00:00:00.000Z +authn_login_fail +user_hash 0123456789abcdef +192.0.2.7 +wiki +corp wrong_password 12.5 ms$/,
    /eve\\u\{1b\}\[2J\\u\{d\}\\u\{a\}foo .* \(answered 503\)$/,
    /^2026-11-03T00:00:00.000Z +sys_startup$/,
  ])
  t.equal(code, 0)
  const json = await run('tail', '-n', '1', '--json')
  t.match(JSON.parse(json.out), { seq: 4, time: '2026-11-03T00:00:00.000Z', event: 'sys_startup' })
  t.match(await run('tail', '-n', '-1'), { code: 2, err: /--lines -1 is no number from 0 to 100000/ })
})

t.test('tail --follow shows what is yet to come, until nobody reads any more', async t => {
  const { file, append } = trail(t, [attempt(1)])
  const stdout = new PassThrough()
  const context = {
    stdout,
    stderr: new PassThrough(),
    env: {},
    setExitCode: () => {},
  } as unknown as CommandContext
  const following = auditCommand(context).parseAsync(['tail', '--follow', '--json', '--file', file], {
    from: 'user',
  })
  const seen: string[] = []
  for await (const chunk of stdout.setEncoding('utf8')) {
    seen.push(...String(chunk).split('\n').filter(Boolean))
    if (seen.length === 2) append(attempt(2), 2)
    if (seen.length >= 3) break
  }
  t.match(JSON.parse(seen[2] ?? ''), { seq: 3, request_id: 'r2' })
  await following
})

t.test('verify says that all is well and what to keep, and with it what is gone', async t => {
  const { run, file } = trail(t, [attempt(1), attempt(2), attempt(3)])
  const well = await run('verify')
  const [, head = ''] = /^head {3}(4:[0-9a-f]{64})$/m.exec(well.out) ?? []
  t.match(well, { code: 0, out: /^intact: 4 rows, from 1 to 4\n/ })
  t.match(await run('verify', '--since', head.toUpperCase()), { code: 0 })
  t.match(JSON.parse((await run('verify', '--json')).out), { intact: true, rows: 4, from: 1 })
  const copy = `${file}.copy`
  const whole = new Sqlite(file)
  whole.pragma('wal_checkpoint(TRUNCATE)')
  whole.close()
  copyFileSync(file, copy)
  const database = new Sqlite(copy)
  database.exec('DELETE FROM audit WHERE seq = 4')
  t.match(await run('verify', '--file', copy), { code: 0, out: /^intact: 3 rows/ })
  const shortened = await run('verify', '--file', copy, '--since', head)
  t.match(shortened, { code: 1, out: 'BROKEN at row 4: rows up to 4 are missing at the end\n' })
  database.exec(`UPDATE audit SET body = replace(body, 'rejected', 'accepted') WHERE seq = 2`)
  database.close()
  const altered = await run('verify', '--file', copy, '--json')
  t.match(altered, { code: 1, err: '' })
  t.match(JSON.parse(altered.out), { intact: false, seq: 2 })
  t.match(await run('verify', '--since', 'yesterday'), { code: 2, err: /no SEQ:HASH/ })
})

t.test('export gives a range of time, a day from its midnight on, in lines of JSON', async t => {
  const { run } = trail(t, [attempt(1), attempt(2), attempt(3)])
  const ids = async (...line: string[]) =>
    (await run('export', ...line)).lines.map(line => JSON.parse(line).request_id)
  t.same(await ids(), [undefined, 'r1', 'r2', 'r3'])
  t.same(await ids('--from', '2026-11-02', '--to', '2026-11-03'), ['r2'])
  t.same(await ids('--from', '2026-11-02T00:00:00.001Z'), ['r3'])
  t.same(await ids('--from', '2026-11-03T02:00:00+02:00'), ['r3'])
  t.same(await ids('--from', '2026-11-03T00:00'), ['r3'], 'UTC unless it says otherwise')
  for (const time of ['yesterday', '2026-13-01', '2026']) {
    t.match(await run('export', '--from', time), { code: 2, err: /is no time such as/ }, time)
  }
})

t.test('a spreadsheet runs nothing of what is exported, and every row is a line', async t => {
  const formulas = ['=cmd|calc', '+1', '-1', '@sum(1)', '\t=1', ' =1', '＝1', 'a "b", c\r\nd']
  const { run } = trail(
    t,
    formulas.map((user, n) => attempt(n, { user })),
  )
  const { out } = await run('export', '--format', 'csv')
  const [heading, first, ...rows] = out.split('\r\n').slice(0, -1)
  t.match(heading, /^seq,time,event,verdict,/)
  t.match(first, /^"1","2026-11-01T00:00:00.000Z","audit_begin",/)
  t.equal(rows.length, formulas.length)
  const column = heading?.split(',').indexOf('user') ?? -1
  const users = rows.map(row => [...row.matchAll(/"((?:[^"]|"")*)"/g)][column]?.[1])
  t.same(users, [
    "'=cmd|calc",
    "'+1",
    "'-1",
    "'@sum(1)",
    '\\u{9}=1',
    "' =1",
    "'＝1",
    'a ""b"", c\\u{d}\\u{a}d',
  ])
})

t.test('a file that is none says what is wrong, in one line', async t => {
  const { run, file } = trail(t, [])
  const nothing = `${file}.nothing.db`
  t.match(await run('tail', '--file', nothing), {
    code: 1,
    err: /nothing\.db gives no answer \(SQLITE_CANTOPEN\)/,
  })
  const text = `${file}.txt`
  writeFileSync(text, 'no database'.repeat(200))
  t.match(await run('verify', '--file', text), { code: 1, err: /is damaged/ })
})
