import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import type { Attempt } from '../../src/authentication/backend.ts'
import { type ChainRequest, createChain, type Link } from '../../src/authentication/chain.ts'
import { systemClock } from '../../src/authentication/clock.ts'
import type { Outcome } from '../../src/authentication/outcome.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createUsernameFilter } from '../../src/authentication/username-filter.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { runs } from '../support/runs.ts'
import { backend, link, user, verifies } from './backends.ts'

const log = createLogRecorder()

const CANARY = 'canary-Pa55word'

function run(links: readonly Link[], request: Partial<ChainRequest> = {}, deadlineMs = 5_000) {
  return createChain(links, deadlineMs, systemClock).run({
    username: { text: 'alice', typed: 'alice', user: 'alice' },
    password: new Secret(CANARY),
    claim: async () => ({ admitted: true }),
    log,
    ...request,
  })
}

const WRONG = verifies('1', { outcome: 'wrong_password', subject: '1' })
const UNKNOWN = () => ({ outcome: 'unknown_user' })
const OUT = () => ({ outcome: 'unavailable', cause: 'down', phase: 'connect', credentialSent: false })
const ACCEPT = verifies('1', { outcome: 'accept', user: user('1') })
const RIGHT_BUT_DISABLED = {
  outcome: 'account_state',
  subject: '1',
  state: 'disabled',
  passwordVerified: true,
}
const WRONG_AND_DISABLED = { ...RIGHT_BUT_DISABLED, passwordVerified: false }
const WRONG_AND_LOCKED = { ...WRONG_AND_DISABLED, state: 'locked' }

t.test('a name is charged only if every backend could say its word about it', async t => {
  const required = link(backend('b', UNKNOWN), { on: { accept: 'continue' } })
  const last = link(backend('c', UNKNOWN))
  const out = await run([link(backend('a', OUT)), required, last])
  t.match(out, {
    verdict: { verdict: 'rejected', reason: 'required' },
    charge: { name: false, source: false },
  })
  const known = await run([link(backend('a', UNKNOWN)), required, last])
  t.match(known, { verdict: { reason: 'required' }, charge: { name: true, source: true } })
})

t.test(
  'the table: what each outcome of the first backend makes of a chain whose second would accept',
  async t => {
    const rows: [string, unknown, string, { name: boolean; source: boolean; subjects: string[] }][] = [
      ['accept', { outcome: 'accept', user: user('1') }, 'a:1', { name: false, source: false, subjects: [] }],
      ['unknown_user', { outcome: 'unknown_user' }, 'b:1', { name: false, source: false, subjects: [] }],
      [
        'wrong_password',
        { outcome: 'wrong_password', subject: '1' },
        'b:1',
        { name: false, source: false, subjects: ['a:1'] },
      ],
      ['unavailable', OUT(), 'b:1', { name: false, source: false, subjects: [] }],
      [
        'not_applicable',
        { outcome: 'not_applicable', reason: '' },
        'b:1',
        { name: false, source: false, subjects: [] },
      ],
      [
        'account_state, right password',
        RIGHT_BUT_DISABLED,
        'account_state',
        { name: false, source: false, subjects: [] },
      ],
      [
        'account_state, wrong password',
        WRONG_AND_DISABLED,
        'account_state',
        { name: true, source: true, subjects: [] },
      ],
      [
        'account_state, locked in the directory',
        WRONG_AND_LOCKED,
        'account_state',
        { name: false, source: true, subjects: [] },
      ],
      [
        'ambiguous',
        { outcome: 'ambiguous', count: 2 },
        'rejected',
        { name: false, source: true, subjects: [] },
      ],
      ['deny', { outcome: 'deny', reason: 'no' }, 'rejected', { name: false, source: true, subjects: [] }],
    ]
    for (const [name, outcome, expected, charge] of rows) {
      const second = backend('b', ACCEPT)
      const result = await run([link(backend('a', () => outcome)), link(second)])
      const { verdict } = result
      t.equal(verdict.verdict === 'accepted' ? verdict.user.id : verdict.verdict, expected, name)
      t.match(result.charge, charge, `${name}: the charge`)
      t.equal(second.asked, expected === 'b:1' ? 1 : 0, `${name}: the second backend`)
    }
  },
)

