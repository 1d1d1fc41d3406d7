/** What the shield is made of, each part by itself. */
import fc from 'fast-check'
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import { liveCount, readBadPasswords } from '../../../src/backends/ldap/shield/bad-passwords.ts'
import { holdingFor, type ShieldOptions } from '../../../src/backends/ldap/shield/holding.ts'
import {
  type BindEnd,
  createLedger,
  type Page,
  type Taken,
} from '../../../src/backends/ldap/shield/ledger.ts'
import type { PolicyLookUp } from '../../../src/backends/ldap/shield/look-up.ts'
import { createPolicies } from '../../../src/backends/ldap/shield/policies.ts'
import { createReading, GOOD_FOR_MS } from '../../../src/backends/ldap/shield/reading.ts'
import { createWrongPasswords } from '../../../src/backends/ldap/shield/wrong-passwords.ts'
import { DirectoryFailure } from '../../../src/backends/ldap/wire/failure.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { createLogRecorder } from '../../support/log-recorder.ts'
import { entryOf, groupOptions } from './ldap-login.ts'
import * as scripted from './scripted.ts'
import '../../support/runs.ts'

const MINUTE_MS = 60_000
const noEnd = new AbortController().signal
const outage = () => new DirectoryFailure('away', { phase: 'search' })
const policy = (threshold: number, windowMs = MINUTE_MS) => ({ threshold, windowMs, durationMs: 0 })

t.test(
  'which policy holds: the person’s own, else the domain’s or a lower configured one, else a strict one',
  t => {
    const nothing: ShieldOptions = { threshold: undefined, windowMs: 30 * MINUTE_MS }
    const four: ShieldOptions = { threshold: 4, windowMs: 30 * MINUTE_MS }
    const rows = [
      [policy(10), undefined, nothing, 10, 1],
      [policy(10), policy(5), nothing, 5, 1],
      [policy(3), policy(5), four, 5, 1],
      [policy(10), policy(0), four, undefined, 0],
      [policy(10), 'hidden', nothing, 3, 30],
      [policy(10), 'hidden', four, 4, 30],
      [policy(10), undefined, four, 4, 30],
      [policy(10, 60 * MINUTE_MS), undefined, four, 4, 60],
      [policy(3), undefined, four, 3, 1],
      [policy(0), undefined, nothing, undefined, 0],
      [policy(0), undefined, four, 4, 30],
      ['hidden', undefined, nothing, 3, 30],
      ['hidden', undefined, four, 4, 30],
      [undefined, undefined, nothing, 3, 30],
      [undefined, undefined, four, 4, 30],
    ] as const
    for (const [domain, settings, options, threshold, minutes] of rows) {
      const name = JSON.stringify({ domain, settings, options })
      const holding = holdingFor(domain, settings, options)
      if (threshold === undefined) t.equal(holding, undefined, name)
      else t.match(holding, { threshold, windowMs: minutes * MINUTE_MS, by: /./ }, name)
    }
    t.end()
  },
)

t.test('a count is live until its window and the difference of two clocks have passed', t => {
  const epoch1601Ms = 11_644_473_600_000
  const atMs = Date.UTC(2026, 0, 1)
  const badPasswordTime = String(BigInt(atMs + epoch1601Ms) * 10_000n)
  const read = readBadPasswords(entryOf({ dn: 'CN=a', badPwdCount: '2', badPasswordTime, pwdLastSet: '7' }))
  t.same(read, { count: 2, lastAtMs: atMs, settings: undefined, passwordSetAt: '7' })
  t.equal(liveCount(read, MINUTE_MS, atMs + 6 * MINUTE_MS), 2)
  t.equal(liveCount(read, MINUTE_MS, atMs + 6 * MINUTE_MS + 1), 0)
  t.equal(liveCount(read, MINUTE_MS, atMs - 60 * MINUTE_MS), 2, 'also where our clock is behind')
  const hidden = readBadPasswords(entryOf({ dn: 'CN=a' }))
  t.same(hidden, { count: undefined, lastAtMs: undefined, settings: undefined, passwordSetAt: '' })
  t.equal(liveCount(hidden, MINUTE_MS, atMs), 0)
  t.equal(
    liveCount({ ...read, lastAtMs: undefined }, MINUTE_MS, atMs),
    2,
    'a time that is not shown ends nothing',
  )
  t.throws(() => readBadPasswords(entryOf({ dn: 'CN=a', badPwdCount: 'two' })), /cannot be read/)
  t.end()
})

t.test('the ledger: what failed after an entry was searched for comes on top of what it shows', async t => {
  const ledger = createLedger(createFakeClock())
  const pages = Array.from({ length: 5 }, () => ledger.open())
  const take = (page: Page | undefined, shown = 0) => page?.take('alice', shown, 3, noEnd)
  for (const page of pages.slice(0, 2)) {
    t.equal(await take(page), 'taken')
    page.end('wrong')
  }
  t.equal(await take(pages[2]), 'full')
  t.equal(await pages[2]?.take('bob', 0, 3, noEnd), 'taken', 'somebody else has their own')
  const fresh = ledger.open()
  t.equal(await take(fresh, 1), 'taken', 'a fresh search shows what is left of them')
  t.equal(await take(pages[3]), 'full')
  for (const page of [...pages, fresh]) page.close()
  const next = ledger.open()
  t.equal(await take(next), 'taken')
})

