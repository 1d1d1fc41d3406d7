import { execFile } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { hashSync } from '@node-rs/argon2'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Secret } from '../../src/authentication/secret.ts'
import { DEFAULT_PARAMETERS, type HashParameters, hashNow, verifyNow } from '../../src/passwords/argon2.ts'
import { createPasswordHasher, type PasswordHasherOptions } from '../../src/passwords/hasher.ts'
import { runs } from '../support/runs.ts'

/** For tests whose point is not the cost. */
const CHEAP: HashParameters = { memoryKiB: 32, passes: 1, lanes: 1 }

function hasher(t: Test, options: PasswordHasherOptions = {}) {
  const created = createPasswordHasher({ threads: 1, parameters: CHEAP, ...options })
  t.teardown(created.close)
  return created
}

const NEVER = { verified: false, stale: false }

t.test('a hash is argon2id at 19 MiB and two passes with 16 random bytes of salt', async t => {
  const { hash } = hasher(t, { parameters: DEFAULT_PARAMETERS })
  const [one, other] = await Promise.all([hash(new Secret('same')), hash(new Secret('same'))])
  t.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  t.not(one, other)
})

t.test('only the exact stored password verifies', async () => {
  const character = fc
    .nat(0x10ffff)
    .map(point => String.fromCodePoint(point))
    .filter(text => text.isWellFormed())
  const password = fc.oneof(
    fc.string({ unit: character, minLength: 1, maxLength: 40 }),
    fc.constantFrom(
      'x'.repeat(72),
      'x'.repeat(1024),
      `${'é'.repeat(36)}`,
      ' blank ',
      'pass\0word',
      'Ünïcode',
    ),
  )
  const mutation = fc.constantFrom<((text: string) => string)[]>(
    text => `${text} `,
    text => ` ${text}`,
    text => `${text}\0`,
    text => `${text}\n`,
    text => text.slice(0, -1),
    text => text.slice(1),
    text => text.toUpperCase(),
    text => text.toLowerCase(),
    text => text.trim(),
    text => text.normalize('NFD'),
    text => text.normalize('NFKC'),
    text => text.slice(0, text.indexOf('\0')),
    text => Array.from(text).reverse().join(''),
    text => `${text.slice(0, -1)}y`,
    () => '',
  )
  fc.assert(
    fc.property(password, mutation, (right, mutate) => {
      const stored = hashNow(right, CHEAP)
      const wrong = mutate(right)
      const good = verifyNow(stored, right, CHEAP)
      const bad = verifyNow(stored, wrong, CHEAP)
      return good.verified && bad.verified === (wrong === right)
    }),
    { numRuns: runs(300) },
  )
})

t.test('nothing behind byte 72 or before byte 1,024 is cut off (CVE-2025-22228, CVE-2013-1443)', async t => {
  const { hash, verify } = hasher(t)
  for (const length of [64, 72, 73, 128, 1024]) {
    const base = 'x'.repeat(length - 1)
    const stored = await hash(new Secret(`${base}a`))
    t.match(await verify(stored, new Secret(`${base}a`)), { verified: true }, `${length} bytes`)
    t.match(await verify(stored, new Secret(`${base}b`)), NEVER, `${length} bytes, the last one wrong`)
    t.match(await verify(stored, new Secret(base)), NEVER, `${length} bytes, the last one missing`)
  }
})

t.test('what is no usable hash never verifies: not itself, not its prefix, not nothing', async t => {
  const { hash, verify } = hasher(t)
  const good = await hash(new Secret('right'))
  const unusable = [
    undefined,
    '',
    '!',
    '!unusable',
    'right',
    '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy',
    hashSync('right', { algorithm: 1, memoryCost: 32, timeCost: 1 }),
    good.replace('argon2id', 'argon2x'),
    good.replace(/\$[^$]+$/, ''),
    good.replace(/\$[^$]+$/, '$'),
    good.replace(/\$[^$]+$/, '$AAAA'),
    good.slice(0, -1),
    ` ${good}`,
    `${good}\n`,
    `${good}${good}`,
    good.padEnd(100_000, 'A'),
  ]
  for (const stored of unusable) {
    for (const secret of ['right', '', '!', stored ?? 'undefined']) {
      t.strictSame(await verify(stored, new Secret(secret)), NEVER, String(stored).slice(0, 60))
    }
  }
  t.strictSame(await verify(good, new Secret('right')), { verified: true, stale: false }, 'the good one does')
})

t.test('a stored record cannot ask for more than 128 MiB, 30 passes or 8 lanes', async t => {
  const { hash, verify } = hasher(t)
  const good = await hash(new Secret('right'))
  for (const parameters of [
    'm=131073,t=1,p=1',
    'm=4294967295,t=1,p=1',
    'm=32,t=31,p=1',
    'm=32,t=4294967295,p=1',
    'm=128,t=1,p=9',
  ]) {
    const startedAt = performance.now()
    t.strictSame(
      await verify(good.replace(/m=32,t=1,p=1/, parameters), new Secret('right')),
      NEVER,
      parameters,
    )
    t.ok(performance.now() - startedAt < 1_000, 'and is not computed')
  }
})

