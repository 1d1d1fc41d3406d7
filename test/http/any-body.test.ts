/** Bodies as nobody should send them, to the real listener: what reaches the core is what one strict reader takes, or nothing. */
import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import fc from 'fast-check'
import t from 'tap'
import { runs } from '../support/runs.ts'
import { canary, createFakeCoreServer } from './fake-core.ts'

const server = createFakeCoreServer(t)
const port = await server.listen()
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
t.teardown(() => agent.destroy())

interface Reply {
  readonly status: number
  readonly text: string
  readonly reused: boolean
}

function post(body: Buffer, headers: Record<string, string>): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request({ agent, port, host: '127.0.0.1', method: 'POST', path: '/authenticate', headers })
    sent.once('error', reject).once('response', reply => {
      const chunks: Buffer[] = []
      reply.on('data', chunk => chunks.push(chunk))
      reply.once('end', () => {
        const text = JSON.stringify(reply.headers) + Buffer.concat(chunks)
        resolve({ status: reply.statusCode ?? 0, text, reused: sent.reusedSocket })
      })
    })
    sent.end(body)
  })
}

const MAX_BYTES = 16_384
const MAX_DEPTH = 4
const FORBIDDEN = ['__proto__', 'constructor', 'prototype']
const TOKEN = /[\s]*(?<token>"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+)/gsy

/** The reader to compare with, made from the documentation and in another way: the login in a body, or undefined. */
function referenceLogin(body: Buffer): { readonly username: string; readonly password: string } | undefined {
  if (body.length > MAX_BYTES) return undefined
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
    const value = JSON.parse(text)
    const tokens = [...text.matchAll(TOKEN)].map(({ groups }) => groups?.token ?? '')
    const keysIn: string[][] = []
    for (const [index, token] of tokens.entries()) {
      if (token === '{' || token === '[') keysIn.push([])
      if (keysIn.length > MAX_DEPTH) return undefined
      if (token === '}' || token === ']') keysIn.pop()
      if (!token.startsWith('"')) continue
      const read: string = JSON.parse(token)
      if (!read.isWellFormed()) return undefined
      if (tokens[index + 1] !== ':') continue
      if (FORBIDDEN.includes(read) || keysIn.at(-1)?.includes(read)) return undefined
      keysIn.at(-1)?.push(read)
    }
    const { username, password, client = {}, ...rest } = value
    const { ip, ...more } = client
    const texts = [username, password].every(each => typeof each === 'string' && each !== '')
    const plain = [value, client].every(each => Object.getPrototypeOf(each) === Object.prototype)
    // Whom an app asserts is another permission, which this one has not got.
    if (!texts || !plain || ip !== undefined || Object.keys({ ...rest, ...more }).length > 0) return undefined
    return { username, password }
  } catch {
    return undefined
  }
}

const blank = fc.constantFrom('', '', '', ' ', '\n', '\t \r', '\u00a0', '\u000b', '/**/', '//')

/** A string of JSON, in which any character may be written as an escape. */
function written(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const escapes = fc.array(fc.boolean(), { minLength: 1, maxLength: 4 })
  return fc
    .tuple(text, fc.oneof({ weight: 3, arbitrary: fc.constant([false]) }, escapes))
    .map(
      ([value, mask]) =>
        `"${Array.from(value, (character, index) =>
          mask[index % mask.length] && character.length === 1
            ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
            : JSON.stringify(character).slice(1, -1),
        ).join('')}"`,
    )
}

const key = written(
  fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom('username', 'password', 'client') },
    {
      weight: 3,
      arbitrary: fc.constantFrom('Username', 'password ', 'pass', 'ip', '', 'usernаme', 'toString'),
    },
    { weight: 2, arbitrary: fc.constantFrom(...FORBIDDEN) },
  ),
)
const value = fc.oneof(
  { weight: 8, arbitrary: written(fc.constantFrom('alice', canary, `${canary}é`, '__proto__', '😀')) },
  { weight: 2, arbitrary: written(fc.string({ unit: 'binary', maxLength: 8 })) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('""', '"\\ud800"', '"\\udc00x"', '"\\u0000"', '"\\x41"', '"a\nb"', "'a'"),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom('{}', '{"ip":"192.0.2.1"}', '{"ip":1}', '{"ip":"a","ip":"b"}', '[]'),
  },
  { weight: 1, arbitrary: fc.constantFrom('null', 'true', '0', '-0', '1e999', 'NaN', '01', `["${canary}"]`) },
  { weight: 1, arbitrary: fc.json() },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('[', '{"client":'), fc.integer({ min: 1, max: 3_000 }))
      .map(([open, deep]) => `${open.repeat(deep)}1${(open === '[' ? ']' : '}').repeat(deep)}`),
  },
)
const right = fc
  .tuple(
    blank,
    written(fc.constantFrom('alice', 'Älice', '{"a":[')),
    written(fc.constantFrom(canary, '"]}\\')),
  )
  .map(([gap, name, password]) => [`"username"${gap}:${name}`, `${gap}"password":${password}`])
