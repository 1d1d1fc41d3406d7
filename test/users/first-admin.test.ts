import t from 'tap'
import type { Secret } from '../../src/authentication/secret.ts'
import { prepareFirstAdmin } from '../../src/users/first-admin.ts'
import { randomPassword } from '../../src/users/random-password.ts'
import { openStore, otherProcess, temporaryPath } from './temporary.ts'

const passwords = { hash: async (secret: Secret) => `$hash of ${secret.reveal()}` }

t.test(
  'where there has never been a user, one admin is made, with a password that nobody chose (S36)',
  async t => {
    const { store } = openStore(t)
    const admin = await prepareFirstAdmin({ store, passwords })()
    t.equal(admin?.username, 'admin')
    t.match(store.findLogin('admin'), {
      user: { groups: ['admins'], disabled: false },
      passwordHash: `$hash of ${admin?.password.reveal()}`,
    })
    t.notMatch(JSON.stringify(admin), admin?.password.reveal() ?? '', 'it cannot be printed by accident')
    t.equal(await prepareFirstAdmin({ store, passwords })(), undefined, 'once')
    store.remove(store.find('admin')?.id ?? '')
    t.equal(await prepareFirstAdmin({ store, passwords })(), undefined, 'and a deleted admin stays deleted')
  },
)

t.test('where there is a user already, nothing is made', async t => {
  const { store } = openStore(t)
  store.create({ username: 'alice', groups: [], passwordHash: '$fake' })
  t.equal(await prepareFirstAdmin({ store, passwords })(), undefined)
  t.equal(store.list().length, 1)
})

t.test('what is only prepared is no user yet, and an outage is told by the second step', async t => {
  const { store } = openStore(t)
  const make = prepareFirstAdmin({ store, passwords })
  t.equal(store.list().length, 0)
  t.equal((await make())?.username, 'admin')
  t.equal(store.list().length, 1)

  const { store: another } = openStore(t)
  const hash = () => Promise.reject(new Error('no thread'))
  const fail = prepareFirstAdmin({ store: another, passwords: { hash } })
  // Were it unhandled, the process would end here.
  await new Promise(setImmediate)
  await t.rejects(fail(), { message: 'no thread' })
  t.equal(another.list().length, 0)
})

t.test('of two processes that start at once, one makes the admin', async t => {
  const path = temporaryPath(t)
  const starting = Array.from({ length: 3 }, () => otherProcess(t, 'first-admin', path))
  const said = await Promise.all(starting.map(async ({ lines }) => (await lines.next()).value))
  t.equal(said.filter(line => line === 'none').length, 2)
  t.equal(openStore(t, path).store.list().length, 1)
})

t.test('a random password has over 128 bits and no look-alikes', async t => {
  const made = Array.from({ length: 200 }, () => randomPassword().reveal())
  t.equal(new Set(made).size, 200)
  for (const password of made) t.match(password, /^[a-hj-km-np-z2-9]{6}(-[a-hj-km-np-z2-9]{6}){4}$/)
  const letters = new Set(made.join('').replaceAll('-', ''))
  t.equal(letters.size, 31, 'the whole alphabet is used')
  t.ok(30 * Math.log2(letters.size) > 128)
})
