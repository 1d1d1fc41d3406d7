import t from 'tap'
import type { AttemptEvent } from '../../src/authentication/attempt-event.ts'
import { createAttemptLog } from '../../src/observe/attempt-log.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

const EVENT: AttemptEvent = {
  requestId: 'r1',
  caller: 'wiki',
  address: '192.0.2.7',
  username: 'alice',
  verdict: 'accepted',
  steps: [{ backend: 'corp', outcome: 'accept', durationMs: 1.23456 }],
  durationMs: 2.34567,
  shared: false,
  locked: false,
}

function write(event: Partial<AttemptEvent>, secret = new Uint8Array(32)) {
  const log = createLogRecorder()
  createAttemptLog(log, secret)({ ...EVENT, ...event })
  t.equal(log.lines.length, 1, 'one event per attempt')
  return log.lines[0]
}

t.test('each verdict has its event of the OWASP vocabulary and its level', async t => {
  const rows: [Partial<AttemptEvent>, string, string][] = [
    [{}, 'authn_login_success', 'info'],
    [{ verdict: 'rejected', reason: 'credentials' }, 'authn_login_fail', 'info'],
    [{ verdict: 'rejected', reason: 'ambiguous' }, 'authn_login_fail', 'error'],
    [{ verdict: 'account_state', reason: 'disabled' }, 'authn_login_fail', 'info'],
    [{ verdict: 'rejected', locked: true }, 'authn_login_lock', 'warn'],
    [{ verdict: 'locked_out' }, 'authn_login_fail_max', 'warn'],
    [{ verdict: 'busy' }, 'excess_rate_limit_exceeded', 'info'],
    [{ verdict: 'unavailable' }, 'authn_login_unavailable', 'warn'],
    [{ verdict: 'invalid', reason: 'username: is empty' }, 'input_validation_fail', 'info'],
    [{ verdict: 'error' }, 'sys_crash', 'error'],
  ]
  for (const [event, name, level] of rows) {
    t.match(write(event), { level, fields: { event: name } }, `${event.verdict} ${event.reason ?? ''}`)
  }
})

t.test(
  'a name that no backend knew may be a password in the wrong box: only its keyed hash is logged',
  async t => {
    const unknown = write({ verdict: 'rejected', username: 'my secret password' })
    t.notMatch(JSON.stringify(unknown), 'my secret password')
    t.match(unknown?.fields.user_hash, /^[0-9a-f]{16}$/)
    const again = write({ verdict: 'locked_out', username: 'my secret password' })
    t.equal(again?.fields.user_hash, unknown?.fields.user_hash, 'the same name can be followed')
    const elsewhere = write(
      { verdict: 'rejected', username: 'my secret password' },
      new Uint8Array(32).fill(1),
    )
    t.not(elsewhere?.fields.user_hash, unknown?.fields.user_hash, 'another installation says something else')
    const known = write({ verdict: 'rejected', subject: 'corp:1' })
    t.match(known?.fields, { user: 'alice', subject: 'corp:1' })
  },
)

t.test('who, from where, through which app, what each backend said and how long it took', async t => {
  t.match(write({ subject: 'corp:1', shared: true, ignored: true })?.fields, {
    request_id: 'r1',
    client: 'wiki',
    source: '192.0.2.7',
    verdict: 'accepted',
    steps: [{ backend: 'corp', outcome: 'accept', ms: 1.23 }],
    ms: 2.35,
    shared: true,
    ignored: true,
  })
  const plain = JSON.stringify(write({ subject: 'corp:1' })?.fields)
  t.notMatch(plain, /shared|ignored/, 'what is not so is not said')
})

t.test('of an attempt whose line is left out, nothing is made for it', async t => {
  const log = createLogRecorder()
  const asked: string[] = []
  const limited = {
    ...log,
    leavesOut: (level: string, message: string) => asked.push(`${level} ${message}`) > 1,
  }
  const attemptLog = createAttemptLog(limited, new Uint8Array(32))
  const left: AttemptEvent = { ...EVENT, verdict: 'locked_out' }
  Object.defineProperty(left, 'steps', { get: () => t.fail('nobody reads it') })
  attemptLog(EVENT)
  attemptLog(left)
  t.equal(log.lines.length, 1)
  t.same(asked, ['info logged in', 'warn refused: locked out here'])
})