const members = fc
  .array(
    fc.tuple(key, blank, value).map(([name, gap, content]) => `${name}${gap}:${content}`),
    { maxLength: 3 },
  )
  .chain(extra =>
    fc
      .tuple(right, fc.boolean())
      .map(([two, asserts]) => [
        ...two,
        ...(asserts ? extra : []),
        ...(asserts && extra.length === 0 ? ['"client":{"ip":"192.0.2.1"}'] : []),
      ]),
  )
  .chain(all => fc.oneof(fc.constant(all), fc.shuffledSubarray(all)))
const text = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: fc.constant('') }, fc.constantFrom('\ufeff', ' ', '[', 'x', '\0')),
    members,
    blank,
    fc.oneof(
      { weight: 9, arbitrary: fc.constant('') },
      fc.constantFrom(' ', '}', ',', '{}', '\0', ']', '\n//'),
    ),
  )
  .map(([before, all, gap, after]) => `${before}{${all.join(`,${gap}`)}}${after}`)
const bytes = fc.oneof(
  { weight: 6, arbitrary: text.map(each => Buffer.from(each)) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(text, fc.nat(400), fc.nat(4), fc.uint8Array({ maxLength: 4 }))
      .map(([each, at, drop, added]) => {
        const whole = Buffer.from(each)
        return Buffer.concat([whole.subarray(0, at), added, whole.subarray(at + drop)])
      }),
  },
  { weight: 1, arbitrary: text.map(each => Buffer.from(each, 'utf16le')) },
  { weight: 1, arbitrary: text.map(each => Buffer.from(each, 'latin1')) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map(each => Buffer.from(each)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(text, fc.integer({ min: MAX_BYTES - 400, max: MAX_BYTES + 400 }))
      .map(([each, length]) => Buffer.from(each.padEnd(length, ' '))),
  },
)

const TYPES: readonly (readonly [type: string, isJson: boolean])[] = [
  ['application/json', true],
  ['APPLICATION/JSON', true],
  ['application/json;charset=utf-8', true],
  ['application/json \t; charset="UTF-8"', true],
  ['application/json; charset=utf-16', false],
  ['application/json; charset=utf-8; x=y', false],
  ['application/json, text/plain', false],
  ['application/json5', false],
  ['application/problem+json', false],
  ['text/json', false],
  ['text/plain', false],
  ['application/x-www-form-urlencoded', false],
  ['multipart/form-data; boundary=x', false],
  ['application/json;', false],
  ['__proto__', false],
  ['', false],
]
const type = fc.oneof({ weight: 4, arbitrary: fc.constant(TYPES[0]) }, fc.constantFrom(...TYPES))

t.test(
  'whatever body comes, the core sees the login of the strict reader or none, and the line stays whole',
  async t => {
    const seen = new Map<number, number>()
    let reused = 0
    await fc.assert(
      fc.asyncProperty(
        bytes,
        type,
        fc.boolean(),
        async (body, [contentType, isJson] = ['', false], chunked) => {
          server.attempts.length = 0
          const logged = server.log.lines.length
          const length: [string, string] = chunked
            ? ['transfer-encoding', 'chunked']
            : ['content-length', String(body.length)]
          const reply = await post(body, Object.fromEntries([length, ['content-type', contentType]]))
          seen.set(reply.status, (seen.get(reply.status) ?? 0) + 1)
          reused += Number(reply.reused)
          const expected = isJson ? referenceLogin(body) : undefined
          const attempts = server.attempts.map(({ username, password }) => ({
            username,
            password: password.reveal(),
          }))
          assert.deepEqual(attempts, expected === undefined ? [] : [expected])
          const allowed = expected === undefined ? [400, 403, 413, 415] : [401]
          assert.ok(allowed.includes(reply.status), `${reply.status}`)
          assert.ok(!reply.text.includes(canary), 'the password in the reply')
          assert.ok(
            !JSON.stringify(server.log.lines.slice(logged)).includes(canary),
            'the password in the log',
          )
        },
      ),
      { numRuns: runs(700) },
    )
    for (const status of [400, 401, 403, 413, 415]) t.ok(seen.get(status), `${seen.get(status)} of ${status}`)
    t.ok(reused > 0, 'over one line')
    t.notMatch(server.log.text(), canary)
  },
)

t.test('after all of it a plain login is read as ever', async t => {
  server.attempts.length = 0
  const body = Buffer.from(JSON.stringify({ username: 'alice', password: canary }))
  t.equal((await post(body, { 'content-type': 'application/json' })).status, 401)
  t.equal(server.attempts.length, 1)
  t.equal(({} as Record<string, unknown>).ip, undefined, 'no prototype was touched')
})
