import fc from 'fast-check'
import t from 'tap'
import { createLockoutKeys, sourcePrefix } from '../../src/lockout/keys.ts'

const keys = createLockoutKeys(new Uint8Array(32).fill(7))

t.test('every key has the same size and shows nothing of what it is made of', async t => {
  for (const name of ['', 'alice', 'ä'.repeat(256), 'x'.repeat(10_000)]) {
    t.match(keys.name(name, '192.0.2.1'), /^[\w-]{43}$/)
  }
  t.equal(keys.name('alice', '192.0.2.1'), keys.name('alice', '192.0.2.1'))
  const others = createLockoutKeys(new Uint8Array(32).fill(8))
  t.not(keys.name('alice', '192.0.2.1'), others.name('alice', '192.0.2.1'), 'another installation')
})

t.test('different tuples and kinds never share a key', async t => {
  const part = fc.string({ unit: fc.constantFrom('a', '1', ':', '::', ' ', 'é', '\ud800'), maxLength: 4 })
  const pair = fc.tuple(part, part)
  fc.assert(
    fc.property(pair, pair, (one, other) => {
      // UTF-8 knows no lone surrogate; names that hold one are refused long before.
      fc.pre([...one, ...other].every(text => text.isWellFormed()))
      const same = one[0] === other[0] && one[1] === other[1]
      return (
        (keys.name(...one) === keys.name(...other)) === same && keys.name(...one) !== keys.subject(...one)
      )
    }),
  )
  t.not(keys.source('192.0.2.1'), keys.name('', '192.0.2.1'))
})

t.test('a source is an IPv4 address or an IPv6 /64', async t => {
  t.equal(sourcePrefix('192.0.2.1'), '192.0.2.1')
  t.equal(sourcePrefix('2001:db8:0:1:0:0:0:1'), sourcePrefix('2001:db8:0:1:ffff:2:3:4'))
  t.not(sourcePrefix('2001:db8:0:1:0:0:0:1'), sourcePrefix('2001:db8:0:2:0:0:0:1'))
  t.not(sourcePrefix('2001:db8:0:1:0:0:0:1'), sourcePrefix('2001:db8:0:10:0:0:0:1'))
})

t.test(
  'an address that is not canonical is a bug, not a bucket that others share (CVE-2026-30827)',
  async t => {
    for (const address of [
      '',
      'localhost',
      '::1',
      '2001:db8::1',
      '2001:DB8:0:1:0:0:0:1',
      '0:0:0:0:0:ffff:c000:201',
      '::ffff:192.0.2.1',
      '192.0.2.01',
      '192.0.2.1:80',
      'fe80:0:0:0:0:0:0:1%eth0',
    ]) {
      t.throws(() => sourcePrefix(address), TypeError, address)
    }
  },
)