t.test('lone surrogates, which UTF-8 would make equal, match nothing', async t => {
  const { hash, verify } = hasher(t)
  const stored = await hash(new Secret('secret\ufffd'))
  for (const wrong of ['secret\ud800', 'secret\udfff'])
    t.strictSame(await verify(stored, new Secret(wrong)), NEVER)
  await t.rejects(hash(new Secret('secret\ud800')), RangeError)
})

t.test('a good password under a lesser hash asks for a new one, a wrong one never does', async t => {
  const current = { memoryKiB: 64, passes: 2, lanes: 1 }
  const { verify } = hasher(t, { parameters: current })
  const lesser = {
    'less memory': { memoryCost: 32, timeCost: 2 },
    'fewer passes': { memoryCost: 64, timeCost: 1 },
    'other lanes': { memoryCost: 128, timeCost: 4, parallelism: 2 },
    'a short salt': { memoryCost: 64, timeCost: 2, salt: Buffer.alloc(8, 1) },
    'a short output': { memoryCost: 64, timeCost: 2, outputLen: 16 },
    'the old version': { memoryCost: 64, timeCost: 2, version: 0 as const },
  }
  for (const [name, options] of Object.entries(lesser)) {
    const stored = hashSync('right', { parallelism: 1, ...options })
    t.strictSame(await verify(stored, new Secret('right')), { verified: true, stale: true }, name)
    t.strictSame(await verify(stored, new Secret('wrong')), NEVER, `${name}, wrong password`)
  }
  const dearer = hashSync('right', { memoryCost: 128, timeCost: 4, parallelism: 1 })
  t.strictSame(
    await verify(dearer, new Secret('right')),
    { verified: true, stale: false },
    'a dearer hash may stay',
  )
})

t.test('known, unknown, unusable and cheaper hashes take about the same time', async t => {
  const { hash, verify } = hasher(t, { parameters: DEFAULT_PARAMETERS })
  const wrong = new Secret('wrong')
  const right = new Secret('right')
  const cheaper = hashSync('right', { memoryCost: 1024, timeCost: 1, parallelism: 1 })
  const known = await hash(right)
  const questions = {
    known: () => verify(known, wrong),
    unknown: () => verify(undefined, wrong),
    unusable: () => verify('!', wrong),
    cheaper: () => verify(cheaper, wrong),
    'cheaper and right': () => verify(cheaper, right),
  }
  const samples = Object.entries(questions).map(([name, ask]) => ({ name, ask, times: [] as number[] }))
  for (let round = 0; round < 9; round++) {
    for (const { ask, times } of samples) {
      const startedAt = performance.now()
      await ask()
      times.push(performance.now() - startedAt)
    }
  }
  const least = (times: readonly number[]) => Math.min(...times)
  const [reference = Number.NaN, ...others] = samples.map(({ times }) => least(times))
  t.comment(samples.map(({ name, times }) => `${name} ${least(times).toFixed(1)} ms`).join(', '))
  // The least of several is what a busy machine disturbs least; a skipped or a doubled hash is outside these bounds.
  for (const other of others)
    t.ok(other > reference * 0.55 && other < reference * 1.8, `${other} to ${reference}`)
})

t.test('64 verifications at once leave the event loop and the libuv pool free', async t => {
  const { verify } = hasher(t, { threads: 2, parameters: DEFAULT_PARAMETERS })
  await verify(undefined, new Secret('warm'))
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  let done = false
  const all = Promise.all(Array.from({ length: 64 }, (_, n) => verify(undefined, new Secret(`${n}`)))).then(
    () => {
      done = true
    },
  )
  await lookup('localhost')
  t.notOk(done, 'a name was looked up meanwhile')
  await all
  delay.disable()
  t.comment(`event loop delay p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms`)
  t.ok(delay.percentile(99) / 1e6 < 200)
})

t.test('a full queue is an outage of hashing, and neither a hang nor a wrong password', async t => {
  const { verify } = hasher(t, { queueLimit: 2, parameters: DEFAULT_PARAMETERS })
  const answers = await Promise.allSettled(
    Array.from({ length: 8 }, () => verify(undefined, new Secret('x'))),
  )
  const refused = answers.filter(({ status }) => status === 'rejected')
  t.equal(refused.length, 5, 'one runs, two wait')
  for (const answer of refused) t.match(answer, { reason: { name: 'UnavailableError', phase: 'hash' } })
})

t.test('a process that has hashed ends by itself, without closing anything', async t => {
  const code = `
    import { Secret } from './src/authentication/secret.ts'
    import { createPasswordHasher } from './src/passwords/hasher.ts'
    console.log(await createPasswordHasher().hash(new Secret('x')))`
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { timeout: 20_000 })
  t.match((await run).stdout, /^\$argon2id\$/)
})

t.test(
  'closing ends also while an answer waits to be taken and nothing else keeps the process alive',
  async t => {
    const script = fileURLToPath(new URL('closing.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [script])
    t.equal(stdout, 'closed: password hashing is shutting down\n')
  },
)
