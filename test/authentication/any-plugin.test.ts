/** The contract of a backend from the other side: whatever a plugin returns or throws, the daemon stays what it is. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { Attempt, Backend } from '../../src/authentication/backend.ts'
import { asBackend } from '../../src/authentication/backend-shape.ts'
import { createChain } from '../../src/authentication/chain.ts'
import { systemClock } from '../../src/authentication/clock.ts'
import { createGetUser } from '../../src/authentication/get-user.ts'
import { probeAll, watchHealth } from '../../src/authentication/health.ts'
import { lookAt } from '../../src/authentication/look.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { closeBackend, openLink } from '../../src/links.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { runs } from '../support/runs.ts'
import { backend, link, user, verifies } from './backends.ts'
import { delivery, hostile, isAnswer, listOf, make, near } from './hostile-values.ts'

const CANARY = 'canary-Pa55word'
const CALLER = { id: 'wiki', requiredGroups: [] }
const normalise = createUsernameNormaliser([])

const loose: unknown[] = []
const keep = (reason: unknown) => void loose.push(reason)
process.on('unhandledRejection', keep)
process.on('uncaughtException', keep)
t.teardown(() => process.off('unhandledRejection', keep).off('uncaughtException', keep))
function alice() {
  const normalised = normalise('alice')
  if (!normalised.ok) throw new Error(normalised.problem)
  return normalised.username
}

const text = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('1', 'alice', 'e-1') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', ' ', '\u0000', 'a\r\nb', '\ud800', 'x'.repeat(257), '__proto__'),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) },
)
/** What a plugin says in words, as one does that prints what it was handed. */
const words = fc.oneof(text, fc.constantFrom(CANARY, `no ${CANARY} here`))
const texts = fc.array(text, { maxLength: 3 })
const anyUser = near({
  id: text,
  username: text,
  displayName: text,
  email: text,
  groups: texts,
  roles: texts,
  attributes: fc.dictionary(text, fc.oneof(text, texts), { maxKeys: 3 }),
})
const anyWarning = near({
  code: fc.constantFrom('password_expires', 'grace_logins'),
  at: fc.constant('2026-12-01T08:00:00Z'),
  remaining: fc.integer(),
})
const anyState = fc.constantFrom('disabled', 'locked', 'fine', 'toString')
const anyOutcome = fc.oneof(
  { weight: 3, arbitrary: hostile },
  {
    weight: 6,
    arbitrary: near({
      outcome: fc.constant('accept'),
      user: anyUser,
      warnings: listOf(anyWarning, 2),
    }),
  },
  { weight: 1, arbitrary: near({ outcome: fc.constant('wrong_password'), subject: text }) },
  {
    weight: 1,
    arbitrary: near({
      outcome: fc.constant('account_state'),
      subject: text,
      state: anyState,
      passwordVerified: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: near({
      outcome: fc.constantFrom('deny', 'not_applicable', 'ambiguous', 'unknown_user', 'unavailable'),
      reason: words,
      count: fc.nat(),
      cause: words,
      phase: fc.constantFrom('bind', 'toString'),
      credentialSent: fc.boolean(),
    }),
  },
)

/** What may be an id in a reply and in a path. Written down here once more, from the documentation. */
function isId(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    value !== '' &&
    value.length <= 256 &&
    value.isWellFormed() &&
    !/\p{Cc}/u.test(value)
  )
}

const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && Array.from(value).every(each => typeof each === 'string')

/** An identity that can be answered: every field of its type, and nothing that can still change. */
function assertWhole(identity: { readonly id: string; readonly groups: unknown } & object): void {
  const { id, backend, username, displayName, email, groups, roles, attributes, state, ...rest } =
    identity as Record<string, unknown>
  assert.deepEqual(rest, {})
  assert.ok(isId(String(id).slice(String(backend).length + 1)))
  assert.ok(typeof username === 'string' && username !== '')
  for (const optional of [displayName, email])
    assert.ok(optional === undefined || typeof optional === 'string')
  assert.ok(isTexts(groups) && isTexts(roles))
  for (const value of Object.values(attributes as object))
    assert.ok(typeof value === 'string' || isTexts(value))
  for (const part of [identity, groups, roles, attributes]) assert.ok(Object.isFrozen(part))
}

interface Asked {
  readonly claimed: string[]
  readonly log: ReturnType<typeof createLogRecorder>
}

function ask(authenticate: (attempt: Attempt) => unknown, timeoutMs = 1_000) {
  const asked: Asked = { claimed: [], log: createLogRecorder() }
  const first = { ...backend('a', () => undefined), authenticate: authenticate as Backend['authenticate'] }
  const chain = createChain([link(first, { timeoutMs })], 5_000, systemClock)
  const result = chain.run({
    username: alice(),
    password: new Secret(CANARY),
    claim: async subject => {
      asked.claimed.push(subject)
      return { admitted: true }
    },
    log: asked.log,
    explained: true,
  })
  return { asked, result }
}

t.test('only a whole acceptance accepts, whatever is answered and however', async t => {
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(anyOutcome, delivery, fc.boolean(), async (drawn, [way, deliver], asks) => {
      const value = make(drawn)
      const { asked, result } = ask(attempt => {
        if (asks) return attempt.mayVerify('1').then(() => deliver(value))
        return deliver(value)
      })
      const { verdict, steps } = await result
      assert.doesNotMatch(JSON.stringify(steps) + asked.log.text(), new RegExp(CANARY))
      if (verdict.verdict !== 'accepted') return
      accepted += 1
      assert.ok(isAnswer(way), `${way} is no answer`)
      assertWhole(verdict.user)
      JSON.stringify(verdict.warnings)
      for (const { at, remaining } of verdict.warnings) {
        assert.ok(at === undefined || typeof at === 'string')
        assert.ok(remaining === undefined || Number.isInteger(remaining))
      }
      assert.deepEqual([...new Set(asked.claimed)], [verdict.user.id], 'who is accepted had a place')
    }),
    { numRuns: runs(1_500) },
  )
  t.ok(accepted > 0, `${accepted} were accepted: the others are no matter of course`)
})