t.test('the verdict at the end of the chain', async t => {
  const rows: [string, (() => unknown)[], string, { name: boolean; source: boolean; subjects: string[] }][] =
    [
      ['nobody knows the name', [UNKNOWN, UNKNOWN], 'rejected', { name: true, source: true, subjects: [] }],
      [
        'a wrong password',
        [WRONG as never, UNKNOWN],
        'rejected',
        { name: true, source: true, subjects: ['a:1'] },
      ],
      [
        'wrong in both',
        [WRONG as never, WRONG as never],
        'rejected',
        { name: true, source: true, subjects: ['a:1', 'b:1'] },
      ],
      [
        'an outage may have held the right password',
        [OUT, UNKNOWN],
        'unavailable',
        { name: false, source: false, subjects: [] },
      ],
      [
        'an outage does not make guesses against others free',
        [OUT, WRONG as never],
        'unavailable',
        { name: false, source: true, subjects: ['b:1'] },
      ],
      [
        'no backend applies',
        [() => ({ outcome: 'not_applicable', reason: '' })],
        'rejected',
        { name: false, source: false, subjects: [] },
      ],
    ]
  for (const [name, answers, expected, charge] of rows) {
    const result = await run(answers.map((answer, index) => link(backend('ab'[index] ?? '', answer))))
    t.equal(result.verdict.verdict, expected, name)
    t.strictSame({ ...result.charge }, charge, `${name}: the charge`)
  }
})

t.test('operators can make unknown_user, wrong_password and unavailable final', async t => {
  const cases = [
    [UNKNOWN, { unknown_user: 'stop' }, 'rejected'],
    [WRONG, { wrong_password: 'stop' }, 'rejected'],
    [OUT, { unavailable: 'stop' }, 'unavailable'],
  ] as const
  for (const [answer, on, expected] of cases) {
    const second = backend('b', ACCEPT)
    const { verdict } = await run([link(backend('a', answer as never), { on }), link(second)])
    t.equal(verdict.verdict, expected)
    t.equal(second.asked, 0)
  }
})

t.test('on: { accept: continue } makes a backend required-also', async t => {
  const on = { accept: 'continue' } as const
  const both = await run([link(backend('a', ACCEPT), { on }), link(backend('b', ACCEPT))])
  t.match(both.verdict, { verdict: 'accepted', user: { id: 'b:1' } }, 'the later identity')
  const forApp = await run([link(backend('a', UNKNOWN), { on }), link(backend('b', ACCEPT))], {
    allowed: new Set(['b']),
  })
  t.match(forApp.verdict, { verdict: 'rejected' }, 'an app cannot choose to do without it')
  const alone = await run([link(backend('a', ACCEPT), { on }), link(backend('b', UNKNOWN))])
  t.match(alone.verdict, { verdict: 'rejected' }, 'its acceptance alone is not enough')
  const refusals: [string, (() => unknown) | typeof WRONG, string][] = [
    ['unknown', UNKNOWN, 'rejected'],
    ['wrong', WRONG, 'rejected'],
    ['not applicable', () => ({ outcome: 'not_applicable', reason: '' }), 'rejected'],
    ['out', OUT, 'unavailable'],
    ['rubbish', () => true, 'unavailable'],
  ]
  for (const [name, answer, expected] of refusals) {
    const second = backend('b', ACCEPT)
    const { verdict } = await run([link(backend('a', answer), { on }), link(second)])
    t.equal(verdict.verdict, expected, name)
    t.equal(second.asked, 0, `${name}: an acceptance behind it cannot rescue`)
  }
})

