import t from 'tap'
import type { AttemptEvent } from '../../src/authentication/attempt-event.ts'
import { createAuthenticate } from '../../src/authentication/authenticate.ts'
import type { Backend, Look } from '../../src/authentication/backend.ts'
import type { Caller } from '../../src/authentication/caller.ts'
import { createChain, type Link } from '../../src/authentication/chain.ts'
import { systemClock } from '../../src/authentication/clock.ts'
import { createExplain } from '../../src/authentication/explain.ts'
import type { ExplainRequest } from '../../src/authentication/explanation.ts'
import type { LockKind, Standing, Standings } from '../../src/authentication/lockout.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import type { Place } from '../../src/authentication/place.ts'
import { ruleFor, type StepOutcome } from '../../src/authentication/rule.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { setUpLockout } from '../support/lockout.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { type Answering, backend, CONTINUE, link, user, verifies } from './backends.ts'

const OPERATOR: Caller = { id: 'admin', requiredGroups: [] }

function place(of: Link, rest: Partial<Place> = {}): Place {
  return { id: of.backend.id, type: 'scripted', link: of, ruleOrigins: {}, ...rest }
}

function desk(
  places: readonly Place[],
  {
    daemon = true,
    deadlineMs = 5_000,
    lockout = setUpLockout({ settings: { maxAttempts: 3 } }).lockout,
  } = {},
) {
  const events: AttemptEvent[] = []
  const log = createLogRecorder()
  const normalise = createUsernameNormaliser([{ netbios: 'CORP', suffixes: ['corp.example'] }])
  const authenticate = createAuthenticate({
    chain: createChain(
      places.flatMap(each => each.link ?? []),
      5_000,
      systemClock,
    ),
    lockout,
    normalise,
    clock: systemClock,
    log,
    onAttempt: event => void events.push(event),
  })
  const parts = { places, normalise, deadlineMs, clock: systemClock, log }
  const explain = createExplain(daemon ? { ...parts, lockout, authenticate } : parts)
  const ask = (username: string, rest: Partial<ExplainRequest> = {}) =>
    explain({ requestId: 'r', username, address: '192.0.2.7', caller: OPERATOR, ...rest })
  const attempt = (username: string, password: string, rest: Partial<ExplainRequest> = {}) =>
    ask(username, { password: new Secret(password), ...rest })
  return { ask, attempt, events, log }
}

function looks(look: Look | Error): Pick<Backend, 'look'> {
  return {
    async look(username, _signal, note) {
      note({ what: 'filter', value: `(uid=${username.user})`, durationMs: 1 })
      if (look instanceof Error) throw look
      return look
    },
  }
}

const found: Look = { found: 'one', user: user('1', { username: 'alice', groups: ['staff'] }) }
const asked = () => Promise.reject(new Error('a look must not try anything'))

const outcomes = ({ steps }: Awaited<ReturnType<ReturnType<typeof desk>['ask']>>) =>
  steps.map(({ backend, outcome, detail }) =>
    [backend, outcome, ...(detail === undefined ? [] : [detail])].join(' '),
  )

t.test(
  'a look: the normalised name, why each backend is asked or skipped, and what would decide',
  async t => {
    const places = [
      { id: 'old', type: 'ldap', ruleOrigins: {} },
      place(link(backend('guests', asked, looks(found)), { usernameFilter: () => false })),
      place(link(backend('hr', asked, looks(found)))),
      place(
        link(
          backend('other', asked, looks({ found: 'not_applicable', reason: 'the name is of another realm' })),
        ),
      ),
      place(link(backend('empty', asked, looks({ found: 'none' })))),
      place(link(backend('corp', asked, looks(found)), { on: { wrong_password: 'stop' } }), {
        ruleOrigins: { wrong_password: 'preset active-directory' },
      }),
      place(link(backend('local', asked, looks({ found: 'none' })))),
    ]
    const { ask, events } = desk(places)
    const caller = { ...OPERATOR, backends: new Set(['guests', 'other', 'empty', 'corp', 'local']) }
    const seen = await ask('CORP\\Alice', { caller })
    t.match(seen, {
      mode: 'look',
      given: 'CORP\\Alice',
      username: { text: 'alice@corp.example', user: 'alice' },
    })
    t.strictSame(outcomes(seen), [
      'old skipped enabled: false',
      'guests skipped username_filter',
      'hr skipped not for this app',
      'other not_applicable the name is of another realm',
      'empty unknown_user',
      'corp found',
      'local not_reached',
    ])
    t.strictSame(seen.steps[5]?.facts, [{ what: 'filter', value: '(uid=alice)', durationMs: 1 }])
    t.match(seen.steps[5], {
      rule: 'right password: on.accept: stop; wrong password: on.wrong_password: stop (preset active-directory)',
      user: { id: 'corp:1', backend: 'corp', groups: ['staff'] },
    })
    t.match(seen.conclusion, {
      verdict: 'depends_on_password',
      backend: 'corp',
      rule: 'on.accept: stop',
      user: { id: 'corp:1' },
    })
    const none = { failures: 0, inFlight: 0 }
    const account = [
      { kind: 'pair', limit: 3, ...none },
      { kind: 'unfamiliar', limit: 10, ...none },
    ]
    t.same(seen.lockout, {
      name: account,
      source: [
        { kind: 'source', limit: 50, ...none },
        { kind: 'subnet', limit: 200, ...none },
      ],
      subjects: account.map(standing => ({ subject: 'corp:1', ...standing })),
    })
    t.equal(events.length, 0, 'nothing is tried')
  },
)

