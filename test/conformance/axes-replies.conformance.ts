/** django-axes: what a locked out user is told, what the log holds, and what is in the configuration. */
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { byPair, countsOf, ELSEWHERE, HERE, LOCKED, openCorp, place, told, WRONG } from './lockout-house.ts'
import { conforms, differs } from './suite.ts'

const slapd = await startSlapd(t)
const { alice, bob } = corpPeople

differs(
  'A43',
  'every lock has an end and says so in Retry-After, unless `disclosure: hidden` says nothing at all; there are no redirects',
  async t => {
    const house = await openCorp(t, slapd, { lockout: { duration: '7m' } })
    await house.guess('alice', 5)
    const locked = await house.login('alice', alice.password)
    const { retryAfter = 0 } = locked
    t.match(locked, { status: 429, headers: { 'retry-after': /^[1-9][0-9]*$/ } })
    t.ok(retryAfter <= 420 && retryAfter > 360, `${retryAfter} s`)
    await house.reload({
      backends: [corpBackend(slapd)],
      lockout: { duration: '7m', disclosure: 'hidden' },
    })
    const hidden = await house.login('alice', alice.password)
    t.equal(told(hidden), WRONG)
    t.notOk('retry-after' in hidden.headers)
  },
)

differs(
  'A44',
  'one reply for all apps, problem details with a code (RFC 9457); the one choice is `disclosure: hidden`, the bytes of a wrong password',
  async t => {
    const house = await openCorp(t, slapd, { lockout: byPair() })
    await house.guess('alice', 3)
    const shown = await house.login('alice', alice.password)
    t.match(shown, {
      status: 429,
      headers: { 'content-type': /^application\/problem\+json/ },
      body: { type: 'urn:gatehouse:error:locked_out', status: 429, code: 'locked_out' },
    })
    const lockout = { ...byPair(), disclosure: 'hidden' }
    t.match(await house.reload({ backends: [corpBackend(slapd)], lockout }), { outcome: 'reloaded' })
    const [hidden, wrong] = [await house.login('alice', alice.password), (await house.guess('bob', 1))[0]]
    t.equal(hidden.status, 401)
    t.equal(withoutId(hidden.text), withoutId(wrong?.text ?? ''))
  },
)

function withoutId(text: string): string {
  return text.replace(/"request_id":"[^"]+"/, '')
}

differs(
  'A45',
  'a password is never logged, and a name only once a backend knew it: what a stranger typed may be a password in the wrong box, and is a keyed hash',
  async t => {
    const house = await openCorp(t, slapd)
    await house.login('alice', 'a-wrong-password-1')
    await house.login('a-password-in-the-wrong-box', 'a-wrong-password-2')
    await house.login('alice', alice.password)
    const query = await house.ask('/authenticate?password=a-wrong-password-3', { method: 'POST' })
    t.ok(query.status >= 400)
    for (const secret of ['a-wrong-password', alice.password]) {
      t.notOk(house.log.text().includes(secret), secret)
    }
    t.notOk(house.log.text().includes('a-password-in-the-wrong-box'), 'not even at the level debug')
    const [known, unknown] = house.attempts()
    t.match(known, { fields: { user: 'alice', user_hash: /^\S+$/ } })
    t.match(unknown, { fields: { user: undefined, user_hash: /^\S+$/ } })
  },
)

conforms('A46', async t => {
  const house = await openCorp(t, slapd)
  const long = 'x'.repeat(8_000)
  const headers = { authorization: 'Bearer key-of-the-login-form' }
  t.equal((await house.login(long, 'wrong')).status, 400, 'a name')
  t.equal((await house.login('alice', long)).status, 400, 'a password')
  const asked = { headers: { ...headers, 'user-agent': long } }
  t.equal((await house.ask(`/${long}`, asked)).status, 404, 'a path, and a user agent')
  const own = { headers: { ...headers, 'x-request-id': long } }
  t.ok((await house.ask('/users/corp:1', own)).status >= 400, 'a request id')
  const lines = house.log.text().split('\n')
  t.ok(lines.length > 3)
  t.ok(Math.max(...lines.map(line => line.length)) < 1_000, 'no line of the log is long')
})