t.test('the ledger: who only has to wait for others waits, and no longer than their attempt', async t => {
  const ledger = createLedger(createFakeClock())
  const [first, second, third, fourth] = [ledger.open(), ledger.open(), ledger.open(), ledger.open()]
  const take = (page: Page, signal = noEnd) => page.take('alice', 0, 2, signal)
  t.equal(await take(first), 'taken')
  const over = new AbortController()
  const [waits, givesUp] = [take(second), take(third, over.signal)]
  over.abort()
  t.equal(await givesUp, 'given_up')
  first.end('right')
  t.equal(await waits, 'taken')
  const refused = take(fourth)
  second.end('wrong')
  t.equal(await refused, 'full')
  t.equal(await take(third, over.signal), 'given_up')
})

t.test('the ledger: a bind without an answer counts for a minute, for everybody', async t => {
  const clock = createFakeClock()
  const ledger = createLedger(clock)
  const lost = ledger.open()
  await lost.take('alice', 0, 2, noEnd)
  lost.end('unknown')
  lost.close()
  const later = ledger.open()
  t.equal(await later.take('alice', 0, 2, noEnd), 'unsure')
  t.equal(await later.take('alice', 1, 2, noEnd), 'full', 'what is sure goes first')
  clock.advance(MINUTE_MS)
  t.equal(await later.take('alice', 0, 2, noEnd), 'taken')
  later.end('unchecked')
  t.equal(await later.take('alice', 0, 2, noEnd), 'taken', 'what was not checked costs nothing')
})

t.test('the ledger: in whatever order logins search, bind and end, no threshold is reached', async t => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 5 }),
        fc.array(fc.tuple(fc.constantFrom('search', 'bind', 'answer'), fc.nat({ max: 9 }), fc.boolean()), {
          maxLength: 80,
        }),
        async (threshold, steps) => {
          const ledger = createLedger(createFakeClock())
          /** The directory's own count, which a right password takes back. */
          let count = 0
          const logins = new Map<number, { page: Page; shown: number; taken: Taken | undefined }>()
          for (const [step, which, isRight] of steps) {
            const login = logins.get(which)
            if (step === 'search' && login === undefined) {
              const page = ledger.open()
              logins.set(which, { page, shown: count, taken: undefined })
            }
            if (step === 'bind' && login !== undefined && login.taken === undefined) {
              void login.page.take('alice', login.shown, threshold, noEnd).then(taken => {
                login.taken = taken
              })
            }
            // Whoever waits is woken by then.
            for (let turn = 0; turn < 10; turn += 1) await null
            if (step === 'answer' && login?.taken === 'taken') {
              count = isRight ? 0 : count + 1
              const how: BindEnd = isRight ? 'right' : 'wrong'
              login.page.end(how)
              login.page.close()
              logins.delete(which)
            }
            if (count >= threshold) return false
          }
          return true
        },
      ),
    ),
  )
})

t.test('wrong passwords are known again for their time, of that person, until the password changes', t => {
  const clock = createFakeClock()
  const wrong = createWrongPasswords(clock)
  const secret = new Secret('old')
  wrong.remember('alice', '7', secret, MINUTE_MS)
  t.ok(wrong.isRemembered('alice', '7', new Secret('old')))
  t.notOk(wrong.isRemembered('alice', '7', new Secret('older')))
  t.notOk(wrong.isRemembered('alice', '8', secret), 'it was changed')
  t.notOk(wrong.isRemembered('bob', '7', secret))
  for (let tries = 1; tries <= 3; tries += 1) {
    clock.advance(MINUTE_MS - 1)
    t.ok(wrong.isRemembered('alice', '7', secret), 'as long as it is tried')
  }
  clock.advance(MINUTE_MS)
  t.notOk(wrong.isRemembered('alice', '7', secret))
  wrong.remember('alice', '', secret, MINUTE_MS)
  clock.advance(MINUTE_MS - 1)
  t.ok(wrong.isRemembered('alice', '', secret))
  clock.advance(1)
  t.notOk(wrong.isRemembered('alice', '', secret), 'but where nobody knows whether it was changed')
  t.end()
})

