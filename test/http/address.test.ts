import t from 'tap'
import { callerAddress, canonicalAddress, inRange, parseRange } from '../../src/http/address.ts'
import { RequestFault } from '../../src/http/request-fault.ts'

t.test('every spelling of an address has one text', async t => {
  const cases: [string, string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:C000:0201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:c000:201', '192.0.2.1'],
    ['2001:DB8::1', '2001:db8:0:0:0:0:0:1'],
    ['2001:0db8:0000:0:0::0001', '2001:db8:0:0:0:0:0:1'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0:0:0:c000:201'],
    ['::192.0.2.1', '0:0:0:0:0:0:c000:201'],
    ['0::192.0.2.1', '0:0:0:0:0:0:c000:201'],
    ['::c000:201', '0:0:0:0:0:0:c000:201'],
  ]
  for (const [text, canonical] of cases) t.equal(canonicalAddress(text), canonical, text)
})

t.test('what is not plainly an address is none, names least of all (CVE-2024-10963)', async t => {
  for (const text of [
    ...['', ' ', '1', '1.2.3', '1.2.3.4.5', '256.0.0.1', '010.0.0.1', '0x7f.0.0.1', '127.1', '2130706433'],
    ...['192.0.2.1:80', '[::1]', '[::1]:80', 'fe80::1%eth0', ':::', '1::2::3', '12345::', '192.0.2.1/32'],
    ...['localhost', 'unknown', '_hidden', '192.0.2.1 ', '192.0.2.1\u0000', '１９２.0.2.1'],
  ]) {
    t.equal(canonicalAddress(text), undefined, JSON.stringify(text))
  }
})

t.test('a range takes what lies in it, in either notation', async t => {
  const yes: [string, string][] = [
    ['192.0.2.7', '192.0.2.0/24'],
    ['192.0.2.7', '192.0.2.99/24'],
    ['192.0.2.7', '::ffff:192.0.2.0/120'],
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.7', '0.0.0.0/0'],
    ['2001:db8:0:0:0:0:0:1', '2001:db8::/32'],
    ['2001:db8:0:0:0:0:0:1', '2001:db8::1'],
    ['0:0:0:0:0:0:c000:207', '::192.0.2.0/120'],
  ]
  const no: [string, string][] = [
    ['192.0.2.7', '::192.0.2.7'],
    ['192.0.2.7', '::192.0.2.0/120'],
    ['192.0.3.7', '192.0.2.0/24'],
    ['192.0.2.7', '::/0'],
    ['2001:db8:0:0:0:0:0:1', '0.0.0.0/0'],
    ['2001:db9:0:0:0:0:0:1', '2001:db8::/32'],
  ]
  for (const [address, range] of yes) t.ok(inRange(address, parseRange(range)), `${address} in ${range}`)
  for (const [address, range] of no)
    t.notOk(inRange(address, parseRange(range)), `${address} not in ${range}`)
  for (const range of [
    '',
    'corp',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10/8',
    '::/129',
    'fe80::%eth0/64',
    '10.0.0.0/8/8',
  ]) {
    t.throws(() => parseRange(range), range)
  }
})

t.test('whose request it is', async t => {
  const proxies = ['10.0.0.0/8', '2001:db8:5::/48'].map(parseRange)
  const cases: [why: string, peer: string, forwarded: string | undefined, caller: string][] = [
    ['no header', '10.0.0.1', undefined, '10.0.0.1'],
    ['a stranger’s header is ignored', '192.0.2.9', '198.51.100.1', '192.0.2.9'],
    ['even when it is garbage', '192.0.2.9', 'garbage', '192.0.2.9'],
    ['a trusted proxy’s counts', '10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['also when the peer is IPv4-mapped (CVE-2026-30827)', '::ffff:10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['mapped elements are unmapped', '10.0.0.1', '::ffff:198.51.100.1', '198.51.100.1'],
    [
      'from right to left, so what a client writes itself does not count',
      '10.0.0.1',
      '1.1.1.1, 198.51.100.1',
      '198.51.100.1',
    ],
    ['not even if it names a proxy', '10.0.0.1', '10.0.0.9, 198.51.100.1', '198.51.100.1'],
    ['through several proxies', '10.0.0.1', '198.51.100.1,10.0.0.3 ,\t10.0.0.2', '198.51.100.1'],
    ['and through both families', '2001:db8:5::1', '2001:db8::7, 10.0.0.2', '2001:db8:0:0:0:0:0:7'],
    ['nothing but proxies: the furthest', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['a link-local peer has a zone', 'fe80::1%eth0', undefined, 'fe80:0:0:0:0:0:0:1'],
  ]
  for (const [why, peer, forwarded, caller] of cases)
    t.equal(callerAddress(peer, forwarded, proxies), caller, why)

  for (const forwarded of [
    '',
    ',',
    'garbage',
    '198.51.100.1,',
    '198.51.100.1, unknown',
    'x, 198.51.100.1',
    '198.51.100.1:80',
  ]) {
    t.throws(
      () => callerAddress('10.0.0.1', forwarded, proxies),
      RequestFault,
      `CVE-2024-47070: ${forwarded}`,
    )
  }
  t.throws(
    () => callerAddress('10.0.0.1', '198.51.100.1,'.repeat(40), proxies),
    RequestFault,
    'a very long one',
  )
  t.throws(() => callerAddress(undefined, undefined, proxies), RequestFault, 'the connection is gone')
})
