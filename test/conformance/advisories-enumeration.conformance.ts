/**
 * Advisories on telling who exists, by time or by words. The times themselves are measured by `npm run test:timing`; here is their
 * cause: the work that each way takes.
 */

import crypto from 'node:crypto'
import * as argon2 from '@node-rs/argon2'
import t, { type Test } from 'tap'
import { Secret } from '../../src/authentication/secret.ts'
import { DEFAULT_PARAMETERS, hashNow } from '../../src/passwords/argon2.ts'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { bindsDuring } from './corp-house.ts'
import { type HashJobs, watchHashJobs } from './hash-jobs.ts'
import { EMAIL, type House, LOCAL, openHouse } from './house.ts'
import { shownBy } from './replies.ts'
import { addLocalPeople, type LocalPerson } from './stored-people.ts'
import { conforms } from './suite.ts'

const slapd = await startSlapd(t)
const jobs: HashJobs = watchHashJobs(t)
const UNCOUNTED = { lockout: { mode: 'off' } }
const PASSWORD = 'a password of fifteen'
const OLD = { memoryKiB: 8_192, passes: 1, lanes: 1 }
const ORDERS = {
  'e-mail first': [EMAIL, LOCAL],
  'e-mail last': [LOCAL, EMAIL],
  'names only': [LOCAL],
  'nobody after e-mail': [{ ...EMAIL, on: { unknown_user: 'stop', wrong_password: 'stop' } }, LOCAL],
}

const people = {
  anna: { username: 'anna', email: 'anna@x.example', password: PASSWORD },
  outdated: { username: 'outdated', email: 'outdated@x.example', password: PASSWORD, parameters: OLD },
  disabled: { username: 'disabled', email: 'disabled@x.example', password: PASSWORD, disabled: true },
  unset: { username: 'unset', email: 'unset@x.example', password: PASSWORD, stored: null },
  unusable: { username: 'unusable', email: 'unusable@x.example', password: PASSWORD, stored: '!unusable' },
  bcrypt: {
    username: 'bcrypt',
    email: 'bcrypt@x.example',
    password: PASSWORD,
    stored: '$2b$12$LQv3c1yqBWVHxkd0LHAkCOYz6TtxMQJqhN8/LewdBPj4J/8Z8qX6i',
  },
} satisfies Record<string, LocalPerson>
const UNKNOWN = { username: 'nobody', email: 'nobody@x.example' }

/** Each attempt refused, by one verification with the same cost, in the same words to the last octet. */
async function alikeInWork(
  t: Test,
  house: House,
  names: readonly string[],
  {
    password = 'wrong wrong wrong',
    visit,
  }: { password?: string; visit?: Parameters<House['login']>[2] } = {},
) {
  const shown = new Set<string>()
  for (const name of names) {
    const done = await jobs.during(async () => {
      shown.add(JSON.stringify(shownBy(await house.login(name, password, visit))))
    })
    t.match(done, [{ kind: 'verify', secret: password, parameters: DEFAULT_PARAMETERS }], name)
    t.equal(done.length, 1, `${name}: one hash`)
  }
  t.equal(shown.size, 1, `one reply to all: ${[...shown].join('\n')}`)
  t.match([...shown][0], /"status":401/)
}

async function openEach(t: Test, of: readonly LocalPerson[]) {
  const houses: (readonly [string, House])[] = []
  for (const [order, backends] of Object.entries(ORDERS)) {
    const house = await openHouse(t, { backends, ...UNCOUNTED })
    t.same(
      addLocalPeople(house, of),
      of.map(() => undefined),
    )
    houses.push([order, house])
  }
  return houses
}

const namesOf = (...of: readonly { readonly username: string; readonly email: string }[]) =>
  of.flatMap(({ username, email }) => [username, email])

/** The work of each call of argon2 in one verification, in KiB times passes. */
async function countWork(t: Test) {
  let work = 0
  const counting = {
    ...argon2,
    hashRawSync(secret: string, options: { memoryCost: number; timeCost: number }) {
      work += options.memoryCost * options.timeCost
      return argon2.hashRawSync(secret, options)
    },
    verifySync(stored: string, secret: string) {
      const { memoryCost, timeCost } = argon2.parseOptions(stored)
      work += memoryCost * timeCost
      return argon2.verifySync(stored, secret)
    },
  }
  const { verifyNow } = await t.mockImport<typeof import('../../src/passwords/argon2.ts')>(
    '../../src/passwords/argon2.ts',
    { '@node-rs/argon2': counting },
  )
  return (stored: string | undefined, secret: string): number => {
    work = 0
    verifyNow(stored, secret, DEFAULT_PARAMETERS)
    return work
  }
}
const FULL = DEFAULT_PARAMETERS.memoryKiB * DEFAULT_PARAMETERS.passes

