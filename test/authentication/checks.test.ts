import t from 'tap'
import type { Look } from '../../src/authentication/backend.ts'
import { runChecks } from '../../src/authentication/checks.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { backend, link, user } from './backends.ts'

const normalise = createUsernameNormaliser([])
const log = createLogRecorder()
const alice: Look = { found: 'one', user: user('1', { groups: ['staff'], roles: ['editor'] }) }

async function check(
  look: unknown,
  expect: { found?: boolean; groups?: string[]; roles?: string[] } = {},
  rest: Parameters<typeof link>[1] = {},
) {
  const looks =
    look === undefined ? {} : { look: async () => (look instanceof Error ? Promise.reject(look) : look) }
  const only = link(
    backend('corp', () => Promise.reject(new Error('nothing is tried')), looks as object),
    rest,
  )
  const whole = { user: 'Alice', backend: 'corp', expect: { found: true, groups: [], roles: [], ...expect } }
  const [result] = await runChecks([whole], { links: [only], normalise, log })
  return [result?.result, result?.reason]
}

const failed = (reason: string) => ['failed', `Alice at corp: ${reason}`]

t.test('whoever may log in with these groups and roles passes', async t => {
  t.strictSame(await check(alice), ['passed', ''])
  t.strictSame(await check(alice, { groups: ['staff'], roles: ['editor'] }), ['passed', ''])
  t.strictSame(
    await check(alice, { groups: ['hr'], roles: ['king'] }),
    failed('not in the group hr, without the role king'),
  )
  t.strictSame(await check(alice, { found: false }), failed('found, and should not be'))
  t.strictSame(await check({ found: 'none' }, { found: false }), ['passed', ''])
})

t.test('whoever may not log in passes only as somebody who must not', async t => {
  const cases: [what: unknown, reason: string, rest?: Parameters<typeof link>[1]][] = [
    [{ found: 'none' }, 'not found'],
    [{ found: 'several', count: 2 }, '2 principals match'],
    [{ found: 'not_applicable', reason: 'of another realm' }, 'of another realm'],
    [{ ...alice, state: 'disabled' }, 'the account is disabled'],
    [{ found: 'one', user: user('1', { state: 'disabled' }) }, 'the account is disabled'],
    [{ ...alice, state: 'logon_hours' }, 'the account may not log in at this hour'],
    [{ ...alice, refusal: 'in a denied group' }, 'in a denied group'],
    [alice, 'on a deny list', { deny: true }],
    [alice, 'its username_filter leaves this name out', { usernameFilter: () => false }],
  ]
  for (const [look, reason, rest] of cases) {
    t.strictSame(await check(look, {}, rest), failed(reason))
    t.strictSame(await check(look, { found: false }, rest), ['passed', ''], reason)
  }
})

t.test('a backend that does not know, or answers anything else, leaves the check open', async t => {
  const unknown = (reason: string) => ['unknown', `Alice at corp: ${reason}`]
  t.strictSame(await check(new UnavailableError('refused', 'connect')), unknown('connect: refused'))
  t.strictSame(await check(new Error('bug')), unknown('the backend threw'))
  for (const rubbish of [
    null,
    1,
    {},
    { found: 'one' },
    { found: 'one', user: { ...user('1'), groups: 'staff' } },
  ]) {
    t.strictSame(await check(rubbish), unknown('the answer is no look'), JSON.stringify(rubbish))
  }
  t.strictSame(await check(undefined), failed('this backend can say nothing without a password'))
})
