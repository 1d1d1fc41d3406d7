import fc from 'fast-check'
import t from 'tap'
import { createLockoutKeys, sourcePrefix, subnetPrefix } from '../../src/lockout/keys.ts'
import '../support/runs.ts'

const keys = createLockoutKeys(new Uint8Array(32).fill(7))

const pairOf = (name: string, prefix: string) => keys.pair(keys.account({ name }), prefix)

t.test('every key has the same size and shows nothing of what it is made of', async t => {
  for (const name of ['', 'alice', 'ä'.repeat(256), 'x'.repeat(10_000)]) {
    t.match(pairOf(name, '192.0.2.1'), /^[\w-]{43}$/)
  }
  t.equal(pairOf('alice', '192.0.2.1'), pairOf('alice', '192.0.2.1'))
  const others = createLockoutKeys(new Uint8Array(32).fill(8))
  const theirs = others.pair(others.account({ name: 'alice' }), '192.0.2.1')
  t.not(pairOf('alice', '192.0.2.1'), theirs, 'another installation')
})

t.test('different tuples and kinds never share a key', async t => {
  const part = fc.string({ unit: fc.constantFrom('a', '1', ':', '::', ' ', 'é', '\ud800'), maxLength: 4 })
  const pair = fc.tuple(part, part)
  fc.assert(
    fc.property(pair, pair, (one, other) => {
      // UTF-8 knows no lone surrogate; names that hold one are refused long before.
      fc.pre([...one, ...other].every(text => text.isWellFormed()))
      const same = one[0] === other[0] && one[1] === other[1]
      const [name, prefix] = one
      const kin = [
        pairOf(name, prefix),
        keys.pair(keys.account({ subject: name }), prefix),
        keys.everywhere(keys.account({ name }), 'familiar'),
        keys.everywhere(keys.account({ name }), 'directory'),
        keys.everywhere(keys.account({ name }), 'directory', 'familiar'),
        keys.account({ name }),
        keys.account({ subject: name }),
        keys.source('source', name),
        keys.source('subnet', name),
      ]
      return (pairOf(...one) === pairOf(...other)) === same && new Set(kin).size === kin.length
    }),
  )
  t.pass()
})

t.test('a subnet is an IPv4 /24 or an IPv6 /48', async t => {
  t.equal(subnetPrefix('192.0.2.1'), subnetPrefix('192.0.2.254'))
  t.not(subnetPrefix('192.0.2.1'), subnetPrefix('192.0.3.1'))
  t.equal(subnetPrefix('2001:db8:1:2:0:0:0:1'), subnetPrefix('2001:db8:1:ffff:1:2:3:4'))
  t.not(subnetPrefix('2001:db8:1:0:0:0:0:1'), subnetPrefix('2001:db8:2:0:0:0:0:1'))
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
      t.throws(() => subnetPrefix(address), TypeError, address)
    }
  },
)
