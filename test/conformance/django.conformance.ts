/** Django's tests/auth_tests about its chain of backends. What they demand of accounts, hashers and secrecy is beside this. */
import { createHash } from 'node:crypto'
import { hashSync } from '@node-rs/argon2'
import type { User } from '../../src/plugin.ts'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { EMAIL, type House, LOCAL, openHouse, type Reply } from './house.ts'
import { addUser, disable, PASSWORD, storeHash } from './local-people.ts'
import { scripted } from './scripted.ts'
import { conforms, differs } from './suite.ts'
import { watchWork } from './work.ts'

const { alice, bob } = corpPeople
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const SCRIPTED = { id: 'odd-one', type: 'scripted' }

/** What each backend answered in the last attempt. */
function stepsOf(house: House): string[] {
  const steps = house.attempts().at(-1)?.fields.steps as { backend: string; outcome: string }[]
  return steps.map(({ backend, outcome }) => `${backend} ${outcome}`)
}

conforms('D01', async t => {
  const house = await openHouse(t, { backends: [{ ...LOCAL, id: 'our-people' }] })
  const { username, password } = house.admin
  t.match(await house.login(username, password), {
    status: 200,
    body: { user: { backend: 'our-people', id: /^our-people:/ } },
  })
})

/** Refused before anything is looked up or hashed. */
function demandsNothing(
  id: 'D04' | 'D05' | 'D06',
  bodies: readonly object[],
  basic: readonly string[],
): void {
  conforms(id, async t => {
    const house = await openHouse(t, { backends: [EMAIL, LOCAL] })
    const work = watchWork(t)
    const headers = { authorization: 'Bearer key-of-the-login-form' }
    for (const body of bodies) {
      const reply = await house.ask('/authenticate', { method: 'POST', headers, body })
      t.match(reply, { status: 400, code: 'invalid_request' }, JSON.stringify(body))
      t.notOk('user' in reply.body)
    }
    await house.reload({ backends: [EMAIL, LOCAL], clients: [{ id: 'proxy', cidr: '127.0.0.1' }] })
    work.forget()
    for (const text of basic) {
      const authorization = `Basic ${Buffer.from(text).toString('base64')}`
      t.equal((await house.ask('/auth', { headers: { authorization } })).status, 401, text)
    }
    t.strictSame([work.queries, work.hashes], [[], []])
  })
}

demandsNothing(
  'D04',
  [{}, { client: {} }, { username: null, password: null }, { username: '', password: '' }],
  ['', ':'],
)
demandsNothing(
  'D05',
  [{ username: 'admin' }, { username: 'admin', password: '' }, { username: 'admin', password: null }],
  ['admin', 'admin:'],
)
demandsNothing(
  'D06',
  [{ password: PASSWORD }, { username: '', password: PASSWORD }, { username: null, password: PASSWORD }],
  [`:${PASSWORD}`],
)

conforms('D08', async t => {
  // Nothing in an entry of OpenLDAP says whether it is active.
  const house = await openHouse(t, { backends: [corpBackend(await startSlapd(t))] })
  const reply = await house.login('alice', alice.password)
  t.equal(reply.status, 200)
  const { id } = reply.body.user as User
  t.equal((await house.getUser(id)).status, 200)
})

conforms('D09', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL] })
  const id = await addUser(house, 'alice')
  t.match(await house.login('Alice@Corp.Example', PASSWORD), { status: 200, body: { user: { id } } })
  t.match(await house.login('alice@elsewhere.example', PASSWORD), { status: 401 })
})

conforms('D10', async t => {
  const house = await openHouse(t, { backends: [corpBackend(await startSlapd(t)), LOCAL] })
  await addUser(house, 'carla')
  for (const [name, password] of [
    ['alice', alice.password],
    ['carla', PASSWORD],
  ] as const) {
    const { user } = (await house.login(name, password)).body as { user: User }
    t.match(user.id.slice(user.id.indexOf(':') + 1), UUID)
    t.match(await house.getUser(user.id), { status: 200, body: { user } })
  }
})

conforms('D11', async t => {
  await t.rejects(openHouse(t, { backends: [] }), { message: /backends/ })
  const house = await openHouse(t, { backends: [LOCAL] })
  const { username, password } = house.admin
  for (const backends of [[], [{ ...LOCAL, enabled: false }]]) {
    t.match(await house.reload({ backends }), { outcome: 'refused', reason: /backend/ })
    const checked = await house.command(['check'])
    t.match(checked, { code: 1, stderr: /backend/ }, 'and nothing starts with it')
    t.equal((await house.login(username, password)).status, 200, 'nobody is denied by it')
  }
})