t.test('a deny list is handed no secret, denies whom it knows and is fatal when out', async t => {
  let handed = true
  const known = backend('d', async ({ mayVerify }) => {
    handed = await mayVerify('1')
    return { outcome: 'accept', user: user('1') }
  })
  const claimed: string[] = []
  const claim = async (subject: string) => {
    claimed.push(subject)
    return { admitted: true } as const
  }
  const denied = await run([link(known, { deny: true }), link(backend('b', ACCEPT))], { claim })
  t.match(denied.verdict, { verdict: 'rejected', reason: 'deny' })
  t.equal(handed, false)
  t.strictSame(claimed, [], 'being found on a deny list is no guess at anybody')
  const mute = await run([
    link(
      backend('d', () => ({ outcome: 'wrong_password', subject: '1' })),
      { deny: true },
    ),
    link(backend('b', ACCEPT)),
  ])
  t.match(mute.verdict, { verdict: 'rejected', reason: 'deny' }, 'one that does not say whom it found')
  const unknown = await run([link(backend('d', UNKNOWN), { deny: true }), link(backend('b', ACCEPT))])
  t.match(unknown.verdict, { verdict: 'accepted' })
  const out = await run([link(backend('d', OUT), { deny: true }), link(backend('b', ACCEPT))])
  t.match(out.verdict, { verdict: 'unavailable' })
  const forApp = await run([link(known, { deny: true }), link(backend('b', ACCEPT))], {
    allowed: new Set(['b']),
  })
  t.match(forApp.verdict, { verdict: 'rejected' }, 'an app cannot choose to do without it')
})

t.test(
  'who was found before they were denied is told with the result, and the source alone pays',
  async t => {
    const deny = { outcome: 'deny', reason: 'in a denied group' }
    const source = { name: false, subjects: [], source: true }
    const found = await run([link(backend('a', verifies('1', deny))), link(backend('b', ACCEPT))])
    t.match(found, { verdict: { verdict: 'rejected', reason: 'deny' }, subject: 'a:1', charge: source })
    const alias = backend('email', verifies('1', deny), { issuer: 'local' })
    t.equal((await run([link(alias)])).subject, 'local:1', 'by the id that an app would get')
    const listed = await run([link(backend('d', verifies('1', UNKNOWN())), { deny: true })])
    t.match(listed, { subject: 'd:1', charge: source })
    const nobody = await run([link(backend('a', () => deny))])
    t.match(nobody, { verdict: { reason: 'deny' }, charge: source })
    t.notOk(nobody.subject, 'a backend that found nobody names nobody')
  },
)

t.test('a backend is asked only for the apps and the names it is for', async t => {
  const first = backend('a', ACCEPT)
  const result = await run([link(first), link(backend('b', ACCEPT))], { allowed: new Set(['b']) })
  t.match(result.verdict, { verdict: 'accepted', user: { id: 'b:1', backend: 'b' } })
  t.equal(first.asked, 0)
  t.match(result.steps, [{ outcome: 'not_applicable', detail: 'not for this app' }, { outcome: 'accept' }])
  const filtered = await run([link(first, { usernameFilter: createUsernameFilter(['adm-*']) })])
  t.match(filtered.verdict, { verdict: 'rejected' })
  t.equal(first.asked, 0)
})

t.test('username filters: wildcards match, negatives win, and time stays short', async t => {
  const rows: [string[], string, boolean][] = [
    [[], 'alice', true],
    [['alice'], 'alice', true],
    [['ALICE'], 'alice', true],
    [['a*'], 'alice', true],
    [['*ice'], 'alice', true],
    [['*l*c*'], 'alice', true],
    [['?lice'], 'alice', true],
    [['?'], 'alice', false],
    [['b*'], 'alice', false],
    [['*', '!al*'], 'alice', false],
    [['!bob'], 'alice', true],
    [['!bob'], 'bob', false],
    [['a.c'], 'abc', false],
    [['**'], '', true],
  ]
  for (const [patterns, name, expected] of rows) {
    t.equal(createUsernameFilter(patterns)(name), expected, `${patterns} on ${name}`)
  }
  const startedAt = performance.now()
  createUsernameFilter([`${'*a'.repeat(100)}b`])('a'.repeat(256))
  t.ok(performance.now() - startedAt < 1_000, 'a pattern made to explode does not')
})