t.test('plain data is accepted exactly where the documentation says so', async () => {
  const plain = fc.record({
    outcome: fc.constantFrom('accept', 'Accept', 'accept ', true),
    user: fc.record(
      {
        id: fc.oneof(text, fc.constantFrom(0, null, ['1'])),
        username: text,
        groups: fc.oneof(texts, fc.constantFrom('staff', null, [1])),
        roles: texts,
        attributes: fc.oneof(fc.constant({}), fc.constantFrom([], null, { a: 1 })),
        state: fc.constantFrom(undefined, undefined, undefined, 'disabled', null),
      },
      { requiredKeys: ['id', 'username'] },
    ),
  })
  await fc.assert(
    fc.asyncProperty(plain, async value => {
      const { outcome, user: whom } = value
      const expected =
        outcome === 'accept' &&
        isId(whom.id) &&
        whom.username !== '' &&
        isTexts(whom.groups) &&
        isTexts(whom.roles) &&
        typeof whom.attributes === 'object' &&
        whom.attributes !== null &&
        Object.keys(whom.attributes).length === 0 &&
        !Array.isArray(whom.attributes) &&
        whom.state === undefined
      const { verdict } = await ask(async () => value).result
      assert.equal(verdict.verdict, expected ? 'accepted' : 'unavailable')
    }),
    { numRuns: runs(500) },
  )
})

t.test('what a plugin asks the lockout for is checked before it is counted', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(text, hostile),
      fc.oneof(fc.constant(undefined), hostile, near({ threshold: fc.integer(), windowMs: fc.integer() })),
      async (...drawn) => {
        const [subject, ceiling] = drawn.map(make)
        const { asked, result } = ask(async attempt => {
          const may = await attempt.mayVerify(subject as string, ceiling as never)
          return may ? { outcome: 'accept', user: user(subject as string) } : { outcome: 'unknown_user' }
        })
        const { verdict } = await result
        assert.ok(verdict.verdict === 'unavailable' || isId(subject), verdict.verdict)
        assert.deepEqual(asked.claimed, verdict.verdict === 'accepted' ? [`a:${subject}`] : [])
      },
    ),
    { numRuns: runs(300) },
  )
})

t.test('what a plugin notes for an explanation is text, and can be shown', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(near({ what: words, value: words, durationMs: fc.double() }), { maxLength: 3 }),
      async facts => {
        const { result } = ask(async ({ note }) => {
          for (const fact of facts.map(make)) {
            try {
              note?.(fact as never)
            } catch {
              // Its own fault, and told to it alone.
            }
          }
          return { outcome: 'unknown_user' }
        })
        const { steps } = await result
        for (const { what, value, durationMs } of steps[0]?.facts ?? []) {
          assert.ok(typeof what === 'string' && typeof value === 'string' && !value.includes(CANARY))
          assert.ok(durationMs === undefined || Number.isFinite(durationMs))
        }
        JSON.stringify(steps)
      },
    ),
  )
})

