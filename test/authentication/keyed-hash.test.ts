import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createKeyedHash } from '../../src/authentication/keyed-hash.ts'

t.test('gives what the HMAC of OpenSSL gives, for any key, label, text and octets', async t => {
  const data = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ maxLength: 5_000, size: 'max' }),
    fc.uint8Array({ maxLength: 3_000, size: 'max' }),
    fc.constant('\ud800 alone'),
  )
  const key = fc.uint8Array({ minLength: 32, maxLength: 200 })
  fc.assert(
    fc.property(key, fc.string(), fc.array(data, { minLength: 1 }), (key, label, each) => {
      const hash = createKeyedHash(key, label)
      // One after the other: nothing of the one before is left in the next.
      for (const one of each) {
        const expected = createHmac('sha256', key).update(label).update(one)
        t.equal(hash(one, 'base64url'), expected.digest('base64url'))
      }
    }),
  )
})

t.test('knows the vectors of RFC 4231', async t => {
  const hash = createKeyedHash(Buffer.alloc(20, 0x0b))
  const digest = 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'
  t.equal(hash('Hi There', 'hex'), digest)
  t.equal(Buffer.from(hash(Buffer.from('Hi There'), 'latin1'), 'latin1').toString('hex'), digest)
  const long = createKeyedHash(Buffer.alloc(131, 0xaa))
  t.equal(
    long('Test Using Larger Than Block-Size Key - Hash Key First', 'hex'),
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  )
})