conforms('D12', async t => {
  const denied = corpBackend(await startSlapd(t), { id: 'blocked', deny: true })
  const house = await openHouse(t, { backends: [denied, LOCAL] })
  await addUser(house, 'bob')
  t.match(await house.login('bob', PASSWORD), { status: 401, code: 'invalid_credentials' })
  t.strictSame(stepsOf(house), ['blocked deny'])
  await addUser(house, 'carla')
  t.equal((await house.login('carla', PASSWORD)).status, 200, 'who is not on the list')
})

conforms('D13', async t => {
  const denied = corpBackend(await startSlapd(t), { id: 'blocked', deny: true })
  const house = await openHouse(t, { backends: [denied, LOCAL] })
  await house.login('bob', PASSWORD)
  const events = house.attempts().map(({ fields }) => [fields.event, fields.verdict, fields.reason])
  t.strictSame(events, [['authn_login_fail', 'rejected', 'deny']])
})

conforms('D15', async t => {
  const slapd = await startSlapd(t)
  const denied = corpBackend(slapd, { id: 'blocked', deny: true })
  const house = await openHouse(t, { backends: [LOCAL, denied] })
  await addUser(house, 'bob')
  t.equal((await house.login('bob', PASSWORD)).status, 200)
  t.strictSame(stepsOf(house), ['local accept'])
  t.notOk(
    (await slapd.searches()).some(({ filter }) => filter.includes('bob')),
    'nobody looked there',
  )
})

/** An app whose users must be in a group: the one permission there is. */
const WIKI = {
  id: 'wiki',
  key_sha256: createHash('sha256').update('key-of-the-wiki').digest('hex'),
  required_groups: ['staff'],
}

function loginToWiki(house: House, username: string, password: string): Promise<Reply> {
  const headers = { authorization: 'Bearer key-of-the-wiki' }
  return house.ask('/authenticate', { method: 'POST', headers, body: { username, password } })
}

differs(
  'D16',
  'permissions are the apps’ business; the one demand there is, required_groups, is never looked at for somebody who is denied',
  async t => {
    const denied = corpBackend(await startSlapd(t), { id: 'blocked', deny: true })
    const house = await openHouse(t, { backends: [denied, LOCAL], clients: [WIKI] })
    await addUser(house, 'bob', PASSWORD, ['--group', 'staff'])
    t.equal((await loginToWiki(house, 'bob', PASSWORD)).status, 401)
    t.match(house.attempts().at(-1)?.fields, { reason: 'deny' })
  },
)

differs(
  'D17',
  'permissions are the apps’ business; whoever was accepted with the required group is let in, and no later deny list is asked',
  async t => {
    const denied = corpBackend(await startSlapd(t), { id: 'blocked', deny: true })
    const house = await openHouse(t, { backends: [LOCAL, denied], clients: [WIKI] })
    await addUser(house, 'bob', PASSWORD, ['--group', 'staff'])
    await addUser(house, 'carla')
    t.equal((await loginToWiki(house, 'bob', PASSWORD)).status, 200)
    t.equal((await loginToWiki(house, 'carla', PASSWORD)).status, 401, 'accepted, without the group')
    t.match(house.attempts().at(-1)?.fields, { reason: 'groups', steps: [{ outcome: 'accept' }] })
  },
)

conforms('D18', async t => {
  const corp = corpBackend(await startSlapd(t))
  const house = await openHouse(t, { backends: [corp, LOCAL] })
  const { id } = (await house.login('alice', alice.password)).body.user as User
  t.equal((await house.getUser(id)).status, 200)
  const gone = [[LOCAL], [{ ...corp, id: 'renamed' }, LOCAL], [{ ...corp, enabled: false }, LOCAL]]
  for (const backends of gone) {
    t.match(await house.reload({ backends }), { outcome: 'reloaded' })
    t.match(await house.getUser(id), { status: 404, code: 'user_not_found' })
  }
  await house.reload({ backends: [LOCAL, corp] })
  t.equal((await house.getUser(id)).status, 200, 'and back again')
})