conforms('advisory 20', async t => {
  for (const [order, house] of await openEach(t, [people.anna, people.outdated])) {
    t.comment(order)
    await alikeInWork(t, house, namesOf(people.anna, people.outdated, UNKNOWN))
    const right = order === 'nobody after e-mail' ? people.outdated.email : people.outdated.username
    const first = await jobs.during(async () => t.equal((await house.login(right, PASSWORD)).status, 200))
    t.equal(
      first.filter(({ kind }) => kind === 'verify').length,
      1,
      'the right one is hashed anew, beside the reply',
    )
  }
  const workFor = await countWork(t)
  const outdated = hashNow(PASSWORD, OLD)
  for (const secret of [PASSWORD, 'wrong']) {
    t.equal(workFor(undefined, secret), FULL, 'nobody')
    t.equal(workFor(hashNow(PASSWORD, DEFAULT_PARAMETERS), secret), FULL, 'somebody')
    t.equal(workFor(outdated, secret), FULL, 'somebody whose hash is of old')
  }
})

conforms('advisory 21', async t => {
  const { anna, unset, unusable, bcrypt } = people
  for (const [, house] of await openEach(t, [anna, unset, unusable, bcrypt])) {
    await alikeInWork(t, house, namesOf(anna, unset, unusable, bcrypt, UNKNOWN))
  }
  const workFor = await countWork(t)
  const hash = hashNow(PASSWORD, DEFAULT_PARAMETERS)
  for (const stored of [
    ...[
      '',
      '!',
      '!unusable',
      bcrypt.stored,
      hash.slice(0, -10),
      hash.replace('argon2id', 'argon2i'),
      `${hash}$x`,
    ],
    ...[
      '$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
      'x'.repeat(600),
    ],
  ]) {
    t.equal(workFor(stored, PASSWORD), FULL, stored.slice(0, 40))
  }
})

conforms('advisory 22', async t => {
  // The other doors to the same check: another app, and an operator who has a login explained.
  const { anna, disabled } = people
  const house = await openHouse(t, { backends: [EMAIL, LOCAL], ...UNCOUNTED })
  addLocalPeople(house, [anna, disabled])
  await alikeInWork(t, house, namesOf(anna, disabled, UNKNOWN), { visit: { app: 'outsider' } })
  for (const name of namesOf(anna, disabled, UNKNOWN)) {
    const done = await jobs.during(async () => {
      const { code, stdout } = await house.command(
        ['explain', name, '--password-stdin', '--json'],
        'wrong wrong wrong\n',
      )
      t.equal(code, 1)
      t.match(
        JSON.parse(stdout),
        { verdict: name.startsWith('disabled') ? 'account_state' : 'rejected' },
        name,
      )
    })
    t.equal(done.length, 1, `explained, ${name}: one hash`)
  }
})

conforms('advisory 23', async t => {
  const { anna, disabled, unset } = people
  for (const [order, house] of await openEach(t, [anna, disabled, unset])) {
    const replies = new Set<string>()
    for (const address of [
      anna.email,
      disabled.email,
      unset.email,
      UNKNOWN.email,
      'x@y',
      '@',
      'a@b@c',
      'nobody',
    ]) {
      replies.add(JSON.stringify(shownBy(await house.login(address, 'wrong wrong wrong'))))
    }
    t.equal(replies.size, 1, order)
    const found = new Set<string>()
    for (const id of [
      `local:${anna.email}`,
      `local:${UNKNOWN.email}`,
      `email:${anna.email}`,
      anna.email,
      'nobody',
    ]) {
      found.add(JSON.stringify(shownBy(await house.getUser(id))))
    }
    t.equal(found.size, 1, `${order}: no address finds a user`)
  }
})

conforms('advisory 24', async t => {
  const { anna, disabled } = people
  const house = await openHouse(t, { backends: [EMAIL, LOCAL], ...UNCOUNTED })
  addLocalPeople(house, [anna, disabled])
  for (const app of ['login form', 'outsider'] as const) {
    await alikeInWork(t, house, namesOf(anna, disabled, UNKNOWN), { visit: { app } })
  }
  const outsider = { app: 'outsider' } as const
  const wrong = shownBy(await house.login('nobody', PASSWORD, outsider))
  t.same(
    shownBy(await house.login('disabled', PASSWORD, outsider)),
    wrong,
    'the right password tells an outsider nothing',
  )
  t.match(
    await house.login('disabled', PASSWORD),
    { status: 401, code: 'account_disabled' },
    'an app that may know is told',
  )
})