t.test('a look goes on where a wrong password would', async t => {
  const { ask } = desk([
    place(link(backend('corp', asked, looks(found)))),
    place(link(backend('local', asked, looks({ found: 'none' })))),
  ])
  const seen = await ask('alice')
  t.strictSame(outcomes(seen), ['corp found', 'local unknown_user'])
  t.match(seen.conclusion, { verdict: 'depends_on_password', backend: 'corp' })
})

t.test('what a look concludes, case by case', async t => {
  const cases: readonly (readonly [string, Look | Error | undefined, Partial<Link>, object])[] = [
    ['nobody', { found: 'none' }, {}, { verdict: 'rejected', reason: /no backend knows/ }],
    [
      'several',
      { found: 'several', count: 2 },
      {},
      { verdict: 'rejected', reason: /^2 principals match: no password/ },
    ],
    [
      'disabled',
      { ...found, state: 'disabled' } as Look,
      {},
      { verdict: 'account_state', reason: 'the account is disabled' },
    ],
    [
      'elsewhere only',
      { ...found, state: 'workstation_not_allowed' } as Look,
      {},
      { verdict: 'account_state', reason: 'the account may not log in from here' },
    ],
    [
      'refused',
      { ...found, refusal: 'in a denied group' } as Look,
      {},
      { verdict: 'rejected', reason: 'in a denied group' },
    ],
    [
      'denied',
      found,
      { deny: true },
      { verdict: 'rejected', reason: 'on the deny list', rule: 'deny always stops' },
    ],
    ['not denied', { found: 'none' }, { deny: true }, { verdict: 'rejected', reason: /no backend knows/ }],
    [
      'out',
      new UnavailableError('connection refused', 'connect'),
      {},
      { verdict: 'unavailable', backend: 'corp' },
    ],
    ['a bug', new Error('bug'), {}, { verdict: 'unavailable', backend: 'corp' }],
    ['cannot look', undefined, {}, { verdict: 'depends_on_password', reason: /without a password/ }],
    ['rubbish', { found: 'one', user: { id: '' } } as never, {}, { verdict: 'unavailable' }],
  ]
  for (const [what, look, rest, expected] of cases) {
    const only = backend('corp', asked, look === undefined ? {} : looks(look))
    const { ask } = desk([place(link(only, rest as object))])
    t.match((await ask('alice')).conclusion, expected, what)
  }
})

t.test('the state of an account is told in words, and by its code to machines', async t => {
  const state = 'logon_hours'
  const words = 'the account may not log in at this hour'
  const refuses = verifies('1', { outcome: 'account_state', subject: '1', state, passwordVerified: true })
  const { ask, attempt, events } = desk([
    place(link(backend('corp', refuses, looks({ ...found, state } as Look)))),
  ])
  t.match((await ask('alice')).steps, [{ outcome: 'account_state', detail: words, state }])
  const tried = await attempt('alice', 'right')
  t.match(tried.steps, [{ outcome: 'account_state', detail: words, state }])
  t.equal(tried.conclusion.reason, `${words}; the password is right`)
  t.match(events, [{ reason: state, steps: [{ detail: state }] }], 'the log has the code')
})

