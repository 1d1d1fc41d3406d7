import t from 'tap'
import type { AttemptEvent } from '../../src/authentication/attempt-event.ts'
import { createAuthenticate } from '../../src/authentication/authenticate.ts'
import type { Caller } from '../../src/authentication/caller.ts'
import { createChain, type Link } from '../../src/authentication/chain.ts'
import { systemClock } from '../../src/authentication/clock.ts'
import { createGetUser } from '../../src/authentication/get-user.ts'
import { watchHealth } from '../../src/authentication/health.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import { createPasswordTag } from '../../src/authentication/password-tag.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import type { AuthenticationRequest } from '../../src/authentication/verdict.ts'
import { setUpLockout, setUpLockoutAt } from '../support/lockout.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { type Answering, backend, link, user, verifies } from './backends.ts'

const log = createLogRecorder()
const APP: Caller = { id: 'wiki', requiredGroups: [] }

function desk(links: readonly Link[]) {
  const events: AttemptEvent[] = []
  const authenticate = createAuthenticate({
    chain: createChain(links, 5_000, systemClock),
    lockout: setUpLockoutAt(systemClock).lockout,
    normalise: createUsernameNormaliser([{ netbios: 'CORP', suffixes: ['corp.example', 'corp.alt'] }]),
    clock: systemClock,
    log,
    onAttempt: event => void events.push(event),
  })
  const ask = (username: string, password: string, rest: Partial<AuthenticationRequest> = {}) =>
    authenticate({
      requestId: 'r',
      caller: APP,
      username,
      password: new Secret(password),
      address: '192.0.2.7',
      ...rest,
    })
  return { ask, events }
}

/** Knows one person, under several names, with one password. */
function person(names: readonly string[], password: string): Answering {
  return async attempt => {
    if (!names.includes(attempt.username.text)) return { outcome: 'unknown_user' }
    return attempt.password.reveal() === password
      ? verifies('1', {
          outcome: 'accept',
          user: user('1', { groups: ['staff'], attributes: { a: 'x', b: 'y' } }),
        })(attempt)
      : verifies('1', { outcome: 'wrong_password', subject: '1' })(attempt)
  }
}

t.test(
  'the limit-th wrong password is still refused as wrong, the next attempt is locked out, right or wrong',
  async t => {
    const only = backend('a', person(['alice'], 'right'))
    const { ask, events } = desk([link(only)])
    for (let i = 1; i <= 5; i++)
      t.match(await ask('alice', `wrong ${i}`), { verdict: 'rejected' }, `guess ${i}`)
    t.match(await ask('alice', 'right'), { verdict: 'locked_out' })
    t.equal(only.asked, 5, 'while locked no backend is contacted')
    t.strictSame(
      events.map(({ verdict, locked }) => `${verdict} ${locked}`),
      [...Array(4).fill('rejected false'), 'rejected true', 'locked_out false'],
    )
    t.match(
      await ask('alice', 'right', { address: '192.0.2.8' }),
      { verdict: 'accepted' },
      'elsewhere she gets in',
    )
  },
)

t.test('names that do not exist lock exactly like names that do', async t => {
  const { ask } = desk([link(backend('a', person(['alice'], 'right')))])
  for (let i = 1; i <= 5; i++) t.match(await ask('nobody', `wrong ${i}`), { verdict: 'rejected' })
  t.match(await ask('nobody', 'x'), { verdict: 'locked_out' })
})

t.test('every spelling of one person shares one limit', async t => {
  const names = ['alice', 'alice@corp.example', 'a.liddell@corp.example']
  const only = backend('a', person(names, 'right'))
  const { ask } = desk([link(only)])
  const spellings = ['ALICE', ' alice ', 'CORP\\alice', 'alice@CORP.example', 'a.liddell@corp.example']
  for (const [i, spelling] of spellings.entries()) {
    t.match(await ask(spelling, `wrong ${i}`), { verdict: 'rejected' }, spelling)
  }
  for (const spelling of [...spellings, 'ａｌｉｃｅ']) {
    t.match(await ask(spelling, 'right'), { verdict: 'locked_out' }, spelling)
  }
})

t.test('a thousand guesses at once verify no more than the limit', async t => {
  let verified = 0
  const only = backend('a', async attempt => {
    if (!(await attempt.mayVerify('1'))) return { outcome: 'not_applicable', reason: '' }
    verified++
    await new Promise(resolve => setImmediate(resolve))
    return { outcome: 'wrong_password', subject: '1' }
  })
  const { ask } = desk([link(only, { maxInFlight: 10_000 })])
  const verdicts = await Promise.all(Array.from({ length: 1_000 }, (_, i) => ask('alice', `guess ${i}`)))
  t.equal(verified, 5)
  t.equal(verdicts.filter(({ verdict }) => verdict === 'rejected').length, 5)
  t.ok(verdicts.every(({ verdict }) => ['rejected', 'locked_out', 'busy'].includes(verdict)))
})