t.test('an answer that never comes is an outage at the deadline', async t => {
  const never = [
    () => new Promise(() => {}),
    // biome-ignore lint/suspicious/noThenProperty: a thenable is the point
    () => ({ then() {} }),
    // biome-ignore lint/suspicious/noThenProperty: a thenable is the point
    async () => ({ then: (resolve: (value: object) => void) => resolve({ then() {} }) }),
  ]
  for (const authenticate of never) {
    t.match(await ask(authenticate, 20).result, { verdict: { verdict: 'unavailable' } })
  }
})

t.test('what a plugin does to what it was handed reaches nobody else', async t => {
  const seen: unknown[] = []
  const vandal = backend('a', attempt => {
    const { username, password } = attempt
    const acts = [
      () => Object.assign(username, { text: 'admin', user: 'admin', typed: 'admin' }),
      () => Object.assign(password, { reveal: () => 'mine', toString: () => CANARY }),
      () => Object.defineProperty(password, 'toJSON', { value: () => CANARY }),
      () => Object.setPrototypeOf(password, { reveal: () => 'mine' }),
      () => Object.assign(attempt, { signal: null, mayVerify: async () => true, log: null }),
    ]
    for (const act of acts) {
      try {
        act()
      } catch {
        // Refused: so it should be.
      }
    }
    return { outcome: 'unknown_user' }
  })
  const second = backend('b', async attempt => {
    seen.push({ ...attempt.username }, attempt.password.reveal(), `${attempt.password}`)
    return verifies('1', { outcome: 'accept', user: user('1') })(attempt)
  })
  const log = createLogRecorder()
  const claimed: string[] = []
  const { verdict } = await createChain([link(vandal), link(second)], 5_000, systemClock).run({
    username: alice(),
    password: new Secret(CANARY),
    claim: async subject => {
      claimed.push(subject)
      return { admitted: true }
    },
    log,
  })
  t.match(verdict, { verdict: 'accepted', user: { id: 'b:1' } })
  t.strictSame(seen, [{ ...alice() }, CANARY, '[secret]'])
  t.strictSame(claimed, ['b:1'])
})

t.test('a user changed after the answer is still the user who was accepted', async t => {
  const groups = ['staff']
  const answer = { outcome: 'accept', user: user('1', { groups, attributes: { phones: groups } }) }
  const { verdict } = await ask(async () => {
    setImmediate(() => {
      groups.push('admins')
      Object.assign(answer.user, { id: '2' })
    })
    return answer
  }).result
  await turn()
  await turn()
  t.match(verdict, { user: { id: 'a:1', groups: ['staff'], attributes: { phones: ['staff'] } } })
  if (verdict.verdict === 'accepted') t.equal(verdict.user.groups.length, 1)
})

t.test('a look-up finds a whole user, nobody, or is an outage', async t => {
  const outcomes = new Set<string>()
  await fc.assert(
    fc.asyncProperty(fc.oneof(anyUser, hostile), delivery, async (drawn, [way, deliver]) => {
      const value = make(drawn)
      const log = createLogRecorder()
      const asked = backend('a', () => undefined, { getUser: (async () => deliver(value)) as never })
      const found = await createGetUser([link(asked)], log)('a:1', CALLER)
      outcomes.add(found.lookup)
      log.text()
      if (found.lookup === 'unavailable') return
      assert.ok(isAnswer(way), way)
      if (found.lookup === 'found') {
        assertWhole(found.user)
        assert.equal(found.user.id, 'a:1')
      } else assert.equal(value, undefined)
    }),
    { numRuns: runs(800) },
  )
  t.ok(outcomes.has('found') && outcomes.has('unavailable'))
})

t.test('a look without a password is a look or an outage, and can be shown', async () => {
  const anyLook = near({
    found: fc.constantFrom('one', 'none', 'several', 'not_applicable'),
    user: anyUser,
    state: anyState,
    refusal: text,
    count: fc.nat(),
    reason: text,
  })
  await fc.assert(
    fc.asyncProperty(fc.oneof(anyLook, hostile), delivery, async (drawn, [way, deliver]) => {
      const value = make(drawn)
      const log = createLogRecorder()
      const asked = backend('a', () => undefined, { look: (async () => deliver(value)) as never })
      const request = { username: alice(), timeoutMs: 1_000, note() {}, log }
      const sighting = await lookAt(link(asked), request)
      log.text()
      assert.ok(sighting.found === 'unavailable' || isAnswer(way), way)
      JSON.stringify(sighting)
    }),
    { numRuns: runs(500) },
  )
})