t.test('only the exact shape of an acceptance accepts; everything else is an outage', async t => {
  const rubbish: unknown[] = [
    true,
    1,
    Number.NaN,
    '',
    'accept',
    null,
    undefined,
    [],
    {},
    () => {},
    Symbol('x'),
    { outcome: true },
    { outcome: 'accepted' },
    { outcome: 'accept' },
    { outcome: ['accept'] },
    { outcome: 'accept', user: {} },
    { outcome: 'accept', user: { id: '' } },
    { outcome: 'accept', user: 'alice' },
    { outcome: 'accept', user: { ...user('1'), id: '' } },
    { outcome: 'accept', user: { ...user('1'), id: 1 } },
    { outcome: 'accept', user: { ...user('1'), groups: 'staff' } },
    { outcome: 'accept', user: { ...user('1'), groups: [1] } },
    { outcome: 'accept', user: { ...user('1'), attributes: { a: {} } } },
    { outcome: 'accept', user: { ...user('1'), state: 'disabled' } },
    { outcome: 'accept', user: user('1'), warnings: 'x' },
    { outcome: 'wrong_password' },
    { outcome: 'wrong_password', subject: '' },
    { outcome: 'account_state', subject: '1', state: 'fine', passwordVerified: true },
    { outcome: 'account_state', subject: '1', state: 'toString', passwordVerified: true },
    {
      get outcome(): string {
        throw new Error('hostile getter')
      },
    },
  ]
  for (const answer of rubbish) {
    const { verdict, charge } = await run([link(backend('a', () => answer))])
    t.equal(verdict.verdict, 'unavailable', inspect(answer))
    t.strictSame({ ...charge }, { name: false, subjects: [], source: false })
  }
})

t.test('an answer cannot change after it was checked', async t => {
  let reads = 0
  const shifty = {
    outcome: 'accept',
    user: {
      ...user('1'),
      get id() {
        return reads++ === 0 ? '1' : ''
      },
    },
  }
  const { verdict } = await run([link(backend('a', () => shifty))])
  t.match(verdict, { verdict: 'accepted', user: { id: 'a:1' } })
  if (verdict.verdict === 'accepted') {
    t.ok(
      Object.isFrozen(verdict.user) &&
        Object.isFrozen(verdict.user.groups) &&
        Object.isFrozen(verdict.user.attributes),
    )
  }
})

t.test('no value that a plugin can return or throw accepts, crashes or stops the chain', async t => {
  const everyAnswer = fc.asyncProperty(
    fc.anything({ withNullPrototype: true, maxDepth: 3 }),
    fc.boolean(),
    async (value, thrown) => {
      const first = backend('a', () => {
        if (thrown) throw value
        return value
      })
      const { verdict } = await run([link(first), link(backend('b', ACCEPT))])
      return verdict.verdict === 'accepted' && verdict.user.id === 'b:1'
    },
  )
  await t.resolves(fc.assert(everyAnswer, { numRuns: runs(300) }))
})

t.test('a backend that throws, at once or later, is an outage, and its report holds no password', async t => {
  const before = log.at('error').length
  for (const answer of [
    () => {
      throw new Error('sync')
    },
    async () => {
      throw new TypeError('async')
    },
    () => {
      throw null
    },
    async () => Promise.reject('text'),
    (attempt: Attempt) => {
      throw new Error(`cannot log in with ${attempt.password.reveal()}`)
    },
  ]) {
    const { verdict } = await run([link(backend('a', answer))])
    t.equal(verdict.verdict, 'unavailable')
  }
  t.equal(log.at('error').length - before, 5)
  t.notMatch(log.text(), CANARY)
})