conforms('A47', async t => {
  const house = await openCorp(t, slapd)
  for (const lockout of [
    { parameters: ['username', 'ip_address'] },
    { max_attemps: 3 },
    { unfamiliar: { max_attempts: 3, ip_address: true } },
    { source: { user_agent: 1 } },
  ]) {
    const answer = await house.reload({ backends: [corpBackend(slapd)], lockout })
    t.match(answer, { outcome: 'refused', reason: /unknown key/ }, JSON.stringify(lockout))
  }
})

differs(
  'A48',
  'no gate can be left out and no key forgotten, so there is nothing to warn of; what is warned of is a setting without an effect, at the start and at each reload',
  async t => {
    const house = await openCorp(t, slapd)
    const warned = async (lockout: object) => {
      const before = house.log.lines.length
      t.match(await house.reload({ backends: [corpBackend(slapd)], lockout }), { outcome: 'reloaded' })
      const warnings = house.log.lines.slice(before).filter(({ level }) => level === 'warn')
      // That of the directory.
      return warnings.map(({ message }) => message).filter(message => !message.includes('secret'))
    }
    t.same(await warned({}), [])
    t.same(await warned({ profile: 'simple', max_attempts: 3 }), [
      'this has no effect beside `profile: simple`',
    ])
    const redis = { url: 'rediss://redis.corp.example:6379' }
    t.ok((await warned({ redis })).includes('this has no effect with `store: memory`'))
  },
)

conforms('A49', async t => {
  const house = await openCorp(t, slapd)
  // Fresh ones all at once: all but five are told to wait or that it is locked.
  await Promise.all(Array.from({ length: 40 }, () => house.guess('alice', 1)))
  await house.guess('alice', 5)
  const events = house.attempts().map(({ fields }) => fields.event)
  t.equal(events.filter(event => event === 'authn_login_lock').length, 1)
  t.equal(events.filter(event => event === 'authn_login_fail').length, 4)
  t.ok(events.includes('authn_login_fail_max'))
  t.match(await house.metrics(), /^gatehouse_locks_set_total 1$/m)
})

conforms('A50', async t => {
  const house = await openCorp(t, slapd, { lockout: { mode: 'off', block: [`${HERE}/32`] } })
  t.same((await house.guess('alice', 60)).map(told), Array(60).fill(WRONG))
  t.equal(told(await house.login('alice', alice.password)), '200')
  t.same(await countsOf(house, 'alice'), {}, 'nothing is even counted')
  t.notOk(house.attempts().some(({ fields }) => fields.ignored))
})

conforms('A51', async t => {
  const proxied = await openCorp(t, slapd, { trusted_proxies: ['127.0.0.1'] })
  const direct = await openCorp(t, slapd)
  const through = (from: string) => ({ app: 'outsider', headers: { 'x-forwarded-for': from } }) as const
  for (let n = 1; n <= 5; n++) {
    t.equal(told((await proxied.guess('alice', 1, through(`${place(n)}, ${HERE}`)))[0] ?? never()), WRONG)
    t.equal(told((await direct.guess('alice', 1, through(place(n))))[0] ?? never()), WRONG)
  }
  t.equal(told(await proxied.login('alice', alice.password, through(HERE))), LOCKED, 'the last hop')
  t.equal(told(await proxied.login('alice', alice.password, through(ELSEWHERE))), '200')
  t.equal(told(await direct.login('alice', alice.password, through(ELSEWHERE))), LOCKED, 'hearsay')
  t.same(new Set(direct.attempts().map(({ fields }) => fields.source)), new Set(['127.0.0.1']))
  t.equal(
    told(await proxied.login('bob', bob.password, { app: 'outsider' })),
    '200',
    'without the header it is the connection that is counted',
  )
  t.match(proxied.attempts().at(-1), { fields: { source: '127.0.0.1' } })
})

function never(): never {
  throw new Error('there is a reply')
}