t.test('two hundred right passwords at once all get in, on one verification', async t => {
  const only = backend('a', async attempt => {
    await new Promise(resolve => setImmediate(resolve))
    return person(['alice'], 'right')(attempt)
  })
  const { ask, events } = desk([link(only)])
  const verdicts = await Promise.all(Array.from({ length: 200 }, () => ask('alice', 'right')))
  t.ok(verdicts.every(({ verdict }) => verdict === 'accepted'))
  t.equal(only.asked, 1)
  t.equal(events.length, 200, 'every attempt is written down')
  t.equal(events.filter(({ shared }) => shared).length, 199)
})

t.test('only identical attempts share: another password, app or address is verified by itself', async t => {
  const only = backend('a', async attempt => {
    await new Promise(resolve => setImmediate(resolve))
    return person(['alice'], 'right')(attempt)
  })
  const { ask } = desk([link(only)])
  const verdicts = await Promise.all([
    ask('alice', 'right'),
    ask('alice', 'right '),
    ask('alice', 'right', { caller: { id: 'printers', requiredGroups: [] } }),
    ask('alice', 'right', { address: '192.0.2.8' }),
  ])
  t.equal(only.asked, 4)
  t.strictSame(
    verdicts.map(({ verdict }) => verdict),
    ['accepted', 'rejected', 'accepted', 'accepted'],
  )
})

t.test('two addresses that count as one name are not answered for each other', async t => {
  const only = backend('a', async ({ username, mayVerify }) => {
    await new Promise(resolve => setImmediate(resolve))
    const id = username.typed === 'bob@corp.alt' ? 'another-bob' : 'bob'
    await mayVerify(id)
    return { outcome: 'accept', user: user(id) }
  })
  const { ask } = desk([link(only)])
  const verdicts = await Promise.all([ask('bob@corp.example', 'same'), ask('bob@corp.alt', 'same')])
  t.match(verdicts, [{ user: { id: 'a:bob' } }, { user: { id: 'a:another-bob' } }])
})

t.test('an outage moves no counter, and behind it a local guess still counts', async t => {
  let up = false
  const directory = backend('ldap', attempt =>
    up
      ? person(['alice'], 'right')(attempt)
      : { outcome: 'unavailable', cause: 'down', phase: 'connect', credentialSent: false },
  )
  const { ask } = desk([link(directory), link(backend('local', person(['bob'], 'right')))])
  for (let i = 0; i < 20; i++) t.match(await ask('alice', `x${i}`), { verdict: 'unavailable' })
  for (let i = 0; i < 5; i++) t.match(await ask('bob', `x${i}`), { verdict: 'unavailable' })
  t.match(await ask('bob', 'right'), { verdict: 'locked_out' }, 'guesses against bob were not free')
  up = true
  t.match(await ask('alice', 'right'), { verdict: 'accepted' })
})

t.test('an app sees only users of its groups, and only its attributes', async t => {
  const { ask, events } = desk([link(backend('a', person(['alice'], 'right')))])
  const refused = await ask('alice', 'right', { caller: { id: 'hr', requiredGroups: ['hr'] } })
  t.strictSame(refused, { verdict: 'rejected' }, 'no more is told than for a wrong password')
  t.match(events.at(-1), { verdict: 'rejected', reason: 'groups', subject: 'a:1' })
  const shown = await ask('alice', 'right', {
    caller: { id: 'wiki', requiredGroups: ['hr', 'staff'], attributes: new Set(['b']) },
  })
  t.match(shown, { verdict: 'accepted' })
  t.strictSame(shown.verdict === 'accepted' && { ...shown.user.attributes }, { b: 'y' })
})

t.test('what cannot be a name or a password reaches no backend and no counter', async t => {
  const only = backend('a', person(['alice'], 'right'))
  const { ask, events } = desk([link(only)])
  for (const [name, password, field] of [
    ['', 'x', 'username'],
    [' \u00ad', 'x', 'username'],
    ['a\0', 'x', 'username'],
    ['alice', '', 'password'],
    ['alice', '   ', 'password'],
    ['alice', '\0', 'password'],
    ['alice', 'x'.repeat(1_025), 'password'],
  ] as const) {
    t.match(
      await ask(name, password),
      { verdict: 'invalid', field },
      JSON.stringify(name + password).slice(0, 20),
    )
  }
  t.equal(only.asked, 0)
  t.equal(events.length, 7)
})

t.test('a bug gives every place back and is written down', async t => {
  const broken = { run: () => Promise.reject(new Error('bug')), inFlight: () => new Map() }
  let released = 0
  const events: AttemptEvent[] = []
  const authenticate = createAuthenticate({
    chain: broken,
    lockout: {
      inspect: () => Promise.reject(new Error('nobody asked')),
      desk: setUpLockout().lockout.desk,
      reserve: async () => ({
        admitted: true,
        ignored: false,
        lease: {
          claim: async () => ({ admitted: true }),
          commit: async () => ({ locked: false }),
          release: async () => void released++,
        },
      }),
    },
    normalise: createUsernameNormaliser([]),
    clock: systemClock,
    log,
    onAttempt: event => void events.push(event),
  })
  const request = {
    requestId: 'r',
    caller: APP,
    username: 'a',
    password: new Secret('b'),
    address: '192.0.2.7',
  }
  await t.rejects(authenticate(request), { message: 'bug' })
  await t.rejects(authenticate(request), { message: 'bug' }, 'nothing of the first one is left behind')
  t.equal(released, 2)
  t.match(events, [{ verdict: 'error' }, { verdict: 'error' }])
})