t.test(
  'what a backend says beside its outcome holds no password, and callers get no more of it than they should',
  async t => {
    const holding = ({ password }: Attempt) => `the server said: ${password.reveal()}`
    for (const answer of [
      (attempt: Attempt) => ({ outcome: 'deny', reason: holding(attempt) }),
      (attempt: Attempt) => ({ outcome: 'not_applicable', reason: holding(attempt) }),
      (attempt: Attempt) => ({
        outcome: 'unavailable',
        cause: holding(attempt),
        phase: 'bind',
        credentialSent: true,
      }),
      (attempt: Attempt) => {
        attempt.log.warn({ answer: { text: holding(attempt) } }, holding(attempt))
        return { outcome: 'unknown_user' }
      },
    ]) {
      t.notMatch(JSON.stringify(await run([link(backend('a', answer))])), CANARY)
    }
    t.notMatch(log.text(), CANARY)

    const warnings = [
      { code: 'grace_logins', remaining: 2, at: CANARY, text: CANARY },
      { code: 'password_expires', at: '2026-12-01T08:00:00Z', remaining: CANARY },
      { code: CANARY },
      CANARY,
    ]
    const { verdict } = await run([
      link(backend('a', () => ({ outcome: 'accept', user: user('1'), warnings }))),
    ])
    t.strictSame(verdict.verdict === 'accepted' && verdict.warnings, [
      { code: 'grace_logins', remaining: 2 },
      { code: 'password_expires', at: '2026-12-01T08:00:00Z' },
    ])
  },
)

t.test(
  'a backend that hangs is left behind at its deadline, and what it says later counts for nothing',
  async t => {
    let late = (_: unknown) => {}
    let aborted: boolean | undefined
    let verifyLate: Promise<boolean> | undefined
    const hanging = backend('a', attempt => {
      attempt.signal.addEventListener('abort', () => {
        aborted = true
        verifyLate = attempt.mayVerify('1')
      })
      return new Promise(resolve => {
        late = resolve
      })
    })
    const startedAt = performance.now()
    const { verdict, steps } = await run([link(hanging, { timeoutMs: 30 })])
    t.equal(verdict.verdict, 'unavailable')
    t.ok(performance.now() - startedAt < 500)
    t.match(steps, [{ outcome: 'unavailable', detail: 'plugin: no answer within 30 ms' }])
    t.equal(aborted, true)
    t.equal(await verifyLate, false, 'no secret is checked after the deadline')
    late({ outcome: 'accept', user: user('1') })
  },
)

t.test('the whole attempt has a deadline, whatever each backend is allowed', async t => {
  const slow = () => new Promise(() => {})
  const third = backend('c', ACCEPT)
  const startedAt = performance.now()
  const { verdict } = await run([link(backend('a', slow)), link(backend('b', slow)), link(third)], {}, 60)
  t.equal(verdict.verdict, 'unavailable')
  t.ok(performance.now() - startedAt < 500)
  t.equal(third.asked, 0)
})

t.test(
  'what an early timer leaves of the whole attempt is no time, and a short timeout of its own is',
  async t => {
    const asked = backend('a', ACCEPT)
    const { verdict, steps } = await run([link(asked)], {}, 4.9)
    t.equal(verdict.verdict, 'unavailable')
    t.match(steps, [{ outcome: 'unavailable', detail: /the whole attempt was used up/ }])
    t.equal(asked.asked, 0)
    await run([link(asked, { timeoutMs: 3 })])
    t.equal(asked.asked, 1)
  },
)

t.test('over max_in_flight a backend is out, also for the ones that hang, and it comes back', async t => {
  const waiting: ((outcome: Outcome) => void)[] = []
  const slow = backend('a', () => new Promise(resolve => void waiting.push(resolve as never)))
  const chain = createChain([link(slow, { maxInFlight: 2, timeoutMs: 20 })], 1_000, systemClock)
  const request = () =>
    chain.run({
      username: { text: 'alice', typed: 'alice', user: 'alice' },
      password: new Secret('x'),
      claim: async () => ({ admitted: true }),
      log,
    })
  await Promise.all([request(), request()])
  const third = await request()
  t.match(third.steps, [{ outcome: 'unavailable', detail: 'admission: max_in_flight reached' }])
  t.equal(slow.asked, 2)
  for (const resolve of waiting) resolve({ outcome: 'unknown_user' })
  await new Promise(resolve => setImmediate(resolve))
  const pending = request()
  await new Promise(resolve => setImmediate(resolve))
  t.equal(slow.asked, 3)
  waiting[2]?.({ outcome: 'unknown_user' })
  t.match((await pending).verdict, { verdict: 'rejected' })
})

