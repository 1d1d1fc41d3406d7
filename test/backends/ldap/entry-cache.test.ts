/** `entry_cache`: who logged in a moment ago logs in by one bind, which still proves every password. */
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'ldapts'
import t, { type Test } from 'tap'
import { createEntryCache } from '../../../src/backends/ldap/entry-cache.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import { corpPeople } from '../../support/corp.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { bindResponse, searchDone } from '../../support/ldap-message.ts'
import { startSlapd } from '../../support/slapd.ts'
import { groupOptions, openDesk, slapdOptions } from './ldap-login.ts'
import type { Script } from './scripted.ts'
import * as scripted from './scripted.ts'

const { alice, bob } = corpPeople
const slapd = await startSlapd(t)
const KEPT_MS = 30_000

async function openCaching(changes: Partial<LdapOptions> = {}) {
  const clock = createFakeClock()
  const desk = await openDesk(t, slapdOptions(slapd, { entry_cache: KEPT_MS, ...changes }), clock)
  return { desk, clock }
}

/** What slapd was sent while `work` ran: binds by result, and how many searches. */
async function sentDuring(work: () => Promise<unknown>) {
  const binds = (await slapd.binds()).length
  const searches = (await slapd.searches()).length
  await work()
  return {
    binds: (await slapd.binds()).slice(binds).map(({ dn, result }) => ({ dn, result })),
    searches: (await slapd.searches()).length - searches,
  }
}

/** Changes the directory under the daemon's feet. */
async function asAdmin(work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({
    url: `ldaps://127.0.0.1:${slapd.ldapsPort}`,
    timeout: 5_000,
    tlsOptions: { rejectUnauthorized: false },
  })
  try {
    await client.bind(slapd.adminDn, slapd.adminPassword)
    await work(client)
  } finally {
    await client.unbind()
  }
}

t.test('the second login is one bind and no search, groups and roles included', async t => {
  const { desk } = await openCaching({ groups: groupOptions({ roles: { 'all-hands': 'user' } }) })
  const first = await desk.login('alice', alice.password)
  t.match(first, { outcome: 'accept', user: { roles: ['user'] } })
  const sent = await sentDuring(async () => t.same(await desk.login('alice', alice.password), first))
  t.same(sent, { binds: [{ dn: alice.dn, result: 0 }], searches: 0 })
})

t.test('without the option every login searches', async t => {
  const desk = await openDesk(t, slapdOptions(slapd))
  await desk.login('alice', alice.password)
  const { searches } = await sentDuring(() => desk.login('alice', alice.password))
  t.ok(searches > 0)
})

t.test('the bind proves every password, and the lockout is asked before each', async t => {
  const { desk } = await openCaching()
  await desk.login('bob', bob.password)
  const refused = await sentDuring(() => desk.login('bob', bob.password, { mayVerify: async () => false }))
  t.same(refused, { binds: [], searches: 0 })
  await desk.login('bob', bob.password)
  const sent = await sentDuring(async () => {
    t.match(await desk.login('bob', 'wrong'), { outcome: 'wrong_password', subject: /-/ })
    t.match(await desk.login('bob', ''), { outcome: 'deny' })
  })
  t.match(sent.binds, [{ dn: bob.dn, result: 49 }])
  t.equal(sent.binds.length, 1, 'one bind for the wrong one, none for the empty one')
  const after = await sentDuring(() => desk.login('bob', bob.password))
  t.ok(after.searches > 0, 'a refused bind drops the entry')
})

t.test('an entry is kept for entry_cache and no longer, however often it is used', async t => {
  const { desk, clock } = await openCaching()
  await desk.login('alice', alice.password)
  clock.advance(KEPT_MS - 1)
  t.equal((await sentDuring(() => desk.login('alice', alice.password))).searches, 0)
  clock.advance(2)
  t.ok((await sentDuring(() => desk.login('alice', alice.password))).searches > 0)
})

t.test('unknown and ambiguous names are never kept, nor is who was kept out', async t => {
  const { desk } = await openCaching({ groups: groupOptions({ denied: ['wiki-editors'] }) })
  const logins = [
    () => desk.login('nobody', 'x'),
    () => desk.login('twins@corp.example', 'x'),
    () => desk.login('alice', alice.password),
  ]
  for (const login of logins) {
    const { outcome } = await login()
    t.not(outcome, 'accept')
    t.ok((await sentDuring(login)).searches > 0, outcome)
  }
})