differs(
  'D19',
  'what breaks in a backend is an outage and is logged as an error; a later backend may accept, but nobody is refused or charged: 503. `on: { unavailable: stop }` stops at once',
  async t => {
    const broken = scripted(async () => {
      throw new TypeError('a mistake')
    })
    const house = await openHouse(t, { backends: [SCRIPTED, LOCAL] }, { plugins: { scripted: broken } })
    const { username, password } = house.admin
    t.equal((await house.login(username, password)).status, 200)
    t.strictSame(stepsOf(house), ['odd-one unavailable', 'local accept'])
    for (let i = 0; i < 10; i++) {
      const reply = await house.login('nobody', `guess ${i}`)
      t.match(reply, { status: 503, code: 'backend_unavailable' }, 'never "wrong password", never locked out')
    }
    const reports = house.log.at('error').filter(({ message }) => message === 'the backend threw')
    t.equal(reports.length, 11)
    const stopping = { ...SCRIPTED, on: { unavailable: 'stop' } }
    await house.reload({ backends: [stopping, LOCAL] })
    t.equal((await house.login(username, password)).status, 503)
    t.strictSame(stepsOf(house), ['odd-one unavailable'])
  },
)

conforms('D24', async t => {
  const slapd = await startSlapd(t)
  const corp = corpBackend(slapd, { username_filter: ['*@corp.example'] })
  const house = await openHouse(t, { backends: [corp, LOCAL] })
  const { username, password } = house.admin
  t.equal((await house.login(username, password)).status, 200)
  t.strictSame(stepsOf(house), ['corp not_applicable', 'local accept'])
  t.notOk((await slapd.searches()).some(({ filter }) => filter.includes(username)))
})

conforms('D25', async t => {
  // A plugin around another: whatever it adds, the answer of the inner one goes through.
  const inner = scripted(async () => ({ outcome: 'not_applicable', reason: 'it wants a certificate' }))
  const outer = {
    ...inner,
    async create(...args: Parameters<typeof inner.create>) {
      const backend = await inner.create(...args)
      return {
        ...backend,
        authenticate: async (attempt: Parameters<typeof backend.authenticate>[0]) =>
          backend.authenticate({ ...attempt }),
      }
    },
  }
  const house = await openHouse(t, { backends: [SCRIPTED, LOCAL] }, { plugins: { scripted: outer } })
  const { username, password } = house.admin
  t.equal((await house.login(username, password)).status, 200)
  t.strictSame(stepsOf(house), ['odd-one not_applicable', 'local accept'])
})

differs(
  'D26',
  'an app is told 503 and never 404, and nothing of the inside; what is broken stands in the log and in `doctor`',
  async t => {
    const slapd = await startSlapd(t)
    const corp = corpBackend(slapd)
    const house = await openHouse(t, { backends: [corp] })
    const { id } = (await house.login('alice', alice.password)).body.user as User
    const broken = { ...corp, bind: { dn: slapd.serviceDn, password: 'not the password' } }
    t.match(
      await house.reload({ backends: [broken] }),
      { outcome: 'refused', reason: /corp/ },
      'not by a reload',
    )
    await house.restart()
    const reply = await house.getUser(id)
    t.match(reply, { status: 503, code: 'backend_unavailable' })
    t.notMatch(`${reply.body.title}`, /bind|corp/i)
    t.strictSame(Object.keys(reply.body), ['type', 'title', 'status', 'code', 'request_id'])
    const report = house.log.lines.find(({ message }) => message === 'a user could not be looked up')
    t.match(report?.fields, { backend: 'corp', err: { message: /bind/ } })
    t.match(await house.command(['doctor']), {
      code: 1,
      stdout: /FAIL .*invalidCredentials.*\n.*bind\.password/,
    })
  },
)

const NO_SESSIONS =
  'there is no login without a password and no session; the id of the user names the backend'

differs('D27', `${NO_SESSIONS}, also where there is only one`, async t => {
  const house = await openHouse(t, { backends: [LOCAL] })
  const id = await addUser(house, 'alice')
  t.match(await house.getUser(id), { status: 200, body: { user: { backend: 'local' } } })
  t.equal((await house.getUser(id.replace('local:', ''))).status, 404, 'it is not guessed')
})

differs('D28', `${NO_SESSIONS}, and one that names none finds nobody`, async t => {
  const corp = corpBackend(await startSlapd(t))
  const house = await openHouse(t, { backends: [corp, EMAIL, LOCAL] })
  const { id } = (await house.login('alice', alice.password)).body.user as User
  for (const nameless of [
    id.replace('corp:', ''),
    id.replace('corp', ''),
    id.replace('corp', 'local'),
    'alice',
  ])
    t.match(await house.getUser(nameless), { status: 404, code: 'user_not_found' }, nameless)
})

