/** `gatehouse lockout` against a real admin listener, whose locks are a test's. */
import { writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import type { Lock, LockDesk, ShowRequest, UnlockOrder } from '../../src/authentication/locks.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import type { CommandContext } from '../../src/commands/context.ts'
import { lockoutCommand } from '../../src/commands/lockout.ts'
import type { LoadedConfig } from '../../src/config/config.ts'
import { createAdminToken, publishAdminToken } from '../../src/http/admin-token.ts'
import { createAdminServer } from '../../src/http/server.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

const until = Date.UTC(2026, 0, 1, 12)
const pair: Lock = {
  kind: 'pair',
  user: 'alice',
  userHash: '0123456789abcdef',
  subject: 'corp:1',
  address: '192.0.2.7',
  caller: 'wiki',
  tier: 1,
  forMs: 240_000,
  until,
}
const nobodys: Lock = {
  kind: 'unfamiliar',
  userHash: 'fedcba9876543210',
  address: '198.51.100.9',
  caller: 'mail',
  tier: 2,
  forMs: 60_000,
  until,
  watched: true,
}

async function openDesk(t: Test, answers: Partial<LockDesk> = {}) {
  const cwd = t.testdir()
  const database = join(cwd, 'gatehouse.db')
  const asked: (number | ShowRequest | UnlockOrder)[] = []
  const lockDesk: LockDesk = {
    async list(most) {
      asked.push(most)
      return { locks: [], more: false }
    },
    async show(request) {
      asked.push(request)
      return { ok: true, locks: [] }
    },
    async unlock(order) {
      asked.push(order)
      return { ok: true, ended: [] }
    },
    ...answers,
  }
  const token = createAdminToken()
  const log = createLogRecorder()
  const app = createAdminServer({
    log,
    readiness: () => ({ phase: 'serving', ready: true }),
    lockoutStore: () => ({ ok: true }),
    health: async () => [],
    config: () => ({ ok: true, loadedAt: 0, needsRestart: [] }),
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
    host: '127.0.0.1',
    operators: {
      token,
      explainer: () => {
        throw new Error('nobody asked')
      },
      lockDesk: () => lockDesk,
      reload: async () => ({ outcome: 'reloaded', needsRestart: [] }),
      clock: createFakeClock(),
    },
  })
  t.teardown(() => app.close())
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  writeFileSync(database, '')
  const unpublish = publishAdminToken(`${database}.admin-token`, token, log)
  t.teardown(unpublish)
  const admin = { host: '127.0.0.1', port: Number(new URL(url).port) }
  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    runLockout(args, { admin, database }, env)
  return { run, asked, unpublish, app }
}

async function runLockout(args: readonly string[], config: object, env: NodeJS.ProcessEnv = {}) {
  let [stdout, stderr, code] = ['', '', 0]
  const [out, err] = [new PassThrough(), new PassThrough()]
  out.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  err.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const context: CommandContext = {
    stdin: new PassThrough(),
    stdout: out,
    stderr: err,
    env,
    color: false,
    loadConfig: async () => ({ config }) as LoadedConfig,
    setExitCode: next => {
      code = next
    },
  }
  await lockoutCommand(context).parseAsync(args, { from: 'user' })
  return { stdout, stderr, code }
}

t.test('list: a table of who is locked, from where, through which app and until when', async t => {
  const note = { address: '203.0.113.5', caller: 'wiki', user: 'bob', userHash: '0'.repeat(16), until }
  const { run } = await openDesk(t, {
    list: async most => ({
      locks: [
        pair,
        nobodys,
        { ...note, kind: 'source', tier: 1, forMs: 1_500 },
        { kind: 'directory', tier: 1, forMs: 1_000, until },
      ],
      more: most === 4,
    }),
  })
  const lines = [
    'WHO                         FROM          APP   LOCKED                                                             UNTIL                     FOR',
    'alice, corp:1               192.0.2.7     wiki  account from this source                                           2026-01-01T12:00:00.000Z  240 s',
    'user_hash fedcba9876543210  198.51.100.9  mail  account from sources it has never logged in from (only watched)    2026-01-01T12:00:00.000Z  60 s',
    'everybody                   203.0.113.5   wiki  source                                                             2026-01-01T12:00:00.000Z  2 s',
    'not known since the restart  -             -     account at its directory                                           2026-01-01T12:00:00.000Z  1 s',
  ].map(line => line.split(/ {2,}/))
  const table = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map(line => line.split(/ {2,}/))
  const all = await run(['list'])
  t.strictSame(table(all.stdout), lines)
  t.equal(all.code, 0)
  const some = await run(['list', '--most', '4'])
  t.strictSame(table(some.stdout), [...lines, ['These are the 4 longest: --most shows more.']])
  const machine = JSON.parse((await run(['list', '--json'])).stdout)
  t.match(machine, { locks: [{ kind: 'pair', user: 'alice', for_seconds: 240 }, {}, {}, {}], more: false })
})

t.test('list: nothing locked is no failure', async t => {
  const { run, asked } = await openDesk(t)
  t.strictSame(await run(['list']), { stdout: 'Nothing is locked.\n', stderr: '', code: 0 })
  t.strictSame(asked, [1_000])
})

t.test('show: whom the name finds, what is counted and what is locked', async t => {
  const person = {
    name: 'alice',
    subjects: ['corp:1'],
    silent: [{ backend: 'hr', reason: 'connect: \u001b refused' }],
  }
  const zero = { kind: 'pair', failures: 0, limit: 5, inFlight: 0 } as const
  const { run, asked } = await openDesk(t, {
    async show(request) {
      asked.push(request)
      const standings = {
        name: [
          { ...zero, failures: 2, inFlight: 1 },
          { ...zero, kind: 'familiar' as const },
        ],
        source: [{ ...zero, kind: 'source' as const, failures: 7, limit: 50, watched: true as const }],
        subjects: [{ ...zero, subject: 'corp:1', kind: 'unfamiliar' as const, lockedForMs: 1_000 }],
      }
      return { ok: true, person, ...(request.address && { standings }), locks: [] }
    },
  })
  const from = await run(['show', 'Alice', '--from', '2001:db8::1'])
  t.equal(
    from.stdout,
    [
      'alice',
      '  is corp:1',
      '  hr cannot say whom it finds, so only what is counted under the name itself is meant: connect: \\u{1b} refused',
      '  name, account from this source: 2 of 5 failures, 1 under way',
      '  source: 7 of 50 failures (only watched)',
      '  corp:1, account from sources it has never logged in from: LOCKED for another 1 s',
      '',
      'No lock is known.',
      '',
    ].join('\n'),
  )
  const everywhere = await run(['show', 'Alice'])
  t.match(everywhere.stdout, /^ {2}how often it has failed is counted by source: --from ADDRESS shows it$/m)
  t.strictSame(asked, [{ user: 'Alice', address: '2001:db8:0:0:0:0:0:1' }, { user: 'Alice' }])
})

t.test('show: nobody, and nothing counted', async t => {
  const { run } = await openDesk(t, {
    show: async () => ({
      ok: true,
      person: { name: 'carol', subjects: [], silent: [] },
      standings: { name: [], source: [], subjects: [] },
      locks: [pair],
    }),
  })
  const { stdout, code } = await run(['show', 'carol', '--from', '192.0.2.7'])
  t.match(stdout, /^carol\n {2}nobody is found by this name\n {2}nothing counted\n\nWHO .*\nalice, corp:1 /)
  t.equal(code, 0)
})

t.test('unlock: says what it ended, and who asked', async t => {
  const { run, asked } = await openDesk(t, {
    async unlock(order) {
      asked.push(order)
      return { ok: true, person: { name: 'alice', subjects: ['corp:1'], silent: [] }, ended: [pair] }
    },
  })
  const { stdout, code } = await run(['unlock', 'CORP\\alice'])
  t.match(stdout, /^Unlocked, what was locked:\nWHO .*\nalice, corp:1 .*\n {2}is corp:1\n$/)
  t.equal(code, 0)
  await run(['unlock', 'alice', '--source', '192.0.2.7', '--subject', 'corp:1'], { SUDO_USER: 'olga' })
  await run(['unlock', '--source', '::ffff:192.0.2.7'])
  const operator = userInfo().username
  t.match(asked, [
    { user: 'CORP\\alice', operator },
    { user: 'alice', address: '192.0.2.7', subject: 'corp:1', operator: `olga as ${operator}` },
    { address: '192.0.2.7', operator },
  ])
  t.match(JSON.parse((await run(['unlock', 'alice', '--json'])).stdout), { ended: [{ user: 'alice' }] })
})

t.test('unlock: the answer is no where nothing was locked', async t => {
  const { run } = await openDesk(t)
  t.strictSame(await run(['unlock', '--subject', 'corp:9']), {
    stdout: 'Nothing was locked. Failures counted so far are forgotten.\n',
    stderr: '',
    code: 1,
  })
  const json = await run(['unlock', '--subject', 'corp:9', '--json'])
  t.strictSame([json.stdout, json.code], ['{"ended":[]}\n', 1])
})

t.test('what cannot work is said before anybody is asked', async t => {
  const { run, asked } = await openDesk(t)
  for (const [args, said] of [
    [['unlock'], 'who is to be unlocked? Give a user, --subject or --source'],
    [['unlock', ''], 'the name is empty'],
    [['show', ''], 'the name is empty'],
    [['unlock', '--source', 'here'], '--source here is not an address'],
    [['show', 'alice', '--from', '192.0.2.0/24'], '--from 192.0.2.0/24 is not an address'],
    [['unlock', '--subject', 'alice'], '--subject alice is no id such as corp:6f9619ff-8b86-d011'],
    [['list', '--most', '0'], '--most 0 is no number from 1 to 10000'],
    [['list', '--most', '1e3'], '--most 1e3 is no number from 1 to 10000'],
    [['list', '--admin', 'ftp://x'], '--admin ftp://x is no URL such as http://127.0.0.1:8471'],
  ] as const) {
    t.strictSame(await run(args), { stdout: '', stderr: `${said}\n`, code: 2 }, args.join(' '))
  }
  t.strictSame(asked, [])
})

t.test('without a running daemon there are no locks to ask for', async t => {
  const { run, unpublish, app } = await openDesk(t)
  await app.close()
  const quiet = await run(['list'])
  t.match(quiet, {
    stdout: '',
    stderr: /^the locks are the running daemon's, and none is asked: nothing answers on http:/,
    code: 1,
  })
  unpublish()
  t.match((await run(['unlock', 'alice'])).stderr, /none is asked: there is no .*gatehouse\.db\.admin-token/)
})

t.test('an outage of the store is a failure with its reason', async t => {
  const { run } = await openDesk(t, {
    unlock: async () => {
      throw new UnavailableError('redis: connection refused', 'lookup')
    },
  })
  t.match(await run(['unlock', 'alice']), {
    stdout: '',
    stderr: /answers 503 backend_unavailable: redis: connection refused\n$/,
    code: 1,
  })
})
