/** Django's test_hashers, and how much hashing its backends do. Here a password hash is argon2id, and nothing else is. */

import * as argon2 from '@node-rs/argon2'
import { hashSync } from '@node-rs/argon2'
import type { Test } from 'tap'
import type { HashParameters } from '../../src/passwords/argon2.ts'
import { EMAIL, type House, LOCAL, openHouse } from './house.ts'
import { addUser, disable, PASSWORD, storedUser, storeHash } from './local-people.ts'
import { conforms, differs } from './suite.ts'
import { watchWork } from './work.ts'

/** By address, then by name, and nobody is locked out: these tests guess a lot. */
const CONFIG = { backends: [EMAIL, LOCAL], lockout: { mode: 'off' } }
const TODAY = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/
const RENEWAL = /^UPDATE users SET password_hash/

async function houseWithAlice(t: Test): Promise<House> {
  const house = await openHouse(t, CONFIG)
  await addUser(house, 'alice')
  return house
}

conforms('D02', async t => {
  const house = await houseWithAlice(t)
  const work = watchWork(t)
  for (const name of ['alice', 'ALICE@corp.example']) {
    for (const [password, status] of [
      [PASSWORD, 200],
      ['wrong', 401],
    ] as const) {
      work.forget()
      t.equal((await house.login(name, password)).status, status)
      t.strictSame(work.hashes, ['verify'], `${name}, ${status}`)
    }
  }
  await disable(house, 'alice')
  work.forget()
  await house.login('alice', PASSWORD)
  t.strictSame(work.hashes, ['verify'], 'disabled')
})

conforms('D03', async t => {
  const house = await openHouse(t, CONFIG)
  const work = watchWork(t)
  for (const name of ['nobody', 'nobody@corp.example']) {
    work.forget()
    t.equal((await house.login(name, PASSWORD)).status, 401)
    t.strictSame(work.hashes, ['verify'], name)
  }
})

conforms('D42', async t => {
  const house = await houseWithAlice(t)
  const unusable = ['!', '!unusable', '*', '', '!$argon2id$v=19$m=19456,t=2,p=1$', 'x']
  for (const stored of unusable) {
    storeHash(house, 'alice', stored)
    const tries = [
      stored,
      stored.slice(0, 1),
      `${stored}x`,
      '!',
      '',
      ' ',
      'null',
      'undefined',
      null,
      PASSWORD,
    ]
    for (const password of tries) {
      const { status } = await house.login('alice', password)
      t.ok(status === 401 || status === 400, `${status} for ${JSON.stringify(password)} on "${stored}"`)
    }
    t.equal(storedUser(house, 'alice').password_hash, stored, 'and it stays unusable')
  }
  storeHash(house, 'alice', hashSync(PASSWORD))
  t.equal((await house.login('alice', PASSWORD)).status, 200, 'a usable one does verify')
})

conforms('D43', async t => {
  const house = await houseWithAlice(t)
  storeHash(house, 'alice', null)
  for (const password of [PASSWORD, 'null', 'undefined', ' ', '', null, undefined, 0, false, [], {}]) {
    const { status } = await house.login('alice', password)
    t.ok(status === 401 || status === 400, `${status} for ${JSON.stringify(password)}`)
  }
})

differs(
  'D44',
  'a blank password is refused before any backend, since LDAP takes an empty one for an anonymous bind; and none can be set',
  async t => {
    const house = await houseWithAlice(t)
    storeHash(house, 'alice', hashSync(''))
    const work = watchWork(t)
    for (const blank of ['', ' ', '\u00a0', '\u200b']) {
      t.match(
        await house.login('alice', blank),
        { status: 400, code: 'invalid_request' },
        JSON.stringify(blank),
      )
      const set = await house.command(['user', 'passwd', 'alice', '--password-stdin'], blank)
      t.match(set, { code: 1, stderr: /the password is (empty|blank)/ })
    }
    t.strictSame(work.hashes, [])
  },
)