t.test('a look concludes what a login would, where the chain goes on', async t => {
  const sees = (id: string, look: Look | Error, rest: Parameters<typeof link>[1] = {}) =>
    place(link(backend(id, asked, looks(look)), rest))
  const out = new UnavailableError('connection refused', 'connect')
  const cases: readonly (readonly [string, readonly Place[], object])[] = [
    [
      'out, then a rule that stops',
      [sees('a', out), sees('b', { found: 'none' }, { on: { unknown_user: 'stop' } })],
      { verdict: 'unavailable', backend: 'a' },
    ],
    [
      'required, and nobody behind it knows the name',
      [sees('a', found, { on: { accept: 'continue' } }), sees('b', { found: 'none' })],
      { verdict: 'rejected', reason: /^a must accept, which is not enough, and no other backend knows/ },
    ],
    [
      'required, and it does not know the name',
      [sees('a', { found: 'none' }, { on: { accept: 'continue' } }), sees('b', found)],
      { verdict: 'rejected', reason: /must accept and does not know/, backend: 'a' },
    ],
    [
      'a deny list that cannot look',
      [place(link(backend('d', asked), { deny: true })), sees('b', found)],
      { verdict: 'depends_on_password', backend: 'b', reason: /accepted, unless d says otherwise/ },
    ],
    [
      'on a deny list whose several entries match',
      [sees('d', { found: 'several', count: 2 }, { deny: true }), sees('b', found)],
      { verdict: 'rejected', reason: 'on the deny list', backend: 'd' },
    ],
  ]
  for (const [what, places, expected] of cases) {
    const { ask } = desk(places)
    t.match((await ask('alice')).conclusion, expected, what)
  }
})

t.test('who is locked out at one backend is looked for at the next, as a login does', async t => {
  const guessed: Answering = verifies('1', { outcome: 'wrong_password', subject: '1' })
  const places = (known: Look) => [
    place(link(backend('corp', guessed, looks(found)))),
    place(link(backend('local', verifies('2', { outcome: 'unknown_user' }), looks(known)))),
  ]
  for (const [known, expected] of [
    [
      { found: 'one', user: user('2') },
      { verdict: 'depends_on_password', backend: 'local' },
    ],
    [{ found: 'none' }, { verdict: 'locked_out', reason: /^corp:1 is locked out here for another \d+ s/ }],
  ] as const) {
    const { ask, attempt } = desk(places(known))
    // Each name is another one, and the subject always the same.
    for (let i = 0; i < 3; i++) await attempt(`alias-${i}`, `guess ${i}`)
    const seen = await ask('alice')
    t.match(seen.steps[0], { outcome: 'subject_locked', detail: /^for another \d+ s$/, next: 'continue' })
    t.match(seen.conclusion, expected)
  }
})

t.test('a look takes no longer than a login may', async t => {
  const hangs = (id: string) => place(link(backend(id, asked, { look: () => new Promise(() => {}) })))
  const { ask } = desk([hangs('a'), hangs('b'), hangs('c')], { deadlineMs: 30 })
  const seen = await ask('alice')
  t.match(outcomes(seen).at(-1), /^c unavailable the time for the whole attempt was used up$/)
  t.ok(seen.durationMs < 500, `${seen.durationMs} ms`)
})

t.test('a look at a backend that hangs ends at its deadline', async t => {
  const hangs = backend('corp', asked, { look: () => new Promise(() => {}) })
  const { ask } = desk([place(link(hangs, { timeoutMs: 20 }))])
  t.match((await ask('alice')).steps, [{ outcome: 'unavailable', detail: 'no answer within 20 ms' }])
})

t.test('an app that wants other groups refuses whoever is found', async t => {
  const { ask } = desk([place(link(backend('corp', asked, looks(found))))])
  const seen = await ask('alice', { caller: { id: 'admin', requiredGroups: ['hr'] } })
  t.match(seen.conclusion, { verdict: 'rejected', reason: 'in none of the groups that the app requires' })
})

t.test('a right password with the wrong groups is said to be that', async t => {
  const { attempt } = desk([place(link(backend('corp', corp)))])
  const seen = await attempt('alice', 'right', { caller: { id: 'admin', requiredGroups: ['hr'] } })
  t.match(seen.conclusion, {
    verdict: 'rejected',
    reason: /^the password is right, and .* groups that the app/,
  })
  t.notOk(seen.conclusion.rule, 'no rule of the chain')
})

t.test('outside of the daemon the lockout is not known, and nothing can be tried', async t => {
  const { ask, attempt } = desk([place(link(backend('corp', asked, looks(found))))], { daemon: false })
  t.notOk((await ask('alice')).lockout)
  await t.rejects(attempt('alice', 'x'), TypeError)
})

t.test('what cannot be a name is said, and asks nobody', async t => {
  const { ask } = desk([place(link(backend('corp', asked)))])
  const seen = await ask('a\u0000')
  t.match(seen, {
    steps: [],
    conclusion: { verdict: 'invalid', reason: /^the name contains a control.*: nobody is asked$/ },
  })
  t.notOk(seen.username)
})