t.test('getUser asks only the backend named in the id', async t => {
  const asked: string[] = []
  const people = (id: string, rest = {}) =>
    backend(id, () => ({ outcome: 'unknown_user' }), {
      getUser: async stable => {
        asked.push(`${id}:${stable}`)
        if (stable === 'out') throw new UnavailableError('down', 'connect')
        if (stable === 'bug') throw new Error('bug')
        if (stable === 'other') return user('somebody-else')
        if (stable === 'off') return user('off', { state: 'disabled' })
        return stable === '1' || stable === 'a:b' ? user(stable, { groups: ['staff'] }) : undefined
      },
      ...rest,
    })
  const links = [
    link(people('ldap')),
    link(people('email', { issuer: 'local' })),
    link(people('local')),
    link(people('block'), { deny: true }),
  ]
  const getUser = createGetUser(links, log)
  const rows: [string, object, Partial<Caller>?][] = [
    ['ldap:1', { lookup: 'found', user: { id: 'ldap:1', backend: 'ldap' } }],
    ['ldap:a:b', { lookup: 'found', user: { id: 'ldap:a:b' } }],
    ['ldap:off', { lookup: 'found', user: { state: 'disabled' } }],
    ['ldap:2', { lookup: 'not_found' }],
    ['ldap:out', { lookup: 'unavailable' }],
    ['ldap:bug', { lookup: 'unavailable' }],
    ['ldap:other', { lookup: 'unavailable' }],
    ['gone:1', { lookup: 'not_found' }],
    ['email:1', { lookup: 'not_found' }],
    ['block:1', { lookup: 'not_found' }],
    ['1', { lookup: 'not_found' }],
    [':1', { lookup: 'not_found' }],
    ['ldap:', { lookup: 'not_found' }],
    ['', { lookup: 'not_found' }],
    ['ldap:1', { lookup: 'not_found' }, { backends: new Set(['local']) }],
    ['local:1', { lookup: 'found' }, { backends: new Set(['email']) }],
    ['ldap:1', { lookup: 'not_found' }, { requiredGroups: ['hr'] }],
  ]
  for (const [id, expected, caller] of rows) {
    t.match(await getUser(id, { ...APP, ...caller }), expected, `${id} ${Object.keys(caller ?? {})}`)
  }
  t.notOk(asked.some(id => id.startsWith('email') || id.startsWith('block')))
})

t.test(
  'health: one backend that works makes ready, a deny list does not, and changes are written down',
  async t => {
    let up = false
    const links = [
      link(
        backend('ldap', () => undefined, {
          probe: async () => (up ? { ok: true } : { ok: false, reason: 'refused' }),
        }),
      ),
      link(backend('mad', () => undefined, { probe: () => Promise.reject(new Error('bug')) })),
      link(
        backend('block', () => undefined),
        { deny: true },
      ),
    ]
    const health = watchHealth(links, { clock: systemClock, log })
    t.teardown(health.stop)
    t.equal(health.latest().ready, false, 'not before the first round')
    t.match(await health.check(), {
      ready: false,
      backends: [
        { id: 'ldap', ok: false, reason: 'refused' },
        { id: 'mad', ok: false },
        { id: 'block', ok: true },
      ],
    })
    up = true
    t.match(await health.check(), { ready: true })
    t.equal(health.latest().ready, true)
    const changes = log.lines.filter(({ message }) => message.startsWith('the backend '))
    t.match(
      changes.map(({ fields, message }) => `${fields.backend} ${message}`),
      [
        'ldap the backend cannot give verdicts',
        'mad the backend cannot give verdicts',
        'ldap the backend gives verdicts again',
      ],
    )
  },
)

t.test('the tag of a password is 16 bits under a key, and the same for the same password', async t => {
  const tagOf = createPasswordTag(new Uint8Array(32).fill(1))
  const tags = new Set(Array.from({ length: 2_000 }, (_, i) => tagOf(new Secret(`wrong ${i}`))))
  t.ok([...tags].every(tag => Number.isInteger(tag) && tag >= 0 && tag <= 0xffff))
  t.ok(tags.size > 1_900, 'spread over all of them')
  t.equal(tagOf(new Secret('wrong 1')), tagOf(new Secret('wrong 1')))
  const others = createPasswordTag(new Uint8Array(32).fill(2))
  const same = [...tags.keys()].filter(
    (_, i) => others(new Secret(`wrong ${i}`)) === tagOf(new Secret(`wrong ${i}`)),
  )
  t.ok(same.length < 10, 'another key, other tags')
})
