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