differs(
  'D45',
  'passwords are encoded by argon2id alone and no other algorithm can be asked for; a stored hash of another is a wrong password, not an error',
  async t => {
    const house = await houseWithAlice(t)
    const work = watchWork(t)
    const foreign = [
      'lolcat$salt$hash',
      'pbkdf2_sha256$1000000$salt$AAAA',
      '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy',
      '{SSHA}AAAA',
      hashSync(PASSWORD, { algorithm: 1 }),
      hashSync(PASSWORD, { algorithm: 0 }),
      PASSWORD,
    ]
    for (const stored of foreign) {
      storeHash(house, 'alice', stored)
      work.forget()
      t.match(await house.login('alice', PASSWORD), { status: 401, code: 'invalid_credentials' }, stored)
      t.strictSame(work.hashes, ['verify'], 'for the time of a hash')
    }
    const { code, stdout } = await house.command(['hash', '--password-stdin'], `${PASSWORD}\n`)
    t.equal(code, 0)
    t.match(stdout.trim(), TODAY)
    t.match(await house.command(['hash', '--password-stdin', '--algorithm', 'md5'], PASSWORD), { code: 2 })
  },
)

/** Once right, but below what is stored today. */
const OLD = {
  'less memory': { memoryCost: 8192 },
  'fewer passes': { timeCost: 1 },
  'other lanes': { parallelism: 2 },
  'an older version of argon2': { version: 0 },
  'a shorter output': { outputLen: 16 },
}

differs(
  'D46',
  'only argon2id ever verifies; what a right login renews is one with older parameters, version or lengths',
  async t => {
    const house = await houseWithAlice(t)
    const work = watchWork(t)
    for (const [what, options] of Object.entries(OLD)) {
      const old = hashSync(PASSWORD, options)
      storeHash(house, 'alice', old)
      work.forget()
      const renewed = work.ran(RENEWAL)
      t.equal((await house.login('alice', PASSWORD)).status, 200, what)
      await renewed
      const now = String(storedUser(house, 'alice').password_hash)
      t.match(now, TODAY, what)
      t.not(now, old)
      t.strictSame(work.hashes, ['verify', 'hash'])
      work.forget()
      t.equal((await house.login('alice', PASSWORD)).status, 200, 'and it is her password still')
      t.strictSame(work.hashes, ['verify'], 'once')
    }
  },
)

conforms('D47', async t => {
  const house = await houseWithAlice(t)
  const work = watchWork(t)
  for (const [what, options] of Object.entries(OLD)) {
    const old = hashSync(PASSWORD, options)
    storeHash(house, 'alice', old)
    t.equal((await house.login('alice', 'wrong')).status, 401)
    await disable(house, 'alice')
    t.equal((await house.login('alice', PASSWORD)).status, 401, 'right, but she may not log in')
    await house.command(['user', 'enable', 'alice'])
    t.equal(storedUser(house, 'alice').password_hash, old, what)
  }
  t.notOk(work.hashes.includes('hash'))
})

/** What argon2 is made to compute for one verification, in KiB filled one after another. */
async function workOf(
  t: Test,
  stored: string | undefined,
  secret: string,
  current: HashParameters,
): Promise<number> {
  let spent = 0
  const count = (memory = 0, passes = 0, lanes = 1) => {
    spent += (memory * passes) / lanes
  }
  const { verifyNow } = await t.mockImport<typeof import('../../src/passwords/argon2.ts')>(
    '../../src/passwords/argon2.ts',
    {
      '@node-rs/argon2': {
        ...argon2,
        verifySync(hash: string, password: string) {
          const { memoryCost, timeCost, parallelism } = argon2.parseOptions(hash)
          count(memoryCost, timeCost, parallelism)
          return argon2.verifySync(hash, password)
        },
        hashRawSync(password: string, options: argon2.Options) {
          count(options.memoryCost, options.timeCost, options.parallelism)
          return argon2.hashRawSync(password, options)
        },
      },
    },
  )
  verifyNow(stored, secret, current)
  return spent
}