conforms('advisory 25', async t => {
  const { anna, disabled, unset } = people
  for (const [, house] of await openEach(t, [anna, disabled, unset])) {
    await alikeInWork(t, house, namesOf(anna, disabled, unset, UNKNOWN))
  }
  // With a directory in front: whoever is in it has one bind more to wait for, which is what the measured proof is about;
  // the daemon's own work is the same for all.
  const house = await openHouse(t, { backends: [corpBackend(slapd), LOCAL], ...UNCOUNTED })
  addLocalPeople(house, [anna])
  const binds = await bindsDuring(slapd, () =>
    alikeInWork(t, house, ['anna', 'nobody', corpPeople.alice.uid]),
  )
  t.same(binds, [corpPeople.alice.dn], 'no bind for who is not there')
})

conforms('advisory 26', async t => {
  const { anna, outdated, unset } = people
  const house = await openHouse(t, { backends: [EMAIL, LOCAL], ...UNCOUNTED })
  addLocalPeople(house, [anna, outdated, unset])
  const names = namesOf(anna, outdated, unset, UNKNOWN)
  for (const length of [1, 71, 72, 73, 255, 256, 1024]) {
    await alikeInWork(t, house, names, { password: 'y'.repeat(length) })
  }
  await alikeInWork(t, house, names, { password: 'ÿ'.repeat(512) })
  for (const impossible of ['y'.repeat(1025), 'y\0', ' ', '']) {
    const shown = new Set<string>()
    const done = await jobs.during(async () => {
      for (const name of names) shown.add(JSON.stringify(shownBy(await house.login(name, impossible))))
    })
    t.same([shown.size, done.length], [1, 0], 'refused alike, and before any hash')
  }
  const workFor = await countWork(t)
  for (const length of [1, 72, 73, 1024]) {
    const secret = 'y'.repeat(length)
    t.equal(workFor(undefined, secret), workFor(hashNow(PASSWORD, OLD), secret), `${length} octets`)
  }
})

conforms('advisory 27', async t => {
  let compared: (readonly [number, number])[] = []
  const counting = {
    ...crypto,
    timingSafeEqual(one: Buffer, other: Buffer) {
      compared.push([one.length, other.length])
      return crypto.timingSafeEqual(one, other)
    },
  }
  const mocks = { 'node:crypto': counting }
  const { createIdentify } = await t.mockImport<typeof import('../../src/http/clients.ts')>(
    '../../src/http/clients.ts',
    mocks,
  )
  const keys = ['first-key', 'second-key', 'third-key']
  const identify = createIdentify(
    keys.map((key, at) => ({
      id: `app-${at}`,
      credential: { kind: 'key', sha256: crypto.hash('sha256', key) },
      may: new Set(),
      requiredGroups: [],
    })),
  )
  const present = (key: string) => {
    compared = []
    return identify({ authorization: `Bearer ${key}`, certificateSubject: undefined, address: '192.0.2.1' })
      ?.id
  }
  for (const [key, app] of [
    ...([
      ['first-key', 'app-0'],
      ['second-key', 'app-1'],
      ['third-key', 'app-2'],
    ] as const),
    ...['x', 'first-kez', 'first', 'first-key-and-more', 'zzzzzzzzz'].map(key => [key, undefined] as const),
  ]) {
    t.equal(present(key), app, key)
    t.same(
      compared,
      [
        [64, 64],
        [64, 64],
        [64, 64],
      ],
      'with every key, whole, whatever the first octets are',
    )
  }

  const { createAdminDoor } = await t.mockImport<typeof import('../../src/http/admin-door.ts')>(
    '../../src/http/admin-door.ts',
    mocks,
  )
  const refused: string[] = []
  const token = 'a'.repeat(43)
  const door = createAdminDoor(
    { token: new Secret(token), host: '127.0.0.1', readiness: () => ({ phase: 'serving', ready: true }) },
    (_request, reply, code) => {
      refused.push(code)
      return reply
    },
  )
  const knock = (presented: string) => {
    compared = []
    let passed = false
    const request = {
      headers: { authorization: `Bearer ${presented}`, host: '127.0.0.1' },
      raw: { socket: {} },
    }
    // Only what the door reads of a request.
    Reflect.apply(door, undefined, [
      request,
      {},
      () => {
        passed = true
      },
    ])
    t.same(compared, [[32, 32]], 'digests, whole')
    return passed
  }
  t.equal(knock(token), true)
  for (const wrong of ['a', `${'a'.repeat(42)}b`, `b${'a'.repeat(42)}`, 'a'.repeat(44)])
    t.equal(knock(wrong), false)
  t.same(refused, Array(4).fill('admin_unauthenticated'))
})