t.test('a probe says yes, or no with a reason, and what it says of servers can be shown', async t => {
  const seen = new Set<boolean>()
  const anyHealth = near({
    ok: fc.boolean(),
    reason: text,
    servers: listOf(
      near({
        server: text,
        ok: fc.boolean(),
        reason: text,
        certificateExpiresAt: fc.oneof(fc.integer(), fc.double(), fc.constantFrom(8.64e15, 1e300)),
      }),
      2,
    ),
  })
  await fc.assert(
    fc.asyncProperty(fc.oneof(anyHealth, hostile), delivery, async (drawn, [way, deliver]) => {
      const value = make(drawn)
      const log = createLogRecorder()
      const links = [link(backend('a', () => undefined, { probe: (async () => deliver(value)) as never }))]
      const report = await probeAll(links)
      seen.add(report.ready)
      assert.ok(!report.ready || isAnswer(way), way)
      const watch = watchHealth(links, {
        clock: systemClock,
        log,
        earlier: { watch: { latest: () => report, warnedAt: new Map() }, now: report },
      })
      await watch.check()
      watch.stop()
      log.text()
      JSON.stringify(report)
      for (const one of report.backends) {
        assert.ok(one.ok || typeof one.reason === 'string')
        for (const { server, ok, reason, certificateExpiresAt: at } of one.servers ?? []) {
          assert.ok(typeof server === 'string' && typeof ok === 'boolean')
          assert.ok(reason === undefined || typeof reason === 'string')
          if (at !== undefined) new Date(at).toISOString()
        }
      }
    }),
    { numRuns: runs(800) },
  )
  t.equal(seen.size, 2)
})

t.test('closing never rejects', async () => {
  await fc.assert(
    fc.asyncProperty(hostile, delivery, async (drawn, [, deliver]) => {
      const value = make(drawn)
      const log = createLogRecorder()
      await closeBackend(
        backend('a', () => undefined, { close: (() => deliver(value)) as never }),
        log,
      )
      log.text()
    }),
  )
})

const anyBackend = near({
  id: fc.constant('a'),
  issuer: fc.constantFrom(undefined, 'local'),
  realm: fc.oneof(
    fc.constant(undefined),
    near({ netbios: fc.constant('CORP'), suffixes: fc.constant(['corp.example']) }),
  ),
  authenticate: fc.constant(async () => ({ outcome: 'unknown_user' })),
  getUser: fc.constant(async () => undefined),
  probe: fc.constant(async () => ({ ok: true })),
  close: fc.constant(async () => {}),
})

t.test('what a plugin makes is a backend of the id it was told, or the start ends with an error', async t => {
  let made = 0
  const settings = {
    id: 'a',
    options: {},
    on: { accept: 'stop', unknownUser: 'continue', wrongPassword: 'continue', unavailable: 'continue' },
    timeoutMs: 1_000,
    maxInFlight: 1,
    deny: false,
    usernameFilter: ['*'],
  }
  await fc.assert(
    fc.asyncProperty(fc.oneof(anyBackend, hostile), delivery, async (drawn, [way, deliver]) => {
      const value = make(drawn)
      const plugin = { type: 'any', apiVersion: 1, options: {}, create: () => deliver(value) }
      const parts = { users: {}, refusedAccounts: {}, log: createLogRecorder() }
      try {
        const opened = await openLink({ ...settings, plugin } as never, parts as never)
        made += 1
        assert.ok(isAnswer(way), way)
        assert.equal(opened.backend.id, 'a')
        createUsernameNormaliser(opened.backend.realm ? [opened.backend.realm] : [])
        await createChain([opened], 1_000, systemClock).run({
          username: alice(),
          password: new Secret(CANARY),
          claim: async () => ({ admitted: true }),
          log: parts.log,
        })
        await closeBackend(opened.backend, parts.log)
      } catch (error) {
        assert.ok(error instanceof Error && /^backend a: /.test(error.message), String(error))
      }
    }),
    { numRuns: runs(500) },
  )
  t.ok(made > 0)
})

t.test('a backend cannot take another name later', async t => {
  const shifty = { ...backend('a', () => undefined) }
  const read = asBackend(shifty, 'a')
  Object.assign(shifty, { id: 'local', issuer: 'local', realm: { suffixes: ['x'] } })
  t.match(read, { id: 'a', issuer: undefined, realm: undefined })
})

t.test('in all this no rejection and no exception got loose', async t => {
  await turn()
  t.strictSame(loose, [])
})