const CURRENT: HashParameters = { memoryKiB: 19_456, passes: 2, lanes: 1 }
const WORK = 19_456 * 2

differs(
  'D48',
  'a cheaper stored hash is topped up for the right password as for a wrong one: otherwise the time would tell that a guess was right',
  async t => {
    const cheaper = hashSync(PASSWORD, { memoryCost: 4096, timeCost: 1 })
    const today = hashSync(PASSWORD)
    for (const secret of [PASSWORD, 'wrong']) {
      t.equal(await workOf(t, cheaper, secret, CURRENT), WORK, `cheaper, ${secret}`)
      t.equal(await workOf(t, today, secret, CURRENT), WORK, `as today, ${secret}`)
    }
  },
)

conforms('D49', async t => {
  const cheaper = [
    { memoryCost: 8, timeCost: 1 },
    { memoryCost: 19_456, timeCost: 1 },
    { memoryCost: 9_728, timeCost: 2 },
    { memoryCost: 19_456, timeCost: 2, parallelism: 2 },
    { memoryCost: 12_288, timeCost: 3 },
  ]
  for (const options of cheaper) {
    const spent = await workOf(t, hashSync(PASSWORD, options), 'wrong', CURRENT)
    // argon2 fills whole KiB in each pass.
    t.ok(Math.abs(spent - WORK) < CURRENT.passes + 8, `${JSON.stringify(options)}: ${spent} of ${WORK}`)
  }
  for (const stored of [undefined, '', '!', 'lolcat$salt$hash', hashSync(PASSWORD, { algorithm: 1 })]) {
    t.equal(await workOf(t, stored, 'wrong', CURRENT), WORK, `all of it for ${stored}`)
  }
  const dearer = hashSync(PASSWORD, { memoryCost: 19_456, timeCost: 3 })
  t.equal(await workOf(t, dearer, 'wrong', CURRENT), 19_456 * 3, 'nothing on top of a dearer one')
})

conforms('D50', async t => {
  const house = await openHouse(t, CONFIG)
  const long = 'tidy walruses hum odd marching tunes beside every frozen harbour until the lamps go out a'
  await addUser(house, 'alice', long)
  t.equal((await house.login('alice', long)).status, 200)
  for (const wrong of [long.slice(0, -1), `${long.slice(0, -1)}b`, long.slice(0, 72), `${long}a`]) {
    t.equal((await house.login('alice', wrong)).status, 401, `${wrong.length} bytes`)
  }
})

conforms('D51', async t => {
  const house = await houseWithAlice(t)
  const work = watchWork(t)
  storeHash(house, 'alice', hashSync(PASSWORD, { salt: Buffer.from('8 bytes!') }))
  const renewed = work.ran(RENEWAL)
  t.equal((await house.login('alice', PASSWORD)).status, 200)
  await renewed
  t.match(storedUser(house, 'alice').password_hash, TODAY, '22 characters of salt are 16 bytes')
})

differs(
  'D52',
  'a missing password is an error wherever one is encoded; a salt cannot be given at all, it is 16 random bytes',
  async t => {
    const house = await houseWithAlice(t)
    const before = storedUser(house, 'alice').password_hash
    for (const args of [['hash'], ['user', 'passwd', 'alice'], ['user', 'add', 'bob']]) {
      const { code, stdout, stderr } = await house.command([...args, '--password-stdin'], '')
      t.match(
        { code, stdout, stderr },
        { code: 1, stdout: '', stderr: /the password is empty/ },
        args.join(' '),
      )
    }
    t.equal(storedUser(house, 'alice').password_hash, before)
    t.equal(storedUser(house, 'bob'), undefined)
    t.match(await house.command(['hash', '--password-stdin', '--salt', 'x'], PASSWORD), { code: 2 })
    const hashes = [1, 2].map(() => house.command(['hash', '--password-stdin'], PASSWORD))
    const [one, other] = await Promise.all(hashes)
    t.match(one?.stdout.trim(), TODAY)
    t.not(one?.stdout, other?.stdout)
  },
)
