import { Buffer } from 'node:buffer'
import { array, assert, boolean, constantFrom, double, object, property, string } from 'fast-check'
import t from 'tap'
import { parseJson } from '../../src/http/json-body.ts'
import { RequestFault } from '../../src/http/request-fault.ts'
import '../support/runs.ts'

const parse = (text: string | Buffer, depth = 4) => parseJson(Buffer.from(text), depth)

t.test('strict JSON is read as JSON.parse reads it', async t => {
  for (const text of [
    '{}',
    ' { "a" : [ 1 , "x" , { "b" : null } ] } \r\n\t',
    '{"a":{"a":1},"b":{"a":2}}',
    '[{"a":1},{"a":2}]',
    '"just a string with \\"quotes\\", {braces} and \\\\"',
    '{"a\\\\":1,"a":2}',
    '{"a":"\\ud83d\\ude00 \\u0000 é 😀"}',
    '{"":1}',
    '-0.5e3',
  ]) {
    t.strictSame(parse(text), JSON.parse(text), text)
  }
})

t.test('what another reader might read differently is refused', async t => {
  const cases: [why: string, text: string | Buffer][] = [
    ['a key that occurs twice in one object', '{"a":1,"a":1}'],
    ['a key that occurs twice in one object', '{"a":1,"\\u0061":2}'],
    ['a key that occurs twice in one object', '{"\\u0061":1,"b":{"a":1},"a":2}'],
    ['a key that occurs twice in one object', '{"x":[{"k":1,"k":2}]}'],
    ['a key that occurs twice in one object', '{"a/b":1,"a\\/b":2}'],
    ['a key that occurs twice in one object', '{"":1,"":2}'],
    ['a key that is not allowed', '{"__proto__":{}}'],
    ['a key that is not allowed', '{"\\u005f_proto__":{}}'],
    ['a key that is not allowed', '{"a":{"constructor":1}}'],
    ['a key that is not allowed', '{"prototype":1}'],
    ['a lone surrogate in a string', '{"a":"\\ud800"}'],
    ['a lone surrogate in a string', '{"a":"\\udc00\\ud800"}'],
    ['a lone surrogate in a string', '{"\\ud83dx":1}'],
    ['nested more than 4 deep', '[[[[[]]]]]'],
    ['nested more than 4 deep', `${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`],
    ['nested more than 4 deep', `${'['.repeat(8000)}${']'.repeat(8000)}`],
    ['not JSON', ''],
    ['not JSON', '\ufeff{}'],
    ['not JSON', '{"a":1}\u0000'],
    ['not JSON', '{}{}'],
    ['not JSON', '['.repeat(16_000)],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['not UTF-8', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['not UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['not UTF-8', Buffer.from([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00])],
  ]
  for (const [why, text] of cases) {
    t.throws(
      () => parse(text),
      { name: 'RequestFault', faults: [{ pointer: '', detail: why }] },
      String(text).slice(0, 40),
    )
  }
})

t.test('values of the forbidden names and braces in strings are nobody’s business', async t => {
  t.strictSame(parse('{"a":"__proto__","b":["x","constructor","x"]}'), {
    a: '__proto__',
    b: ['x', 'constructor', 'x'],
  })
  t.strictSame(parse('{"a":"}{,:\\"[","b":"\\\\"}'), { a: '}{,:"[', b: '\\' })
  t.strictSame(parse('[[[[]]]]'), [[[[]]]])
})

t.test('whatever JSON.stringify writes is read back, unless a rule refuses it', async () => {
  assert(
    property(object({ maxDepth: 2, key: string(), values: [string(), double(), boolean()] }), value => {
      const text = JSON.stringify(value)
      let read: unknown
      try {
        read = parse(text)
      } catch (error) {
        if (error instanceof RequestFault) return /"(__proto__|constructor|prototype)":/.test(text)
        throw error
      }
      return JSON.stringify(read) === text
    }),
  )
})

t.test('a key twice is found however each is spelled and wherever they stand', async () => {
  const spell = (key: string, escapes: readonly boolean[]) =>
    [...key]
      .map((char, at) => {
        const escaped = `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
        return escapes[at % escapes.length] ? escaped : JSON.stringify(char).slice(1, -1)
      })
      .join('')
  const escapes = array(boolean(), { minLength: 1, maxLength: 5 })
  const key = constantFrom('password', 'a', '"', '\\', 'é', 'a b')
  assert(
    property(key, escapes, escapes, array(string(), { maxLength: 3 }), (name, first, second, between) => {
      const fill = between.map((value, at) => `"other${at}":${JSON.stringify(value)},`).join('')
      try {
        parse(`{"${spell(name, first)}":1,${fill}"${spell(name, second)}":2}`)
        return false
      } catch (error) {
        return error instanceof RequestFault && error.message === 'a key that occurs twice in one object'
      }
    }),
  )
})