t.test('of wrong passwords only so many are kept, the newest', t => {
  const wrong = createWrongPasswords(createFakeClock())
  for (let guess = 1; guess <= 9; guess += 1)
    wrong.remember('alice', '', new Secret(`guess ${guess}`), MINUTE_MS)
  t.notOk(wrong.isRemembered('alice', '', new Secret('guess 1')))
  t.ok(wrong.isRemembered('alice', '', new Secret('guess 2')))
  for (let subject = 1; subject < 10_000; subject += 1)
    wrong.remember(`${subject}`, '', new Secret('x'), MINUTE_MS)
  t.ok(wrong.isRemembered('alice', '', new Secret('guess 9')))
  wrong.remember('one more', '', new Secret('x'), MINUTE_MS)
  t.notOk(wrong.isRemembered('alice', '', new Secret('guess 9')))
  t.ok(wrong.isRemembered('1', '', new Secret('x')))
  t.end()
})

t.test('a reading is shared, kept for five minutes, and outlives an outage', async t => {
  const clock = createFakeClock()
  let reads = 0
  let isAway = true
  const failures: boolean[] = []
  const reading = createReading(
    async () => {
      reads += 1
      await null
      if (isAway) throw outage()
      return reads
    },
    clock,
    (_, isKnown) => failures.push(isKnown),
  )
  t.same(await Promise.all([reading(), reading()]), [undefined, undefined])
  t.equal(await reading(), undefined)
  t.equal(reads, 1, 'right after a failure nobody tries again')
  isAway = false
  clock.advance(10_000)
  t.same(await Promise.all([reading(), reading()]), [2, 2])
  clock.advance(GOOD_FOR_MS - 1)
  t.equal(await reading(), 2)
  isAway = true
  clock.advance(1)
  t.equal(await reading(), 2, 'the last one holds on')
  t.equal(reads, 3)
  t.same(failures, [false, true])
})

t.test('what is hidden is said once, and not before an answer has come', async t => {
  const clock = createFakeClock()
  const options: ShieldOptions = { threshold: undefined, windowMs: MINUTE_MS }
  const lookUp = (changes: Partial<PolicyLookUp> = {}): PolicyLookUp => ({
    domain: async () => ({ policy: policy(10), sids: [], dn: 'DC=corp,DC=example' }),
    settings: async () => policy(5),
    seesSettings: async () => false,
    ...changes,
  })
  const log = createLogRecorder()
  let isAway = true
  const away = async (): Promise<boolean> => {
    if (isAway) throw outage()
    return false
  }
  const policies = createPolicies(lookUp({ seesSettings: away }), options, { clock, log })
  t.match(await policies({ settings: undefined }), { threshold: 10 })
  t.same(log.at('warn'), [])
  isAway = false
  for (let times = 1; times <= 3; times += 1) {
    clock.advance(GOOD_FOR_MS)
    t.match(await policies({ settings: 'CN=Strict' }), { threshold: 5, by: /settings object/ })
  }
  t.match(log.at('warn'), [{ message: /may not see whether there are password settings objects/ }])
  t.equal(log.at('warn').length, 1)

  const blind = createLogRecorder()
  const hidden = lookUp({ domain: async () => ({ policy: 'hidden', sids: [], dn: '' }) })
  const four = { ...options, threshold: 4 }
  t.match(await createPolicies(hidden, four, { clock, log: blind })({ settings: undefined }), {
    threshold: 4,
  })
  t.match(blind.at('warn'), [{ message: /cannot read the lockout policy/, fields: { assumed_threshold: 4 } }])

  const dead = createLogRecorder()
  const noAnswer = lookUp({
    domain: () => Promise.reject(outage()),
    settings: () => Promise.reject(outage()),
  })
  const inOutage = createPolicies(noAnswer, options, { clock, log: dead })
  t.match(await inOutage({ settings: undefined }), { threshold: 3 })
  t.match(await inOutage({ settings: 'CN=Strict' }), { threshold: 3 })
  t.match(dead.at('warn'), [{ message: /cannot be read now/ }, {}])
})

t.test('binds that get no answer are an outage and no lock, and hold further ones back', async t => {
  const attributes = { uid: 'alice', sAMAccountName: 'alice', objectGUID: Buffer.alloc(16, 7) }
  const { server, desk } = await scripted.stage(
    t,
    scripted.onUserBind(() => {}),
    {
      preset: 'active-directory',
      user_filter: '(uid={username})',
      groups: groupOptions({ nesting: 'direct' }),
    },
    { directory: [scripted.service, { ...scripted.alice, attributes }] },
  )
  for (const times of [1, 2]) {
    const unanswered = await desk.login('alice', `guess ${times}`)
    t.match(unanswered, { outcome: 'unavailable', credentialSent: true }, `${times}`)
  }
  t.match(await desk.login('alice', 'guess 3'), {
    outcome: 'unavailable',
    credentialSent: false,
    cause: /may have been counted/,
  })
  t.equal(server.requests.filter(scripted.isUserBind).length, 2)
  const messages = desk.log.at('warn').map(({ message }) => message)
  t.match(
    messages.filter(message => message.includes('badPwdCount')),
    [/cannot read badPwdCount/],
  )
  t.ok(messages.some(message => message.includes('cannot read the lockout policy')))
})