differs('D29', `${NO_SESSIONS}, by the id that it is configured with and by nothing like it`, async t => {
  const house = await openHouse(t, { backends: [EMAIL, { ...LOCAL, id: 'our-people' }].map(own) })
  const id = await addUser(house, 'alice')
  const bare = id.replace('our-people:', '')
  t.equal((await house.getUser(id)).status, 200)
  for (const backend of [
    'local',
    'email',
    'Our-People',
    ' our-people',
    'our-people ',
    '0',
    '1',
    '*',
    '__proto__',
  ])
    t.equal((await house.getUser(`${backend}:${bare}`)).status, 404, backend)
})

/** The email backend has to be told whose users it finds. */
function own(backend: { readonly type: string }): object {
  return backend.type === 'email' ? { ...backend, users: 'our-people' } : backend
}

differs('D30', `${NO_SESSIONS}, and only that one is asked`, async t => {
  const slapd = await startSlapd(t)
  const house = await openHouse(t, { backends: [corpBackend(slapd), LOCAL] })
  const local = await addUser(house, 'bob')
  const { user } = (await house.login('bob', bob.password)).body as { user: User }
  t.match(user.id, /^corp:/, 'the order decides who bob is at a login')
  t.match(await house.getUser(local), { status: 200, body: { user: { id: local, backend: 'local' } } })
  t.match(await house.getUser(user.id), { status: 200, body: { user: { backend: 'corp' } } })
  await slapd.stop()
  t.equal((await house.getUser(local)).status, 200, 'the other may be down')
  t.equal((await house.getUser(user.id)).status, 503)
})

differs(
  'D31',
  'there is no such setting: nobody disabled is let in; an app that may reveal_account_state is told the state after the right password',
  async t => {
    const house = await openHouse(t, { backends: [LOCAL] })
    await addUser(house, 'alice')
    await disable(house, 'alice')
    const told = await house.login('alice', PASSWORD)
    t.match(told, { status: 401, code: 'account_disabled' })
    t.notOk('user' in told.body)
    t.match(await house.login('alice', PASSWORD, { app: 'outsider' }), {
      status: 401,
      code: 'invalid_credentials',
    })
    const wish = { ...LOCAL, allow_disabled: true }
    t.match(await house.reload({ backends: [wish] }), { outcome: 'refused', reason: /allow_disabled/ })
  },
)

differs(
  'D32',
  'an app that may reveal_account_state is shown them on its demand, `?include=unusable`, as unusable; else they are 404',
  async t => {
    const house = await openHouse(t, { backends: [LOCAL] })
    const id = await addUser(house, 'alice')
    await disable(house, 'alice')
    t.match(await house.getUser(id), { status: 404, code: 'user_not_found' })
    const path = `/users/${encodeURIComponent(id)}?include=unusable`
    const ask = (key: string) => house.ask(path, { headers: { authorization: `Bearer ${key}` } })
    t.match(await ask('key-of-the-login-form'), {
      status: 200,
      body: { user: { id }, usable: false, state: 'disabled' },
    })
    t.match(await ask('key-of-the-outsider'), { status: 403, code: 'client_forbidden' })
  },
)

differs(
  'D33',
  'permissions are the apps’ business; groups are told of usable users only, unless an app asks for the unusable ones',
  async t => {
    const house = await openHouse(t, { backends: [LOCAL] })
    const id = await addUser(house, 'alice', PASSWORD, ['--group', 'staff'])
    t.match(await house.getUser(id), { status: 200, body: { user: { groups: ['staff'] } } })
    await disable(house, 'alice')
    for (const reply of [
      await house.login('alice', PASSWORD),
      await house.login('nobody', PASSWORD),
      await house.getUser(id),
      await house.getUser('anonymous'),
      await house.getUser('local:'),
    ]) {
      t.ok(reply.status === 401 || reply.status === 404)
      t.notMatch(reply.text, /staff|groups/)
    }
  },
)

differs(
  'D34',
  'permissions are the apps’ business, and nobody is the sum of two accounts: groups are those of the one backend that accepted last',
  async t => {
    const corp = corpBackend(await startSlapd(t))
    const house = await openHouse(t, { backends: [{ ...LOCAL, on: { accept: 'continue' } }, corp] })
    await addUser(house, 'alice', PASSWORD, ['--group', 'only-here'])
    storeHash(house, 'alice', hashSync(alice.password))
    const { status, body } = await house.login('alice', alice.password)
    t.equal(status, 200)
    t.strictSame(stepsOf(house), ['local accept', 'corp accept'])
    const { backend, groups } = body.user as User & { readonly backend: string }
    t.equal(backend, 'corp')
    t.ok(groups.includes('staff'))
    t.notOk(groups.includes('only-here'))
  },
)
