import fc from 'fast-check'
import t from 'tap'
import { closed } from '../../src/config/closed-schema.ts'
import { isLoopback, parseCidr } from '../../src/config/network.ts'
import { parseDuration, parseSize } from '../../src/config/quantity.ts'
import { withDefaults } from '../../src/config/schema-values.ts'
import { didYouMean, nearest } from '../../src/config/suggest.ts'
import { expandVariables } from '../../src/config/variables.ts'
import '../support/runs.ts'

/** The words of a configuration: durations, sizes, variables, networks, names that are nearly right. */

t.test('a duration is a whole number and a unit', async t => {
  t.equal(parseDuration('250ms'), 250)
  t.equal(parseDuration('4s'), 4_000)
  t.equal(parseDuration('15m'), 900_000)
  t.equal(parseDuration('12h'), 43_200_000)
  for (const text of ['', '4', '4 s', '1.5h', '-1s', '0s', '04s', '4S', '1d', '4s ', 's', '1h30m', '4s\n']) {
    t.equal(parseDuration(text), undefined, JSON.stringify(text))
  }
})

t.test('every duration that is understood fits a timer, whatever the number', async t => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 1n, max: 10n ** 12n }),
      fc.constantFrom('ms', 's', 'm', 'h'),
      (number, unit) => {
        const milliseconds = parseDuration(`${number}${unit}`)
        return milliseconds === undefined || (milliseconds > 0 && milliseconds < 2 ** 31)
      },
    ),
  )
  t.pass()
})

t.test('a size is a whole number and a binary unit', async t => {
  t.equal(parseSize('512B'), 512)
  t.equal(parseSize('64KiB'), 65_536)
  t.equal(parseSize('64MiB'), 67_108_864)
  t.equal(parseSize('2GiB'), 2_147_483_648)
  for (const text of ['', '64', '64MB', '64mib', '0B', '1.5GiB', '-1KiB', '64 MiB']) {
    t.equal(parseSize(text), undefined, JSON.stringify(text))
  }
})

t.test('a text without ${ is never changed, and escaping gives any text back', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      const plain = text.replaceAll('${', '')
      const escaped = text.replaceAll('$', '').replaceAll('{', '${').replaceAll('${', '$${')
      const back = expandVariables(escaped, {})
      return (
        expandVariables(plain, {}).text === plain &&
        back.faults.length === 0 &&
        back.text === text.replaceAll('$', '').replaceAll('{', '${')
      )
    }),
  )
  t.pass()
})

t.test('networks are told from everything that only looks like one', async t => {
  for (const [text, canonical] of [
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['192.0.2.1', '192.0.2.1/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:db8::/32', '2001:db8::/32'],
    ['::1', '::1/128'],
  ]) {
    t.equal(parseCidr(String(text)), canonical)
  }
  for (const text of ['', '/', '192.0.2.0/', '192.0.2.0/33', '192.0.2.0/-1', '192.0.2.0/ 8', '192.0.2/24']) {
    t.equal(parseCidr(text), undefined, text)
  }
  for (const text of [
    '010.0.0.1',
    '192.0.2.0/08',
    '::/129',
    'fe80::1%eth0',
    'localhost',
    '1.2.3.4/8/8',
    '1.2.3.4/8.0',
  ]) {
    t.equal(parseCidr(text), undefined, text)
  }
})

t.test('only loopback counts as this machine', async t => {
  for (const host of ['127.0.0.1', '127.8.9.1', '::1', 'localhost', 'LocalHost', '::ffff:127.0.0.1']) {
    t.ok(isLoopback(host), host)
  }
  for (const host of [
    '0.0.0.0',
    '::',
    '192.0.2.1',
    'localhost.example',
    '',
    '::ffff:192.0.2.1',
    '128.0.0.1',
  ]) {
    t.notOk(isLoopback(host), host)
  }
})

t.test('the nearest name is proposed, a far one is not', async t => {
  const names = ['base_dn', 'urls', 'on', 'timeout']
  t.equal(nearest('basedn', names), 'base_dn')
  t.equal(nearest('Base-DN', names), 'base_dn')
  t.equal(nearest('ulrs', names), 'urls')
  t.equal(nearest('no', names), undefined)
  t.equal(nearest('', names), undefined)
  t.equal(nearest('password', names), undefined)
  t.equal(didYouMean('password', names), 'known here: base_dn, urls, on, timeout')
  t.equal(didYouMean('x', []), undefined)
})

t.test('an author of a backend need not close his schema, however it is composed', async t => {
  const { Check } = (await import('typebox/value')).Value
  const name = { type: 'object', required: ['name'], properties: { name: { type: 'string' } } }
  const age = {
    type: 'object',
    properties: { age: { type: 'object', properties: { years: { type: 'integer' } } } },
  }
  const both = closed({ type: 'object', allOf: [name, age] })
  t.ok(Check(both, { name: 'x', age: { years: 1 } }))
  t.notOk(Check(both, { name: 'x', aeg: {} }))
  t.notOk(Check(both, { name: 'x', age: { year: 1 } }))
  t.notOk(Check(closed({ type: 'array', items: name }), [{ name: 'x', nmae: 'y' }]))
  t.ok(Check(closed({ type: 'object', properties: {}, additionalProperties: true }), { any: 1 }))
})

t.test('defaults fill in at every depth, and never override', async t => {
  const schema = {
    type: 'object',
    properties: {
      a: {
        type: 'object',
        default: {},
        properties: { b: { type: 'integer', default: 1 }, c: { type: 'string' } },
      },
      absent: { type: 'object', properties: { d: { default: 1 } } },
      list: { type: 'array', items: { type: 'object', properties: { e: { default: null } } } },
    },
  }
  t.strictSame(withDefaults(schema, {}), { a: { b: 1 } })
  t.strictSame(withDefaults(schema, { a: { b: 0, x: 1 }, list: [{}, 7] }), {
    a: { b: 0, x: 1 },
    list: [{ e: null }, 7],
  })
  t.strictSame(withDefaults(schema, { absent: {} }), { a: { b: 1 }, absent: { d: 1 } })
  t.strictSame(withDefaults(schema, 'wrong'), 'wrong')
})
