/** An explanation as people read it, where no directory gives it on demand. */
import t from 'tap'
import type { Explanation } from '../../src/authentication/explanation.ts'
import { formatExplanation } from '../../src/commands/explain-output.ts'
import { createPaint } from '../../src/commands/terminal.ts'
import { presentExplanation } from '../../src/http/explanation.ts'

const user = { id: 'corp:1', backend: 'corp', username: 'alice', groups: [], roles: [], attributes: {} }

function explanation(rest: Partial<Explanation>): Explanation {
  return {
    mode: 'attempt',
    given: 'alice',
    address: '127.0.0.1',
    steps: [],
    conclusion: { verdict: 'accepted', reason: 'the password is right', user },
    durationMs: 1,
    ...rest,
  }
}

const format = (rest: Partial<Explanation>) =>
  formatExplanation(presentExplanation(explanation(rest)), createPaint(false))

t.test('what the app is told beside an acceptance is told to the operator, too', async t => {
  const conclusion = {
    verdict: 'accepted',
    reason: 'the password is right',
    user,
    warnings: [
      { code: 'password_expires', at: '2026-12-01T08:00:00Z' },
      { code: 'grace_logins', remaining: 2 },
    ],
  } as const
  const presented = presentExplanation(explanation({ conclusion }))
  t.strictSame(JSON.parse(JSON.stringify(presented)).warnings, conclusion.warnings, 'as the app gets them')
  t.match(
    format({ conclusion }),
    /^ {2}warning {9}the password expires at 2026-12-01T08:00:00Z\n {2}warning {9}.*expired; logins left with it: 2$/m,
  )
  t.notMatch(format({}), 'warning')
})

t.test('a refused account reads as a sentence', async t => {
  const detail = 'the account may not log in at this hour'
  const step = {
    backend: 'corp',
    type: 'ldap',
    outcome: 'account_state',
    state: 'logon_hours',
    facts: [],
  } as const
  const steps = [{ ...step, detail }]
  t.match(format({ steps }), /^1 corp \(ldap\) {2}refuses: the account may not log in at this hour$/m)
  t.match(presentExplanation(explanation({ steps })).steps, [{ detail, state: 'logon_hours' }])
})

t.test('a line for each count that is not at zero, and one where nothing is counted', async t => {
  const zero = { kind: 'pair', failures: 0, limit: 5, inFlight: 0 } as const
  const nothing = { name: [zero], source: [], subjects: [{ ...zero, subject: 'corp:1' }] }
  const lockout = {
    name: [zero, { ...zero, kind: 'unfamiliar', failures: 3, limit: 10 }],
    source: [{ ...zero, kind: 'source', failures: 2, limit: 50, inFlight: 1 }],
    subjects: [{ ...zero, subject: 'corp:1', lockedForMs: 1_500 }],
  } as const
  const text = format({ lockout: nothing, lockoutAfter: lockout })
  t.match(text, '\n  lockout         nothing counted\n  afterwards      name, account from sources')
  t.match(
    text,
    [
      '  afterwards      name, account from sources it has never logged in from: 3 of 10 failures',
      '                  source: 2 of 50 failures, 1 under way',
      '                  corp:1, account from this source: LOCKED for another 2 s',
      '',
    ].join('\n'),
  )
})
