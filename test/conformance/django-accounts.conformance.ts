/** Django's tests about disabled users, its login signals, its login form and its handler for web servers. */
import { openCore } from '../support/counted-core.ts'
import { EMAIL, LOCAL, openHouse } from './house.ts'
import { addUser, disable, PASSWORD, storedUser } from './local-people.ts'
import { scripted } from './scripted.ts'
import { conforms, differs } from './suite.ts'

conforms('D07', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL] })
  await addUser(house, 'alice')
  t.equal((await house.login('alice', PASSWORD)).status, 200)
  await disable(house, 'alice')
  for (const name of ['alice', 'alice@corp.example']) {
    const reply = await house.login(name, PASSWORD, { app: 'outsider' })
    t.match(reply, { status: 401, code: 'invalid_credentials' })
    t.notOk('user' in reply.body)
  }
})

conforms('D35', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL] })
  await addUser(house, 'alice')
  const since = (count: number) =>
    house
      .attempts()
      .slice(count)
      .map(({ fields }) => fields.event)
  await house.login('alice', PASSWORD)
  t.strictSame(since(0), ['authn_login_success'], 'although the first backend does not know her')
  await house.login('alice', 'wrong')
  t.strictSame(since(1), ['authn_login_fail'], 'although two backends refuse')
  await house.login('nobody', 'wrong')
  t.strictSame(since(2), ['authn_login_fail'])
})

conforms('D36', async t => {
  const { create } = scripted(async () => ({ outcome: 'unknown_user' }))
  const core = openCore([await create({}, { id: 'odd-one' } as never)])
  t.equal((await core.ask('alice', 'wrong')).verdict, 'rejected')
  t.match(core.events, [{ username: 'alice', verdict: 'rejected', reason: 'credentials' }])
  t.equal(core.events.length, 1)
})

differs('D37', 'a login writes nothing about the user at all: the log has when it was', async t => {
  const house = await openHouse(t, { backends: [LOCAL] })
  await addUser(house, 'alice')
  const before = storedUser(house, 'alice')
  t.equal((await house.login('alice', PASSWORD)).status, 200)
  t.equal((await house.login('alice', 'wrong')).status, 401)
  t.strictSame(storedUser(house, 'alice'), before)
  t.match(house.attempts()[0]?.fields, { event: 'authn_login_success', user: 'alice' })
})

conforms('D38', async t => {
  const house = await openHouse(t, { backends: [LOCAL] })
  await addUser(house, 'alice')
  await addUser(house, 'bob')
  await disable(house, 'alice')
  const bare = async (name: string) => {
    const { status, text, headers } = await house.login(name, 'wrong')
    const { date, 'x-request-id': id, ...rest } = headers
    return { status, text: text.replace(String(id), ''), rest }
  }
  const disabled = await bare('alice')
  t.equal(disabled.status, 401)
  t.strictSame(disabled, await bare('bob'), 'also to an app that may know states')
  t.strictSame(disabled, await bare('nobody'))
})

conforms('D39', async t => {
  const house = await openHouse(t, { backends: [LOCAL] })
  await addUser(house, 'alice')
  await disable(house, 'alice')
  t.match(await house.login('alice', PASSWORD), { status: 401, code: 'account_disabled' })
  t.match(await house.login('alice', PASSWORD, { app: 'outsider' }), { code: 'invalid_credentials' })
})

conforms('D40', async t => {
  const house = await openHouse(t, { backends: [LOCAL], lockout: { mode: 'off' } })
  const password = `  ${PASSWORD}\u00a0 `
  await addUser(house, 'alice', password)
  t.equal((await house.login('alice', password)).status, 200)
  for (const other of [
    password.trim(),
    password.trimEnd(),
    password.trimStart(),
    ` ${password}`,
    `  ${PASSWORD}  `,
  ])
    t.equal((await house.login('alice', other)).status, 401, JSON.stringify(other))
})

/** Ours for web servers is GET /auth. */
conforms('D41', async t => {
  const house = await openHouse(t, { backends: [LOCAL], clients: [{ id: 'proxy', cidr: '127.0.0.1' }] })
  await addUser(house, 'alice')
  const ask = (name: string, password: string) => {
    const authorization = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
    return house.ask('/auth', { headers: { authorization } })
  }
  t.match(await ask('alice', PASSWORD), { status: 200, headers: { 'remote-user': 'alice' } })
  await disable(house, 'alice')
  for (const [name, password] of [
    ['nobody', PASSWORD],
    ['alice', PASSWORD],
    ['alice', 'wrong'],
  ] as const) {
    const reply = await ask(name, password)
    t.match(reply, { status: 401, code: 'invalid_credentials' })
    t.notOk(Object.keys(reply.headers).some(header => header.startsWith('remote-')))
  }
})