/** Knows alice, notes what it does. */
const corp: Answering = async attempt => {
  attempt.note?.({ what: 'filter', value: `(uid=${attempt.username.user})` })
  if (attempt.username.user !== 'alice') return { outcome: 'unknown_user' }
  const right = attempt.password.reveal() === 'right'
  return verifies(
    '1',
    right ? { outcome: 'accept', user: user('1') } : { outcome: 'wrong_password', subject: '1' },
  )(attempt)
}

t.test(
  'an attempt is really made, counted and written down, with facts and the rule that decided',
  async t => {
    const places = [
      place(link(backend('corp', corp), { on: { wrong_password: 'stop' } }), {
        ruleOrigins: { wrong_password: 'preset samba' },
      }),
      place(link(backend('local', asked))),
    ]
    const { attempt, ask, events, log } = desk(places)
    const wrong = await attempt('alice', 'canary-wrong')
    t.match(wrong, {
      mode: 'attempt',
      lockout: { name: [{ failures: 0 }] },
      lockoutAfter: {
        name: [{ failures: 1 }],
        source: [{ failures: 1 }],
        subjects: [{ subject: 'corp:1', failures: 1 }],
      },
      steps: [
        {
          backend: 'corp',
          outcome: 'wrong_password',
          rule: 'on.wrong_password: stop (preset samba)',
          facts: [{ what: 'filter', value: '(uid=alice)' }],
        },
        { backend: 'local', outcome: 'not_reached' },
      ],
      conclusion: { verdict: 'rejected', backend: 'corp', rule: 'on.wrong_password: stop (preset samba)' },
    })
    t.match(events, [{ caller: 'admin', address: '192.0.2.7', verdict: 'rejected', subject: 'corp:1' }])
    t.notMatch(JSON.stringify(wrong) + log.text() + JSON.stringify(events), 'canary-wrong')

    const right = await attempt('alice', 'right')
    t.match(right.conclusion, {
      verdict: 'accepted',
      backend: 'corp',
      rule: 'on.accept: stop',
      user: { id: 'corp:1' },
    })
    t.match(right.lockoutAfter, { subjects: [{ failures: 0 }] }, 'the account starts afresh')

    for (let i = 0; i < 3; i++) await attempt('alice', `canary ${i}`)
    const locked = await attempt('alice', 'right')
    t.match(locked.conclusion, { verdict: 'locked_out', reason: /locked out here for another \d+ s/ })
    t.match(outcomes(locked), ['corp not_reached', 'local not_reached'], 'nobody is asked')
    t.match((await ask('alice')).conclusion, {
      verdict: 'locked_out',
      reason: /^the name is locked out here/,
    })
  },
)

t.test('the warnings that an app gets beside an acceptance are explained, too', async t => {
  const warnings = [{ code: 'password_expires', at: '2026-12-01T08:00:00Z' }] as const
  const warns = verifies('1', { outcome: 'accept', user: user('1'), warnings })
  const { attempt } = desk([place(link(backend('corp', warns)))])
  const { conclusion } = await attempt('alice', 'right')
  t.match(conclusion, { verdict: 'accepted', warnings })
})

t.test('an attempt says why a backend was not asked, and whether a state was proved', async t => {
  const disabled = (passwordVerified: boolean): Answering =>
    verifies('1', { outcome: 'account_state', subject: '1', state: 'disabled', passwordVerified })
  const { attempt } = desk([
    place(link(backend('hr', asked))),
    place(link(backend('guests', asked), { usernameFilter: () => false })),
    place(link(backend('corp', disabled(false)))),
  ])
  const caller = { ...OPERATOR, backends: new Set(['guests', 'corp']) }
  const seen = await attempt('alice', 'x', { caller })
  t.match(outcomes(seen).slice(0, 2), ['hr skipped not for this app', 'guests skipped username_filter'])
  t.match(seen.conclusion, { verdict: 'account_state', reason: /the password was not verified/ })
  const proved = await desk([place(link(backend('corp', disabled(true))))]).attempt('alice', 'x')
  t.match(proved.conclusion, { verdict: 'account_state', reason: /the password is right/ })
})

t.test('a source that is locked out is said before anybody is looked for in vain', async t => {
  const { ask, attempt } = desk([place(link(backend('corp', corp, looks(found))))])
  for (let i = 0; i < 50; i++) await attempt(`nobody-${i}`, 'x')
  t.match((await ask('alice')).conclusion, {
    verdict: 'locked_out',
    reason: /^the source is locked out here/,
  })
  t.match((await ask('alice', { address: '192.0.2.8' })).conclusion, { verdict: 'depends_on_password' })
})