t.test('two spellings are kept apart, as the filter finds them', async t => {
  const { desk } = await openCaching()
  await desk.login('alice', alice.password)
  t.ok((await sentDuring(() => desk.login('alice@corp.example', alice.password))).searches > 0)
  const sent = await sentDuring(() => desk.login('alice@corp.example', alice.password))
  t.equal(sent.searches, 0)
})

t.test('somebody who was moved meanwhile is not told that the password is wrong', async t => {
  const { desk } = await openCaching()
  const first = await desk.login('carol', corpPeople.carol.password)
  t.match(first, { outcome: 'accept' })
  await asAdmin(client => client.modifyDN(corpPeople.carol.dn, 'uid=carol,ou=services,dc=corp,dc=example'))
  const outcome = await desk.login('carol', corpPeople.carol.password)
  t.match(outcome, { outcome: 'unavailable', phase: 'bind', credentialSent: true, cause: /has changed/ })
  t.same(await desk.login('carol', corpPeople.carol.password), first, 'and is the same person after')
})

t.test('a user asked for by id is read from the directory', async t => {
  const { desk } = await openCaching()
  const outcome = await desk.login('alice', alice.password)
  const id = outcome.outcome === 'accept' ? outcome.user.id : ''
  const sent = await sentDuring(() => desk.backend.getUser(id, AbortSignal.timeout(5_000)))
  t.ok(sent.searches > 0)
})

t.test('an explanation says that there was no search', async t => {
  const { desk } = await openCaching()
  const facts: string[] = []
  const note = ({ what, value }: { what: string; value: string }) => facts.push(`${what}: ${value}`)
  await desk.login('alice', alice.password)
  await desk.login('alice', alice.password, { note })
  t.match(facts[0], /^entry cache: uid=alice,.* no search$/)
})

t.test('an outage drops the entry', async t => {
  const desk = await openDesk(t, slapdOptions(slapd, { entry_cache: 60_000 }))
  await desk.login('alice', alice.password)
  await slapd.stop()
  t.match(await desk.login('alice', alice.password), { outcome: 'unavailable' })
  await slapd.start()
  const sent = await sentDuring(async () => {
    // The server is tried again from time to time, not by every login.
    while ((await desk.login('alice', alice.password)).outcome !== 'accept') await pause(20)
  })
  t.ok(sent.searches > 0)
})

/** A scripted directory that can change its mind, and how often it was searched. */
async function openScripted(t: Test, script: Script, changes: Partial<LdapOptions> = {}) {
  const { server, desk } = await scripted.stage(t, script, {
    entry_cache: KEPT_MS,
    groups: groupOptions({ nesting: 'direct' }),
    ...changes,
  })
  const searches = () => server.requests.filter(({ operation }) => operation.type === 'search').length
  return { desk, searches, login: (password = scripted.alice.password) => desk.login('alice', password) }
}

t.test('who is let in on a grace login and then changes the password is let in', async t => {
  const { ...fresh } = { ...scripted.alice.attributes, nsUniqueId: 'a-b-c-d' }
  let expired = true
  // GRACE [1] graceAuthNsRemaining: 2 (draft-behera-ldap-password-policy-11 section 6.2).
  const grace = { oid: '1.3.6.1.4.1.42.2.27.8.5.1', value: Buffer.from('3005a003810102', 'hex') }
  const { login } = await openScripted(
    t,
    (request, connection) => {
      if (scripted.isUserBind(request)) {
        return connection.send(bindResponse(request.id, expired ? { controls: [grace] } : {}))
      }
      if (request.operation.type !== 'search') return connection.behave(request)
      const entry = expired ? { ...fresh, passwordExpirationTime: '20200101000000Z' } : fresh
      return scripted.found(scripted.alice.dn, entry)(request, connection)
    },
    { preset: '389ds' },
  )
  t.match(await login(), { outcome: 'accept', warnings: [{ code: 'grace_logins', remaining: 2 }] })
  expired = false
  t.match(await login(), { outcome: 'accept', warnings: [] })
})