t.test(
  'a subject without a place in the lockout is never verified, whatever the backend answers',
  async t => {
    const refused = async () => ({ admitted: false, reason: 'locked', retryAfterMs: 7_000 }) as const
    for (const answer of [
      ACCEPT,
      async ({ mayVerify }: { mayVerify(subject: string): Promise<boolean> }) => {
        await mayVerify('1')
        return { outcome: 'accept', user: user('1') }
      },
      () => ({ outcome: 'accept', user: user('1') }),
    ]) {
      const { verdict, charge } = await run([link(backend('a', answer as never))], { claim: refused })
      t.match(verdict, { verdict: 'locked_out', retryAfterMs: 7_000 })
      t.strictSame({ ...charge }, { name: false, subjects: [], source: false }, 'the lock is not extended')
    }
    const other = async (subject: string) => (subject === 'a:1' ? refused() : ({ admitted: true } as const))
    const goesOn = await run([link(backend('a', ACCEPT)), link(backend('b', ACCEPT))], { claim: other })
    t.match(
      goesOn.verdict,
      { verdict: 'accepted', user: { id: 'b:1' } },
      'somebody else of that name may still be right',
    )
    const stops = await run(
      [link(backend('a', ACCEPT), { on: { wrong_password: 'stop' } }), link(backend('b', ACCEPT))],
      { claim: other },
    )
    t.match(stops.verdict, { verdict: 'locked_out' })
    const busy = await run([link(backend('a', ACCEPT)), link(backend('b', ACCEPT))], {
      claim: async () => ({ admitted: false, reason: 'busy' }),
    })
    t.match(busy.verdict, { verdict: 'busy' })
  },
)

t.test('a backend that verifies one subject and answers about another is not believed', async t => {
  for (const outcome of [
    { outcome: 'accept', user: user('2') },
    { outcome: 'wrong_password', subject: '2' },
    { outcome: 'account_state', subject: '2', state: 'disabled', passwordVerified: true },
  ]) {
    const { verdict, charge } = await run([link(backend('a', verifies('1', outcome)))])
    t.match(verdict, { verdict: 'unavailable' }, outcome.outcome)
    t.strictSame(charge.subjects, [], 'and nobody pays for a guess at somebody else')
  }
})

t.test('one attempt may verify one subject', async t => {
  const allowed: boolean[] = []
  const greedy = backend('a', async ({ mayVerify }) => {
    for (const subject of ['1', '2', '1']) allowed.push(await mayVerify(subject))
    return { outcome: 'wrong_password', subject: '1' }
  })
  const { charge } = await run([link(greedy)])
  t.strictSame(allowed, [true, false, true])
  t.strictSame(charge.subjects, ['a:1'])
})

t.test('a ceiling of the directory reaches the lockout, and a refusal by it counts as any other', async t => {
  const ceiling = { threshold: 3, windowMs: 60_000 }
  const asked: unknown[] = []
  const allowed: boolean[] = []
  const { verdict } = await run(
    [
      link(
        backend('a', async ({ mayVerify }) => {
          allowed.push(await mayVerify('1'), await mayVerify('1', ceiling), await mayVerify('1'))
          return { outcome: 'accept', user: user('1') }
        }),
      ),
    ],
    {
      claim: async (subject, below) => {
        asked.push([subject, below])
        return below ? { admitted: false, reason: 'locked', retryAfterMs: 7_000 } : { admitted: true }
      },
    },
  )
  t.strictSame(asked.slice(0, 2), [
    ['a:1', undefined],
    ['a:1', ceiling],
  ])
  t.strictSame(allowed, [true, false, false], 'once refused, nothing is verified any more')
  t.match(verdict, { verdict: 'locked_out', retryAfterMs: 7_000 })
})

t.test('an alias backend claims and issues the ids of the backend it stands for', async t => {
  const claimed: string[] = []
  const { verdict, charge } = await run([link(backend('email', ACCEPT, { issuer: 'local' }))], {
    claim: async subject => {
      claimed.push(subject)
      return { admitted: true }
    },
  })
  t.strictSame(claimed, ['local:1'])
  t.match(verdict, { verdict: 'accepted', user: { id: 'local:1', backend: 'local' } })
  t.equal(charge.accepted, 'local:1')
})