t.test('a source that is blocked is said to be, with a password and without', async t => {
  const places = [place(link(backend('corp', corp, looks(found))))]
  const { lockout } = setUpLockout({ settings: { block: ['192.0.2.0/24'] } })
  const { ask, attempt, events } = desk(places, { lockout })
  const blocked = { verdict: 'locked_out', reason: /^the source is on the block list/ }
  t.match((await ask('alice')).conclusion, blocked)
  t.match((await attempt('alice', 'right')).conclusion, blocked)
  t.match(events, [{ verdict: 'locked_out', reason: /block list/ }])
})

t.test(
  'the lock that holds longest is the one that is told, and one that is only watched refuses nobody',
  async t => {
    const at = (kind: LockKind, lockedForMs: number, rest: Partial<Standing> = {}): Standing => {
      return { kind, failures: 0, limit: 5, inFlight: 0, lockedForMs, ...rest }
    }
    const places = [place(link(backend('corp', corp, looks(found))))]
    const standing = async (standings: Standings) => {
      const lockout = { ...setUpLockout().lockout, inspect: async () => standings }
      return desk(places, { lockout }).ask('alice')
    }
    const name = [at('pair', 1_000), at('unfamiliar', 60_000)]
    t.match((await standing({ name, source: [at('subnet', 90_000)], subject: [] })).conclusion, {
      verdict: 'locked_out',
      reason: /^the network of the source is locked out here for another 90 s/,
    })
    t.match((await standing({ name, source: [at('source', 2_000)], subject: [] })).conclusion, {
      reason: /^the name is locked out here for another 60 s/,
    })
    t.match((await standing({ name: [], source: [], subject: name })).steps, [
      { outcome: 'subject_locked', detail: 'for another 60 s' },
    ])
    const watched = [at('pair', 60_000, { watched: true })]
    const seen = await standing({ name: watched, source: watched, subject: watched })
    t.match(seen.conclusion, { verdict: 'depends_on_password' })
    t.strictSame(seen.lockout?.name, watched, 'it is shown all the same')
  },
)

t.test('at the end of the chain no rule has decided', async t => {
  const { attempt } = desk([place(link(backend('corp', corp)))])
  const { conclusion } = await attempt('nobody', 'x')
  t.match(conclusion, { verdict: 'rejected', reason: /no backend accepted/ })
  t.notOk(conclusion.rule)
})

t.test(
  'attempts without an explanation carry no facts, and the explained ones share with nobody',
  async t => {
    const notes: unknown[] = []
    const only = backend('corp', async attempt => {
      notes.push(attempt.note)
      await new Promise(resolve => setImmediate(resolve))
      return corp(attempt)
    })
    const { attempt, events } = desk([place(link(only))])
    await Promise.all([attempt('alice', 'right'), attempt('alice', 'right')])
    t.equal(only.asked, 2)
    t.ok(notes.every(note => typeof note === 'function'))
    t.ok(events.every(({ shared }) => !shared))
  },
)

t.test('the rule said is the rule that holds', async t => {
  const words = ['stop', 'continue'] as const
  const answers: Record<Exclude<StepOutcome, 'busy' | 'subject_locked'>, unknown> = {
    accept: { outcome: 'accept', user: user('1') },
    unknown_user: { outcome: 'unknown_user' },
    wrong_password: { outcome: 'wrong_password', subject: '1' },
    account_state: { outcome: 'account_state', subject: '1', state: 'disabled', passwordVerified: true },
    ambiguous: { outcome: 'ambiguous', count: 2 },
    deny: { outcome: 'deny', reason: 'x' },
    unavailable: { outcome: 'unavailable', cause: 'x', phase: 'connect', credentialSent: false },
    not_applicable: { outcome: 'not_applicable', reason: 'x' },
  }
  let seen = 0
  for (const [outcome, answer] of Object.entries(answers) as [StepOutcome, unknown][]) {
    for (const accept of words) {
      for (const word of words) {
        const on = { ...CONTINUE, accept, unknown_user: word, wrong_password: word, unavailable: word }
        const second = backend('second', () => ({ outcome: 'unknown_user' }))
        const first = link(
          backend('first', () => answer),
          { on },
        )
        const { attempt } = desk([place(first), place(link(second))])
        await attempt('alice', 'x')
        const { next, name } = ruleFor(outcome, { on, deny: false })
        t.equal(second.asked, next === 'stop' ? 0 : 1, `${outcome}: ${name}`)
        seen++
      }
    }
  }
  t.equal(seen, 32)
})