t.test('an account that may not log in is not kept', async t => {
  let disabled = false
  const { desk, login } = await openScripted(
    t,
    scripted.onUserBind((request, connection) => {
      if (!disabled) return connection.behave(request)
      const diagnosticMessage = '80090308: LdapErr: comment: AcceptSecurityContext error, data 533, v1db1'
      return connection.send(bindResponse(request.id, { code: 49, diagnosticMessage }))
    }),
  )
  t.match(await login(), { outcome: 'accept' })
  disabled = true
  t.match(await login(), { outcome: 'account_state', state: 'disabled' })
  const facts: string[] = []
  await desk.login('alice', scripted.alice.password, { note: ({ what }) => facts.push(what) })
  t.notOk(facts.includes('entry cache'), facts.join())
})

t.test('whoever logged in without their groups is not kept so', async t => {
  const { login, searches } = await openScripted(
    t,
    (request, connection) => {
      const { operation } = request
      if (operation.type === 'search' && operation.filter.includes('member='))
        return connection.send(searchDone(request.id, { code: 50 }))
      if (operation.type !== 'search') return connection.behave(request)
      const attributes = { ...scripted.alice.attributes, memberOf: `cn=a,${scripted.base}` }
      return scripted.found(scripted.alice.dn, attributes)(request, connection)
    },
    { groups: groupOptions({ nesting: 'levels', when_unreadable: 'omit' }) },
  )
  t.match(await login(), { outcome: 'accept', user: { groups: [] } })
  const before = searches()
  t.match(await login(), { outcome: 'accept', user: { groups: [] } })
  t.ok(searches() > before)
})

t.test('a refusal is charged to whom the DN belongs now, and to nobody if that cannot be known', async t => {
  let now: object = scripted.alice.attributes
  let out = false
  const { login } = await openScripted(t, (request, connection) => {
    if (request.operation.type !== 'search') return connection.behave(request)
    if (out) return connection.send(searchDone(request.id, { code: 52 }))
    return scripted.found(scripted.alice.dn, { ...now })(request, connection)
  })
  t.match(await login(), { outcome: 'accept' })
  now = { uid: 'alice', entryUUID: '00000000-0000-4000-8000-000000000000' }
  t.match(await login('wrong'), { outcome: 'unavailable', credentialSent: true, cause: /has changed/ })
  t.match(await login('wrong'), { outcome: 'wrong_password', subject: /^00000000/ })
  t.match(await login(), { outcome: 'accept' })
  out = true
  t.match(await login('wrong'), { outcome: 'unavailable', credentialSent: true })
})

t.test('a name is kept with the domain it was typed with', async t => {
  const cache = createEntryCache(KEPT_MS, createFakeClock())
  const entry = {} as Parameters<typeof cache.put>[1]
  const typed = (domain: string) => ({ text: 'alice@corp', typed: `alice@${domain}`, user: 'alice', domain })
  cache.put(typed('corp'), { ...entry, admitted: { user: { groups: [] } } } as never)
  t.ok(cache.get(typed('corp')))
  t.notOk(cache.get(typed('alt')))
})

t.test('it is bounded in people, and in groups over all of them', async t => {
  const cache = createEntryCache(KEPT_MS, createFakeClock())
  const name = (index: number) => ({ text: `u${index}`, typed: `u${index}`, user: `u${index}` })
  const entry = (groups: number) => {
    const names = Array.from({ length: groups }, (_, index) => `g${index}`)
    const user = { id: 'id', username: 'u', groups: names, roles: [], attributes: {} }
    const member = { dn: 'cn=u', username: 'u', listed: [], range: undefined, primaryGroup: undefined }
    const admitted = { user, refusal: undefined, found: undefined }
    return { person: { dn: 'cn=u', user, member }, admitted }
  }
  const few = entry(0)
  for (let index = 0; index < 10_001; index++) cache.put(name(index), few)
  t.equal(cache.get(name(0)), undefined)
  t.equal(cache.get(name(1)), few)
  const many = entry(5_000)
  for (let index = 0; index < 200; index++) cache.put(name(index), many)
  const kept = Array.from({ length: 200 }, (_, index) => cache.get(name(index))).filter(Boolean)
  t.ok(kept.length < 100 && kept.length > 90, `${kept.length} with 5,000 groups each`)
})
