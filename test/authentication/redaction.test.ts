import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { createRedaction, framesOf, redactedLog, WITHHELD } from '../../src/authentication/redaction.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

const PASSWORD = 'Kq7 é"\\+&/Zw'
const redaction = createRedaction(new Secret(PASSWORD))

t.test(
  'a text that holds the password in any spelling is withheld whole, and any other stays as it is',
  async t => {
    const octets = Buffer.from(PASSWORD)
    for (const said of [
      `no good: ${PASSWORD}`,
      JSON.stringify({ PASSWORD }),
      `/login?p=${encodeURIComponent(PASSWORD)}`,
      String(new URLSearchParams({ p: PASSWORD })),
      octets.toString('base64'),
      Buffer.from(`alice:${PASSWORD}`).toString('base64'),
      Buffer.from(`bob:${PASSWORD}!`).toString('base64url'),
      octets.toString('hex'),
      octets.toString('hex').toUpperCase(),
      JSON.stringify(octets),
    ]) {
      t.equal(redaction.text(said), WITHHELD, said)
    }
    for (const said of ['', 'no answer within 1000 ms', PASSWORD.slice(1), PASSWORD.toLowerCase()]) {
      t.equal(redaction.text(said), said)
    }
  },
)

t.test('wherever a password of some length stands, and whatever is around it, it is found', async t => {
  const password = fc.string({ unit: 'grapheme', minLength: 8, maxLength: 300 })
  const around = fc.string({ unit: 'grapheme', maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(password, around, around, async (password, before, after) => {
      const { text } = createRedaction(new Secret(password))
      const said = before + password + after
      const spelt = [
        said,
        JSON.stringify({ said }),
        Buffer.from(said).toString('base64'),
        Buffer.from(said).toString('hex'),
        // Cut off, as long texts are.
        before + password.slice(0, 64),
      ]
      if (said.isWellFormed()) spelt.push(encodeURIComponent(said))
      for (const each of spelt) t.equal(text(each), WITHHELD)
    }),
    { numRuns: 200 },
  )
})

t.test('a password that is in any text by accident withholds nothing', async t => {
  for (const short of ['a', 'no', 'ms ']) {
    t.equal(createRedaction(new Secret(short)).text('no answer within 5 ms'), 'no answer within 5 ms')
  }
})

t.test('an error keeps its name and its frames, and nothing that it carried', async t => {
  const plain = redaction.error(new RangeError('out of range'))
  t.match(plain, { name: 'RangeError', message: 'out of range', stack: /redaction\.test/ })

  const cause = new Error(PASSWORD)
  const carrying = Object.assign(new TypeError(`not ${PASSWORD}`, { cause }), { request: { PASSWORD } })
  const shown = redaction.error(carrying)
  t.match(shown, { name: 'TypeError', message: WITHHELD, stack: /^ {4}at .*redaction\.test/m })
  t.notMatch(inspect(shown, { depth: 9 }), 'Kq7')

  t.equal(redaction.error(PASSWORD).message, 'a string was thrown')
  t.equal(redaction.error(undefined).message, 'a undefined was thrown')
  const trap = new Proxy(new Error('x'), {
    get() {
      throw new Error(PASSWORD)
    },
  })
  t.notMatch(inspect(redaction.error(trap)), 'Kq7')
})

t.test('frames are places in files, whatever a message looks like', async t => {
  const error = new Error(`first\n    at ${PASSWORD} (/x.js:1:2)\n    at last (/y.js:3:4)`)
  t.ok(framesOf(error).length > 0)
  t.ok(framesOf(error).every(frame => /redaction\.test|node:/.test(frame) || /tap/.test(frame)))
  t.same(framesOf(Object.assign(new Error('x'), { stack: `Error: y\n    at ${PASSWORD}` })), [])
})

t.test(
  'a logger of an attempt writes what it is given, but for what holds the password, however deep',
  async t => {
    const recorder = createLogRecorder()
    const log = redactedLog(recorder, () => redaction)
    log.info({ dn: 'uid=alice', count: 3, list: ['a'], none: undefined }, 'fine')
    t.match(recorder.lines.at(-1), { fields: { dn: 'uid=alice', count: 3, list: ['a'] }, message: 'fine' })

    const circular: Record<string, unknown> = { PASSWORD }
    circular.self = circular
    for (const fields of [
      { password: PASSWORD },
      { deep: [{ er: { still: `p=${PASSWORD}` } }] },
      { deep: { [PASSWORD]: 1 } },
      { [PASSWORD]: 1 },
      { err: new Error(PASSWORD) },
      { octets: Buffer.from(PASSWORD) },
      { made: { toJSON: () => PASSWORD } },
      circular,
      new Error(PASSWORD),
      PASSWORD as unknown as object,
    ]) {
      for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const) log[level](fields, 'said')
      log.child(fields).info({ PASSWORD }, PASSWORD)
    }
    t.ok(recorder.lines.length > 60)
    t.notMatch(recorder.text() + JSON.stringify(recorder.lines), /Kq7|75,113,55/)
  },
)

t.test('whoever asks whether a level is written hears what the log behind it says', async t => {
  const recorder = createLogRecorder()
  const log = redactedLog({ ...recorder, isLevelEnabled: level => level !== 'debug' }, () => redaction)
  t.equal(log.isLevelEnabled?.('debug'), false)
  t.equal(log.isLevelEnabled?.('error'), true)
  t.equal(
    redactedLog(recorder, () => redaction).isLevelEnabled?.('debug'),
    true,
    'a log that does not say wants everything',
  )
})
