/** Dovecot's rules of its cache of results. There is none here: what may be kept is whom a name finds (`entry_cache`), never a verdict. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { corpPeople, corpPeopleDn } from '../support/corp.ts'
import { corpBackend } from '../support/slapd.ts'
import {
  administratorOf,
  beforeLocal,
  personLdif,
  sentDuring,
  startPolicySlapd,
  unitLdif,
} from './directory.ts'
import { openHouse, type Reply } from './house.ts'
import { conforms, differs } from './suite.ts'

const { alice } = corpPeople
const REFUSED = { status: 401, code: 'invalid_credentials' }
const OUT = { status: 503, code: 'backend_unavailable' }
const others = 'ou=others,dc=corp,dc=example'
const dnOf = (uid: string) => `uid=${uid},${corpPeopleDn}`
const slapd = await startPolicySlapd(t, {
  entries: [
    unitLdif('others'),
    ...['mover', 'keeper', 'early', 'twofold'].map(uid => personLdif(uid)),
    personLdif('must', { more: ['pwdReset: TRUE'] }),
    // The same name with another password somewhere else.
    personLdif('twofold', { under: others }).replace('twofold-secret-1', 'otherwise-secret-1'),
  ],
})
const administrator = administratorOf(slapd)
const KEPT = { entry_cache: '10m' }
const corp = (changes: object = {}) => corpBackend(slapd, changes)
const idOf = ({ body }: Reply) => (body.user as { id: string } | undefined)?.id

differs(
  'V03',
  'no key of what is kept is configured; the templates that are, `user_filter` and `groups.filter`, refuse an unknown or broken placeholder at load',
  async t => {
    for (const [changes, why] of [
      [{ user_filter: '(uid={user})' }, /placeholder/],
      [{ user_filter: '(uid={username}' }, /user_filter/],
      [{ user_filter: '(objectClass=person)' }, /user_filter/],
      [{ user_filter: '(uid=%u)' }, /user_filter/],
      [{ groups: { filter: '(memberUid={user})' } }, /placeholder/],
      [{ entry_cache: 'often' }, /entry_cache/],
    ] as const) {
      const { backends } = beforeLocal(corp(changes))
      await t.rejects(openHouse(t, { backends }), { message: why }, JSON.stringify(changes))
    }
  },
)

conforms('V16', async t => {
  const house = await openHouse(t, beforeLocal(corp(KEPT)))
  t.match(await house.login('mover', 'mover-secret-1'), { status: 200 })
  await administrator.set(dnOf('mover'), 'userPassword', 'moved-secret-1')
  const { binds } = await sentDuring(slapd, async () => {
    t.match(
      await house.login('mover', 'moved-secret-1'),
      { status: 200 },
      'another one than the last good one',
    )
  })
  t.match(binds, [{ dn: dnOf('mover'), result: 0 }])
})

differs(
  'V17',
  'no result is kept, so an old password ends with its change, also where `entry_cache` keeps the entry',
  async t => {
    const house = await openHouse(t, beforeLocal(corp(KEPT)))
    t.match(await house.login('keeper', 'keeper-secret-1'), { status: 200 })
    await administrator.set(dnOf('keeper'), 'userPassword', 'changed-secret-1')
    t.match(await house.login('keeper', 'keeper-secret-1'), REFUSED)
    t.match(await house.login('keeper', 'changed-secret-1'), { status: 200 })
  },
)

differs(
  'V18',
  'no refusal is answered from a cache: a wrong password that has become right is let in at once; only the shield before Active Directory holds one back, for a minute',
  async t => {
    const house = await openHouse(t, beforeLocal(corp(KEPT)))
    const { binds } = await sentDuring(slapd, async () => {
      t.match(await house.login('early', 'future-secret-1'), REFUSED)
      t.match(await house.login('early', 'future-secret-1'), REFUSED)
      await administrator.set(dnOf('early'), 'userPassword', 'future-secret-1')
      t.match(await house.login('early', 'future-secret-1'), { status: 200 })
    })
    t.match(binds, [{ result: 49 }, { result: 49 }, { result: 0 }])
  },
)

conforms('V21', async t => {
  const two = [corp({ ...KEPT, base_dn: corpPeopleDn }), corp({ ...KEPT, id: 'others', base_dn: others })]
  const house = await openHouse(t, beforeLocal(...two))
  const ids = { corp: new Set<unknown>(), others: new Set<unknown>() }
  for (let round = 0; round < 3; round++) {
    const here = await house.login('twofold', 'twofold-secret-1')
    const there = await house.login('twofold', 'otherwise-secret-1')
    t.match(here, { status: 200, body: { user: { backend: 'corp' } } })
    t.match(there, { status: 200, body: { user: { backend: 'others' } } })
    ids.corp.add(idOf(here))
    ids.others.add(idOf(there))
  }
  t.equal(ids.corp.size, 1)
  t.equal(ids.others.size, 1)
  t.match(await house.login('alice', alice.password), { status: 200, body: { user: { username: 'alice' } } })
  t.match(await house.login('alice@corp.example', alice.password), {
    status: 200,
    body: { user: { username: 'alice' } },
  })
  t.match(await house.login('bob', alice.password), REFUSED, 'nobody has what is kept of another')
})

conforms('V20', async t => {
  const house = await openHouse(t, beforeLocal(corp(KEPT)))
  t.match(await house.login('must', 'must-secret-1'), { status: 401, code: 'password_must_change' })
  await administrator.set(dnOf('must'), 'pwdReset')
  t.match(await house.login('must', 'must-secret-1'), { status: 200 }, 'the state is not kept')
  t.match(await house.login('alice', 'wrong'), REFUSED)
  await slapd.stop()
  t.match(await house.login('alice', alice.password), OUT)
  await slapd.start()
  // The first probe that finds it back ends the outage; until then nobody is asked.
  let reply = await house.login('alice', alice.password)
  for (let tries = 0; reply.status === 503 && tries < 200; tries++) {
    await pause(25)
    reply = await house.login('alice', alice.password)
  }
  t.match(reply, { status: 200 }, 'nor is the outage')
})

differs(
  'V19',
  'nothing old is used in an outage either: nobody is let in whom the directory does not confirm, and it is 503 for all',
  async t => {
    const house = await openHouse(t, beforeLocal(corp({ entry_cache: '1ms' })))
    const keeping = await openHouse(t, beforeLocal(corp(KEPT)))
    t.match(await house.login('alice', alice.password), { status: 200 })
    t.match(await keeping.login('alice', alice.password), { status: 200 })
    await slapd.stop()
    t.match(await house.login('alice', alice.password), OUT)
    t.match(await keeping.login('alice', alice.password), OUT, 'the entry is no password')
    t.match(await keeping.login('alice', 'wrong'), OUT)
    await slapd.start()
  },
)
